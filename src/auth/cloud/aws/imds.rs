//! Keys of the role of an EC2 instance, from version 2 of the metadata service.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>

use http::Method;
use url::Url;

use super::keys::AwsKeys;
use crate::auth::Secret;
use crate::auth::cloud::client::{CloudClient, CloudRequest};
use crate::auth::cloud::error::CloudError;
use crate::auth::cloud::lookup::Lookup;
use crate::auth::cloud::machine::Machine;

const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const DEFAULT: &str = "http://169.254.169.254/";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

pub(super) async fn find(client: &CloudClient) -> Result<Lookup<AwsKeys>, CloudError> {
    let is_disabled = client.var(DISABLED);
    if is_disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(Lookup::nothing("AWS_EC2_METADATA_DISABLED is true"));
    }
    let base = match client.metadata_endpoint(ENDPOINT)? {
        Some(url) => url,
        None if Machine::current() == Machine::Aws => Url::parse(DEFAULT).expect("a valid URL"),
        None => return Ok(Lookup::nothing("this machine is not in EC2")),
    };
    // A network may block the service. This source then has no keys.
    let Ok(token) = session(&base, client).await else {
        return Ok(Lookup::nothing("the metadata service did not answer"));
    };
    let operation = "cannot get the credentials of the EC2 instance";
    let get = |path: &str| {
        let request = CloudRequest::get(joined(&base, path));
        request.header("x-aws-ec2-metadata-token", token.reveal())
    };
    let roles = client.ask_metadata(&get(ROLES)).await?;
    let role = roles
        .text
        .reveal()
        .lines()
        .next()
        .unwrap_or_default()
        .trim();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    if !roles.status.is_success() || role.is_empty() || !role.bytes().all(is_name) {
        return Ok(Lookup::nothing("the EC2 instance has no role"));
    }
    let answer = client.ask_metadata(&get(&format!("{ROLES}{role}"))).await?;
    let origin = format!("the role {role} of the EC2 instance");
    AwsKeys::from_answer(client, &answer, operation, &origin).map(Lookup::Found)
}

async fn session(base: &Url, client: &CloudClient) -> Result<Secret, CloudError> {
    let request = CloudRequest::new(Method::PUT, joined(base, "/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300");
    let answer = client.ask_metadata(&request).await?;
    answer.successful("cannot start a session of the metadata service")?;
    Ok(client.keep(Secret::new(answer.text.reveal().trim())))
}

fn joined(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    url
}
