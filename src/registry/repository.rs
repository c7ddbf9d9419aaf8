//! A repository as a place of content: manifests, tags, mounts. Blobs and referrers are in the files beside.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use http::{Method, StatusCode, header};
use url::Url;

use super::authorizer::Authorizer;
use super::call::{Answer, Call, Outcome};
use super::error::Said;
use super::host::Host;
use crate::content::{BlobStream, FailureKind, ManifestName, Store, StoreError};
use crate::spec::{Descriptor, Digest, Manifest, MediaType, Repository, Tag};

/// From this many tags on it is worth a request to find out whether the registry takes them all in one.
const MANY_TAGS: usize = 8;

/// A repository in a registry.
pub struct RegistryRepository {
    pub(super) host: Arc<Host>,
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) repository: Repository,
    pub(super) max_manifest: u64,
    /// Uploads that a registry opened in place of a mount (202), to be used for the copy.
    pub(super) open_uploads: Mutex<HashMap<Digest, Url>>,
    /// Held while the fallback tag of a subject is read and written.
    pub(super) fallback: tokio::sync::Mutex<()>,
}

impl RegistryRepository {
    pub(super) fn new(
        host: Arc<Host>,
        authorizer: Arc<Authorizer>,
        repository: Repository,
        max_manifest: u64,
    ) -> Self {
        Self {
            host,
            authorizer,
            repository,
            max_manifest,
            open_uploads: Mutex::default(),
            fallback: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn call(&self, method: Method, path: String, doing: String) -> Call {
        Call::new(&self.repository, method, path, doing)
    }

    pub(super) async fn exchange(
        &self,
        call: &Call,
        what: &'static str,
        limit: u64,
    ) -> Outcome<Answer> {
        self.host
            .exchange(&self.authorizer, call, what, limit)
            .await
    }

    pub(super) fn refused(&self, call: &Call, answer: &Answer) -> StoreError {
        Host::refused(&self.authorizer, call, answer)
    }

    fn shown(&self, name: &ManifestName) -> String {
        format!("{}{name}", self.repository)
    }

    fn manifest_call(&self, method: Method, name: &ManifestName, doing: String) -> Call {
        let reference = match name {
            ManifestName::Digest(digest) => digest.to_string(),
            ManifestName::Tag(tag) => tag.to_string(),
        };
        self.call(method, format!("manifests/{reference}"), doing)
            .accepting_manifests()
    }

    async fn read_manifest(&self, name: &ManifestName) -> Outcome<Manifest> {
        let call = self.manifest_call(Method::GET, name, format!("read {}", self.shown(name)));
        let mut mismatches = 0;
        loop {
            let answer = self
                .exchange(&call, "a manifest", self.max_manifest)
                .await
                .map_err(|error| {
                    if error.kind == FailureKind::Refused && error.cause.contains("more than") {
                        error.hint(
                            "a manifest that is really this large can be read with --max-manifest",
                        )
                    } else {
                        error
                    }
                })?;
            if answer.status != StatusCode::OK {
                return Err(self.refused(&call, &answer));
            }
            if let ManifestName::Digest(digest) = name
                && !digest.matches(&answer.body)
            {
                mismatches += 1;
                if mismatches < 2 {
                    continue;
                }
                return Err(StoreError::new(
                    FailureKind::Refused,
                    call.doing.clone(),
                    format!(
                        "the registry sent content with the digest {} twice{}",
                        digest.algorithm().digest(&answer.body),
                        encoding_of(&answer)
                    ),
                )
                .hint("the registry, or a proxy before it, serves wrong or damaged content"));
            }
            let parsed = match name {
                ManifestName::Digest(digest) => {
                    Manifest::parse_as(answer.body.clone(), &answer.media_type(), digest.clone())
                }
                ManifestName::Tag(_) => Manifest::parse(answer.body.clone(), &answer.media_type()),
            };
            return parsed.map_err(|error| {
                let cause = format!("{error}{}", encoding_of(&answer));
                StoreError::new(FailureKind::Refused, call.doing.clone(), cause)
            });
        }
    }

    /// `HEAD`, or `GET` where the registry leaves the digest or the size out of its answer.
    async fn describe_manifest(&self, name: &ManifestName) -> Outcome<Descriptor> {
        let call = self.manifest_call(Method::HEAD, name, format!("look up {}", self.shown(name)));
        let answer = self.exchange(&call, "a manifest", 0).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(&call, &answer));
        }
        let digest = answer
            .header("docker-content-digest")
            .and_then(|text| text.parse::<Digest>().ok());
        let size = answer
            .header(header::CONTENT_LENGTH)
            .and_then(|text| text.parse::<u64>().ok());
        let media_type = answer.media_type();
        let typed = media_type.is_index() || media_type.manifest_family().is_some();
        match (digest, size) {
            (Some(digest), Some(size)) if typed => {
                if let ManifestName::Digest(asked) = name
                    && *asked != digest
                {
                    return Err(StoreError::new(
                        FailureKind::Refused,
                        call.doing,
                        format!("the registry says that its digest is {digest}"),
                    ));
                }
                Ok(Descriptor::new(media_type, digest, size))
            }
            _ => Ok(self.read_manifest(name).await?.descriptor()),
        }
    }

