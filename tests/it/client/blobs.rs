//! Blobs: whole and verified, or streamed and resumed after a broken connection.

use polyarch::store::{FailureKind, Store as _};

use super::fixture::{Builder, Client, descriptor, read_all, soon};
use super::shown;
use crate::support::{
    digest,
    registry::{Class, Content, Fault, Registry, Role, Rule, Scheme, Site, random_bytes},
};

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2];

#[tokio::test]
async fn a_small_blob_is_verified() {
    for scheme in SCHEMES {
        let registry = Registry::builder().scheme(scheme).start().await;
        let bytes = random_bytes(1, 1000);
        let name = registry.put_blob("a", bytes.clone());
        let blob = descriptor(&name, 1000);
        let store = Client::of(&registry).pull(&registry, "a").await;
        assert!(store.has_blob(&blob).await.unwrap());
        for fault in [
            Fault::Corrupt,
            Fault::TruncateCleanly(10),
            Fault::Truncate(10),
            Fault::Overlong(1),
            Fault::Gzip,
        ] {
            registry.rule(Rule::on(Class::BlobGet).then(fault.clone()));
            let read = store.blob(&blob, 4096).await;
            assert_eq!(read.unwrap(), bytes, "{scheme:?} {fault:?}");
        }
        registry.rule(Rule::on(Class::BlobGet).times(2).then(Fault::Corrupt));
        let error = store.blob(&blob, 4096).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{error}");
        assert_eq!(registry.pending_rules(), 0);
    }
}

#[tokio::test]
async fn small_blob_over_the_limit_is_refused() {
    let registry = Registry::plain().await;
    let name = registry.put_blob("a", random_bytes(1, 1000));
    let store = Client::of(&registry).pull(&registry, "a").await;
    assert!(store.blob(&descriptor(&name, 1000), 1000).await.is_ok());
    let error = store.blob(&descriptor(&name, 1000), 999).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Refused);
    assert_eq!(registry.count(Class::BlobGet), 1);
    registry.rule(Rule::on(Class::BlobGet).then(Fault::Body(Content::endless())));
    let error = soon(store.blob(&descriptor(&name, 1000), 4096)).await;
    assert_eq!(error.unwrap_err().kind, FailureKind::Refused);
}

