//! What one call of the program learns of a registry saves the next one a round trip.

use std::process::{Command, Output};

use super::room::Builder;
use crate::support::{
    image::Image,
    registry::{Accounts, Bearer, Class, Registry},
};

#[test]
fn the_token_server_is_known_to_the_next_call() {
    let bearer = Bearer::new(Accounts::new("ci", "hunter2"));
    let registry = Registry::builder()
        .tls()
        .bearer(bearer)
        .start_in_background();
    Image::new("linux/amd64").load(&registry, "a", "t");
    let builder = Builder::of(&registry).login(&registry, "ci", "hunter2");
    let ca = builder.ca_file();
    let inspect = |insecure: bool| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command
            .env_clear()
            .env("POLYARCH_HOME", builder.home().join("p"));
        command.env("HOME", builder.home());
        command.args(["inspect", &registry.reference("a", "t")]);
        if insecure {
            command.arg("--insecure");
        } else {
            command.arg("--ca-cert").arg(&ca);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    };
    // What is learnt from somebody who may be anybody is not kept.
    for insecure in [true, true, false] {
        registry.clear();
        inspect(insecure);
        assert_eq!(registry.count(Class::Token), 1);
        assert_eq!(registry.count(Class::ManifestGet), 2);
    }
    registry.clear();
    inspect(false);
    assert_eq!(registry.count(Class::Token), 1);
    assert_eq!(registry.count(Class::ManifestGet), 1);
    let kept = builder.home().join("p/cache/registries.json");
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(
        !kept.contains("hunter2") && kept.contains("/token"),
        "{kept}"
    );
}