    async fn write_manifest(
        &self,
        manifest: &Manifest,
        path: String,
        doing: String,
    ) -> Outcome<Answer> {
        let call = self
            .call(Method::PUT, path, doing)
            .with_body(&manifest.media_type, manifest.bytes.clone());
        let mut retries = self.host.transport.retries();
        loop {
            let answer = self.exchange(&call, "an answer", 64 << 10).await?;
            if answer.status.is_success() {
                return self.check_stored(manifest, &call, answer);
            }
            let refused = self.refused(&call, &answer);
            // What this run has just pushed may not be known everywhere in the registry yet.
            let code = Said::of(&answer).code;
            let may_appear = matches!(
                code.as_str(),
                "MANIFEST_BLOB_UNKNOWN"
                    | "BLOB_UNKNOWN"
                    | "MANIFEST_UNKNOWN"
                    | "BLOB_UPLOAD_UNKNOWN"
            );
            if !may_appear || retries.failures() >= 3 {
                return Err(refused);
            }
            if let Err(given_up) = retries.pause(&call.doing, &refused.cause, None).await {
                return Err(StoreError {
                    cause: format!("{} ({given_up})", refused.cause),
                    ..refused
                });
            }
        }
    }

    fn check_stored(&self, manifest: &Manifest, call: &Call, answer: Answer) -> Outcome<Answer> {
        match answer
            .header("docker-content-digest")
            .and_then(|text| text.parse::<Digest>().ok())
        {
            Some(stored)
                if stored.algorithm() == manifest.digest.algorithm()
                    && stored != manifest.digest =>
            {
                Err(StoreError::new(
                    FailureKind::Refused,
                    call.doing.clone(),
                    format!(
                        "{} stored it as {stored}, not as {}",
                        self.repository.registry(),
                        manifest.digest
                    ),
                )
                .hint("the registry, or a proxy before it, changes manifests"))
            }
            _ => Ok(answer),
        }
    }

    async fn put_under_digest(&self, manifest: &Manifest) -> Outcome<()> {
        let shown = self.shown(&ManifestName::Digest(manifest.digest.clone()));
        let path = format!("manifests/{}", manifest.digest);
        let answer = self
            .write_manifest(manifest, path, format!("push {shown}"))
            .await?;
        if let Some(subject) = manifest.subject()
            && answer.header("oci-subject").is_none()
        {
            self.add_to_fallback_tag(manifest, subject).await?;
        }
        Ok(())
    }

