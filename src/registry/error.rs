//! The errors of calls that get an unexpected answer or no answer, with hints for the user.

use std::error::Error;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::answer::Answer;
use super::call::{A_MANIFEST, Access, Call};
use super::error_body::RegistryError;
use crate::auth::{Candidate, CloudError, Credential, KeychainError, ecr_region, needed_grant};
use crate::hint::Hint;
use crate::spec::{Digest, MediaType, RegistryHost, Repository};
use crate::store::{FailureKind, StoreError};
use crate::text::clean;
use crate::transport::{ConnectFailure, GiveUp, TransportError};

/// A hint after content with a wrong digest.
pub(super) const DAMAGED: &str =
    "check the registry, or a proxy in front of it: it serves wrong or damaged content";

/// Returns the cause for content that had a wrong digest when it was read for the second time.
pub(super) fn wrong_digest(content: &[u8], expected: &Digest) -> String {
    let found = expected.algorithm().digest(content);
    format!(
        "the registry twice sent content with the digest {} instead of {}",
        found.short(),
        expected.short()
    )
}

/// An answer that is not the expected one.
#[derive(Debug)]
pub(super) struct UnexpectedAnswer {
    pub(super) server: String,
    pub(super) status: StatusCode,
    pub(super) error: RegistryError,
}

impl fmt::Display for UnexpectedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answered {}",
            self.server,
            describe_status(self.status)
        )?;
        match &self.error.text[..] {
            "" => Ok(()),
            text => write!(f, " ({text})"),
        }
    }
}

impl Error for UnexpectedAnswer {}

/// Returns the error for an unexpected answer.
pub(super) fn refused(
    call: &Call,
    answer: &Answer,
    candidate: &Candidate,
    is_accepted: bool,
) -> StoreError {
    let registry = call.repository.registry();
    let server = if answer.from_other_origin {
        let host = answer.url.host_str().unwrap_or_default();
        format!("{host} (redirected from {registry})")
    } else {
        registry.to_string()
    };
    let cause = UnexpectedAnswer {
        server,
        status: answer.status,
        error: RegistryError::of(answer),
    };
    let code = cause.error.code.clone();
    let may_be_missing =
        answer.status == StatusCode::FORBIDDEN && call.is_read() && is_artifactory(&answer.headers);
    let error = |kind| StoreError {
        may_be_missing,
        ..StoreError::new(kind, call.operation.clone(), cause)
    };
    match (answer.status.as_u16(), code.as_str()) {
        // No credentials were sent to the other origin.
        (401 | 403, _) if answer.from_other_origin => error(FailureKind::Denied).hint(format!(
            "run the command again, or check the storage of the registry: it refused the URL that {registry} returned"
        )),
        (401, _) if candidate.credential == Credential::Anonymous => {
            no_credentials(error(FailureKind::Unauthorized), registry)
        }
        // The credentials are valid: the permission is missing.
        (401, _) if is_accepted => denied(error(FailureKind::Denied), call, candidate),
        (401, _) => wrong_credentials(error(FailureKind::Unauthorized), registry, candidate),
        (403, _) | (_, "DENIED") if candidate.credential == Credential::Anonymous => {
            no_credentials(error(FailureKind::Denied), registry)
        }
        (403, _) | (_, "DENIED") => denied(error(FailureKind::Denied), call, candidate),
        (404, _) if call.is_read() => not_found(error(FailureKind::NotFound), registry),
        (404, _) => missing_repository(error(FailureKind::NotFound), call),
        (429, _) => error(FailureKind::Unavailable).hint(Hint::LowerRequestRate),
        (415, _) | (_, "MANIFEST_INVALID") => manifest_invalid(error(FailureKind::Other), call),
        (413, _) => error(FailureKind::Other)
            .hint("check the registry, or a proxy in front of it: it rejects bodies of this size"),
        (500.. | 408 | 425, _) => error(FailureKind::Unavailable),
        _ => error(FailureKind::Other),
    }
}

