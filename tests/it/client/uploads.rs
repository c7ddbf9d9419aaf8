//! Uploads: every byte is sent once and hashed, whatever fails, and wrong content never becomes visible.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use polyarch::{
    spec::Descriptor,
    store::{FailureKind, Store, StoreError},
};

use super::fixture::{Builder, Client, descriptor, soon};
use super::shown;
use crate::support::{
    digest,
    registry::{
        Accounts, Bearer, Chunks, Class, Content, Fault, Recorded, Registry, Role, Rule, Scheme,
        Site, random_bytes,
    },
};

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2];

/// A registry with one blob in `src`. The blob is copied to `dst` of the registry under test.
struct Copying {
    source: Registry,
    blob: Descriptor,
    bytes: Bytes,
}

impl Copying {
    async fn of(size: usize) -> Self {
        let source = Registry::plain().await;
        let bytes = random_bytes(7, size);
        let name = source.put_blob("src", bytes.clone());
        Self {
            blob: descriptor(&name, size as u64),
            source,
            bytes,
        }
    }

    async fn to(&self, client: &Client, registry: &Registry) -> Result<(), StoreError> {
        let from = client.pull(&self.source, "src").await;
        let to = client.push(registry, "dst").await;
        soon(to.copy_blob(&self.blob, from, &|_| ())).await
    }

    /// Copies the blob and expects a failure.
    async fn fails(&self, registry: &Registry) -> StoreError {
        self.to(&Client::of(registry), registry).await.unwrap_err()
    }

    /// Copies the blob and expects success.
    async fn arrives(&self, client: &Client, registry: &Registry) {
        self.to(client, registry).await.unwrap();
        let there = registry.blob("dst", &self.blob.digest.to_string());
        assert!(there == Some(self.bytes.clone()));
        assert_eq!(registry.pending_rules(), 0);
    }
}

#[tokio::test]
async fn one_post_and_one_put() {
    for scheme in SCHEMES {
        for size in [0, 1, 100_000] {
            let copying = Copying::of(size).await;
            let registry = Registry::builder().scheme(scheme).start().await;
            copying.arrives(&Client::of(&registry), &registry).await;
            let classes: Vec<Class> = registry.requests().iter().map(|r| r.class).collect();
            assert_eq!(classes, [Class::UploadPost, Class::UploadPut]);
            let put = &registry.requests()[1];
            assert_eq!(put.body, size as u64);
            assert_eq!(put.header("content-length"), size.to_string());
            assert_eq!(copying.source.count(Class::BlobGet), usize::from(size > 0));
        }
    }
}

#[tokio::test]
async fn upload_resumes_after_a_break() {
    for scheme in SCHEMES {
        let copying = Copying::of(300_000).await;
        let registry = Registry::builder()
            .scheme(scheme)
            .location_query()
            .start()
            .await;
        registry.rule(Rule::on(Class::UploadPut).then(Fault::ResetUpload(100_000)));
        registry.rule(Rule::on(Class::UploadPatch).then(Fault::ResetUpload(50_000)));
        copying.arrives(&Client::of(&registry), &registry).await;
        assert_eq!(registry.count(Class::UploadPost), 1, "{scheme:?}");
        let patch = |request: &Recorded| request.class == Class::UploadPatch;
        let patches: Vec<Recorded> = registry.requests().into_iter().filter(patch).collect();
        assert!(patches[0].header("content-range").ends_with("-299999"));
        assert!(!patches[0].header("content-range").starts_with("0-"));
    }
}

#[tokio::test]
async fn a_put_that_was_applied_is_not_sent_again() {
    for scheme in SCHEMES {
        let copying = Copying::of(1000).await;
        let registry = Registry::builder().scheme(scheme).start().await;
        registry.rule(Rule::on(Class::UploadPut).applied().then(Fault::Reset));
        copying.arrives(&Client::of(&registry), &registry).await;
        assert_eq!(registry.count(Class::UploadPut), 1);
    }
}

#[tokio::test]
async fn a_lost_upload_starts_over() {
    let copying = Copying::of(300_000).await;
    let registry = Registry::plain().await;
    registry.rule(Rule::on(Class::UploadPut).then(Fault::ResetUpload(100_000)));
    registry.rule(Rule::on(Class::UploadGet).then(Fault::status(404)));
    copying.arrives(&Client::of(&registry), &registry).await;
    assert_eq!(registry.count(Class::UploadPost), 2);
    registry.rule(Rule::on(Class::UploadPut).then(Fault::status(404)));
    registry.remove("dst", &copying.blob.digest.to_string());
    copying.arrives(&Client::of(&registry), &registry).await;
}

