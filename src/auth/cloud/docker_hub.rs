//! Docker Hub with the ID token of GitHub Actions. The exchange is the same as in docker/login-action 4.5:
//! <https://github.com/docker/login-action/blob/master/src/dockerhub.ts>

use url::Url;

use super::client::{CloudClient, CloudRequest};
use super::error::CloudError;
use super::lookup::Lookup;
use super::oidc::IdTokenRequest;
use crate::auth::Credential;

pub(super) const NAME: &str = "DOCKERHUB_OIDC_CONNECTIONID, DOCKERHUB_USERNAME (for docker.io)";

const CONNECTION: &str = "DOCKERHUB_OIDC_CONNECTIONID";
const USERNAME: &str = "DOCKERHUB_USERNAME";
const LIFETIME: &str = "DOCKERHUB_OIDC_EXPIREIN";
const IDENTITY: &str = "https://identity.docker.com";
const EXCHANGE: &str = "https://identity.docker.com/oauth/token";

pub(super) async fn find(client: &CloudClient) -> Result<Lookup<Credential>, CloudError> {
    let Some(connection) = client.var(CONNECTION) else {
        return Ok(Lookup::NOT_SET);
    };
    let username = client
        .var(USERNAME)
        .ok_or_else(|| CloudError::MissingVariable {
            given: CONNECTION.to_owned(),
            missing: USERNAME.to_owned(),
        })?;
    let lifetime = client.var(LIFETIME).unwrap_or("300");
    let is_allowed = |seconds: u32| (300..=3600).contains(&seconds);
    if !lifetime.parse().is_ok_and(is_allowed) {
        return Err(CloudError::BadVariable {
            variable: LIFETIME.to_owned(),
            expected: "a number of seconds from 300 to 3600",
        });
    }
    let request = IdTokenRequest {
        cloud: "DOCKERHUB",
        audience: IDENTITY,
        file_variable: None,
        needed_by: CONNECTION,
    };
    let Some(id_token) = client.id_token(&request).await? else {
        return Ok(Lookup::nothing("no ID token was found"));
    };
    let form = CloudRequest::form(
        Url::parse(EXCHANGE).expect("a valid URL"),
        &[
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:id_token",
            ),
            ("subject_token", id_token.token.reveal()),
            ("connection_id", connection),
            ("expires_in", lifetime),
        ],
    );
    let operation = format!("cannot exchange {} for {CONNECTION}", id_token.origin);
    Ok(Lookup::Found(Credential::Basic {
        username: username.to_owned(),
        password: client.token(&form, &operation, "/access_token").await?,
    }))
}
