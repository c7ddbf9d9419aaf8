//! Manifests: read and verified, looked up, written. What is written again after a broken connection is first
//! looked for.

use http::{Method, StatusCode, header};

use super::call::{Answer, Call, Outcome};
use super::error::Said;
use super::host::RetryCause;
use super::repository::RegistryRepository;
use crate::spec::{Descriptor, Digest, Manifest};
use crate::store::{FailureKind, ManifestName, Operation, StoreError};
use crate::text::clean;
use crate::transport::TransportError;

/// How often a manifest is sent again because its parts are not known everywhere in the registry yet.
const MOST_WAITS_FOR_PARTS: u32 = 3;
/// How often a manifest is sent again because the registry found its digest wrong.
const MOST_WAITS_FOR_OTHERS: u32 = 6;
/// The same in a repository where that did not help before.
const WAITS_AFTER_VAIN_ONES: u32 = 1;
/// What a registry calls that.
const DIGEST_INVALID: &str = "DIGEST_INVALID";

impl RegistryRepository {
    /// The manifest under a name, hashed and compared.
    pub(super) async fn read_manifest(&self, name: &ManifestName) -> Outcome<Manifest> {
        let call = self.manifest_call(Method::GET, name, Operation::new("read", self.shown(name)));
        let mut answer = self.get_manifest(&call).await?;
        if wrong_digest(name, &answer).is_some() {
            // Once may be an accident on the way, twice is what the registry has.
            answer = self.get_manifest(&call).await?;
        }
        if let Some(expected) = wrong_digest(name, &answer) {
            return Err(StoreError::new(
                FailureKind::Refused,
                call.operation,
                format!(
                    "the registry sent content with the digest {} twice, not with {expected}{}",
                    expected.algorithm().digest(&answer.body),
                    encoding_of(&answer)
                ),
            )
            .hint("the registry, or a proxy before it, serves wrong or damaged content"));
        }
        let media_type = answer.media_type();
        let parsed = match name {
            ManifestName::Digest(digest) => {
                Manifest::parse_as(answer.body.clone(), &media_type, digest.clone())
            }
            ManifestName::Tag(_) => Manifest::parse(answer.body.clone(), &media_type),
        };
        parsed.map_err(|error| {
            let cause = format!("{error}{}", encoding_of(&answer));
            StoreError::new(FailureKind::Refused, call.operation, cause)
        })
    }

