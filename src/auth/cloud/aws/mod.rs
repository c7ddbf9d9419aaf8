//! Amazon ECR and ECR Public: credentials of AWS, and the call that exchanges them for a password.

mod container;
mod endpoint;
mod imds;
mod keys;
mod profile;
mod sigv4;
mod sts;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use url::Url;

use self::endpoint::endpoint;
use self::keys::AwsKeys;
use super::client::{CloudClient, CloudRequest};
use super::error::CloudError;
use super::lookup::Lookup;
use crate::auth::{Credential, Secret, is_label};
use crate::spec::RegistryHost;

/// The domains below which partitions of AWS have private registries.
/// <https://github.com/awslabs/amazon-ecr-credential-helper/blob/main/ecr-login/api/client.go>
const PARTITIONS: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "sc2s.sgov.gov",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// The domains of registries with IPv6, and the domains of their API.
const DUAL_STACK: [(&str, &str); 3] = [
    ("on.aws", "api.aws"),
    (
        "on.amazonwebservices.com.cn",
        "api.amazonwebservices.com.cn",
    ),
    ("on.amazonwebservices.eu", "api.amazonwebservices.eu"),
];

/// Where credentials of AWS come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::auth) enum Source {
    Variables,
    WebIdentity,
    Profile,
    Container,
    Imds,
}

impl Source {
    /// All sources, in the order of the SDK.
    pub(super) const ALL: [Self; 5] = [
        Self::Variables,
        Self::WebIdentity,
        Self::Profile,
        Self::Container,
        Self::Imds,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Variables => "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
            Self::WebIdentity => "AWS_ROLE_ARN with an ID token",
            Self::Profile => "AWS_PROFILE in ~/.aws/credentials and ~/.aws/config",
            Self::Container => "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI",
            Self::Imds => "the metadata service of EC2",
        }
    }
}

/// The parts of an ECR registry that its password depends on. One password is valid for all registries of a region.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::auth) enum Ecr {
    Private { region: String, api: String },
    Public,
}

impl Ecr {
    /// Returns the registry, if the host is one of ECR.
    pub(super) fn of(host: &RegistryHost) -> Option<Self> {
        let host = host.as_str();
        if host == "public.ecr.aws" {
            return Some(Self::Public);
        }
        let (account, rest) = host.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (service, rest) = ["dkr.ecr-fips.", "dkr.ecr.", "dkr-ecr-fips.", "dkr-ecr."]
            .into_iter()
            .find_map(|service| Some((service, rest.strip_prefix(service)?)))?;
        let (region, domain) = rest.split_once('.')?;
        let is_fips = service.contains("fips");
        let is_dual_stack = service.starts_with("dkr-");
        if !is_label(region) {
            return None;
        }
        let api = if is_dual_stack {
            let (_, api) = DUAL_STACK.into_iter().find(|(known, _)| *known == domain)?;
            let name = if is_fips { "ecr-fips" } else { "ecr" };
            format!("{name}.{region}.{api}")
        } else {
            let domain = PARTITIONS.into_iter().find(|known| *known == domain)?;
            let name = if is_fips { "ecr-fips" } else { "api.ecr" };
            format!("{name}.{region}.{domain}")
        };
        Some(Self::Private {
            region: region.to_owned(),
            api,
        })
    }

    pub(super) fn region(&self) -> &str {
        match self {
            Self::Private { region, .. } => region,
            Self::Public => "us-east-1",
        }
    }

    /// Returns the service name in actions.
    pub(super) fn service(&self) -> &'static str {
        self.call().0
    }

    /// Returns the service name of signatures, the target header, the action, and the host.
    fn call(&self) -> (&'static str, &'static str, &'static str, &str) {
        match self {
            Self::Private { api, .. } => (
                "ecr",
                "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
                "ecr:GetAuthorizationToken",
                api,
            ),
            Self::Public => (
                "ecr-public",
                "SpencerFrontendService.GetAuthorizationToken",
                "ecr-public:GetAuthorizationToken",
                "api.ecr-public.us-east-1.amazonaws.com",
            ),
        }
    }

    fn endpoint(&self, client: &CloudClient) -> Result<Url, CloudError> {
        let variable = match self {
            Self::Private { .. } => "AWS_ENDPOINT_URL_ECR",
            Self::Public => "AWS_ENDPOINT_URL_ECR_PUBLIC",
        };
        endpoint(client, variable, self.call().3)
    }
}

/// Finds the keys of a source and exchanges them for the password of the registry.
pub(super) async fn find(
    source: Source,
    ecr: &Ecr,
    client: &CloudClient,
) -> Result<Lookup<Credential>, CloudError> {
    let found = match source {
        Source::Variables => keys::in_variables(client)?,
        Source::WebIdentity => sts::web_identity(ecr.region(), client).await?,
        Source::Profile => profile::find(ecr.region(), client).await?,
        Source::Container => container::find(client).await?,
        Source::Imds => imds::find(client).await?,
    };
    match found {
        Lookup::Found(keys) => authorize(&keys, ecr, client).await.map(Lookup::Found),
        Lookup::Nothing(reason) => Ok(Lookup::Nothing(reason)),
    }
}

/// Calls `GetAuthorizationToken`.
async fn authorize(
    keys: &AwsKeys,
    ecr: &Ecr,
    client: &CloudClient,
) -> Result<Credential, CloudError> {
    let (service, target, action, _) = ecr.call();
    let signer = sigv4::Signer {
        keys,
        region: ecr.region(),
        service,
    };
    let body = Secret::new("{}");
    let request = CloudRequest::new(Method::POST, ecr.endpoint(client)?);
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target),
    ];
    let request = signer.signed(request, &headers, body);
    let operation = format!("cannot call {action} with {}", keys.origin);
    let answer = client.send(&request).await?;
    let token = match ecr {
        Ecr::Private { .. } => "/authorizationData/0/authorizationToken",
        Ecr::Public => "/authorizationData/authorizationToken",
    };
    let token = answer.field(&operation, token)?;
    let incomplete = || answer.incomplete(&operation, "base64 of AWS:<password>");
    let bytes = STANDARD.decode(token.reveal()).map_err(|_| incomplete())?;
    let text = String::from_utf8(bytes).map_err(|_| incomplete())?;
    let (username, password) = text.split_once(':').ok_or_else(incomplete)?;
    Ok(Credential::Basic {
        username: username.to_owned(),
        password: client.keep(Secret::new(password)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_hosts_follow_the_registry() {
        for (host, region, api) in [
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                "eu-west-1",
                "api.ecr.eu-west-1.amazonaws.com",
            ),
            (
                "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
                "us-east-1",
                "ecr-fips.us-east-1.amazonaws.com",
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
                "api.ecr.cn-north-1.amazonaws.com.cn",
            ),
            (
                "123456789012.dkr-ecr.eu-west-1.on.aws",
                "eu-west-1",
                "ecr.eu-west-1.api.aws",
            ),
            (
                "123456789012.dkr-ecr-fips.us-east-1.on.aws",
                "us-east-1",
                "ecr-fips.us-east-1.api.aws",
            ),
        ] {
            let expected = Ecr::Private {
                region: region.to_owned(),
                api: api.to_owned(),
            };
            assert_eq!(Ecr::of(&host.parse().expect("a host")), Some(expected));
        }
    }
}
