//! The Docker CLI: `docker manifest`, which needs no engine.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Door, builder, combinations};
use crate::{
    program::{Home, Said},
    support::{
        image::{Image, media},
        proxy::Proxy,
        registry::{Class, Registry, Scheme},
    },
};

/// `docker manifest` with these arguments. The authority is trusted or not checked, by
/// turns, so that both are shown.
async fn manifest(home: &Home, scheme: Scheme, args: &[&str]) -> Said {
    let (name, rest) = args.split_first().expect("a subcommand");
    let insecure: &[&str] = match scheme {
        Scheme::Http | Scheme::TlsHttp1 => &["--insecure"],
        Scheme::TlsHttp2 => &[],
    };
    let args = [&["manifest", name], insecure, rest].concat();
    home.run("docker", &args).await
}

/// A home whose Docker config has the password of `ci`, and whose programs reach
/// `registry.test`: on a loopback address the CLI speaks plain HTTP only, whatever the
/// registry speaks.
fn home(registry: &Registry, scheme: Scheme, door: Door, proxy: &Proxy) -> Home {
    let mut home = Home::new();
    let auths = if door == Door::Open {
        json!({})
    } else {
        json!({registry.host(): {"auth": STANDARD.encode("ci:pw")}})
    };
    home.write(".docker/config.json", &json!({"auths": auths}).to_string());
    home.set("HTTPS_PROXY", &proxy.url());
    if scheme == Scheme::TlsHttp2 {
        home.set("SSL_CERT_FILE", &home.arg("certs/ca.crt"));
    }
    home
}

/// A registry that the CLI can reach.
async fn start(scheme: Scheme, door: Door) -> Registry {
    let builder = builder(scheme, door);
    match scheme {
        Scheme::Http => builder.start().await,
        Scheme::TlsHttp1 | Scheme::TlsHttp2 => builder.name("registry.test").start().await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_created_pushed_and_inspected() {
    for (scheme, door) in combinations() {
        let registry = start(scheme, door).await;
        let proxy = Proxy::start().await;
        let home = home(&registry, scheme, door, &proxy);
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
        manifest(&home, scheme, &create).await.expect();
        let push = ["push", &list];
        let said = manifest(&home, scheme, &push).await.expect();
        assert_eq!(
            said.lines().last(),
            registry.tag("team/app", "1.0").as_deref()
        );
        let pushed = registry.document("team/app", "1.0").expect("a list");
        assert_eq!(pushed["mediaType"], media::DOCKER_LIST);
        let entries = [amd64.descriptor(), arm.descriptor()];
        assert_eq!(pushed["manifests"], json!(entries), "{scheme:?} {door:?}");
        assert_eq!(registry.problems(), Vec::<String>::new());

        let inspect = ["inspect", second];
        let shown = manifest(&home, scheme, &inspect).await.expect();
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(Some(shown), registry.document("team/app", "arm"));
        assert_eq!(proxy.passed().is_empty(), scheme == Scheme::Http);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_another_repository_are_mounted() {
    for door in [Door::Open, Door::Bearer] {
        let registry = start(Scheme::TlsHttp2, door).await;
        let proxy = Proxy::start().await;
        let home = home(&registry, Scheme::TlsHttp2, door, &proxy);
        let image = Image::new("linux/amd64").docker().layers(&[1, 2, 3]);
        let image = image.load(&registry, "team/parts", "amd64");
        let list = registry.reference("team/whole", "1.0");
        let source = registry.reference("team/parts", "amd64");
        let create = ["create", &list, &source];
        manifest(&home, Scheme::TlsHttp2, &create).await.expect();
        let push = ["push", &list];
        manifest(&home, Scheme::TlsHttp2, &push).await.expect();
        for blob in &image.blobs {
            assert!(registry.has_blob("team/whole", blob));
        }
        assert!(registry.manifest("team/whole", &image.digest).is_some());
        assert_eq!(registry.count(Class::UploadPut), 0);
        assert_eq!(registry.problems(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_nothing_is_pushed() {
    // Asked for a password, the CLI never goes on without one: Basic has no public part.
    for door in [Door::Bearer, Door::BearerElsewhere] {
        let registry = start(Scheme::Http, door).await;
        let proxy = Proxy::start().await;
        let home = home(&registry, Scheme::Http, Door::Open, &proxy);
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
        assert!(!manifest(&home, Scheme::Http, &create).await.ok, "{door:?}");
        let create = ["create", "--amend", &list, &open];
        manifest(&home, Scheme::Http, &create).await.expect();
        let push = ["push", &list];
        assert!(!manifest(&home, Scheme::Http, &push).await.ok, "{door:?}");
        assert_eq!(registry.snapshot(), before);
    }
}
