//! Manifests: reads and verifies them, looks them up, writes them. Before a write is repeated after a broken
//! connection, a lookup shows whether it was applied.

use http::{Method, StatusCode, header};

use super::answer::Answer;
use super::call::{A_MANIFEST, Call, Outcome};
use super::client::{CallError, RetryCause, is_temporary};
use super::error::{DAMAGED, wrong_digest};
use super::error_body::RegistryError;
use super::repository::{RegistryRepository, manifest_path};
use crate::spec::{Descriptor, Digest, Manifest, ManifestError};
use crate::store::{FailureKind, ManifestName, StoreError};
use crate::text::clean;
use crate::transport::TransportError;

/// Retries of a write whose manifest names content that may not be visible everywhere in the registry yet.
const MAX_RETRIES_FOR_CONTENT: u32 = 3;
/// Retries of a write whose digest the registry found wrong.
const MAX_RETRIES_FOR_DIGEST: u32 = 6;
/// Retries of such a write in a repository where earlier retries did not help.
const MAX_RETRIES_AFTER_FAILED_RETRIES: u32 = 1;

const DIGEST_INVALID: &str = "DIGEST_INVALID";

/// A manifest that the registry has accepted.
#[derive(Clone, Copy, Default)]
pub(super) struct Written {
    /// Whether the registry lists the manifest as a referrer of its subject (`OCI-Subject`).
    pub(super) is_listed_with_subject: bool,
}

impl Written {
    pub(super) fn of(answer: &Answer) -> Self {
        Self {
            is_listed_with_subject: answer.header("oci-subject").is_some(),
        }
    }
}

/// A manifest that is not valid, perhaps because it is compressed.
#[derive(Debug, thiserror::Error)]
#[error("{error}{encoding}")]
struct UnreadableManifest {
    error: ManifestError,
    encoding: String,
}

impl RegistryRepository {
    /// Reads the manifest of this name, and verifies its digest.
    pub(super) async fn read_manifest(&self, name: &ManifestName) -> Outcome<Manifest> {
        let call = self.manifest_call(Method::GET, name, "read");
        let mut answer = self.get_manifest(&call).await?;
        if mismatch(name, &answer).is_some() {
            // Wrong content may be a transmission error the first time. The second time, the registry stores wrong
            // content.
            answer = self.get_manifest(&call).await?;
        }
        if let Some(expected) = mismatch(name, &answer) {
            return Err(StoreError::new(
                FailureKind::Refused,
                call.operation,
                format!(
                    "{}{}",
                    wrong_digest(&answer.body, &expected),
                    describe_encoding(&answer)
                ),
            )
            .hint(DAMAGED));
        }
        let media_type = answer.media_type();
        let parsed = match name {
            ManifestName::Digest(digest) => {
                Manifest::parse_as(answer.body.clone(), &media_type, digest.clone())
            }
            ManifestName::Tag(_) => Manifest::parse(answer.body.clone(), &media_type),
        };
        parsed.map_err(|error| {
            let encoding = describe_encoding(&answer);
            let cause = UnreadableManifest { error, encoding };
            StoreError::new(FailureKind::Refused, call.operation, cause)
        })
    }