/// Returns whether Artifactory has answered. It answers 403 to a read of a missing manifest in a virtual repository if
/// the user may not read all repositories behind it: <https://github.com/google/go-containerregistry/pull/1691>.
fn is_artifactory(headers: &HeaderMap) -> bool {
    let mut names = headers.keys().map(HeaderName::as_str);
    let is_product = |value: &HeaderValue| value.as_bytes().starts_with(b"Artifactory/");
    names.any(|name| name.starts_with("x-jfrog-") || name.starts_with("x-artifactory-"))
        || headers.get(http::header::SERVER).is_some_and(is_product)
}

fn headed(error: StoreError, headline: &'static str) -> StoreError {
    StoreError { headline, ..error }
}

/// Returns the error of a search for credentials.
pub(super) fn search_failed(registry: &RegistryHost, error: KeychainError) -> StoreError {
    let operation = format!("find the credentials for {registry}");
    let hint = match &error {
        KeychainError::Cloud(CloudError::MissingPermission { .. }) => {
            "add `id-token: write` to the permissions of the job".into()
        }
        _ => Hint::ShowCredentialSearch,
    };
    StoreError::new(FailureKind::Unauthorized, operation, error).hint(hint)
}

/// Completes the error of a call without credentials.
pub(super) fn no_credentials(error: StoreError, registry: &RegistryHost) -> StoreError {
    headed(error, "not logged in")
        .hint(Hint::Note(format!(
            "no credentials for {registry} were found"
        )))
        .hint(Hint::SetCredentials {
            registry: registry.clone(),
        })
        .hint(Hint::ShowCredentialSearch)
}

/// Completes the error of a call whose credentials were not accepted.
pub(super) fn wrong_credentials(
    error: StoreError,
    registry: &RegistryHost,
    candidate: &Candidate,
) -> StoreError {
    headed(error, "wrong credentials")
        .hint(Hint::CheckCredentials {
            registry: registry.clone(),
            user: named_user(candidate),
            origin: candidate.origin.to_string(),
        })
        .hint(Hint::ShowCredentialSearch)
}

fn denied(error: StoreError, call: &Call, candidate: &Candidate) -> StoreError {
    let push = call.access == Access::Push;
    let error = headed(error, "not allowed").hint(Hint::GrantAccess {
        repository: call.repository.clone(),
        push,
        user: named_user(candidate),
        origin: candidate.origin.to_string(),
    });
    match needed_grant(call.repository.registry(), push) {
        Some(grant) => error.hint(format!("grant {grant}")),
        None => error,
    }
}

fn named_user(candidate: &Candidate) -> Option<String> {
    candidate.credential.username().map(|user| clean(user, 60))
}

fn not_found(error: StoreError, registry: &RegistryHost) -> StoreError {
    if registry.as_str() == "quay.io" {
        // https://docs.projectquay.io: untagged manifests are deleted after the time machine window.
        error.hint("check whether the tag of this image was moved: Quay deletes untagged digests after a while")
    } else {
        error
    }
}

/// Explains a push to ECR, which creates no repository by itself unless a template applies.
fn missing_repository(error: StoreError, call: &Call) -> StoreError {
    let repository = &call.repository;
    let Some(region) = ecr_region(repository.registry()) else {
        return error;
    };
    let path = repository.path();
    // The first part of a path in ECR Public is the alias of the registry. It has no creation templates.
    let (service, name, otherwise) = match path.split_once('/') {
        Some((_, name)) if repository.registry().as_str() == "public.ecr.aws" => {
            ("ecr-public", name, "")
        }
        _ => ("ecr", path, ", or add a repository creation template"),
    };
    error.hint(format!(
        "run `aws {service} create-repository --region {region} --repository-name {name}`{otherwise}: ECR creates no repository on a push"
    ))
}

fn manifest_invalid(error: StoreError, call: &Call) -> StoreError {
    let media_type = call
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    match MediaType::new(media_type).index_family() {
        Some(_) => error.hint(Hint::ChooseMediaType {
            media_type: media_type.to_owned(),
        }),
        None => error,
    }
}

