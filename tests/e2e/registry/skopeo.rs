//! skopeo with the test registry: it pulls, pushes, lists tags and inspects.

use super::{Login, builder, combinations};
use crate::{
    program::home,
    support::{
        Scene,
        image::{Image, Index},
        polyarch::Output,
        registry::{Chunks, Class, Registry, Role, Scheme, Site},
    },
};

/// Runs `skopeo copy --all` with the TLS options and credentials that the registry needs.
async fn copy(
    home: &Scene,
    registry: &Registry,
    credentials: &str,
    from: &str,
    to: &str,
) -> Output {
    let (certs, authfile) = (home.arg("certs"), home.arg("auth.json"));
    let verify = registry.url().starts_with("https");
    let src_verify = format!("--src-tls-verify={verify}");
    let dest_verify = format!("--dest-tls-verify={verify}");
    let mut args = vec!["--insecure-policy", "copy", "--all", "--quiet"];
    args.extend([src_verify.as_str(), dest_verify.as_str()]);
    args.extend(["--src-cert-dir", &certs, "--dest-cert-dir", &certs]);
    args.extend(["--authfile", &authfile]);
    if !credentials.is_empty() {
        let side = if to.starts_with("docker:") {
            "--dest-creds"
        } else {
            "--src-creds"
        };
        args.extend([side, credentials]);
    }
    args.extend([from, to]);
    home.program("skopeo", &args).await
}

fn credentials(auth: Login) -> &'static str {
    if auth == Login::Open { "" } else { "ci:pw" }
}