    async fn get_manifest(&self, call: &Call) -> Outcome<Answer> {
        let answer = self.exchange(call, "a manifest", self.max_manifest).await?;
        if answer.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(self.refused(call, &answer))
        }
    }

    /// `HEAD`, or `GET` where the registry's answer to that leaves something out.
    pub(super) async fn describe_manifest(&self, name: &ManifestName) -> Outcome<Descriptor> {
        let call = self.manifest_call(
            Method::HEAD,
            name,
            Operation::new("look up", self.shown(name)),
        );
        let answer = self.exchange(&call, "a manifest", 0).await?;
        if matches!(answer.status.as_u16(), 400 | 405 | 501) {
            return Ok(self.read_manifest(name).await?.descriptor());
        }
        if answer.status != StatusCode::OK {
            return Err(self.refused(&call, &answer));
        }
        let told = answer.digest();
        let digest = match name {
            ManifestName::Digest(asked) => {
                if let Some(told) = told
                    && told.algorithm() == asked.algorithm()
                    && told != *asked
                {
                    return Err(StoreError::new(
                        FailureKind::Refused,
                        call.operation,
                        format!("the registry says that its digest is {told}"),
                    ));
                }
                Some(asked.clone())
            }
            ManifestName::Tag(_) => told,
        };
        // Harbor tells the packed size where it packs: https://github.com/goharbor/harbor/issues/17228.
        let size = answer
            .header(header::CONTENT_LENGTH)
            .filter(|_| !answer.headers.contains_key(header::CONTENT_ENCODING))
            .and_then(|text| text.parse::<u64>().ok())
            // No manifest is empty, and one that is too large must not be used: what is there tells.
            .filter(|size| (1..=self.max_manifest).contains(size));
        let media_type = answer.media_type();
        let is_typed = media_type.is_index() || media_type.manifest_family().is_some();
        match (digest, size) {
            (Some(digest), Some(size)) if is_typed => Ok(Descriptor::new(media_type, digest, size)),
            _ => Ok(self.read_manifest(name).await?.descriptor()),
        }
    }

    /// Stores a manifest under its digest.
    pub(super) async fn put_under_digest(&self, manifest: &Manifest) -> Outcome<()> {
        let name = ManifestName::Digest(manifest.digest.clone());
        self.write_under(manifest, &name).await
    }

    /// Stores a manifest under a name, and tells what refers to its subject where the registry does not.
    pub(super) async fn write_under(
        &self,
        manifest: &Manifest,
        name: &ManifestName,
    ) -> Outcome<()> {
        let operation = Operation::new("push", self.shown(name));
        let call = self
            .manifest_call(Method::PUT, name, operation)
            .with_body(&manifest.media_type, manifest.bytes.clone());
        let answer = self.write_manifest(manifest, &call, Some(name)).await?;
        self.state.pushed(format!("manifests/{}", reference(name)));
        self.state.pushed(format!("manifests/{}", manifest.digest));
        let Some(answer) = answer else { return Ok(()) };
        self.note_subject(manifest, &answer)
            .await
            .map_err(StoreError::after_writing)
    }

    /// A registry that knows referrers says so in its answer; for others the fallback tag is kept.
    pub(super) async fn note_subject(&self, manifest: &Manifest, answer: &Answer) -> Outcome<()> {
        match manifest.subject() {
            Some(subject) if answer.header("oci-subject").is_none() => {
                self.add_to_fallback_tag(manifest, subject).await
            }
            _ => Ok(()),
        }
    }

    /// Sends a manifest until it is taken or refused. `None`: the connection broke after the registry had taken
    /// it, which is looked up under `name`.
    pub(super) async fn write_manifest(
        &self,
        manifest: &Manifest,
        call: &Call,
        name: Option<&ManifestName>,
    ) -> Outcome<Option<Answer>> {
        let host = &self.host;
        let mut retries = host.transport.retries();
        let mut waits = 0;
        loop {
            let tried = host
                .try_once(&self.authorizer, call, "an answer", 64 << 10)
                .await?;
            let cause = match tried {
                Ok(answer) if answer.status.is_success() => {
                    return self.check_stored(manifest, call, answer).map(Some);
                }
                Ok(answer) if host.is_temporary(call, &answer) => RetryCause::Answer(answer),
                Ok(answer) if waits < self.patience_with(&answer) => {
                    waits += 1;
                    RetryCause::Answer(answer)
                }
                Ok(answer) => {
                    if waits > 0 && Said::of(&answer).code == DIGEST_INVALID {
                        self.state.waited_in_vain();
                    }
                    return Err(self.refused(call, &answer));
                }
                Err(error) => RetryCause::Transport(error),
            };
            let was_cut_off = matches!(
                cause,
                RetryCause::Transport(
                    TransportError::Broken { .. } | TransportError::Timeout { .. }
                )
            );
            host.pause(&self.authorizer, call, cause, &mut retries)
                .await?;
            // Whether the registry knows referrers is told by the answer to a PUT alone.
            if was_cut_off
                && manifest.subject().is_none()
                && let Some(name) = name
                && self.points_at(name, &manifest.digest).await
            {
                return Ok(None);
            }
        }
    }

    /// How often a refusal is taken for one that passes: it may be about parts that this run has pushed just now,
    /// or about content that was right when it was sent, since distribution 2.8 on a file system reads what
    /// another client is just writing, be it the same manifest.
    fn patience_with(&self, answer: &Answer) -> u32 {
        match Said::of(answer).code.as_str() {
            "MANIFEST_BLOB_UNKNOWN"
            | "BLOB_UNKNOWN"
            | "MANIFEST_UNKNOWN"
            | "BLOB_UPLOAD_UNKNOWN"
                if self.state.has_pushed_anything() =>
            {
                MOST_WAITS_FOR_PARTS
            }
            DIGEST_INVALID if self.state.has_waited_in_vain() => WAITS_AFTER_VAIN_ONES,
            DIGEST_INVALID => MOST_WAITS_FOR_OTHERS,
            _ => 0,
        }
    }

    /// Whether the registry says that a name stands for this content. One try: if it cannot tell, it is asked in
    /// another way.
    async fn points_at(&self, name: &ManifestName, digest: &Digest) -> bool {
        let call = self.manifest_call(
            Method::HEAD,
            name,
            Operation::new("look up", self.shown(name)),
        );
        let tried = self
            .host
            .try_once(&self.authorizer, &call, "a manifest", 0)
            .await;
        match tried {
            Ok(Ok(answer)) if answer.status == StatusCode::OK => match name {
                ManifestName::Digest(_) => true,
                ManifestName::Tag(_) => answer.digest().as_ref() == Some(digest),
            },
            _ => false,
        }
    }

    fn check_stored(&self, manifest: &Manifest, call: &Call, answer: Answer) -> Outcome<Answer> {
        match answer.digest() {
            Some(stored)
                if stored.algorithm() == manifest.digest.algorithm()
                    && stored != manifest.digest =>
            {
                Err(StoreError::new(
                    FailureKind::Refused,
                    call.operation.clone(),
                    format!(
                        "{} stored it as {stored}, not as {}",
                        self.repository.registry(),
                        manifest.digest
                    ),
                )
                .hint("the registry, or a proxy before it, changes manifests")
                .after_writing())
            }
            _ => Ok(answer),
        }
    }
}

/// The digest that the content should have and has not: the one it was asked by; for a tag the one that the
/// registry tells beside it, since content and header that disagree were mixed up on the way.
fn wrong_digest(name: &ManifestName, answer: &Answer) -> Option<Digest> {
    let expected = match name {
        ManifestName::Digest(asked) => asked.clone(),
        ManifestName::Tag(_) => answer.digest()?,
    };
    (!expected.matches(&answer.body)).then_some(expected)
}

/// What stands for a name in a path.
pub(super) fn reference(name: &ManifestName) -> String {
    match name {
        ManifestName::Digest(digest) => digest.to_string(),
        ManifestName::Tag(tag) => tag.to_string(),
    }
}

fn encoding_of(answer: &Answer) -> String {
    answer
        .header(header::CONTENT_ENCODING)
        .filter(|encoding| *encoding != "identity")
        .map_or_else(String::new, |encoding| {
            format!(
                " (it was sent with Content-Encoding {:?}, which was not asked for)",
                clean(encoding, 40)
            )
        })
}
