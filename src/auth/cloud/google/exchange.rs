//! The exchange of an ID token for an access token of Google.

use serde_json::json;

use crate::auth::cloud::client::{CloudClient, CloudRequest, checked_url, is_local};
use crate::auth::cloud::error::CloudError;
use crate::auth::{Credential, Secret};

const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
const IAM: &str = "https://www.googleapis.com/auth/iam";

/// The exchange of a token of another identity provider (RFC 8693).
pub(super) struct Exchange {
    pub(super) token_url: String,
    pub(super) audience: String,
    pub(super) subject_token_type: String,
    /// The URL that returns the token of a service account.
    pub(super) impersonation: Option<String>,
    pub(super) lifetime: u32,
    /// Where the subject token comes from.
    pub(super) origin: String,
}

impl Exchange {
    /// Exchanges the subject token for an access token, of the service account if there is one.
    pub(super) async fn access_token(
        &self,
        subject: &Secret,
        client: &CloudClient,
    ) -> Result<Secret, CloudError> {
        let scope = if self.impersonation.is_some() {
            IAM
        } else {
            CLOUD_PLATFORM
        };
        let request = CloudRequest::form(
            checked_url(&self.token_url, "token_url", is_local)?,
            &[
                (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                ),
                ("audience", &self.audience),
                ("scope", scope),
                (
                    "requested_token_type",
                    "urn:ietf:params:oauth:token-type:access_token",
                ),
                ("subject_token", subject.reveal()),
                ("subject_token_type", &self.subject_token_type),
            ],
        );
        let operation = format!("cannot exchange {}", self.origin);
        let token = client.token(&request, &operation, "/access_token").await?;
        match &self.impersonation {
            Some(url) => self.impersonate(url, &token, client).await,
            None => Ok(token),
        }
    }

    async fn impersonate(
        &self,
        url: &str,
        token: &Secret,
        client: &CloudClient,
    ) -> Result<Secret, CloudError> {
        let url = checked_url(url, "service_account_impersonation_url", is_local)?;
        let account = url.path().rsplit('/').next().unwrap_or_default();
        let account = account.split(':').next().unwrap_or_default();
        let operation = format!(
            "cannot act as {account} (iam.serviceAccounts.getAccessToken, in the role Workload Identity User)"
        );
        let lifetime = format!("{}s", self.lifetime);
        let body = json!({ "delegates": null, "scope": [CLOUD_PLATFORM], "lifetime": lifetime });
        let body = Secret::new(body.to_string());
        let request = CloudRequest::post(url, "application/json", body).bearer(token);
        client.token(&request, &operation, "/accessToken").await
    }
}

/// Returns the credential of an access token.
pub(super) fn access_token(token: Secret) -> Credential {
    Credential::Basic {
        username: "oauth2accesstoken".to_owned(),
        password: token,
    }
}
