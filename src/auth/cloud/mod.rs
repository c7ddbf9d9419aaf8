//! Credentials for the registries of clouds, from the sources that the SDK of the cloud reads.
//!
//! | file | content |
//! | --- | --- |
//! | `aws` | ECR and ECR Public |
//! | `google` | Artifact Registry and Container Registry |
//! | `azure` | Azure Container Registry |
//! | `docker_hub` | Docker Hub with the ID token of GitHub Actions |
//! | `oidc` | ID tokens of CI systems |
//! | `machine` | in which cloud this machine runs |
//! | `client` | HTTP calls, with limits |

mod aws;
mod azure;
mod client;
mod docker_hub;
mod error;
mod google;
mod lookup;
mod machine;
mod oidc;

pub(super) use client::CloudClient;
pub use error::CloudError;
pub(super) use lookup::Lookup;

use super::{Candidate, Origin};
use crate::spec::RegistryHost;

/// A source of credentials for one registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum CloudSource {
    Aws(aws::Source, aws::Ecr),
    Google(google::Source),
    /// The registry is part of the source: its token is valid for this registry only.
    Azure(azure::Source, RegistryHost),
    DockerHub,
}

/// Returns the region of a registry of ECR or ECR Public.
pub fn ecr_region(host: &RegistryHost) -> Option<String> {
    aws::Ecr::of(host).map(|ecr| ecr.region().to_owned())
}

/// Returns what a cloud must grant to the user of a registry: the missing actions or the missing role.
pub fn needed_grant(host: &RegistryHost, push: bool) -> Option<String> {
    if let Some(ecr) = aws::Ecr::of(host) {
        let service = ecr.service();
        let actions: &[&str] = match (push, service) {
            (true, _) => &[
                "BatchCheckLayerAvailability",
                "InitiateLayerUpload",
                "UploadLayerPart",
                "CompleteLayerUpload",
                "PutImage",
            ],
            (false, "ecr-public") => return None,
            (false, _) => &["BatchGetImage", "GetDownloadUrlForLayer"],
        };
        let actions: Vec<String> = (actions.iter())
            .map(|action| format!("{service}:{action}"))
            .collect();
        return Some(format!("the actions {}", actions.join(", ")));
    }
    let role = match (google::is_google(host), azure::is_azure(host), push) {
        (true, _, true) => "Artifact Registry Writer (roles/artifactregistry.writer)",
        (true, _, false) => "Artifact Registry Reader (roles/artifactregistry.reader)",
        (_, true, true) => "AcrPush",
        (_, true, false) => "AcrPull",
        (false, false, _) => return None,
    };
    Some(format!("the role {role}"))
}

impl CloudSource {
    /// Returns the sources for a registry, in the order of the SDK. Empty for a registry of no cloud.
    pub(super) fn of(host: &RegistryHost) -> Vec<Self> {
        if let Some(ecr) = aws::Ecr::of(host) {
            let sources = aws::Source::ALL.into_iter();
            return sources.map(|it| Self::Aws(it, ecr.clone())).collect();
        }
        if google::is_google(host) {
            return google::Source::ALL.into_iter().map(Self::Google).collect();
        }
        if azure::is_azure(host) {
            let sources = azure::Source::ALL.into_iter();
            return sources.map(|it| Self::Azure(it, host.clone())).collect();
        }
        if host.is_docker_hub() {
            return vec![Self::DockerHub];
        }
        Vec::new()
    }

    /// Returns the name for display.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Aws(source, _) => source.name(),
            Self::Google(source) => source.name(),
            Self::Azure(source, _) => source.name(),
            Self::DockerHub => docker_hub::NAME,
        }
    }

    /// Reads the source and makes the calls that are necessary to get a credential for the registry.
    pub(super) async fn find(&self, client: &CloudClient) -> Result<Lookup<Candidate>, CloudError> {
        let found = match self {
            Self::Aws(source, ecr) => aws::find(*source, ecr, client).await?,
            Self::Google(source) => google::find(*source, client).await?,
            Self::Azure(source, host) => azure::find(*source, host, client).await?,
            Self::DockerHub => docker_hub::find(client).await?,
        };
        Ok(found.map(|credential| Candidate {
            credential,
            origin: Origin::Cloud(self.name().to_owned()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(host: &str) -> usize {
        CloudSource::of(&host.parse().expect("a host")).len()
    }

    #[test]
    fn registries_of_clouds_have_sources() {
        for host in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "123456789012.dkr-ecr.eu-west-1.on.aws",
            "123456789012.dkr-ecr-fips.us-east-1.on.aws",
            "public.ecr.aws",
            "gcr.io",
            "eu.gcr.io",
            "europe-west1-docker.pkg.dev",
            "team.azurecr.io",
            "team.azurecr.cn",
            "team.azurecr.us",
            "docker.io",
        ] {
            assert!(count(host) > 0, "{host}");
        }
    }

    #[test]
    fn lookalikes_have_no_sources() {
        for host in [
            "ghcr.io",
            "localhost:5000",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
            "123456789012.dkr.ecr.eu-west-1.evil.amazonaws.com",
            "123456789012.dkr.ecr.evil-amazonaws.com",
            "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "12345.dkr.ecr.eu-west-1.amazonaws.com",
            "evil.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.on.aws.example",
            "public.ecr.aws.example",
            "xpublic.ecr.aws",
            "public.ecr.aws:8443",
            "gcr.io.example",
            "evilgcr.io",
            "a.b.gcr.io",
            "evil.example-docker.pkg.dev",
            "docker.pkg.dev",
            "azurecr.io",
            "a.b.azurecr.io",
            "team.azurecr.io.example",
            "evilazurecr.io",
            "169.254.169.254",
            "metadata.google.internal",
        ] {
            assert_eq!(count(host), 0, "{host}");
        }
    }
}
