//! Google Artifact Registry and Container Registry.

mod exchange;
mod file;
mod metadata;

use std::path::{Path, PathBuf};

use self::exchange::{Exchange, access_token};
use super::client::CloudClient;
use super::error::CloudError;
use super::lookup::Lookup;
use super::oidc::IdTokenRequest;
use crate::auth::{Credential, Secret, is_label};
use crate::spec::RegistryHost;

const PROVIDER: &str = "POLYARCH_GOOGLE_PROVIDER";
const SERVICE_ACCOUNT: &str = "POLYARCH_GOOGLE_SERVICE_ACCOUNT";

/// Where credentials of Google come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::auth) enum Source {
    /// The file that a variable names.
    File(&'static str),
    WellKnownFile,
    AccessToken,
    Provider,
    Metadata,
}

impl Source {
    /// All sources, in the order of the SDK.
    pub(super) const ALL: [Self; 7] = [
        Self::File("GOOGLE_APPLICATION_CREDENTIALS"),
        Self::File("GOOGLE_GHA_CREDS_PATH"),
        Self::File("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"),
        Self::WellKnownFile,
        Self::AccessToken,
        Self::Provider,
        Self::Metadata,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File(variable) => variable,
            Self::WellKnownFile => "application_default_credentials.json of gcloud",
            Self::AccessToken => "CLOUDSDK_AUTH_ACCESS_TOKEN",
            Self::Provider => "POLYARCH_GOOGLE_PROVIDER, POLYARCH_GOOGLE_SERVICE_ACCOUNT",
            Self::Metadata => "the metadata server of Google Cloud",
        }
    }
}

/// Returns whether a host is a registry of Google.
pub(super) fn is_google(host: &RegistryHost) -> bool {
    let host = host.as_str();
    host == "gcr.io"
        || host.strip_suffix(".gcr.io").is_some_and(is_label)
        || host.strip_suffix("-docker.pkg.dev").is_some_and(is_label)
}

pub(super) async fn find(
    source: Source,
    client: &CloudClient,
) -> Result<Lookup<Credential>, CloudError> {
    match source {
        Source::File(variable) => match client.var(variable) {
            Some(path) => file::find(Path::new(path), client).await.map(Lookup::Found),
            None => Ok(Lookup::NOT_SET),
        },
        Source::WellKnownFile => match well_known_file(client) {
            Some(path) if path.is_file() => file::find(&path, client).await.map(Lookup::Found),
            _ => Ok(Lookup::nothing("no such file")),
        },
        Source::AccessToken => Ok(match client.var("CLOUDSDK_AUTH_ACCESS_TOKEN") {
            Some(token) => Lookup::Found(access_token(client.keep(Secret::new(token.trim())))),
            None => Lookup::NOT_SET,
        }),
        Source::Provider => provider(client).await,
        Source::Metadata => metadata::find(client).await,
    }
}

/// Returns the path of the default credential file:
/// <https://cloud.google.com/docs/authentication/application-default-credentials#personal>
fn well_known_file(client: &CloudClient) -> Option<PathBuf> {
    let directory = client.var("CLOUDSDK_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| {
        if cfg!(windows) {
            return Some(PathBuf::from(client.var("APPDATA")?).join("gcloud"));
        }
        Some(client.environment.home()?.join(".config/gcloud"))
    });
    Some(directory?.join("application_default_credentials.json"))
}

/// Exchanges an ID token at the workload identity provider that a variable names.
async fn provider(client: &CloudClient) -> Result<Lookup<Credential>, CloudError> {
    let Some(provider) = client.var(PROVIDER) else {
        return Ok(Lookup::NOT_SET);
    };
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    if !provider.starts_with("projects/") || !provider.bytes().all(is_path) {
        return Err(CloudError::BadVariable {
            variable: PROVIDER.to_owned(),
            expected: "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME",
        });
    }
    // The audience of GitHub's token is the URL of the provider; the audience of the exchange is its name.
    let request = IdTokenRequest {
        cloud: "GOOGLE",
        audience: &format!("https://iam.googleapis.com/{provider}"),
        file_variable: None,
        needed_by: PROVIDER,
    };
    let Some(id_token) = client.id_token(&request).await? else {
        return Ok(Lookup::nothing("no ID token was found"));
    };
    let impersonation = client.var(SERVICE_ACCOUNT).map(|account| {
        format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        )
    });
    let exchange = Exchange {
        token_url: "https://sts.googleapis.com/v1/token".to_owned(),
        audience: format!("//iam.googleapis.com/{provider}"),
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt".to_owned(),
        impersonation,
        lifetime: 3600,
        origin: format!("{} for {PROVIDER}", id_token.origin),
    };
    let token = exchange.access_token(&id_token.token, client).await?;
    Ok(Lookup::Found(access_token(token)))
}