fn describe_status(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// Returns the error for a request without a usable answer.
pub(super) fn unreachable(
    call: &Call,
    error: &TransportError,
    allows_insecure: bool,
    is_named: bool,
) -> StoreError {
    let registry = call.repository.registry();
    let failed = |kind| StoreError::new(kind, call.operation.clone(), error.clone());
    let for_named_only = || Hint::InsecureForNamedOnly {
        registry: registry.clone(),
    };
    match error {
        TransportError::NotTls { host } if allows_insecure => {
            failed(FailureKind::Unavailable).hint(format!("check the address {host}: it uses neither TLS nor HTTP"))
        }
        TransportError::NotTls { .. } if is_named => failed(FailureKind::Other).hint(Hint::AllowPlainHttp {
            registry: registry.clone(),
        }),
        TransportError::NotTls { .. } => failed(FailureKind::Other)
            .hint(Hint::NameInsecureSources {
                registry: registry.clone(),
            })
            .hint(for_named_only()),
        TransportError::Tls { .. } => failed(FailureKind::Other)
            .hint(Hint::TrustCertificate {
                registry: registry.clone(),
            })
            .hint(if is_named {
                Hint::SkipCertificateChecks
            } else {
                for_named_only()
            }),
        TransportError::Refused { host, .. } => failed(FailureKind::Other).hint(format!(
            "install the client certificate as /etc/docker/certs.d/{host}/client.cert, and its key as client.key"
        )),
        TransportError::Connect { kind: ConnectFailure::UnknownHost, .. } => failed(FailureKind::Unavailable)
            .hint(unknown_host(&call.repository)),
        TransportError::Connect { .. }
        | TransportError::GaveUp { reason: GiveUp::NeverConnected, .. } => {
            failed(FailureKind::Unavailable).hint(format!("check that {registry} is running and reachable from here"))
        }
        TransportError::GaveUp { reason: GiveUp::Budget(_) | GiveUp::Slow(_), .. } => {
            failed(FailureKind::Unavailable).hint(Hint::RaiseRetryBudget)
        }
        TransportError::Timeout { .. }
        | TransportError::TooSlow { .. }
        | TransportError::Broken { .. }
        | TransportError::TooMuchAtOnce { .. }
        | TransportError::NoFurtherConnection { .. }
        | TransportError::NoCommonProtocol { .. }
        | TransportError::GaveUp { .. } => failed(FailureKind::Unavailable),
        TransportError::TooLarge { what: A_MANIFEST, .. } => failed(FailureKind::Refused)
            .hint(Hint::RaiseManifestLimit),
        TransportError::TooLarge { .. } => failed(FailureKind::Refused),
        TransportError::Proxy { variable } => {
            failed(FailureKind::Other).hint(Hint::CorrectVariable {
                variable: variable.to_string(),
            })
        }
        TransportError::Redirect(_) => failed(FailureKind::Refused).hint(format!(
            "contact the operator of {registry}: the redirect is unsafe"
        )),
        TransportError::Source(_) => failed(FailureKind::Other),
    }
}

/// Returns the hint for a host name that could not be resolved. Docker reads `You/app` as the repository `app` at the
/// host `You`, because a repository name has no capital letters.
fn unknown_host(repository: &Repository) -> String {
    let registry = repository.registry().as_str();
    if registry.contains(['.', ':']) || !registry.contains(|c: char| c.is_ascii_uppercase()) {
        return format!("check the name {registry}");
    }
    format!(
        "write {}/{} for a repository on Docker Hub: capital letters make {registry:?} a registry host",
        registry.to_lowercase(),
        repository.path()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_permission_has_only_the_hint_that_helps() {
        let given = "AWS_ROLE_ARN".to_owned();
        let error = CloudError::MissingPermission { given };
        let error = search_failed(&"registry.test".parse().unwrap(), error.into());
        let expected = "add `id-token: write` to the permissions of the job";
        assert_eq!(error.hints, [Hint::from(expected)]);
    }

    #[test]
    fn unknown_host_with_capital_letters_is_explained() {
        let hint = |name: &str| unknown_host(&name.parse().unwrap());
        assert_eq!(
            hint("You/app"),
            "write you/app for a repository on Docker Hub: capital letters make \"You\" a registry host"
        );
        for name in [
            "Registry.test/app",
            "Registry:5000/app",
            "registry.test/app",
        ] {
            assert!(hint(name).starts_with("check the name"), "{name}");
        }
    }
}
