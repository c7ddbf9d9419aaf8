//! What an answer that is no success means to the reader of a log: kind, cause, what to try.
//! Error bodies: <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes>.

use http::StatusCode;
use serde::Deserialize;

use super::call::{Answer, Call};
use super::registries::Access;
use crate::auth::{Candidate, Credential};
use crate::hint::Hint;
use crate::spec::{MediaType, RegistryHost};
use crate::store::{FailureKind, StoreError};
use crate::text::clean;
use crate::transport::TransportError;

/// The most characters of what a registry says that are shown.
const MAX_SHOWN: usize = 300;

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    message: serde_json::Value,
}

/// The error of an answer, taken apart.
pub(super) struct Said {
    /// The first error code, in capitals; empty if there is none.
    pub(super) code: String,
    /// Code and message, or the text of a body that is no JSON; may be empty.
    pub(super) text: String,
}

impl Said {
    pub(super) fn of(answer: &Answer) -> Self {
        if let Ok(body) = crate::spec::parse::<ErrorBody>(&answer.body)
            && let Some(first) = body.errors.first()
        {
            let text_in = |value: &serde_json::Value, limit| {
                let text = answer
                    .redactor
                    .hidden_in(value.as_str().unwrap_or_default());
                clean(&text, limit)
            };
            let code = text_in(&first.code, 60).to_uppercase();
            let message = text_in(&first.message, MAX_SHOWN);
            let text = match (code.is_empty(), message.is_empty()) {
                (false, false) => format!("{code}: {message}"),
                (false, true) => code.clone(),
                (true, _) => message,
            };
            return Self { code, text };
        }
        Self {
            code: String::new(),
            text: text_of(
                &answer
                    .redactor
                    .hidden_in(&String::from_utf8_lossy(&answer.body)),
            ),
        }
    }
}

/// What a person would read in a body that is not the API's JSON: plain text, or HTML without its tags.
fn text_of(text: &str) -> String {
    let mut shown = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                shown.push(' ');
            }
            _ if !in_tag => shown.push(c),
            _ => {}
        }
    }
    clean(&shown, MAX_SHOWN)
}

/// The error for an answer that was not the one hoped for.
pub(super) fn refused(
    call: &Call,
    answer: &Answer,
    candidate: &Candidate,
    used_token: bool,
) -> StoreError {
    let said = Said::of(answer);
    let registry = call.repository.registry();
    let status = describe_status(answer.status);
    let who = if answer.elsewhere {
        let host = answer.url.host_str().unwrap_or_default();
        format!("{host}, where {registry} sent us,")
    } else {
        registry.to_string()
    };
    let cause = if said.text.is_empty() {
        format!("{who} answered {status}")
    } else {
        format!("{who} answered {status} ({})", said.text)
    };
    let error = |kind| StoreError::new(kind, call.operation.clone(), cause.clone());
    match (answer.status.as_u16(), said.code.as_str()) {
        // Credentials were not even sent there: theirs is not the fault.
        (401 | 403, _) if answer.elsewhere => error(FailureKind::Denied).hint(format!(
            "what {registry} gave as the way to its content is refused there, where no credentials are sent to: run it again, or look at the registry's storage"
        )),
        (401, _) if candidate.credential == Credential::Anonymous => {
            no_credentials(error(FailureKind::Unauthorized), registry)
        }
        // The token server took the credentials, and the registry still refuses: the name is known, the
        // permission is missing.
        (401, _) if used_token => denied(error(FailureKind::Denied), call, candidate),
        (401, _) => wrong_credentials(error(FailureKind::Unauthorized), registry, candidate),
        (403, _) | (_, "DENIED") if candidate.credential == Credential::Anonymous => {
            no_credentials(error(FailureKind::Denied), registry)
        }
        (403, _) | (_, "DENIED") => denied(error(FailureKind::Denied), call, candidate),
        (404, _) if call.is_read() => not_found(error(FailureKind::NotFound), registry),
        (404, _) => error(FailureKind::NotFound),
        (429, _) => error(FailureKind::Unavailable).hint(Hint::LowerRequestRate),
        (415, _) | (_, "MANIFEST_INVALID") => manifest_invalid(error(FailureKind::Other), call),
        (413, _) => error(FailureKind::Other)
            .hint("the registry, or a proxy before it, takes no body of this size"),
        (500.. | 408 | 425, _) => error(FailureKind::Unavailable),
        _ => error(FailureKind::Other),
    }
}

