//! `docker manifest` of the Docker CLI with the test registry. It needs no Docker engine.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Login, builder, combinations};
use crate::{
    program::home,
    support::{
        Scene,
        image::{Image, media},
        polyarch::Output,
        proxy::Proxy,
        registry::{Class, Registry, Scheme},
    },
};

/// Runs `docker manifest` with these arguments. Depending on the scheme, the certificate is checked or `--insecure` is
/// set, so that both are tested.
async fn manifest(home: &Scene, scheme: Scheme, args: &[&str]) -> Output {
    let (name, rest) = args.split_first().expect("a subcommand");
    let insecure: &[&str] = match scheme {
        Scheme::Http | Scheme::TlsHttp1 => &["--insecure"],
        Scheme::TlsHttp2 | Scheme::TlsOnlyHttp2 => &[],
    };
    let args = [&["manifest", name], insecure, rest].concat();
    home.program("docker", &args).await
}

/// Returns a home with a Docker config that contains the password of `ci`, and with a proxy that resolves
/// `registry.test`. The name is needed because the CLI uses only plain HTTP for loopback addresses.
fn logged_in(registry: &Registry, scheme: Scheme, auth: Login, proxy: &Proxy) -> Scene {
    let mut home = home();
    let auths = if auth == Login::Open {
        json!({})
    } else {
        json!({registry.host(): {"auth": STANDARD.encode("ci:pw")}})
    };
    home.write(".docker/config.json", json!({"auths": auths}).to_string());
    home.set("HTTPS_PROXY", &proxy.url());
    if scheme == Scheme::TlsHttp2 {
        home.set("SSL_CERT_FILE", &home.arg("certs/ca.crt"));
    }
    home
}

/// Starts a registry that the CLI can reach.
async fn start(scheme: Scheme, auth: Login) -> Registry {
    let builder = builder(scheme, auth);
    match scheme {
        Scheme::Http => builder.start().await,
        _ => builder.name("registry.test").start().await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_created_pushed_and_inspected() {
    for (scheme, auth) in combinations() {
        let registry = start(scheme, auth).await;
        let proxy = Proxy::start().await;
        let home = logged_in(&registry, scheme, auth, &proxy);
        let amd64 = Image::new("linux/amd64")
            .docker()
            .load(&registry, "team/app", "amd64");
        let arm = Image::new("linux/arm/v7")
            .docker()
            .load(&registry, "team/app", "arm");
        let list = registry.reference("team/app", "1.0");
        let sources = ["amd64", "arm"].map(|tag| registry.reference("team/app", tag));
        let [first, second] = &sources;
        let create = ["create", &list, first, second];
        manifest(&home, scheme, &create).await.ok();
        let push = ["push", &list];
        let output = manifest(&home, scheme, &push).await.ok().stdout;
        assert_eq!(
            output.lines().last(),
            registry.tag("team/app", "1.0").as_deref()
        );
        let pushed = registry.document("team/app", "1.0").expect("a list");
        assert_eq!(pushed["mediaType"], media::DOCKER_LIST);
        let entries = [amd64.descriptor(), arm.descriptor()];
        assert_eq!(pushed["manifests"], json!(entries), "{scheme:?} {auth:?}");
        assert_eq!(registry.problems(), Vec::<String>::new());

        let inspect = ["inspect", second];
        let shown = manifest(&home, scheme, &inspect).await.ok().stdout;
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(Some(shown), registry.document("team/app", "arm"));
        assert_eq!(proxy.passed().is_empty(), scheme == Scheme::Http);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_another_repository_are_mounted() {
    for auth in [Login::Open, Login::Bearer] {
        let registry = start(Scheme::TlsHttp2, auth).await;
        let proxy = Proxy::start().await;
        let home = logged_in(&registry, Scheme::TlsHttp2, auth, &proxy);
        let image = Image::new("linux/amd64").docker().layers(&[1, 2, 3]);
        let image = image.load(&registry, "team/parts", "amd64");
        let list = registry.reference("team/whole", "1.0");
        let source = registry.reference("team/parts", "amd64");
        let create = ["create", &list, &source];
        manifest(&home, Scheme::TlsHttp2, &create).await.ok();
        let push = ["push", &list];
        manifest(&home, Scheme::TlsHttp2, &push).await.ok();
        for blob in &image.blobs {
            assert!(registry.has_blob("team/whole", blob));
        }
        assert!(registry.manifest("team/whole", &image.digest).is_some());
        assert_eq!(registry.count(Class::UploadPut), 0);
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_permission_nothing_is_pushed() {
    // Basic is not tested: the CLI cannot read public repositories of a registry that asks for a password.
    for auth in [Login::Bearer, Login::BearerOnAnotherHost] {
        let registry = start(Scheme::Http, auth).await;
        let proxy = Proxy::start().await;
        let home = logged_in(&registry, Scheme::Http, Login::Open, &proxy);
        Image::new("linux/amd64")
            .docker()
            .load(&registry, "public/app", "amd64");
        Image::new("linux/amd64")
            .docker()
            .load(&registry, "team/app", "amd64");
        let before = registry.snapshot();
        let list = registry.reference("public/app", "1.0");
        let secret = registry.reference("team/app", "amd64");
        let open = registry.reference("public/app", "amd64");
        let create = ["create", &list, &secret];
        assert_ne!(
            manifest(&home, Scheme::Http, &create).await.code,
            0,
            "{auth:?}"
        );
        let create = ["create", "--amend", &list, &open];
        manifest(&home, Scheme::Http, &create).await.ok();
        let push = ["push", &list];
        assert_ne!(
            manifest(&home, Scheme::Http, &push).await.code,
            0,
            "{auth:?}"
        );
        assert_eq!(registry.snapshot(), before);
    }
}