#[tokio::test(flavor = "multi_thread")]
async fn index_survives_a_layout_unchanged() {
    for (scheme, auth) in combinations() {
        let (home, registry) = (home(), builder(scheme, auth).start().await);
        let index = Index::oci().of(["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]);
        let index = index.attested().load(&registry, "team/app", "1.0");
        let source = format!("docker://{}", registry.reference("team/app", "1.0"));
        let target = format!("docker://{}", registry.reference("team/copy", "2.0"));
        let layout = format!("oci:{}:1.0", home.arg("layout"));
        let creds = credentials(auth);
        copy(&home, &registry, creds, &source, &layout).await.ok();
        copy(&home, &registry, creds, &layout, &target).await.ok();
        let (media_type, bytes) = registry.manifest("team/copy", "2.0").expect("a copy");
        assert_eq!(
            (media_type, bytes),
            (index.media_type, index.bytes),
            "{scheme:?} {auth:?}"
        );
        assert_eq!(registry.problems(), Vec::<String>::new());
        assert_eq!(registry.uploads(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_image_survives_a_directory() {
    let (home, registry) = (
        home(),
        builder(Scheme::TlsHttp2, Login::Bearer).start().await,
    );
    let image = Image::new("windows/amd64")
        .docker()
        .os_version("10.0.1")
        .layers(&[10, 90_000]);
    let image = image.load(&registry, "team/app", "1.0");
    let source = format!("docker://{}", registry.reference("team/app", "1.0"));
    let target = format!(
        "docker://{}",
        registry.reference("team/copy", &image.digest)
    );
    let directory = format!("dir:{}", home.arg("dir"));
    copy(&home, &registry, "ci:pw", &source, &directory)
        .await
        .ok();
    copy(&home, &registry, "ci:pw", &directory, &target)
        .await
        .ok();
    let (_, bytes) = registry
        .manifest("team/copy", &image.digest)
        .expect("a copy");
    assert_eq!(bytes, image.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_bytes_pages_of_tags_and_a_platform_are_read() {
    for (scheme, auth) in combinations() {
        let (home, registry) = (home(), builder(scheme, auth).page(2).start().await);
        let mut image = None;
        for tag in ["a", "b", "c", "d", "e"] {
            image = Some(Image::new("linux/arm64/v8").load(&registry, "team/app", tag));
        }
        let image = image.expect("five images");
        let certs = home.arg("certs");
        let verify = format!("--tls-verify={}", scheme != Scheme::Http);
        let reach = ["--cert-dir", certs.as_str(), verify.as_str()];
        let creds = credentials(auth);
        let creds = if creds.is_empty() {
            vec!["--no-creds"]
        } else {
            vec!["--creds", creds]
        };
        let source = format!("docker://{}", registry.reference("team/app", "c"));
        let run = |before: &[&str], name: &str| {
            let args = [before, &reach, &creds, &[name]].concat();
            let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
            let home = &home;
            async move {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                home.program("skopeo", &args).await.ok().stdout
            }
        };
        let raw = run(&["inspect", "--raw"], &source).await;
        assert_eq!(raw.as_bytes(), image.bytes, "{scheme:?} {auth:?}");
        let config = run(&["inspect", "--config"], &source).await;
        assert!(config.contains("\"variant\": \"v8\""), "{config}");
        let repository = format!("docker://{}/team/app", registry.host());
        let listed = run(&["list-tags"], &repository).await;
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        assert_eq!(listed["Tags"], serde_json::json!(["a", "b", "c", "d", "e"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_permission_is_denied() {
    for auth in [Login::Basic, Login::Bearer, Login::BearerOnAnotherHost] {
        let (home, registry) = (home(), builder(Scheme::Http, auth).start().await);
        Image::new("linux/amd64").load(&registry, "team/app", "1.0");
        Image::new("linux/amd64").load(&registry, "public/app", "1.0");
        let before = registry.snapshot();
        let team = format!("docker://{}", registry.reference("team/app", "1.0"));
        let public = format!("docker://{}", registry.reference("public/app", "1.0"));
        let layout = format!("oci:{}:1.0", home.arg("layout"));
        for (creds, from, to, may) in [
            ("", &team, &layout, false),
            ("guest:pw2", &team, &layout, false),
            ("ci:wrong", &team, &layout, false),
            // If a registry asks for a password, skopeo sends an empty one.
            ("", &public, &layout, auth != Login::Basic),
            ("guest:pw2", &public, &layout, true),
            ("guest:pw2", &layout, &public, false),
            ("", &layout, &team, false),
        ] {
            let output = copy(&home, &registry, creds, from, to).await;
            assert_eq!(
                output.code == 0,
                may,
                "{auth:?} {creds} {from} {to}: {}",
                output.stderr
            );
        }
        assert_eq!(registry.snapshot(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_login_are_used() {
    for (scheme, auth) in combinations() {
        let (home, registry) = (home(), builder(scheme, auth).start().await);
        if auth == Login::Open {
            continue;
        }
        let certs = home.arg("certs");
        let authfile = home.arg("auth.json");
        let verify = format!("--tls-verify={}", scheme != Scheme::Http);
        let log_in = |password: &'static str| {
            let args = [
                "login",
                "--cert-dir",
                &certs,
                &verify,
                "--authfile",
                &authfile,
            ];
            let args = [&args[..], &["-u", "ci", "-p", password, registry.host()]].concat();
            let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
            let home = &home;
            async move {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                home.program("skopeo", &args).await
            }
        };
        assert_ne!(log_in("wrong").await.code, 0, "{scheme:?} {auth:?}");
        log_in("pw").await.ok();
        Image::new("linux/amd64").load(&registry, "team/app", "1.0");
        let source = format!("docker://{}", registry.reference("team/app", "1.0"));
        let target = format!("docker://{}", registry.reference("team/copy", "1.0"));
        copy(&home, &registry, "", &source, &target).await.ok();
        assert_eq!(
            registry.tag("team/copy", "1.0"),
            registry.tag("team/app", "1.0")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_follows_redirects_without_credentials() {
    let (home, builder) = (home(), builder(Scheme::TlsHttp1, Login::Bearer));
    let registry = builder
        .blobs_at(Site::new(Scheme::TlsHttp1).ip("127.0.0.2"))
        .location_query()
        .absolute_locations()
        .chunks(Chunks::WholeOnly)
        .start()
        .await;
    let image = Image::new("linux/amd64").layers(&[100, 300_000]);
    let image = image.load(&registry, "team/app", "1.0");
    let source = format!("docker://{}", registry.reference("team/app", "1.0"));
    let target = format!("docker://{}", registry.reference("team/copy", "1.0"));
    let layout = format!("oci:{}:1.0", home.arg("layout"));
    copy(&home, &registry, "ci:pw", &source, &layout).await.ok();
    copy(&home, &registry, "ci:pw", &layout, &target).await.ok();
    assert_eq!(registry.tag("team/copy", "1.0"), Some(image.digest));
    assert_eq!(registry.count(Class::Redirected), 3);
    let leaks = registry.count_where(|request| request.role == Role::Cdn && request.authorised());
    assert_eq!(leaks, 0);
}
