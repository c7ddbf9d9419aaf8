//! Registries of clouds without a login step: every source of credentials, against servers that play the cloud.

mod aws;
mod azure;
mod google;
mod hostile;
mod server;

use self::server::CloudServer;
use crate::support::{polyarch::Output, proxy::Proxy, scene::Scene};

/// A home without a registry.
fn home() -> Scene {
    Scene::of([])
}

/// Runs `polyarch auth`, and returns what it used and the whole output.
fn auth(scene: &Scene, arguments: &str) -> (String, Output) {
    let output = scene.run(&format!("auth {arguments}")).ok();
    let used = output
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("Used: "));
    (used.unwrap_or_default().to_owned(), output)
}

/// The line below a source.
#[track_caller]
fn result_of(output: &Output, source: &str) -> String {
    let mut lines = output.stdout.lines();
    lines
        .find(|line| line.contains(source))
        .unwrap_or_else(|| panic!("{source}: {output}"));
    lines.next().unwrap_or_default().trim().to_owned()
}

/// A proxy through which `host` is this server.
fn stand_in(scene: &mut Scene, host: &str, server: &CloudServer) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let proxy = runtime.block_on(Proxy::mapping(&format!("{host}:443"), server.address));
    scene.set("HTTPS_PROXY", &proxy.url());
    scene.trust();
    scene.keep((proxy, runtime));
}
