//! Registries that deviate from the specification: uploads that are not stored, mounts after which the blob is missing,
//! credentials that are refused without a challenge. Also details of errors, and warnings.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use polyarch::store::{FailureKind, Store as _, StoreError};
use serde_json::json;

use super::fixture::{Builder, Client, descriptor, manifest, soon, tag};
use super::shown;
use crate::support::{
    image::Image,
    registry::{Accounts, Bearer, Class, Fault, Recorded, Registry, Rule, random_bytes},
};

fn accounts() -> Accounts {
    Accounts::new("ci", "hunter2")
}

fn logged_in(registry: &Registry) -> Builder {
    Builder::of(registry).login(registry, "ci", "hunter2")
}

async fn loaded(builder: crate::support::registry::Builder) -> Registry {
    let registry = builder.start().await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    registry
}

async fn read(client: &Client, registry: &Registry) -> Result<(), StoreError> {
    let store = client.pull(registry, "a").await;
    soon(store.manifest(&tag("t"))).await.map(drop)
}

fn with_basic(rule: Rule) -> Rule {
    rule.and(|seen| {
        let sent = seen.headers.get("authorization");
        sent.is_some_and(|value| value.as_bytes().starts_with(b"Basic"))
    })
}

/// Copies a blob to a registry that stores nothing and answers the `PUT` of an upload with this status, `times` times.
async fn upload(status: u16, times: Option<usize>) -> (Result<(), StoreError>, bool) {
    let registry = Registry::plain().await;
    let bytes = random_bytes(3, 5_000);
    let name = registry.put_blob("src", bytes.clone());
    let blob = descriptor(&name, bytes.len() as u64);
    let rule = Rule::on(Class::UploadPut);
    let rule = match times {
        Some(times) => rule.times(times),
        None => rule.forever(),
    };
    registry.rule(rule.then(Fault::status(status)));
    let client = Client::of(&registry);
    let from = client.pull(&registry, "src").await;
    let to = client.push(&registry, "dst").await;
    let copied = soon(to.copy_blob(&blob, from, &|_| ())).await;
    (copied, registry.blob("dst", &name) == Some(bytes))
}

#[tokio::test]
async fn an_upload_succeeds_only_if_the_blob_exists() {
    for status in [200, 202, 204] {
        let (copied, is_stored) = upload(status, None).await;
        let error = copied.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{error}");
        assert!(error.cause().contains("did not store the blob"), "{error}");
        assert!(!is_stored);
        let (copied, is_stored) = upload(status, Some(1)).await;
        copied.unwrap();
        assert!(is_stored, "{status}");
    }
}

/// distribution answers 201 to a mount by a sha512 digest, and does not find the blob afterwards.
#[tokio::test]
async fn a_blob_is_uploaded_if_its_mount_failed_silently() {
    let registry = Registry::plain().await;
    let image = Image::new("linux/amd64").load(&registry, "src", "t");
    let claims = [("location", "/v2/dst/blobs/x")];
    let mount = Rule::on(Class::UploadPost).and(|seen| seen.query.contains("mount="));
    registry.rule(mount.forever().then(Fault::reply(201, &claims, "")));
    let client = Client::of(&registry);
    let from = client.pull(&registry, "src").await;
    let to = client.push(&registry, "dst").await;
    let image = manifest(&image);
    for blob in image.image().unwrap().blobs() {
        assert!(
            soon(to.mount_blob(blob, from.repository().unwrap()))
                .await
                .unwrap()
        );
    }
    soon(to.put_manifest(&image)).await.unwrap();
    assert!(
        registry
            .manifest("dst", &image.digest.to_string())
            .is_some()
    );
    assert_eq!(registry.problems(), Vec::<String>::new());
    assert_eq!(registry.count(Class::ManifestPut), 2);
}

/// zot with bearer authorization answers a request with a password with a 401 without a challenge. It sends a challenge
/// only to requests without credentials.
#[tokio::test]
async fn a_password_refused_without_a_challenge_is_omitted() {
    let registry = loaded(Registry::builder().bearer(Bearer::new(accounts()))).await;
    let silent = with_basic(Rule::when(|seen| seen.path.starts_with("/v2/")));
    registry.rule(silent.forever().then(Fault::status(401)));
    read(&logged_in(&registry).build(), &registry)
        .await
        .unwrap();
    let requests = registry.requests();
    let sent: Vec<bool> = requests.iter().map(Recorded::authorised).collect();
    // The requests: with the password, without credentials, to the token server, with the token.
    assert_eq!(sent, [true, false, true, true]);
}

