//! Credential files of Google: <https://google.aip.dev/auth/4110>.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::exchange::{Exchange, access_token};
use crate::auth::cloud::client::{
    CloudClient, CloudRequest, checked_url, is_header_text, is_internal_host, is_local,
};
use crate::auth::cloud::error::CloudError;
use crate::auth::{Credential, Secret};

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum CredentialFile {
    ServiceAccount {},
    ExternalAccount(ExternalAccount),
    AuthorizedUser {
        client_id: String,
        client_secret: Secret,
        refresh_token: Secret,
        #[serde(default = "default_token_uri")]
        token_uri: String,
    },
    #[serde(other)]
    Other,
}

/// <https://google.aip.dev/auth/4117>
#[derive(Deserialize)]
struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    #[serde(default)]
    service_account_impersonation: Impersonation,
    credential_source: SubjectSource,
}

#[derive(Deserialize)]
struct Impersonation {
    #[serde(default = "default_lifetime")]
    token_lifetime_seconds: u32,
}

#[derive(Deserialize)]
struct SubjectSource {
    file: Option<std::path::PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    format: SubjectFormat,
}

#[derive(Default, Deserialize)]
struct SubjectFormat {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    subject_token_field_name: String,
}

impl Default for Impersonation {
    fn default() -> Self {
        Self {
            token_lifetime_seconds: default_lifetime(),
        }
    }
}

fn default_lifetime() -> u32 {
    3600
}

fn default_token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

/// Reads a credential file and makes the calls that are necessary to get a token.
pub(super) async fn find(path: &Path, client: &CloudClient) -> Result<Credential, CloudError> {
    let text = client.text_file(path).await?;
    let bad = |problem| CloudError::BadFile {
        path: path.to_owned(),
        problem,
    };
    let file = serde_json::from_str(text.reveal())
        .map_err(|_| bad("the file is not the JSON of Google credentials"))?;
    match file {
        CredentialFile::ServiceAccount {} => Ok(Credential::Basic {
            username: "_json_key".to_owned(),
            password: client.keep(text),
        }),
        CredentialFile::ExternalAccount(account) => {
            let subject = subject_token(&account.credential_source, path, client).await?;
            let exchange = Exchange {
                token_url: account.token_url,
                audience: account.audience,
                subject_token_type: account.subject_token_type,
                impersonation: account.service_account_impersonation_url,
                lifetime: account.service_account_impersonation.token_lifetime_seconds,
                origin: format!("the token that {} names", path.display()),
            };
            exchange
                .access_token(&subject, client)
                .await
                .map(access_token)
        }
        CredentialFile::AuthorizedUser {
            client_id,
            client_secret,
            refresh_token,
            token_uri,
        } => {
            let url = checked_url(&token_uri, "token_uri", is_local)?;
            let request = CloudRequest::form(
                url,
                &[
                    ("grant_type", "refresh_token"),
                    ("client_id", &client_id),
                    ("client_secret", client.keep(client_secret).reveal()),
                    ("refresh_token", client.keep(refresh_token).reveal()),
                ],
            );
            let operation = format!("cannot refresh the token in {}", path.display());
            let token = client.token(&request, &operation, "/access_token");
            token.await.map(access_token)
        }
        CredentialFile::Other => Err(bad(
            "its type is not service_account, external_account or authorized_user",
        )),
    }
}

async fn subject_token(
    source: &SubjectSource,
    path: &Path,
    client: &CloudClient,
) -> Result<Secret, CloudError> {
    let bad = |problem| CloudError::BadFile {
        path: path.to_owned(),
        problem,
    };
    let text = match (&source.file, &source.url) {
        (Some(file), _) => client.text_file(file).await?,
        (None, Some(url)) => {
            let url = checked_url(url, "credential_source.url", is_internal_host)?;
            from_url(source, url, client).await?
        }
        (None, None) => {
            return Err(bad("its credential_source has neither file nor url"));
        }
    };
    let is_json = source.format.kind == "json";
    let token = if is_json {
        let json: Value = serde_json::from_str(text.reveal()).unwrap_or_default();
        let field = json.get(&source.format.subject_token_field_name);
        Secret::new(field.and_then(Value::as_str).unwrap_or_default())
    } else {
        Secret::new(text.reveal().trim())
    };
    if is_header_text(token.reveal()) {
        Ok(client.keep(token))
    } else {
        Err(bad("its credential_source returned no token"))
    }
}

async fn from_url(
    source: &SubjectSource,
    url: Url,
    client: &CloudClient,
) -> Result<Secret, CloudError> {
    // A URL with plain HTTP names a metadata service.
    let is_metadata = url.scheme() == "http";
    let mut request = CloudRequest::get(url);
    for (name, value) in &source.headers {
        if name.eq_ignore_ascii_case("authorization") {
            client.keep(Secret::new(value.trim_start_matches("Bearer ")));
        }
        request = request.header(name, value);
    }
    let answer = if is_metadata {
        client.ask_metadata(&request).await?
    } else {
        client.send(&request).await?
    };
    answer.successful("cannot get the token that credential_source.url names")?;
    Ok(answer.text)
}