#[tokio::test]
async fn wrong_range_is_followed_by_a_status_request() {
    let copying = Copying::of(300_000).await;
    let registry = Registry::plain().await;
    registry.rule(Rule::on(Class::UploadPut).then(Fault::ResetUpload(100_000)));
    registry.rule(Rule::on(Class::UploadPatch).then(Fault::status(416)));
    copying.arrives(&Client::of(&registry), &registry).await;
    assert_eq!(registry.count(Class::UploadPost), 1);
    assert_eq!(registry.count(Class::UploadGet), 2);
}

#[tokio::test]
async fn registry_without_chunks_gets_the_whole_blob_again() {
    for chunks in [Chunks::Refused, Chunks::WholeOnly] {
        let copying = Copying::of(300_000).await;
        let registry = Registry::builder().chunks(chunks).start().await;
        registry.rule(
            Rule::on(Class::UploadPut)
                .times(2)
                .then(Fault::ResetUpload(100_000)),
        );
        copying.arrives(&Client::of(&registry), &registry).await;
        // After the first refusal no further part is tried.
        assert!(registry.count(Class::UploadPatch) <= 2, "{chunks:?}");
    }
}

#[tokio::test]
async fn large_upload_is_sent_in_chunks() {
    for minimum in [None, Some(2 << 20)] {
        let copying = Copying::of(3 << 20).await;
        let mut builder = Registry::builder();
        if let Some(minimum) = minimum {
            builder = builder.chunk_minimum(minimum);
        }
        let registry = builder.start().await;
        let large = |limit: u64| {
            Rule::when(move |seen| {
                let length = seen.headers.get("content-length");
                let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
                length.is_some_and(|length| length > limit)
            })
            .forever()
            .then(Fault::status(413))
        };
        registry.rule(large(minimum.unwrap_or(1 << 20)));
        if minimum.is_some() {
            // Neither the whole blob nor a chunk of the minimum size is accepted.
            let error = copying.fails(&registry).await;
            assert!(error.cause().contains("413"), "{error}");
            continue;
        }
        copying.arrives(&Client::of(&registry), &registry).await;
        assert_eq!(registry.count(Class::UploadPatch), 3);
        // Each part begins where the previous one ended: nothing is read twice.
        let reads = copying.source.requests();
        let last = reads.last().expect("a read");
        assert_eq!(last.header("range"), "bytes=2097152-");
    }
}

#[tokio::test]
async fn upload_offset_beyond_the_sent_bytes_is_ignored() {
    for range in [
        "0-18446744073709551614",
        "0-18446744073709551615",
        "0-99999999",
        "x",
    ] {
        let copying = Copying::of(3 << 20).await;
        let registry = Registry::plain().await;
        registry.rule(Rule::on(Class::UploadPut).then(Fault::status(413)));
        let claims = Fault::header("range", range);
        registry.rule(Rule::on(Class::UploadPatch).forever().then(claims));
        copying.arrives(&Client::of(&registry), &registry).await;
        assert_eq!(registry.count(Class::UploadPatch), 3, "{range}");
    }
}

#[tokio::test]
async fn a_patch_may_be_answered_201() {
    let copying = Copying::of(300_000).await;
    let registry = Registry::builder().patch_status(201).start().await;
    registry.rule(Rule::on(Class::UploadPut).then(Fault::ResetUpload(100_000)));
    copying.arrives(&Client::of(&registry), &registry).await;
}

#[tokio::test]
async fn location_is_used_unchanged() {
    for (absolute, query) in [(false, true), (true, false), (true, true)] {
        let copying = Copying::of(1000).await;
        let mut builder = Registry::builder();
        if absolute {
            builder = builder.absolute_locations();
        }
        if query {
            builder = builder.location_query();
        }
        let registry = builder.start().await;
        copying.arrives(&Client::of(&registry), &registry).await;
    }
}