#[tokio::test]
async fn content_in_the_descriptor_is_not_fetched() {
    use base64::Engine as _;
    let registry = Registry::plain().await;
    let mut blob = descriptor(&digest::sha256(b"{}"), 2);
    blob.data = Some(base64::engine::general_purpose::STANDARD.encode("{}"));
    let store = Client::of(&registry).pull(&registry, "a").await;
    assert_eq!(store.blob(&blob, 10).await.unwrap(), "{}");
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn stream_resumes_after_a_break() {
    for scheme in SCHEMES {
        for ranges in [true, false] {
            let mut builder = Registry::builder().scheme(scheme);
            if !ranges {
                builder = builder.without_ranges();
            }
            let registry = builder.start().await;
            let bytes = random_bytes(1, 300_000);
            let blob = descriptor(&registry.put_blob("a", bytes.clone()), 300_000);
            for fault in [
                Fault::ResetBody(100_000),
                Fault::Truncate(70_000),
                Fault::ResetBody(0),
            ] {
                registry.rule(Rule::on(Class::BlobGet).then(fault));
            }
            let store = Client::of(&registry).pull(&registry, "a").await;
            let read = soon(read_all(&*store, &blob, 0)).await.unwrap();
            assert!(read == bytes, "{scheme:?} {ranges}");
            assert_eq!(registry.pending_rules(), 0);
            assert_eq!(registry.count(Class::BlobGet), 4);
            let tail = soon(read_all(&*store, &blob, 299_000)).await.unwrap();
            assert!(tail == bytes[299_000..]);
            let end = soon(read_all(&*store, &blob, 300_000)).await.unwrap();
            assert!(end.is_empty());
        }
    }
}

#[tokio::test]
async fn stream_restarts_if_a_range_is_refused() {
    let registry = Registry::plain().await;
    let bytes = random_bytes(1, 300_000);
    let blob = descriptor(&registry.put_blob("a", bytes.clone()), 300_000);
    let get = || Rule::on(Class::BlobGet);
    registry.rule(get().then(Fault::ResetBody(100_000)));
    registry.rule(get().then(Fault::status(416)));
    registry.rule(get().then(Fault::Truncate(70_000)));
    let store = Client::of(&registry).pull(&registry, "a").await;
    let read = soon(read_all(&*store, &blob, 0)).await.unwrap();
    assert!(read == bytes);
    let ranges: Vec<_> = registry
        .requests()
        .iter()
        .map(|request| !request.header("range").is_empty())
        .collect();
    assert_eq!(ranges, [false, true, false, false]);
}

#[tokio::test]
async fn wrong_range_is_refused() {
    let registry = Registry::plain().await;
    let blob = descriptor(&registry.put_blob("a", random_bytes(1, 1000)), 1000);
    let rule = Rule::on(Class::BlobGet).then(Fault::header("content-range", "bytes 400-999/1000"));
    registry.rule(rule);
    let store = Client::of(&registry).pull(&registry, "a").await;
    let error = read_all(&*store, &blob, 500).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
}

#[tokio::test]
async fn endless_and_truncated_blobs_are_refused() {
    let registry = Registry::plain().await;
    let bytes = random_bytes(1, 200_000);
    let name = registry.put_blob("a", bytes);
    let store = Client::of(&registry).pull(&registry, "a").await;
    registry.rule(Rule::on(Class::BlobGet).then(Fault::Body(Content::endless())));
    let error = soon(read_all(&*store, &descriptor(&name, 200_000), 0)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
    // The descriptor has a larger size than the blob.
    let error = soon(read_all(&*store, &descriptor(&name, 200_001), 0)).await;
    assert!(error.is_err());
}

#[tokio::test]
async fn stalled_blob_is_given_up() {
    for scheme in SCHEMES {
        let registry = Registry::builder().scheme(scheme).start().await;
        let bytes = random_bytes(1, 100_000);
        let blob = descriptor(&registry.put_blob("a", bytes.clone()), 100_000);
        registry.rule(Rule::on(Class::BlobGet).then(Fault::StallBody(50_000)));
        registry.rule(Rule::on(Class::BlobGet).then(Fault::Stall));
        let quick = std::time::Duration::from_millis(150);
        let client = Builder::of(&registry).silence(quick).build();
        let store = client.pull(&registry, "a").await;
        assert!(soon(read_all(&*store, &blob, 0)).await.unwrap() == bytes);
        assert_eq!(registry.pending_rules(), 0);
    }
}

#[tokio::test]
async fn redirect_is_followed_without_credentials() {
    use crate::support::registry::Accounts;
    for scheme in SCHEMES {
        let registry = Registry::builder()
            .scheme(scheme)
            .basic(Accounts::new("ci", "hunter2"))
            .blobs_at(Site::new(scheme).ip("127.0.0.2"))
            .start()
            .await;
        let bytes = random_bytes(1, 1000);
        let blob = descriptor(&registry.put_blob("a", bytes.clone()), 1000);
        let client = Builder::of(&registry)
            .login(&registry, "ci", "hunter2")
            .build();
        let store = client.pull(&registry, "a").await;
        assert_eq!(store.blob(&blob, 4096).await.unwrap(), bytes);
        assert!(read_all(&*store, &blob, 500).await.unwrap() == bytes[500..]);
        let leaks = |request: &crate::support::registry::Recorded| {
            request.role != Role::Registry && (request.authorised() || request.carries("hunter2"))
        };
        assert_eq!(registry.count_where(leaks), 0);
        assert_eq!(registry.count(Class::Redirected), 2);
        let events = client.events.all().join("\n");
        assert!(
            !events.contains("signature") && !events.contains("hunter2"),
            "{events}"
        );
    }
}

#[tokio::test]
async fn unsafe_redirects_are_refused() {
    let registry = Registry::builder().tls().start().await;
    let blob = descriptor(&registry.put_blob("a", random_bytes(1, 1000)), 1000);
    let store = Client::of(&registry).pull(&registry, "a").await;
    let own = format!("{}/v2/a/blobs/{}", registry.url(), blob.digest);
    let mut errors = Vec::new();
    for target in [
        "http://127.0.0.1:9/x",
        "https://169.254.169.254/latest",
        "https://10.0.0.1/x",
        "file:///etc/passwd",
        "https://u:p@127.0.0.1:9/",
        "https://[",
        &own,
    ] {
        registry.clear();
        registry.clear_rules();
        let away = Fault::Redirect(307, target.to_owned());
        registry.rule(Rule::on(Class::BlobGet).forever().then(away));
        let error = soon(store.blob(&blob, 4096)).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{error}");
        errors.push(shown(&error, &registry));
        assert!(registry.count(Class::BlobGet) <= 11);
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    failed to read blob c0b94bf9b800 of HOST/a: refused redirect from https to plain http at 127.0.0.1
    contact the operator of HOST: the redirect is unsafe
    failed to read blob c0b94bf9b800 of HOST/a: refused redirect to internal address 169.254.169.254
    contact the operator of HOST: the redirect is unsafe
    failed to read blob c0b94bf9b800 of HOST/a: refused redirect to internal address 10.0.0.1
    contact the operator of HOST: the redirect is unsafe
    failed to read blob c0b94bf9b800 of HOST/a: refused redirect to URL scheme "file"
    contact the operator of HOST: the redirect is unsafe
    failed to read blob c0b94bf9b800 of HOST/a: refused redirect to 127.0.0.1 with credentials in the URL
    contact the operator of HOST: the redirect is unsafe
    failed to read blob c0b94bf9b800 of HOST/a: invalid Location URL in a redirect
    contact the operator of HOST: the redirect is unsafe
    failed to read blob c0b94bf9b800 of HOST/a: more than 10 redirects
    contact the operator of HOST: the redirect is unsafe
    "#);
}
