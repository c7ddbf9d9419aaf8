//! Manifests: the requested content, or an error with its cause.

use super::{shown, shown_hints};
use bytes::Bytes;
use polyarch::store::{FailureKind, Store as _};

use super::fixture::{Builder, Client, digest, manifest, soon, tag};
use crate::support::{
    digest as digests,
    image::{Image, Index, Loaded, media},
    registry::{Class, Content, DigestHeader, Fault, Registry, Rule, Scheme},
};

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2];

async fn with_image(scheme: Scheme) -> (Registry, Loaded) {
    let registry = Registry::builder().scheme(scheme).start().await;
    let image = Image::new("linux/amd64").load(&registry, "a", "t");
    (registry, image)
}

#[tokio::test]
async fn manifests_are_read_by_tag_and_by_either_digest() {
    for scheme in SCHEMES {
        let (registry, image) = with_image(scheme).await;
        let sha512 = digests::sha512(&image.bytes);
        registry.put_manifest_as("a", None, &sha512, media::OCI_MANIFEST, image.bytes.clone());
        let store = Client::of(&registry).pull(&registry, "a").await;
        for name in [tag("t"), digest(&image.digest)] {
            let manifest = store.manifest(&name).await.unwrap();
            assert_eq!(manifest.bytes, image.bytes);
            assert_eq!(manifest.digest.to_string(), image.digest);
            assert_eq!(manifest.media_type.as_str(), image.media_type);
            assert_eq!(store.describe(&name).await.unwrap(), manifest.descriptor());
        }
        let manifest = store.manifest(&digest(&sha512)).await.unwrap();
        assert_eq!(manifest.digest.to_string(), sha512);
        let described = store.describe(&digest(&sha512)).await.unwrap();
        assert_eq!(described.digest.to_string(), sha512);
        assert!(registry.requests().iter().all(|request| {
            request.header("accept-encoding") == "identity"
                && request.header("user-agent").starts_with("polyarch/")
        }));
    }
}

#[tokio::test]
async fn head_without_digest_becomes_a_get_if_needed() {
    for (header, gets) in [
        (DigestHeader::Always, 0),
        (DigestHeader::NotOnHead, 1),
        (DigestHeader::Never, 1),
    ] {
        let registry = Registry::builder().digest_header(header).start().await;
        let image = Image::new("linux/amd64").load(&registry, "a", "t");
        let store = Client::of(&registry).pull(&registry, "a").await;
        let described = store.describe(&tag("t")).await.unwrap();
        assert_eq!(described.digest.to_string(), image.digest);
        assert_eq!(described.size, image.bytes.len() as u64);
        assert_eq!(registry.count(Class::ManifestGet), gets, "{header:?}");
        // A request by digest needs no digest in the answer.
        store.describe(&digest(&image.digest)).await.unwrap();
        assert_eq!(registry.count(Class::ManifestGet), gets, "{header:?}");
    }
}

#[tokio::test]
async fn insufficient_head_becomes_a_get() {
    for fault in [
        Fault::status(405),
        Fault::header("content-type", "application/json"),
        Fault::header("content-encoding", "gzip"),
        Fault::header("content-length", "0"),
        Fault::header("content-length", "99999999999"),
    ] {
        let (registry, image) = with_image(Scheme::Http).await;
        registry.rule(Rule::on(Class::ManifestHead).then(fault.clone()));
        let store = Client::of(&registry).pull(&registry, "a").await;
        let described = store.describe(&tag("t")).await.unwrap();
        assert_eq!(described.digest.to_string(), image.digest, "{fault:?}");
        assert_eq!(described.size, image.bytes.len() as u64, "{fault:?}");
        assert_eq!(registry.count(Class::ManifestGet), 1);
    }
}

