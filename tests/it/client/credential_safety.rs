//! Published vulnerabilities of comparable clients, with one test for each; `docs/security.md` has the table.
//!
//! A "trap" is another registry that requires credentials. It must never receive the credentials of the first registry.

use std::time::Duration;

use polyarch::{
    registry::Access,
    spec::MediaType,
    store::{FailureKind, ManifestName, Store as _, StoreError},
};

use super::fixture::{Builder, Client, descriptor, manifest, read_all, soon, tag};
use crate::support::{
    digest,
    image::{self, Image},
    registry::{Accounts, Bearer, Class, Fault, Registry, Role, Rule, Scheme},
};

const PASSWORD: &str = "hunter2";

fn accounts() -> Accounts {
    Accounts::new("ci", PASSWORD)
}

/// Registries with both authentication schemes, over plain HTTP and over TLS.
async fn registries() -> Vec<Registry> {
    let mut registries = Vec::new();
    for scheme in [Scheme::Http, Scheme::TlsHttp2] {
        for builder in [
            Registry::builder().basic(accounts()),
            Registry::builder().bearer(Bearer::new(accounts())),
        ] {
            let registry = builder.scheme(scheme).start().await;
            Image::new("linux/amd64").load(&registry, "a", "t");
            registries.push(registry);
        }
    }
    registries
}

/// Starts traps for a registry with this scheme: on another port of the same host, and on another host.
async fn traps(of: &Registry) -> Vec<Registry> {
    let scheme = if of.url().starts_with("https") {
        Scheme::TlsHttp2
    } else {
        Scheme::Http
    };
    let mut traps = Vec::new();
    for ip in ["127.0.0.1", "127.0.0.2"] {
        for builder in [
            Registry::builder().basic(accounts()),
            Registry::builder().bearer(Bearer::new(accounts())),
        ] {
            let trap = builder.scheme(scheme).ip(ip).start().await;
            Image::new("linux/amd64").load(&trap, "a", "t");
            traps.push(trap);
        }
    }
    traps
}

fn logged_in(registry: &Registry) -> Client {
    Builder::of(registry)
        .login(registry, "ci", PASSWORD)
        .retry_for(Duration::ZERO)
        .build()
}

/// Checks that the trap received requests, but neither the password nor a token nor an `Authorization` header.
#[track_caller]
fn got_no_credentials(trap: &Registry, registry: &Registry) {
    assert!(!trap.requests().is_empty(), "the trap was not reached");
    let tokens = registry.issued_tokens();
    for request in trap.requests() {
        let shown = request.authorised()
            || request.carries(PASSWORD)
            || tokens.iter().any(|token| request.carries(token));
        assert!(!shown, "{request:?}");
    }
}

#[track_caller]
fn refused(outcome: Result<(), StoreError>, word: &str) {
    let error = outcome.expect_err(word);
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
    assert!(error.to_string().contains(word), "{word}: {error}");
    assert!(!error.to_string().contains(PASSWORD), "{error}");
}

/// Checks that every request has `part` in its URL.
#[track_caller]
fn requested_only(client: &Client, part: &str, case: &str) {
    let tried = client.events.of("request");
    assert!(
        tried.iter().all(|line| line.contains(part)),
        "{case}: {tried:?}"
    );
}

async fn read(client: &Client, registry: &Registry) -> Result<(), StoreError> {
    let store = client.pull(registry, "a").await;
    soon(store.manifest(&tag("t"))).await.map(drop)
}

