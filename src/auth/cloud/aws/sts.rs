//! AWS STS: temporary keys of a role.

use http::Method;

use super::endpoint::{endpoint, partition};
use super::keys::AwsKeys;
use super::sigv4::Signer;
use crate::auth::cloud::client::{CloudAnswer, CloudClient, CloudRequest, encoded_form, xml_text};
use crate::auth::cloud::error::CloudError;
use crate::auth::cloud::lookup::Lookup;
use crate::auth::cloud::oidc::{IdToken, IdTokenRequest};
use crate::auth::is_label;

const ROLE: &str = "AWS_ROLE_ARN";
const SESSION: &str = "AWS_ROLE_SESSION_NAME";
const VERSION: (&str, &str) = ("Version", "2011-06-15");
/// The content type of the query protocol.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Assumes the role in `AWS_ROLE_ARN` with an ID token.
pub(super) async fn web_identity(
    registry_region: &str,
    client: &CloudClient,
) -> Result<Lookup<AwsKeys>, CloudError> {
    let Some(role) = client.var(ROLE) else {
        return Ok(Lookup::nothing("AWS_ROLE_ARN is not set"));
    };
    let request = IdTokenRequest {
        cloud: "AWS",
        audience: "sts.amazonaws.com",
        file_variable: Some("AWS_WEB_IDENTITY_TOKEN_FILE"),
        needed_by: ROLE,
    };
    let Some(token) = client.id_token(&request).await? else {
        return Ok(Lookup::nothing(
            "AWS_ROLE_ARN is set, but no ID token was found",
        ));
    };
    let session = client.var(SESSION);
    assume_with_token(role, session, &token, registry_region, client)
        .await
        .map(Lookup::Found)
}

/// Calls `AssumeRoleWithWebIdentity`, which is not signed.
pub(super) async fn assume_with_token(
    role: &str,
    session: Option<&str>,
    token: &IdToken,
    registry_region: &str,
    client: &CloudClient,
) -> Result<AwsKeys, CloudError> {
    let region = region(client, registry_region);
    let fields = [
        ("Action", "AssumeRoleWithWebIdentity"),
        VERSION,
        ("RoleArn", role),
        ("RoleSessionName", session.unwrap_or("polyarch")),
        ("WebIdentityToken", token.token.reveal()),
    ];
    let request = CloudRequest::form(sts(client, region)?, &fields);
    let operation = format!(
        "cannot assume {role} (sts:AssumeRoleWithWebIdentity) with {}",
        token.origin
    );
    let answer = client.send(&request).await?;
    keys_of(&answer, &operation, role, client)
}

/// Calls `AssumeRole` with the keys of another source.
pub(super) async fn assume(
    role: &str,
    session: Option<&str>,
    external_id: Option<&str>,
    keys: &AwsKeys,
    registry_region: &str,
    client: &CloudClient,
) -> Result<AwsKeys, CloudError> {
    let region = region(client, registry_region);
    let mut fields = vec![
        ("Action", "AssumeRole"),
        VERSION,
        ("RoleArn", role),
        ("RoleSessionName", session.unwrap_or("polyarch")),
    ];
    fields.extend(external_id.map(|id| ("ExternalId", id)));
    let signer = Signer {
        keys,
        region,
        service: "sts",
    };
    let request = CloudRequest::new(Method::POST, sts(client, region)?);
    let body = encoded_form(&fields);
    let request = signer.signed(request, &[("content-type", FORM)], body);
    let operation = format!("cannot assume {role} (sts:AssumeRole) with {}", keys.origin);
    let answer = client.send(&request).await?;
    keys_of(&answer, &operation, role, client)
}

fn keys_of(
    answer: &CloudAnswer,
    operation: &str,
    role: &str,
    client: &CloudClient,
) -> Result<AwsKeys, CloudError> {
    answer.successful(operation)?;
    let text = |name| xml_text(answer.text.reveal(), name).unwrap_or_default();
    AwsKeys::new(
        client,
        text("AccessKeyId"),
        text("SecretAccessKey"),
        Some(text("SessionToken")),
        format!("the role {role}"),
    )
    .ok_or_else(|| answer.incomplete(operation, "AccessKeyId and SecretAccessKey"))
}

/// Returns the region of calls that are not for the registry itself.
fn region<'a>(client: &'a CloudClient, registry_region: &'a str) -> &'a str {
    ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .find_map(|name| client.var(name))
        .unwrap_or(registry_region)
}

fn sts(client: &CloudClient, region: &str) -> Result<url::Url, CloudError> {
    if !is_label(region) {
        return Err(CloudError::BadVariable {
            variable: "AWS_REGION".to_owned(),
            expected: "the name of a region",
        });
    }
    let host = format!("sts.{region}.{}", partition(region));
    endpoint(client, "AWS_ENDPOINT_URL_STS", &host)
}