    async fn get_manifest(&self, call: &Call) -> Outcome<Answer> {
        let answer = self
            .client
            .read(call, A_MANIFEST, self.max_manifest)
            .await?;
        if answer.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(self.refused(call, &answer))
        }
    }

    /// Looks a manifest up with `HEAD`, and reads it if the answer is incomplete.
    pub(super) async fn describe_manifest(&self, name: &ManifestName) -> Outcome<Descriptor> {
        let call = self.manifest_call(Method::HEAD, name, "look up");
        let answer = self.client.read(&call, A_MANIFEST, 0).await?;
        if matches!(answer.status.as_u16(), 400 | 405 | 501) {
            return Ok(self.read_manifest(name).await?.descriptor());
        }
        if answer.status != StatusCode::OK {
            return Err(self.refused(&call, &answer));
        }
        let reported = answer.digest();
        let digest = match name {
            ManifestName::Digest(expected) => {
                if let Some(reported) = reported
                    && reported.algorithm() == expected.algorithm()
                    && reported != *expected
                {
                    let cause = format!("the registry reports the digest {}", reported.short());
                    return Err(StoreError::new(FailureKind::Refused, call.operation, cause));
                }
                Some(expected.clone())
            }
            ManifestName::Tag(_) => reported,
        };
        // Harbor reports the compressed size where it compresses: https://github.com/goharbor/harbor/issues/17228.
        let size = answer
            .header(header::CONTENT_LENGTH)
            .filter(|_| !answer.headers.contains_key(header::CONTENT_ENCODING))
            .and_then(|text| text.parse::<u64>().ok())
            // Any other size is impossible or over the limit: reading the manifest decides.
            .filter(|size| (1..=self.max_manifest).contains(size));
        let media_type = answer.media_type();
        let is_typed = media_type.is_index() || media_type.manifest_family().is_some();
        match (digest, size) {
            (Some(digest), Some(size)) if is_typed => Ok(Descriptor::new(media_type, digest, size)),
            _ => Ok(self.read_manifest(name).await?.descriptor()),
        }
    }

    /// Stores a manifest under its digest.
    pub(super) async fn put_under_digest(&self, manifest: &Manifest) -> Outcome<Written> {
        let name = ManifestName::Digest(manifest.digest.clone());
        self.put_under_name(manifest, &name).await
    }

    /// Stores a manifest under its digest or a tag.
    pub(super) async fn put_under_name(
        &self,
        manifest: &Manifest,
        name: &ManifestName,
    ) -> Outcome<Written> {
        let call = self
            .manifest_call(Method::PUT, name, "push")
            .with_body(&manifest.media_type, manifest.bytes.clone());
        let written = self.write_manifest(manifest, &call, Some(name)).await?;
        self.state.record_push(manifest_path(name));
        self.state
            .record_push(format!("manifests/{}", manifest.digest));
        Ok(written.as_ref().map(Written::of).unwrap_or_default())
    }

    /// Sends a manifest until it is accepted or refused. Returns `None` if the connection broke and a lookup of `name`
    /// shows that the registry had applied the write.
    pub(super) async fn write_manifest(
        &self,
        manifest: &Manifest,
        call: &Call,
        name: Option<&ManifestName>,
    ) -> Outcome<Option<Answer>> {
        let mut retries = self.client.retries();
        let mut retried_refusals = 0;
        loop {
            let cause = match self.client.try_write(call).await {
                Ok(answer) if answer.status.is_success() => {
                    return self.check_stored(manifest, call, answer).map(Some);
                }
                Ok(answer) if is_temporary(call, &answer) => RetryCause::Answer(answer),
                Ok(answer) if lacks_content(&answer) && self.replace_mounts(manifest).await? => {
                    continue;
                }
                Ok(answer) if retried_refusals < self.max_retries_of(&answer) => {
                    retried_refusals += 1;
                    RetryCause::Answer(answer)
                }
                Ok(answer) => {
                    if retried_refusals > 0 && RegistryError::of(&answer).code == DIGEST_INVALID {
                        self.state.record_failed_retries();
                    }
                    return Err(self.refused(call, &answer));
                }
                Err(CallError::Transport(error)) => RetryCause::Transport(error),
                Err(CallError::Final(error)) => return Err(error),
            };
            let was_interrupted = matches!(
                cause,
                RetryCause::Transport(
                    TransportError::Broken { .. } | TransportError::Timeout { .. }
                )
            );
            self.client.pause(call, cause, &mut retries).await?;
            // Only the answer to a PUT shows whether the registry lists referrers.
            if was_interrupted
                && manifest.subject().is_none()
                && let Some(name) = name
                && self.points_at(name, &manifest.digest).await
            {
                return Ok(None);
            }
        }
    }

    /// Returns how often the write is retried after this refusal. The registry may not see content that this run has
    /// just pushed. It may also report a correct digest as wrong: distribution 2.8 on a file system reads a file that a
    /// concurrent client is writing, even if both clients write the same manifest.
    fn max_retries_of(&self, answer: &Answer) -> u32 {
        if lacks_content(answer) && self.state.has_pushed_anything() {
            return MAX_RETRIES_FOR_CONTENT;
        }
        match RegistryError::of(answer).code.as_str() {
            DIGEST_INVALID if self.state.retries_did_not_help() => MAX_RETRIES_AFTER_FAILED_RETRIES,
            DIGEST_INVALID => MAX_RETRIES_FOR_DIGEST,
            _ => 0,
        }
    }

    /// Checks once whether a name refers to this content. Returns `false` if the check fails.
    async fn points_at(&self, name: &ManifestName, digest: &Digest) -> bool {
        let call = self.manifest_call(Method::HEAD, name, "look up");
        match self.client.try_once(&call, A_MANIFEST, 0).await {
            Ok(answer) if answer.status == StatusCode::OK => match name {
                ManifestName::Digest(_) => true,
                ManifestName::Tag(_) => answer.digest().as_ref() == Some(digest),
            },
            _ => false,
        }
    }

    fn check_stored(&self, manifest: &Manifest, call: &Call, answer: Answer) -> Outcome<Answer> {
        let expected = &manifest.digest;
        match answer.digest() {
            Some(stored) if stored.algorithm() == expected.algorithm() && stored != *expected => {
                let registry = self.repository.registry();
                let cause = format!(
                    "{registry} stored it with the digest {} instead of {}",
                    stored.short(),
                    expected.short()
                );
                Err(
                    StoreError::new(FailureKind::Refused, call.operation.clone(), cause)
                        .hint("check the registry, or a proxy in front of it: it changes manifests")
                        .after_writing(),
                )
            }
            _ => Ok(answer),
        }
    }
}

/// Returns whether the registry refuses a manifest because content that the manifest refers to is missing.
fn lacks_content(answer: &Answer) -> bool {
    matches!(
        RegistryError::of(answer).code.as_str(),
        "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN" | "BLOB_UPLOAD_UNKNOWN"
    )
}

/// Returns the expected digest if the content has a different one. The expected digest is the requested one, or for a
/// tag the digest that the registry reports with the content.
fn mismatch(name: &ManifestName, answer: &Answer) -> Option<Digest> {
    let expected = match name {
        ManifestName::Digest(digest) => digest.clone(),
        ManifestName::Tag(_) => answer.digest()?,
    };
    (!expected.matches(&answer.body)).then_some(expected)
}

fn describe_encoding(answer: &Answer) -> String {
    answer
        .header(header::CONTENT_ENCODING)
        .filter(|encoding| *encoding != "identity")
        .map_or_else(String::new, |encoding| {
            format!(
                " (it was sent with Content-Encoding {:?}, which was not requested)",
                clean(encoding, 40)
            )
        })
}