/// CVE-2020-15157 (containerd), GHSA-qvqc-4c52-x6qp (regclient): the `urls` of a layer named a server that required
/// credentials, and the client sent it the credentials of the registry.
#[tokio::test]
async fn cve_2020_15157_layer_urls_are_never_requested() {
    let registry = Registry::builder().basic(accounts()).start().await;
    let trap = Registry::builder()
        .basic(accounts())
        .ip("127.0.0.2")
        .start()
        .await;
    let config = registry.put_blob("a", &br#"{"os":"windows","architecture":"amd64"}"#[..]);
    let layer = digest::sha256(b"a layer of Windows");
    let json = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::DOCKER_MANIFEST,
        "config": {"mediaType": MediaType::DOCKER_CONFIG, "size": 39, "digest": config},
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "size": 18, "digest": layer,
            "urls": [format!("{}/v2/a/blobs/{layer}", trap.url())],
        }],
    });
    registry.put_manifest("a", Some("w"), MediaType::DOCKER_MANIFEST, json.to_string());
    let client = logged_in(&registry);
    let (from, to) = (
        client.pull(&registry, "a").await,
        client.push(&registry, "b").await,
    );
    let read = from.manifest(&tag("w")).await.unwrap();
    for blob in read.image().unwrap().blobs() {
        to.copy_blob(blob, from.clone(), &|_| ()).await.unwrap();
    }
    to.put_manifest(&read).await.unwrap();
    // If the layer is requested by its digest, the request is sent to the registry, which does not have it.
    let foreign = &read.image().unwrap().layers[0];
    let error = read_all(&*from, foreign, 0).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::NotFound, "{error}");
    assert!(trap.requests().is_empty());
}

