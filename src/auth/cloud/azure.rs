//! Azure Container Registry.

use url::Url;

use super::client::{CloudClient, CloudRequest};
use super::error::CloudError;
use super::lookup::Lookup;
use super::machine::Machine;
use super::oidc::IdTokenRequest;
use crate::auth::{Credential, Secret, is_label};
use crate::spec::RegistryHost;

const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const TENANT_ID: &str = "AZURE_TENANT_ID";
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";
const IDENTITY_HEADER: &str = "IDENTITY_HEADER";
/// The variable of the SDK with another address of the metadata service.
const POD_IDENTITY: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const METADATA: &str = "http://169.254.169.254/";
/// The user name of a refresh token of a registry.
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// Where credentials of Azure come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::auth) enum Source {
    ClientSecret,
    Federated,
    ManagedIdentity,
}

impl Source {
    /// All sources, in the order of the SDK.
    pub(super) const ALL: [Self; 3] = [Self::ClientSecret, Self::Federated, Self::ManagedIdentity];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ClientSecret => "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET",
            Self::Federated => "AZURE_CLIENT_ID, AZURE_TENANT_ID with an ID token",
            Self::ManagedIdentity => "the managed identity of this machine",
        }
    }
}

/// One of Azure's clouds: the domain of registries, the authority, and the audiences.
struct AzureCloud {
    domain: &'static str,
    authority: &'static str,
    /// The audience of a federated ID token.
    federation: &'static str,
    resource: &'static str,
}

/// <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations>,
/// <https://github.com/Azure/azure-sdk-for-go/blob/main/sdk/containers/azcontainerregistry/cloud_config.go>
const CLOUDS: [AzureCloud; 3] = [
    AzureCloud {
        domain: "azurecr.io",
        authority: "https://login.microsoftonline.com/",
        federation: "api://AzureADTokenExchange",
        resource: "https://containerregistry.azure.net",
    },
    AzureCloud {
        domain: "azurecr.us",
        authority: "https://login.microsoftonline.us/",
        federation: "api://AzureADTokenExchangeUSGov",
        resource: "https://management.core.usgovcloudapi.net",
    },
    AzureCloud {
        domain: "azurecr.cn",
        authority: "https://login.partner.microsoftonline.cn/",
        federation: "api://AzureADTokenExchangeChina",
        resource: "https://management.core.chinacloudapi.cn",
    },
];

/// Returns whether a host is a registry of Azure.
pub(super) fn is_azure(host: &RegistryHost) -> bool {
    cloud_of(host).is_some()
}

fn cloud_of(host: &RegistryHost) -> Option<&'static AzureCloud> {
    let (name, domain) = host.as_str().split_once('.')?;
    let cloud = CLOUDS.iter().find(|cloud| cloud.domain == domain)?;
    is_label(name).then_some(cloud)
}

pub(super) async fn find(
    source: Source,
    host: &RegistryHost,
    client: &CloudClient,
) -> Result<Lookup<Credential>, CloudError> {
    let Some(cloud) = cloud_of(host) else {
        return Ok(Lookup::nothing("not for this registry"));
    };
    let found = match source {
        Source::ClientSecret => return client_secret(client),
        Source::Federated => federated(cloud, client).await?,
        Source::ManagedIdentity => managed_identity(cloud, client).await?,
    };
    match found {
        Lookup::Found(token) => refresh_token(host, &token, client).await.map(Lookup::Found),
        Lookup::Nothing(reason) => Ok(Lookup::Nothing(reason)),
    }
}

/// Returns the credential of a service principal, which logs in to the registry with its secret.
fn client_secret(client: &CloudClient) -> Result<Lookup<Credential>, CloudError> {
    match (client.var(CLIENT_ID), client.var(CLIENT_SECRET)) {
        (Some(id), Some(secret)) => Ok(Lookup::Found(Credential::Basic {
            username: id.to_owned(),
            password: client.keep(Secret::new(secret.trim())),
        })),
        (None, Some(_)) => Err(CloudError::MissingVariable {
            given: CLIENT_SECRET.to_owned(),
            missing: CLIENT_ID.to_owned(),
        }),
        (_, None) => Ok(Lookup::nothing("AZURE_CLIENT_SECRET is not set")),
    }
}

