//! Errors of the calls to clouds. No message contains a secret.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::file::FileError;
use crate::auth::process::HelperFailure;
use crate::transport::TransportError;

/// Why a source of cloud credentials failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CloudError {
    #[error("cannot reach {host}")]
    Transport {
        host: String,
        #[source]
        cause: Arc<TransportError>,
    },
    #[error("{host} did not answer within {} s", limit.as_secs())]
    TimedOut { host: String, limit: Duration },
    /// The answer is an error. `operation` names the action, and the role or credentials that it was called with.
    #[error("{operation}: {host} answered {status}{message}")]
    Refused {
        operation: String,
        host: String,
        status: u16,
        /// Code and message of the answer, after a colon; or empty.
        message: String,
    },
    #[error("{operation}: the answer of {host} contains no {missing}")]
    Incomplete {
        operation: String,
        host: String,
        missing: &'static str,
    },
    #[error("{variable} must be an https URL or an address of this machine")]
    BadEndpoint { variable: String },
    #[error("{given} is set, but {missing} is not")]
    MissingVariable { given: String, missing: String },
    /// A job of GitHub Actions has no permission to get an ID token.
    #[error("{given} is set, but the job lacks the permission `id-token: write`")]
    MissingPermission { given: String },
    #[error("{variable} is not valid: {expected} is expected")]
    BadVariable {
        variable: String,
        expected: &'static str,
    },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot use {}: {problem}", path.display())]
    BadFile {
        path: PathBuf,
        problem: &'static str,
    },
    #[error("cannot use the AWS profile {profile:?}: {problem}")]
    Profile { profile: String, problem: String },
    #[error("`credential_process` of the profile {profile:?} failed")]
    Process {
        profile: String,
        #[source]
        cause: HelperFailure,
    },
}