/// CVE-2021-41190 (containerd, moby, the OCI specifications): one document could be parsed as an index or as an
/// image.
#[tokio::test]
async fn cve_2021_41190_ambiguous_document_is_refused() {
    let registry = Registry::plain().await;
    let image = Image::new("linux/amd64").load(&registry, "a", "t");
    let config = serde_json::json!({"mediaType": MediaType::OCI_CONFIG, "size": 2, "digest": digest::sha256(b"{}")});
    let entries = serde_json::json!([image.descriptor()]);
    let document = |field: &str, value: &serde_json::Value, list: &str| {
        format!(r#"{{"schemaVersion":2,"{list}":{entries},"{field}":{value}}}"#)
    };
    let layers = serde_json::json!([]);
    for (text, word) in [
        (document("config", &config, "manifests"), "CVE-2021-41190"),
        (document("layers", &layers, "manifests"), "CVE-2021-41190"),
        // Parsers in Go treat these as the same fields.
        (document("Config", &config, "manifests"), "letter case"),
        (document("config", &config, "Manifests"), "letter case"),
        (document("manifests", &layers, "manifests"), "duplicate"),
    ] {
        for media_type in [MediaType::OCI_INDEX, MediaType::OCI_MANIFEST] {
            registry.put_manifest("a", Some("t"), media_type, text.clone());
            refused(read(&Client::of(&registry), &registry).await, word);
        }
    }
    // The document is of one kind, and its media type of the other.
    registry.put_manifest("a", Some("t"), MediaType::OCI_INDEX, image.bytes.clone());
    refused(read(&Client::of(&registry), &registry).await, "served as");
}

/// CVE-2024-3727 (containers/image): an invalid digest became part of a path, and so an authorised request went to
/// another path.
#[tokio::test]
async fn cve_2024_3727_invalid_digest_is_never_part_of_a_path() {
    let registry = Registry::builder().basic(accounts()).start().await;
    for hostile in [
        "sha256:../../../../v2/other/manifests/t",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85/",
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "../blobs/uploads",
        "sha256",
        "",
    ] {
        let entry =
            serde_json::json!({"mediaType": MediaType::OCI_MANIFEST, "size": 2, "digest": hostile});
        for json in [
            serde_json::json!({"schemaVersion": 2, "manifests": [entry]}),
            serde_json::json!({"schemaVersion": 2, "config": entry, "layers": []}),
            serde_json::json!({"schemaVersion": 2, "manifests": [], "subject": entry}),
        ] {
            registry.put_manifest("a", Some("t"), "application/json", json.to_string());
            refused(read(&logged_in(&registry), &registry).await, "digest");
        }
    }
    assert!(
        registry
            .requests()
            .iter()
            .all(|request| request.path == "/v2/a/manifests/t")
    );
}

/// CVE-2025-24882 (regclient): a pinned digest was compared with a header of the registry, not with the content.
#[tokio::test]
async fn cve_2025_24882_content_is_compared_with_its_digest() {
    let registry = Registry::plain().await;
    let pinned = Image::new("linux/amd64").load(&registry, "a", "t");
    let evil = Image::new("linux/amd64")
        .seed(7)
        .load(&registry, "a", "evil");
    registry.put_manifest_as(
        "a",
        None,
        &pinned.digest,
        MediaType::OCI_MANIFEST,
        evil.bytes.clone(),
    );
    for header in [&pinned.digest, &evil.digest] {
        registry.clear_rules();
        let wrong = Fault::header("docker-content-digest", header);
        registry.rule(Rule::on(Class::ManifestGet).forever().then(wrong));
        let store = Client::of(&registry).pull(&registry, "a").await;
        let name = ManifestName::Digest(pinned.digest.parse().unwrap());
        refused(soon(store.manifest(&name)).await.map(drop), "twice");
    }
}

/// GHSA-vh4v-2xq2-g5cg (oras-go), go-containerregistry #2349, GHSA-qvqc-4c52-x6qp (regclient): after a redirect to
/// another host or port, the request carried `Authorization`, at once or after a challenge.
#[tokio::test]
async fn ghsa_vh4v_2xq2_g5cg_redirect_carries_no_credentials() {
    for registry in registries().await {
        for trap in traps(&registry).await {
            registry.clear_rules();
            let away = |path: &str| Fault::Redirect(307, format!("{}{path}", trap.url()));
            registry.rule(
                Rule::on(Class::ManifestGet)
                    .forever()
                    .then(away("/v2/a/manifests/t")),
            );
            registry.rule(
                Rule::on(Class::ManifestHead)
                    .forever()
                    .then(away("/v2/a/manifests/t")),
            );
            registry.rule(
                Rule::on(Class::BlobGet)
                    .forever()
                    .then(away("/v2/a/blobs/x")),
            );
            registry.rule(
                Rule::on(Class::Referrers)
                    .forever()
                    .then(away("/v2/a/referrers/x")),
            );
            let client = logged_in(&registry);
            let store = client.pull(&registry, "a").await;
            assert!(soon(store.manifest(&tag("t"))).await.is_err());
            assert!(soon(store.describe(&tag("t"))).await.is_err());
            let blob = descriptor(&digest::sha256(b"x"), 1);
            assert!(soon(read_all(&*store, &blob, 0)).await.is_err());
            let _ = soon(store.referrers(&blob.digest)).await;
            got_no_credentials(&trap, &registry);
        }
    }
}

/// GHSA-jxpm-75mh-9fp7 (oras-go): the `Location` of an upload named another host, and the client sent it the
/// `Authorization` header of the previous request.
#[tokio::test]
async fn ghsa_jxpm_75mh_9fp7_upload_host_gets_no_credentials() {
    for registry in registries().await {
        let bytes = b"some bytes".to_vec();
        let blob = descriptor(&registry.put_blob("src", bytes), 10);
        for trap in traps(&registry).await {
            registry.clear_rules();
            let location = format!("{}/v2/a/blobs/uploads/1?_state=x", trap.url());
            let answer = Fault::reply(202, &[("location", &location)], "");
            registry.rule(Rule::on(Class::UploadPost).forever().then(answer));
            let client = logged_in(&registry);
            let (from, to) = (
                client.pull(&registry, "src").await,
                client.push(&registry, "a").await,
            );
            assert!(soon(to.copy_blob(&blob, from, &|_| ())).await.is_err());
            got_no_credentials(&trap, &registry);
            assert!(trap.count(Class::UploadPut) > 0);
        }
    }
}

/// URLs that no registry may redirect to: internal addresses in every form, plain HTTP, and URLs with a user name.
const INSIDE: [&str; 18] = [
    "https://169.254.169.254/latest/meta-data",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://169.254.43518/",
    "https://%31%36%39.254.169.254/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://100.100.100.200/",
    "https://192.0.0.192/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://0.0.0.0/",
    "https://registry.example@10.0.0.1/",
];

/// GHSA-xf85-363p-868w (oras-go, CVE-2026-48978), CVE-2026-33990 (docker/model-runner), golang/vulndb #6092
/// (go-containerregistry): the realm of a challenge was the metadata service of the cloud, or used plain HTTP although
/// the registry used TLS.
#[tokio::test]
async fn ghsa_xf85_363p_868w_unsafe_realm_is_refused() {
    let userinfo = "https://registry.example@evil.example/token";
    let clear = "http://127.0.0.1:9/token";
    for realm in INSIDE
        .into_iter()
        .chain([userinfo, clear, "ftp://evil.example/"])
    {
        let bearer = Bearer::new(accounts()).realm(realm);
        let registry = Registry::builder().tls().bearer(bearer).start().await;
        Image::new("linux/amd64").load(&registry, "a", "t");
        let client = logged_in(&registry);
        refused(read(&client, &registry).await, "token server");
        requested_only(&client, "/v2/a/manifests/t", realm);
    }
}

/// go-containerregistry #2292: the realm was safe, and redirected to an internal address.
#[tokio::test]
async fn go_containerregistry_2292_unsafe_token_redirect_is_refused() {
    let registry = Registry::builder()
        .tls()
        .bearer(Bearer::new(accounts()))
        .start()
        .await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    for target in INSIDE.into_iter().chain(["http://127.0.0.1:9/token"]) {
        registry.clear_rules();
        let away = Fault::Redirect(307, target.to_owned());
        registry.rule(Rule::on(Class::Token).forever().then(away));
        let client = logged_in(&registry);
        refused(read(&client, &registry).await, "refused redirect");
        requested_only(&client, &registry.url(), target);
    }
}

/// The same attack with redirects of content and with the `Location` of an upload.
#[tokio::test]
async fn unsafe_redirects_and_upload_locations_are_refused() {
    let registry = Registry::builder().tls().start().await;
    let blob = descriptor(&registry.put_blob("a", b"0123456789".to_vec()), 10);
    for target in INSIDE.into_iter().chain(["http://127.0.0.1:9/x"]) {
        registry.clear_rules();
        let redirect = Fault::Redirect(307, target.to_owned());
        registry.rule(Rule::on(Class::BlobHead).forever().then(redirect));
        let location = Fault::reply(202, &[("location", target)], "");
        registry.rule(Rule::on(Class::UploadPost).forever().then(location));
        let client = logged_in(&registry);
        let (from, to) = (
            client.pull(&registry, "a").await,
            client.push(&registry, "b").await,
        );
        refused(
            soon(from.has_blob(&blob)).await.map(drop),
            "refused redirect",
        );
        refused(
            soon(to.copy_blob(&blob, from, &|_| ())).await,
            "refused redirect",
        );
        requested_only(&client, &registry.url(), target);
    }
}

/// GHSA-28r5-37g7-p6mp (oras-go), go-containerregistry #2193: credentials were sent to any realm. A registry may name
/// its token server, but not one that is reached over plain HTTP.
#[tokio::test]
async fn ghsa_28r5_37g7_p6mp_basic_needs_the_registry_or_https() {
    let trap = Registry::builder()
        .basic(accounts())
        .ip("127.0.0.2")
        .start()
        .await;
    let realm = format!("{}/token", trap.url());
    let registry = Registry::builder()
        .tls()
        .bearer(Bearer::new(accounts()).realm(&realm))
        .start()
        .await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    refused(read(&logged_in(&registry), &registry).await, "plain HTTP");
    assert!(trap.requests().is_empty());
}

/// Only the registry itself may name a token server. A realm in the challenge of another host is ignored.
#[tokio::test]
async fn challenge_of_another_host_is_ignored() {
    for registry in registries().await {
        let scheme = if registry.url().starts_with("https") {
            Scheme::TlsHttp2
        } else {
            Scheme::Http
        };
        let collector = Registry::builder()
            .scheme(scheme)
            .ip("127.0.0.3")
            .bearer(Bearer::new(accounts()))
            .start()
            .await;
        let realm = format!("{}/token", collector.url());
        let trap = Registry::builder()
            .scheme(scheme)
            .ip("127.0.0.2")
            .bearer(Bearer::new(accounts()).realm(&realm))
            .start()
            .await;
        let away = Fault::Redirect(302, format!("{}/v2/a/manifests/t", trap.url()));
        registry.rule(Rule::on(Class::ManifestGet).forever().then(away));
        assert!(read(&logged_in(&registry), &registry).await.is_err());
        got_no_credentials(&trap, &registry);
        assert!(collector.requests().is_empty());
    }
}

/// CVE-2021-41092 (Docker CLI): if a helper could not be run, the credentials were sent to Docker Hub.
#[tokio::test]
async fn cve_2021_41092_failing_helper_is_an_error() {
    let registry = Registry::builder().basic(accounts()).start().await;
    let host = registry.host();
    for config in [
        format!(
            r#"{{"credHelpers": {{"{host}": "gone"}}, "auths": {{"docker.io": {{"auth": "Y2k6aHVudGVyMg=="}}}}}}"#
        ),
        r#"{"credsStore": "gone", "auths": {"docker.io": {"auth": "Y2k6aHVudGVyMg=="}}}"#
            .to_owned(),
    ] {
        let client = Builder::of(&registry).docker_config(&config).build();
        let opened = client.open(&format!("{host}/a"), Access::Pull).await;
        let error = opened.err().expect("no such program").to_string();
        assert!(
            error.contains("docker-credential-gone") && !error.contains(PASSWORD),
            "{error}"
        );
        assert!(registry.requests().is_empty());
    }
}

/// CVE-2021-32690 (Helm): the index of a repository named another host, and the client sent it the credentials of the
/// repository. The equivalent here is the next page of a list of referrers.
#[tokio::test]
async fn cve_2021_32690_next_page_stays_on_the_registry() {
    for registry in registries().await {
        let loaded = Image::new("linux/amd64").load(&registry, "a", "t");
        image::referrer(&registry, "a", &loaded, "application/spdx+json");
        for trap in traps(&registry).await {
            registry.clear_rules();
            let next = format!(
                "<{}/v2/a/referrers/{}>; rel=\"next\"",
                trap.url(),
                loaded.digest
            );
            registry.rule(
                Rule::on(Class::Referrers)
                    .forever()
                    .then(Fault::header("link", &next)),
            );
            let client = logged_in(&registry);
            let store = client.pull(&registry, "a").await;
            let subject = loaded.digest.parse().unwrap();
            let found = soon(store.referrers(&subject)).await.map(drop);
            let host = trap.url().split_once("//").unwrap().1.to_owned();
            refused(found, &format!("on another host ({host}), which"));
            assert!(trap.requests().is_empty());
        }
    }
}

/// The `from` parameter of a mount is a repository of the same registry. The name of another registry is not sent, and
/// each registry receives only its own credentials.
#[tokio::test]
async fn copy_sends_each_registry_its_own_credentials() {
    let source = Registry::builder()
        .basic(Accounts::new("reader", "source-pw"))
        .start()
        .await;
    let target = Registry::builder()
        .bearer(Bearer::new(Accounts::new("writer", "target-pw")))
        .ip("127.0.0.2")
        .start()
        .await;
    let loaded = Image::new("linux/amd64").load(&source, "secret/name", "t");
    let entry = |registry: &Registry, user: &str, password: &str| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let auth = STANDARD.encode(format!("{user}:{password}"));
        format!(r#""{}": {{"auth": "{auth}"}}"#, registry.host())
    };
    let auths = [
        entry(&source, "reader", "source-pw"),
        entry(&target, "writer", "target-pw"),
    ];
    let client = Builder::of(&source)
        .docker_config(&format!(r#"{{"auths": {{{}}}}}"#, auths.join(", ")))
        .build();
    let (from, to) = (
        client.pull(&source, "secret/name").await,
        client.push(&target, "copy").await,
    );
    let read = from.manifest(&tag("t")).await.unwrap();
    for blob in read.image().unwrap().blobs() {
        assert!(
            !to.mount_blob(blob, from.repository().unwrap())
                .await
                .unwrap()
        );
        to.copy_blob(blob, from.clone(), &|_| ()).await.unwrap();
    }
    to.put_manifest(&manifest(&loaded)).await.unwrap();
    assert!(target.manifest("copy", &loaded.digest).is_some());
    assert_eq!(
        source.count_where(|request| request.carries("target-pw")),
        0
    );
    let to_target = |request: &crate::support::registry::Recorded| {
        request.carries("source-pw") || request.carries("secret/name")
    };
    assert_eq!(target.count_where(to_target), 0);
    for token in target.issued_tokens() {
        assert_eq!(source.count_where(|request| request.carries(&token)), 0);
    }
    assert!(target.count_where(|request| request.role == Role::Registry) > 0);
}