#[tokio::test]
async fn a_password_refused_without_a_challenge_may_be_wrong() {
    let registry = loaded(Registry::builder().basic(accounts())).await;
    registry.rule(
        Rule::on(Class::ManifestGet)
            .forever()
            .then(Fault::status(401)),
    );
    let error = read(&logged_in(&registry).build(), &registry)
        .await
        .unwrap_err();
    assert_eq!(error.kind, FailureKind::Unauthorized, "{error}");
    insta::assert_snapshot!(shown(&error, &registry), @r#"
    failed to read HOST/a:t: wrong credentials: HOST answered 401 Unauthorized
    check the password or token of "ci" from config.json (key HOST): HOST rejected it, so it may be wrong or expired
    run `polyarch auth REF` to see where credentials are searched for
    "#);
    assert_eq!(registry.count(Class::ManifestGet), 2);
}

/// Cloudflare's registry and olareg answer a push without permission with 401.
#[tokio::test]
async fn a_refused_push_after_a_read_lacks_a_permission() {
    let registry = loaded(Registry::builder().basic(accounts())).await;
    let challenge = [("www-authenticate", r#"Basic realm="r""#)];
    let put = Rule::on(Class::ManifestPut).forever();
    registry.rule(put.then(Fault::reply(401, &challenge, "")));
    let client = logged_in(&registry).build();
    let store = client.push(&registry, "a").await;
    let image = soon(store.manifest(&tag("t"))).await.unwrap();
    let error = soon(store.put_manifest(&image)).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Denied, "{error}");
    insta::assert_snapshot!(shown(&error, &registry), @r#"
    failed to push HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: not allowed: HOST answered 401 Unauthorized
    check the permissions of the account: the credentials of "ci" from config.json (key HOST) are valid, but they lack push access to a
    "#);
}

/// An expired login in a Docker config must not hide the next source.
#[tokio::test]
async fn a_refused_login_of_a_file_is_replaced_for_a_read() {
    let expired = |registry: &Registry| {
        let auth = STANDARD.encode("ci:expired");
        json!({"auths": {registry.host(): {"auth": auth}}}).to_string()
    };
    for by_token in [false, true] {
        let builder = if by_token {
            Registry::builder().bearer(Bearer::new(accounts()).without_anonymous())
        } else {
            Registry::builder().basic(accounts())
        };
        let registry = loaded(builder).await;
        let client = logged_in(&registry)
            .var("DOCKER_AUTH_CONFIG", &expired(&registry))
            .build();
        read(&client, &registry).await.unwrap();
        let notices = client.events.of("notice");
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].contains("refused the credentials from DOCKER_AUTH_CONFIG"));
    }
    // ECR answers 403 to an expired login.
    let registry = loaded(Registry::builder().basic(accounts())).await;
    let old = format!("Basic {}", STANDARD.encode("ci:expired"));
    let denied = Rule::on(Class::ManifestGet).and(move |seen| {
        seen.headers
            .get("authorization")
            .is_some_and(|sent| *sent == old)
    });
    registry.rule(denied.forever().then(Fault::status(403)));
    let client = logged_in(&registry)
        .var("DOCKER_AUTH_CONFIG", &expired(&registry))
        .build();
    read(&client, &registry).await.unwrap();
    // A password that the user has set is not replaced.
    let client = logged_in(&registry)
        .var("POLYARCH_USERNAME", "ci")
        .var("POLYARCH_PASSWORD", "expired")
        .var("POLYARCH_REGISTRY", registry.host())
        .build();
    read(&client, &registry).await.unwrap_err();
}

#[tokio::test]
async fn the_detail_of_an_error_is_shown() {
    let mut errors = Vec::new();
    for detail in [
        json!("the registry is read-only"),
        json!({"digest": "sha256:ab", "tries": 2}),
        json!([{"name": "a"}, {"name": "b"}]),
        json!(null),
        json!({}),
        json!("no"),
        json!("a\u{1b}[2Jb"),
        json!("y".repeat(5_000)),
    ] {
        let registry = loaded(Registry::builder()).await;
        let body = json!({"errors": [{"code": "X", "message": "no", "detail": detail}]});
        let fault = Fault::reply(400, &[], body.to_string());
        registry.rule(Rule::on(Class::ManifestGet).forever().then(fault));
        let error = read(&Client::of(&registry), &registry).await.unwrap_err();
        errors.push(shown(&error, &registry));
    }
    insta::assert_snapshot!(errors.join("\n"), @"
    failed to read HOST/a:t: HOST answered 400 Bad Request (X: no; the registry is read-only)
    failed to read HOST/a:t: HOST answered 400 Bad Request (X: no; digest: sha256:ab, tries: 2)
    failed to read HOST/a:t: HOST answered 400 Bad Request (X: no; name: a, name: b)
    failed to read HOST/a:t: HOST answered 400 Bad Request (X: no)
    failed to read HOST/a:t: HOST answered 400 Bad Request (X: no)
    failed to read HOST/a:t: HOST answered 400 Bad Request (X: no)
    failed to read HOST/a:t: HOST answered 400 Bad Request (X: no; a [2Jb)
    failed to read HOST/a:t: HOST answered 400 Bad Request (X: no; yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…)
    ");
}

#[tokio::test]
async fn warnings_of_a_registry_are_shown_once() {
    let registry = loaded(Registry::builder()).await;
    for (class, text) in [
        (Class::ManifestGet, r#"299 - "this repository moves""#),
        (Class::ManifestHead, r#"110 - "response is stale""#),
    ] {
        let fault = Fault::header("warning", text);
        registry.rule(Rule::on(class).forever().then(fault));
    }
    let client = Client::of(&registry);
    for _ in 0..2 {
        read(&client, &registry).await.unwrap();
    }
    let store = client.pull(&registry, "a").await;
    store.describe(&tag("t")).await.unwrap();
    let expected = format!("warning {}: this repository moves", registry.host());
    assert_eq!(client.events.of("warning"), [expected]);
}