#[tokio::test]
async fn content_type_parameters_are_ignored() {
    let (registry, image) = with_image(Scheme::Http).await;
    let rule =
        |value: &str| Rule::on(Class::ManifestGet).then(Fault::header("content-type", value));
    let store = Client::of(&registry).pull(&registry, "a").await;
    for fine in [
        "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
        "application/json",
        "text/plain",
    ] {
        registry.rule(rule(fine));
        let manifest = store.manifest(&tag("t")).await.unwrap();
        assert_eq!(manifest.media_type.as_str(), image.media_type, "{fine}");
    }
    let mut errors = Vec::new();
    for wrong in [media::OCI_INDEX, media::DOCKER_MANIFEST] {
        registry.rule(rule(wrong));
        let error = store.manifest(&tag("t")).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{error}");
        errors.push(shown(&error, &registry));
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    failed to read HOST/a:t: refused: the document declares the type "application/vnd.oci.image.manifest.v1+json", but was served as "application/vnd.oci.image.index.v1+json"
    failed to read HOST/a:t: refused: the document declares the type "application/vnd.oci.image.manifest.v1+json", but was served as "application/vnd.docker.distribution.manifest.v2+json"
    "#);
    assert_eq!(registry.pending_rules(), 0);
}

#[tokio::test]
async fn byte_order_mark_is_refused() {
    let (registry, image) = with_image(Scheme::Http).await;
    let marked = Bytes::from([b"\xef\xbb\xbf", &image.bytes[..]].concat());
    registry.put_manifest("a", Some("marked"), media::OCI_MANIFEST, marked);
    let store = Client::of(&registry).pull(&registry, "a").await;
    let error = store.manifest(&tag("marked")).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
    insta::assert_snapshot!(shown(&error, &registry), @"failed to read HOST/a:marked: refused: the document begins with a byte order mark, which strict JSON readers reject");
}

#[tokio::test]
async fn wrong_content_is_read_again_once() {
    for scheme in SCHEMES {
        for fault in [
            Fault::Corrupt,
            Fault::Overlong(1),
            Fault::TruncateCleanly(50),
            Fault::Gzip,
        ] {
            for by_tag in [false, true] {
                let (registry, image) = with_image(scheme).await;
                let name = if by_tag {
                    tag("t")
                } else {
                    digest(&image.digest)
                };
                let store = Client::of(&registry).pull(&registry, "a").await;
                registry.rule(Rule::on(Class::ManifestGet).then(fault.clone()));
                let manifest = store.manifest(&name).await.unwrap();
                assert_eq!(manifest.bytes, image.bytes, "{fault:?}");
                registry.clear_rules();
                registry.clear();
                registry.rule(Rule::on(Class::ManifestGet).forever().then(fault.clone()));
                let error = store.manifest(&name).await.unwrap_err();
                assert_eq!(error.kind, FailureKind::Refused, "{error}");
                assert_eq!(registry.count(Class::ManifestGet), 2, "{fault:?}");
                let packed = error.cause().contains("gzip");
                assert_eq!(packed, matches!(fault, Fault::Gzip), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn truncated_body_is_read_again() {
    for scheme in SCHEMES {
        for fault in [
            Fault::Truncate(50),
            Fault::ResetBody(50),
            Fault::ContentLength(5),
        ] {
            let (registry, image) = with_image(scheme).await;
            registry.rule(Rule::on(Class::ManifestGet).then(fault.clone()));
            let store = Client::of(&registry).pull(&registry, "a").await;
            let manifest = store.manifest(&tag("t")).await.unwrap();
            assert_eq!(manifest.bytes, image.bytes, "{scheme:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn manifest_over_the_limit_is_refused_with_the_limit() {
    for scheme in SCHEMES {
        let (registry, _) = with_image(scheme).await;
        let store = Client::of(&registry).pull(&registry, "a").await;
        for fault in [
            Fault::Endless,
            Fault::Body(Content::virtual_bytes(1, 2 << 30)),
        ] {
            registry.clear();
            registry.rule(Rule::on(Class::ManifestGet).forever().then(fault.clone()));
            let error = soon(store.manifest(&tag("t"))).await.unwrap_err();
            assert_eq!(error.kind, FailureKind::Refused, "{error}");
            assert!(
                error.cause().contains("4194304 bytes of a manifest"),
                "{error}"
            );
            assert!(shown_hints(&error).contains("--max-manifest"), "{error:?}");
            assert_eq!(registry.count(Class::ManifestGet), 1);
            registry.clear_rules();
        }
    }
}

#[tokio::test]
async fn one_byte_under_the_limit_is_read_and_one_over_is_not() {
    let registry = Registry::plain().await;
    let bytes = Image::new("linux/amd64").load(&registry, "a", None).bytes;
    let mut padded = bytes.to_vec();
    padded.resize(1000 + bytes.len(), b' ');
    registry.put_manifest(
        "a",
        Some("big"),
        media::OCI_MANIFEST,
        Bytes::from(padded.clone()),
    );
    for (limit, fits) in [(padded.len(), true), (padded.len() - 1, false)] {
        let mut builder = Builder::of(&registry);
        builder.max_manifest = limit as u64;
        let store = builder.build().pull(&registry, "a").await;
        assert_eq!(store.manifest(&tag("big")).await.is_ok(), fits);
    }
}

#[tokio::test]
async fn a_flood_of_headers_is_refused_at_once() {
    for scheme in SCHEMES {
        for (count, size) in [(2000, 10), (20, 8000), (900, 900)] {
            let (registry, _) = with_image(scheme).await;
            let flood = Fault::HeaderFlood { count, size };
            registry.rule(Rule::on(Class::ManifestGet).forever().then(flood));
            let store = Client::of(&registry).pull(&registry, "a").await;
            let error = soon(store.manifest(&tag("t"))).await.unwrap_err();
            assert_eq!(error.kind, FailureKind::Refused, "{scheme:?} {error}");
            assert!(error.cause().contains("bytes of headers"), "{error}");
            assert_eq!(registry.count(Class::ManifestGet), 1, "{scheme:?}");
        }
    }
}

#[tokio::test]
async fn missing_and_invalid_manifests_are_different_errors() {
    let (registry, _) = with_image(Scheme::Http).await;
    let store = Client::of(&registry).pull(&registry, "a").await;
    let error = store.manifest(&tag("none")).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::NotFound);
    assert_eq!(
        error.to_string(),
        format!(
            "failed to read {0}/a:none: {0} answered 404 Not Found (MANIFEST_UNKNOWN: manifest unknown)",
            registry.host()
        )
    );
    assert_eq!(
        store.describe(&tag("none")).await.unwrap_err().kind,
        FailureKind::NotFound
    );
    registry.put_manifest("a", Some("html"), "text/html", "<html>");
    let error = store.manifest(&tag("html")).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
}

#[tokio::test]
async fn missing_manifest_is_retried_after_its_push() {
    for class in [Class::ManifestGet, Class::ManifestHead] {
        let registry = Registry::plain().await;
        let image = Image::new("linux/amd64").load(&registry, "a", None);
        let client = Client::of(&registry);
        let store = client.push(&registry, "a").await;
        let manifest = super::fixture::manifest(&image);
        let rule = || Rule::on(class).times(2).then(Fault::status(404));
        registry.rule(rule());
        // It was not pushed, so 404 is the answer.
        let error = store.manifest(&tag("t")).await.err();
        let error = error.or(store.describe(&tag("t")).await.err()).unwrap();
        assert_eq!(error.kind, FailureKind::NotFound);
        registry.clear_rules();
        registry.rule(rule());
        let stored = store.put_tags(&manifest, &["t".parse().unwrap()]).await;
        assert!(stored[0].is_ok());
        // Another handle of the same repository shares this state.
        let store = client.pull(&registry, "a").await;
        assert_eq!(store.manifest(&tag("t")).await.unwrap().bytes, image.bytes);
        assert_eq!(
            store.describe(&tag("t")).await.unwrap().digest,
            manifest.digest
        );
        assert_eq!(registry.pending_rules(), 0);
        assert_eq!(
            client.events.of("waiting").len(),
            2,
            "{:?}",
            client.events.all()
        );
    }
}

#[tokio::test]
async fn interrupted_put_is_looked_up_before_a_retry() {
    for scheme in SCHEMES {
        for (applied, puts) in [(true, 1), (false, 2)] {
            let registry = Registry::builder().scheme(scheme).start().await;
            let image = Image::new("linux/amd64").load(&registry, "a", None);
            registry.remove("a", &image.digest);
            let mut rule = Rule::on(Class::ManifestPut).then(Fault::Reset);
            if applied {
                rule = rule.applied();
            }
            registry.rule(rule);
            let store = Client::of(&registry).push(&registry, "a").await;
            store
                .put_manifest(&super::fixture::manifest(&image))
                .await
                .unwrap();
            assert_eq!(registry.count(Class::ManifestPut), puts, "{scheme:?}");
            assert_eq!(registry.count(Class::ManifestHead), 1, "{scheme:?}");
            assert!(registry.manifest("a", &image.digest).is_some());
        }
    }
}

#[tokio::test]
async fn index_is_retried_only_for_children_just_pushed() {
    let registry = Registry::plain().await;
    let index = Index::oci()
        .of(["linux/amd64", "linux/arm64"])
        .load(&registry, "a", None);
    let manifest = super::fixture::manifest(&index);
    let child = manifest.index().unwrap().manifests[0].digest.to_string();
    let bytes = registry.manifest("a", &child).unwrap().1;
    registry.remove("a", &child);
    let client = Client::of(&registry);
    let store = client.push(&registry, "a").await;
    let error = store.put_manifest(&manifest).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::NotFound, "{error}");
    assert_eq!(registry.count(Class::ManifestPut), 1);
    let child = crate::support::image::Loaded {
        bytes,
        digest: child,
        ..index.clone()
    };
    let child = crate::support::image::Loaded {
        media_type: media::OCI_MANIFEST.into(),
        ..child
    };
    store
        .put_manifest(&super::fixture::manifest(&child))
        .await
        .unwrap();
    let late = Fault::reply(404, &[], r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#);
    registry.rule(Rule::on(Class::ManifestPut).times(2).then(late));
    store.put_manifest(&manifest).await.unwrap();
    assert_eq!(registry.pending_rules(), 0);
}

#[tokio::test]
async fn registry_that_changes_content_is_detected() {
    let registry = Registry::plain().await;
    let image = Image::new("linux/amd64").load(&registry, "a", None);
    let other = digests::sha256(b"other");
    registry
        .rule(Rule::on(Class::ManifestPut).then(Fault::header("docker-content-digest", &other)));
    let store = Client::of(&registry).push(&registry, "a").await;
    let error = store
        .put_manifest(&super::fixture::manifest(&image))
        .await
        .unwrap_err();
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
}

/// The error is temporary if another client writes the same manifest. If it is permanent, only the first manifest is
/// retried.
#[tokio::test]
async fn repeated_digest_error_is_not_retried_again() {
    let registry = Registry::plain().await;
    let client = Client::of(&registry);
    let store = client.push(&registry, "a").await;
    let body =
        r#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}"#;
    let refusal = Rule::on(Class::ManifestPut).forever();
    registry.rule(refusal.then(Fault::reply(400, &[], body)));
    let image = Image::new("linux/amd64").load(&registry, "b", "t");
    // The first answer determines the scheme.
    store.describe(&tag("t")).await.unwrap_err();
    for tries in [7, 2, 2] {
        registry.clear();
        let error = store.put_manifest(&manifest(&image)).await.unwrap_err();
        assert!(error.cause().contains("DIGEST_INVALID"), "{error}");
        assert_eq!(registry.count(Class::ManifestPut), tries);
    }
    // Another repository may be stored differently.
    let other = client.push(&registry, "c").await;
    registry.clear();
    other.put_manifest(&manifest(&image)).await.unwrap_err();
    assert_eq!(registry.count(Class::ManifestPut), 7);
}