    async fn put_under_tag(&self, manifest: &Manifest, tag: &Tag) -> Outcome<()> {
        let doing = format!("push {}:{tag}", self.repository);
        match self
            .write_manifest(manifest, format!("manifests/{tag}"), doing)
            .await
        {
            Ok(answer) => {
                if let Some(subject) = manifest.subject()
                    && answer.header("oci-subject").is_none()
                {
                    self.add_to_fallback_tag(manifest, subject).await?;
                }
                Ok(())
            }
            // Immutable tags refuse even what they already hold (ECR: ImageTagAlreadyExistsException).
            Err(error) if matches!(error.kind, FailureKind::Denied | FailureKind::Other) => {
                let name = ManifestName::Tag(tag.clone());
                match self.describe_manifest(&name).await {
                    Ok(now) if now.digest == manifest.digest => Ok(()),
                    Ok(now) => Err(error.hint(format!("the tag points at {} now", now.digest))),
                    Err(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// All tags in one request, where the registry answers with `OCI-Tag`. `None`: it does not.
    async fn put_all_tags_at_once(&self, manifest: &Manifest, tags: &[Tag]) -> Outcome<Option<()>> {
        let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let path = format!("manifests/{}?{}", manifest.digest, query.join("&"));
        let doing = format!("push {} tags to {}", tags.len(), self.repository);
        let answer = self.write_manifest(manifest, path, doing).await?;
        let mut stored: Vec<&str> = answer
            .headers
            .get_all("oci-tag")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        stored.sort_unstable();
        let all = tags
            .iter()
            .all(|tag| stored.binary_search(&tag.as_str()).is_ok());
        self.host.facts.learn(self.repository.registry(), |facts| {
            facts.many_tags = Some(all);
        });
        Ok(all.then_some(()))
    }

    async fn put_each_tag(&self, manifest: &Manifest, tags: &[Tag]) -> Vec<Outcome<()>> {
        let known = self.host.facts.of(self.repository.registry()).many_tags;
        let worth_it = match known {
            Some(takes_many) => takes_many && tags.len() > 1,
            None => tags.len() >= MANY_TAGS,
        };
        if worth_it && let Ok(Some(())) = self.put_all_tags_at_once(manifest, tags).await {
            return tags.iter().map(|_| Ok(())).collect();
        }
        join_all(tags.iter().map(|tag| self.put_under_tag(manifest, tag))).await
    }

    async fn mount(&self, blob: &Descriptor, from: &Repository) -> Outcome<bool> {
        // A registry that is told a `from` of another host may well have a repository of that name.
        if from.registry() != self.repository.registry() {
            return Ok(false);
        }
        let doing = format!("mount {} from {from} into {}", blob.digest, self.repository);
        let path = format!("blobs/uploads/?mount={}&from={}", blob.digest, from.path());
        let call = self.call(Method::POST, path, doing);
        let answer = self.exchange(&call, "an answer", 64 << 10).await?;
        match answer.status {
            StatusCode::CREATED => Ok(true),
            StatusCode::ACCEPTED => {
                if let Some(location) = answer.location() {
                    self.open_uploads
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(blob.digest.clone(), location);
                }
                Ok(false)
            }
            // A mount is an offer: what refuses it may still take a copy.
            status if status.is_client_error() && status != StatusCode::UNAUTHORIZED => Ok(false),
            _ => Err(self.refused(&call, &answer)),
        }
    }
}

fn encoding_of(answer: &Answer) -> String {
    answer
        .header(header::CONTENT_ENCODING)
        .filter(|encoding| *encoding != "identity")
        .map_or_else(String::new, |encoding| {
            format!(
                " (it was sent with Content-Encoding {:?}, which was not asked for)",
                crate::transport::clean(encoding, 40)
            )
        })
}

impl Store for RegistryRepository {
    fn name(&self) -> String {
        self.repository.to_string()
    }

    fn repository(&self) -> Option<&Repository> {
        Some(&self.repository)
    }

    fn describe<'a>(&'a self, name: &'a ManifestName) -> BoxFuture<'a, Outcome<Descriptor>> {
        self.describe_manifest(name).boxed()
    }

    fn manifest<'a>(&'a self, name: &'a ManifestName) -> BoxFuture<'a, Outcome<Manifest>> {
        self.read_manifest(name).boxed()
    }

    fn blob<'a>(&'a self, blob: &'a Descriptor, limit: u64) -> BoxFuture<'a, Outcome<Bytes>> {
        self.read_blob(blob, limit).boxed()
    }

    fn open_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        offset: u64,
    ) -> BoxFuture<'a, Outcome<BlobStream>> {
        self.stream_blob(blob, offset).boxed()
    }

    fn has_blob<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Outcome<bool>> {
        self.knows_blob(blob).boxed()
    }

    fn mount_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: &'a Repository,
    ) -> BoxFuture<'a, Outcome<bool>> {
        self.mount(blob, from).boxed()
    }

    fn copy_blob<'a>(
        &'a self,
        blob: &'a Descriptor,
        from: Arc<dyn Store>,
        progress: &'a (dyn Fn(u64) + Send + Sync),
    ) -> BoxFuture<'a, Outcome<()>> {
        self.upload(blob, from, progress).boxed()
    }

    fn put_manifest<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Outcome<()>> {
        self.put_under_digest(manifest).boxed()
    }

    fn put_tags<'a>(
        &'a self,
        manifest: &'a Manifest,
        tags: &'a [Tag],
    ) -> BoxFuture<'a, Vec<Outcome<()>>> {
        self.put_each_tag(manifest, tags).boxed()
    }

    fn referrers<'a>(&'a self, subject: &'a Digest) -> BoxFuture<'a, Outcome<Vec<Descriptor>>> {
        self.list_referrers(subject).boxed()
    }
}

/// The media type of an index, for the fallback tag.
pub(super) fn index_type() -> MediaType {
    MediaType::new(MediaType::OCI_INDEX)
}