/// Says in front what the status alone does not: three refusals that ask for three different mends.
fn headed(mut error: StoreError, headline: &str) -> StoreError {
    error.cause = format!("{headline}: {}", error.cause);
    error
}

/// Nobody has said who they are.
pub(super) fn no_credentials(error: StoreError, registry: &RegistryHost) -> StoreError {
    headed(error, "not logged in")
        .hint(format!("no credentials for {registry} were found"))
        .hint(Hint::SetCredentials {
            registry: registry.clone(),
        })
        .hint(Hint::ShowCredentialSearch)
}

/// Who they say they are is not believed.
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
    headed(error, "not allowed").hint(Hint::GrantAccess {
        repository: call.repository.clone(),
        push: call.access == Access::Push,
        user: named_user(candidate),
        origin: candidate.origin.to_string(),
    })
}

fn named_user(candidate: &Candidate) -> Option<String> {
    candidate.credential.username().map(|user| clean(user, 60))
}

fn not_found(error: StoreError, registry: &RegistryHost) -> StoreError {
    if registry.as_str() == "quay.io" {
        // https://docs.projectquay.io: untagged manifests are collected after the time machine window.
        error.hint("Quay removes digests that no tag names after a while: has the tag of this image been moved?")
    } else {
        error
    }
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

/// The error for a request that got no usable answer at all.
pub(super) fn unreachable(
    call: &Call,
    error: &TransportError,
    allows_insecure: bool,
    is_named: bool,
) -> StoreError {
    let registry = call.repository.registry();
    let told = |kind| StoreError::new(kind, call.operation.clone(), error.to_string());
    let for_named_only = || Hint::InsecureForNamedOnly {
        registry: registry.clone(),
    };
    match error {
        TransportError::NotTls { host } if allows_insecure => {
            told(FailureKind::Unavailable).hint(format!("{host} answered something that is neither TLS nor HTTP"))
        }
        TransportError::NotTls { .. } if is_named => told(FailureKind::Other).hint(Hint::AllowPlainHttp {
            registry: registry.clone(),
        }),
        TransportError::NotTls { .. } => told(FailureKind::Other)
            .hint(Hint::NameInsecureSources {
                registry: registry.clone(),
            })
            .hint(for_named_only()),
        TransportError::Tls { .. } => told(FailureKind::Other)
            .hint(Hint::TrustCertificate {
                registry: registry.clone(),
            })
            .hint(if is_named {
                Hint::SkipCertificateChecks
            } else {
                for_named_only()
            }),
        TransportError::Refused { host, .. } => told(FailureKind::Other).hint(format!(
            "a client certificate for {host} is read from /etc/docker/certs.d/{host}/client.cert, its key from client.key"
        )),
        TransportError::Connect { dns: true, .. } => told(FailureKind::Unavailable)
            .hint(format!("is the name {registry} right? It could not be resolved")),
        TransportError::Connect { .. } => {
            told(FailureKind::Unavailable).hint(format!("is {registry} running and reachable from here?"))
        }
        TransportError::Timeout { .. } | TransportError::Broken { .. } | TransportError::GaveUp { .. } => {
            told(FailureKind::Unavailable)
        }
        TransportError::TooLarge { what: "a manifest", .. } => told(FailureKind::Refused)
            .hint(Hint::RaiseManifestLimit),
        TransportError::TooLarge { .. } => told(FailureKind::Refused),
        TransportError::Proxy { variable } => {
            told(FailureKind::Other).hint(Hint::CorrectVariable {
                variable: variable.to_string(),
            })
        }
        TransportError::Redirect(_) => told(FailureKind::Refused).hint(format!(
            "{registry} sends its client somewhere it must not go: talk to whoever runs it"
        )),
        TransportError::Source(_) => told(FailureKind::Other),
    }
}