#[tokio::test]
async fn upload_to_another_host_carries_no_credentials() {
    for scheme in SCHEMES {
        let copying = Copying::of(300_000).await;
        let accounts = Accounts::new("ci", "hunter2");
        let registry = Registry::builder()
            .scheme(scheme)
            .bearer(Bearer::new(accounts))
            .location_query()
            .uploads_at(Site::new(scheme).ip("127.0.0.2"))
            .start()
            .await;
        registry.rule(Rule::on(Class::UploadPut).then(Fault::ResetUpload(100_000)));
        let client = Builder::of(&registry)
            .login(&registry, "ci", "hunter2")
            .build();
        copying.arrives(&client, &registry).await;
        let is_upload_host = |request: &Recorded| request.role == Role::Upload;
        assert!(registry.count_where(is_upload_host) >= 4);
        let leak = |request: &Recorded| is_upload_host(request) && request.authorised();
        assert_eq!(registry.count_where(leak), 0);
    }
}

#[tokio::test]
async fn unsafe_location_is_refused() {
    let copying = Copying::of(1000).await;
    let registry = Registry::builder().tls().start().await;
    let mut errors = Vec::new();
    for location in [
        "http://127.0.0.1:9/x",
        "https://169.254.169.254/x",
        "https://10.0.0.1/x",
    ] {
        let rule = Rule::on(Class::UploadPost).then(Fault::header("location", location));
        registry.rule(rule);
        let error = copying.fails(&registry).await;
        assert_eq!(error.kind, FailureKind::Refused, "{error}");
        errors.push(shown(&error, &registry));
    }
    registry.rule(Rule::on(Class::UploadPost).then(Fault::RemoveHeader("location".into())));
    let error = copying.fails(&registry).await;
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
    errors.push(shown(&error, &registry));
    insta::assert_snapshot!(errors.join("\n"), @"
    failed to push blob c924b7af02ec to HOST/dst: refused redirect from https to plain http at 127.0.0.1
    contact the operator of HOST: the redirect is unsafe
    failed to push blob c924b7af02ec to HOST/dst: refused redirect to internal address 169.254.169.254
    contact the operator of HOST: the redirect is unsafe
    failed to push blob c924b7af02ec to HOST/dst: refused redirect to internal address 10.0.0.1
    contact the operator of HOST: the redirect is unsafe
    failed to push blob c924b7af02ec to HOST/dst: the registry started an upload without a Location header
    ");
}

#[tokio::test]
async fn a_damaged_source_is_never_completed() {
    for scheme in SCHEMES {
        for size in [1000, 300_000] {
            let mut copying = Copying::of(size).await;
            let registry = Registry::builder().scheme(scheme).start().await;
            let before = registry.snapshot();
            let corrupt = Rule::on(Class::BlobGet).forever().then(Fault::Corrupt);
            copying.source.rule(corrupt);
            let error = copying.fails(&registry).await;
            assert_eq!(error.kind, FailureKind::Refused, "{error}");
            assert!(error.operation.to_string().contains("src"), "{error}");
            copying.source.clear_rules();
            // A descriptor with a larger or smaller size.
            for wrong in [size as u64 + 1, size as u64 - 1] {
                copying.blob.size = wrong;
                let retry_for = Duration::from_millis(100);
                let client = Builder::of(&registry).retry_for(retry_for).build();
                assert!(copying.to(&client, &registry).await.is_err());
            }
            assert!(registry.snapshot() == before);
            assert_eq!(registry.uploads(), 0, "{scheme:?} {size}");
        }
    }
}

/// Distribution requires the delete permission for a cancellation. Without it, the credentials are still valid.
#[tokio::test]
async fn refused_cancellation_keeps_the_credentials() {
    for denies in [false, true] {
        let copying = Copying::of(1000).await;
        let accounts = Accounts::new("ci", "hunter2")
            .user("robot", "writer")
            .grant("ci", "*", "pull,push")
            .grant("robot", "*", "pull,push");
        let bearer = Bearer::new(accounts);
        let bearer = if denies { bearer.deny() } else { bearer };
        let registry = Registry::builder().bearer(bearer).start().await;
        let auth = STANDARD.encode("robot:writer");
        let first = format!(
            r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#,
            registry.host()
        );
        let client = Builder::of(&registry)
            .login(&registry, "ci", "hunter2")
            .var("DOCKER_AUTH_CONFIG", &first)
            .build();
        copying
            .source
            .rule(Rule::on(Class::BlobGet).then(Fault::Corrupt));
        copying.arrives(&client, &registry).await;
        assert_eq!(copying.source.pending_rules(), 0);
        let cancels = |request: &Recorded| request.class == Class::UploadDelete;
        let refused = if denies { 403 } else { 401 };
        assert_eq!(registry.count_where(cancels), 1);
        assert_eq!(
            registry.count_where(|it| cancels(it) && it.status.is_some_and(|it| it == refused)),
            1
        );
        assert_eq!(
            registry.count(Class::Token),
            1,
            "the first token was sufficient"
        );
        assert_eq!(registry.count_where(|it| it.carries("hunter2")), 0);
        assert_eq!(client.events.of("notice"), Vec::<String>::new());
    }
}

#[tokio::test]
async fn broken_source_resumes_within_one_upload() {
    let copying = Copying::of(300_000).await;
    let registry = Registry::plain().await;
    copying
        .source
        .rule(Rule::on(Class::BlobGet).then(Fault::ResetBody(100_000)));
    copying
        .source
        .rule(Rule::on(Class::BlobGet).then(Fault::StallBody(50_000)));
    let silence = Duration::from_millis(200);
    let client = Builder::of(&registry).silence(silence).build();
    copying.arrives(&client, &registry).await;
    assert_eq!(registry.requests().len(), 2);
    assert_eq!(copying.source.pending_rules(), 0);
}

#[tokio::test]
async fn stalled_target_is_given_up() {
    for scheme in SCHEMES {
        let copying = Copying::of(1000).await;
        let registry = Registry::builder().scheme(scheme).start().await;
        registry.rule(Rule::on(Class::UploadPut).then(Fault::Stall));
        registry.rule(Rule::on(Class::UploadPost).then(Fault::Stall));
        let silence = Duration::from_millis(150);
        let client = Builder::of(&registry).silence(silence).build();
        copying.arrives(&client, &registry).await;
    }
}

#[tokio::test]
async fn token_that_expires_during_an_upload_is_renewed() {
    let copying = Copying::of(300_000).await;
    let accounts = Accounts::new("ci", "hunter2");
    let registry = Registry::builder()
        .bearer(Bearer::new(accounts))
        .start()
        .await;
    registry.rule(
        Rule::on(Class::UploadPut)
            .authorised()
            .then(Fault::ExpireTokens),
    );
    let client = Builder::of(&registry)
        .login(&registry, "ci", "hunter2")
        .build();
    copying.arrives(&client, &registry).await;
    assert!(
        client.events.of("waiting").is_empty(),
        "{:?}",
        client.events.all()
    );
}

#[tokio::test]
async fn upload_to_a_full_registry_is_given_up() {
    let copying = Copying::of(3 << 20).await;
    let registry = Registry::plain().await;
    registry.rule(
        Rule::on(Class::UploadPut)
            .forever()
            .then(Fault::status(413)),
    );
    let nothing = Fault::reply(202, &[("range", "0-0")], "");
    registry.rule(Rule::on(Class::UploadPatch).forever().then(nothing));
    let error = copying.fails(&registry).await;
    assert_eq!(error.kind, FailureKind::Unavailable, "{error}");
    let around = Fault::reply(307, &[("location", "/v2/dst/blobs/uploads/x")], "");
    registry.clear_rules();
    registry.rule(Rule::on(Class::UploadPut).forever().then(around));
    let error = copying.fails(&registry).await;
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
}

#[tokio::test]
async fn progress_ends_at_the_size() {
    let copying = Copying::of(300_000).await;
    let registry = Registry::plain().await;
    let client = Client::of(&registry);
    let from = client.pull(&copying.source, "src").await;
    let to = client.push(&registry, "dst").await;
    let seen = Mutex::new(Vec::new());
    let progress = |bytes| seen.lock().unwrap().push(bytes);
    to.copy_blob(&copying.blob, from, &progress).await.unwrap();
    assert_eq!(seen.lock().unwrap().last(), Some(&300_000));
}

#[tokio::test]
async fn copies_within_one_host_do_not_deadlock() {
    // Each copy needs two concurrent requests to the same host. With a limit of one, they would deadlock.
    for jobs in [1, 2] {
        let registry = Registry::plain().await;
        let mut builder = Builder::of(&registry);
        builder.jobs = jobs;
        let client = builder.build();
        let from = client.pull(&registry, "src").await;
        let to = client.push(&registry, "dst").await;
        let blobs: Vec<Descriptor> = (0..8)
            .map(|seed| {
                descriptor(
                    &registry.put_blob("src", random_bytes(seed, 50_000)),
                    50_000,
                )
            })
            .collect();
        registry.rule(
            Rule::on(Class::BlobGet)
                .times(4)
                .then(Fault::ResetBody(10_000)),
        );
        let copies = blobs
            .iter()
            .map(|blob| to.copy_blob(blob, Arc::clone(&from) as _, &|_| ()));
        for outcome in soon(futures_util::future::join_all(copies)).await {
            outcome.unwrap();
        }
    }
}

#[tokio::test]
async fn large_blob_resumes_near_the_break() {
    let source = Registry::plain().await;
    let content = Content::virtual_bytes(1, 64 << 20);
    let name = source.put_blob("src", content);
    let registry = Registry::builder().tls().discard_uploads().start().await;
    let client = Client::of(&registry);
    let from = client.pull(&source, "src").await;
    let to = client.push(&registry, "dst").await;
    let blob = descriptor(&name, 64 << 20);
    // The connection breaks far after the first position from which hashing can resume.
    registry.rule(Rule::on(Class::UploadPut).then(Fault::ResetUpload(40 << 20)));
    soon(to.copy_blob(&blob, from, &|_| ())).await.unwrap();
    assert!(to.has_blob(&blob).await.unwrap());
    // The source was not read again from its beginning.
    let ranges = source.requests();
    assert!(ranges.last().unwrap().header("range").starts_with("bytes="));
}

#[tokio::test]
async fn a_mount_transfers_no_bytes() {
    let registry = Registry::plain().await;
    let bytes = random_bytes(1, 1000);
    let blob = descriptor(&registry.put_blob("src", bytes), 1000);
    let client = Client::of(&registry);
    let from = client.pull(&registry, "src").await;
    let to = client.push(&registry, "dst").await;
    assert!(
        to.mount_blob(&blob, from.repository().unwrap())
            .await
            .unwrap()
    );
    assert!(registry.has_blob("dst", &blob.digest.to_string()));
    let post = &registry.requests()[0];
    assert_eq!(post.query, format!("mount={}&from=src", blob.digest));
    assert_eq!(registry.requests().len(), 1);
}

#[tokio::test]
async fn upload_of_a_refused_mount_is_used() {
    let registry = Registry::builder().without_mounts().start().await;
    let blob = descriptor(&registry.put_blob("src", random_bytes(1, 1000)), 1000);
    let client = Client::of(&registry);
    let from = client.pull(&registry, "src").await;
    let to = client.push(&registry, "dst").await;
    assert!(
        !to.mount_blob(&blob, from.repository().unwrap())
            .await
            .unwrap()
    );
    to.copy_blob(&blob, from, &|_| ()).await.unwrap();
    assert_eq!(registry.count(Class::UploadPost), 1);
    assert_eq!(registry.uploads(), 0);
}

#[tokio::test]
async fn failing_mount_becomes_an_upload() {
    for status in [400, 401, 403, 404, 405] {
        let accounts = Accounts::new("ci", "hunter2");
        let registry = Registry::builder().basic(accounts).start().await;
        let blob = descriptor(&registry.put_blob("src", random_bytes(1, 1000)), 1000);
        let client = Builder::of(&registry)
            .login(&registry, "ci", "hunter2")
            .var("POLYARCH_AUTH_FILE", "/nowhere")
            .build();
        let from = client.pull(&registry, "src").await;
        let to = client.push(&registry, "dst").await;
        let mount = Rule::when(|seen| seen.query.contains("mount="));
        registry.rule(mount.forever().then(Fault::status(status)));
        assert!(
            !to.mount_blob(&blob, from.repository().unwrap())
                .await
                .unwrap()
        );
        to.copy_blob(&blob, from, &|_| ()).await.unwrap();
    }
}

#[tokio::test]
async fn the_name_of_another_host_is_never_offered_for_a_mount() {
    let copying = Copying::of(1000).await;
    let registry = Registry::plain().await;
    let client = Client::of(&registry);
    let from = client.pull(&copying.source, "src").await;
    let to = client.push(&registry, "dst").await;
    assert!(
        !to.mount_blob(&copying.blob, from.repository().unwrap())
            .await
            .unwrap()
    );
    assert!(registry.requests().is_empty());
    let missing = descriptor(&digest::sha256(b"no"), 2);
    let error = to.copy_blob(&missing, from, &|_| ()).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::NotFound, "{error}");
}