/// Exchanges an ID token for an access token.
/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
async fn federated(cloud: &AzureCloud, client: &CloudClient) -> Result<Lookup<Secret>, CloudError> {
    let (Some(id), Some(tenant)) = (client.var(CLIENT_ID), client.var(TENANT_ID)) else {
        return Ok(Lookup::nothing(
            "AZURE_CLIENT_ID or AZURE_TENANT_ID is not set",
        ));
    };
    let request = IdTokenRequest {
        cloud: "AZURE",
        audience: cloud.federation,
        file_variable: Some("AZURE_FEDERATED_TOKEN_FILE"),
        needed_by: TENANT_ID,
    };
    let Some(id_token) = client.id_token(&request).await? else {
        return Ok(Lookup::nothing("no ID token was found"));
    };
    let is_tenant = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let authority = client.endpoint(AUTHORITY)?;
    let authority = authority.or_else(|| Url::parse(cloud.authority).ok());
    let url = authority
        .filter(|_| tenant.bytes().all(is_tenant))
        .and_then(|url| url.join(&format!("/{tenant}/oauth2/v2.0/token")).ok())
        .ok_or_else(|| CloudError::BadVariable {
            variable: TENANT_ID.to_owned(),
            expected: "the ID or domain of a tenant",
        })?;
    let request = CloudRequest::form(
        url,
        &[
            ("client_id", id),
            ("scope", &format!("{}/.default", cloud.resource)),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", id_token.token.reveal()),
            ("grant_type", "client_credentials"),
        ],
    );
    let operation = format!(
        "cannot log in as the application {id} with {}",
        id_token.origin
    );
    let token = client.token(&request, &operation, "/access_token");
    token.await.map(Lookup::Found)
}

/// Gets an access token of App Service, Container Apps or a virtual machine.
/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
async fn managed_identity(
    cloud: &AzureCloud,
    client: &CloudClient,
) -> Result<Lookup<Secret>, CloudError> {
    let endpoint = client.metadata_endpoint(IDENTITY_ENDPOINT)?;
    let request = if let (Some(mut url), Some(header)) = (endpoint, client.var(IDENTITY_HEADER)) {
        add_query(&mut url, "2019-08-01", cloud, client);
        let header = client.keep(Secret::new(header));
        CloudRequest::get(url).header("x-identity-header", header.reveal())
    } else {
        let mut url = match client.metadata_endpoint(POD_IDENTITY)? {
            Some(url) => url,
            None if Machine::current() == Machine::Azure => {
                Url::parse(METADATA).expect("a valid URL")
            }
            None => return Ok(Lookup::nothing("this machine is not in Azure")),
        };
        url.set_path("/metadata/identity/oauth2/token");
        add_query(&mut url, "2018-02-01", cloud, client);
        CloudRequest::get(url)
    };
    let request = request.header("metadata", "true");
    let Ok(answer) = client.ask_metadata(&request).await else {
        return Ok(Lookup::nothing("the metadata service did not answer"));
    };
    if answer.status == http::StatusCode::BAD_REQUEST {
        return Ok(Lookup::nothing("the machine has no such managed identity"));
    }
    let operation = "cannot get the token of the managed identity";
    let token = answer.field(operation, "/access_token")?;
    Ok(Lookup::Found(client.keep(token)))
}

fn add_query(url: &mut Url, version: &str, cloud: &AzureCloud, client: &CloudClient) {
    let mut query = url.query_pairs_mut();
    query.append_pair("api-version", version);
    query.append_pair("resource", cloud.resource);
    if let Some(id) = client.var(CLIENT_ID) {
        query.append_pair("client_id", id);
    }
}

/// Exchanges an access token for a refresh token of the registry.
/// <https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md>
async fn refresh_token(
    host: &RegistryHost,
    token: &Secret,
    client: &CloudClient,
) -> Result<Credential, CloudError> {
    let url = Url::parse(&format!("https://{host}/oauth2/exchange"));
    let url = url.map_err(|_| CloudError::BadEndpoint {
        variable: host.to_string(),
    })?;
    let tenant = client.var(TENANT_ID).unwrap_or_default();
    let mut fields = vec![
        ("grant_type", "access_token"),
        ("service", host.as_str()),
        ("access_token", token.reveal()),
    ];
    if !tenant.is_empty() {
        fields.push(("tenant", tenant));
    }
    let request = CloudRequest::form(url, &fields);
    let operation = format!("cannot log in to {host} (the role AcrPush or AcrPull is needed)");
    let token = client.token(&request, &operation, "/refresh_token");
    Ok(Credential::IdentityToken {
        username: Some(TOKEN_USER.to_owned()),
        token: token.await?,
    })
}
