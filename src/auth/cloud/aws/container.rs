//! Keys of a container: ECS, EKS Pod Identity, CodeBuild.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use std::path::Path;

use url::{Host, Url};

use super::keys::AwsKeys;
use crate::address::is_loopback;
use crate::auth::Secret;
use crate::auth::cloud::client::{CloudClient, CloudRequest, checked_url};
use crate::auth::cloud::error::CloudError;
use crate::auth::cloud::lookup::Lookup;

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

pub(super) async fn find(client: &CloudClient) -> Result<Lookup<AwsKeys>, CloudError> {
    let (variable, url) = if let Some(path) = client.var(RELATIVE) {
        (RELATIVE, relative_url(path)?)
    } else if let Some(text) = client.var(FULL) {
        (FULL, checked_url(text, FULL, is_container_host)?)
    } else {
        return Ok(Lookup::NOT_SET);
    };
    let mut request = CloudRequest::get(url);
    if let Some(token) = token(client).await? {
        request = request.header("authorization", token.reveal());
    }
    let answer = client.ask_metadata(&request).await?;
    let operation = format!("cannot get the credentials that {variable} names");
    let origin = format!("credentials from {variable}");
    AwsKeys::from_answer(client, &answer, &operation, &origin).map(Lookup::Found)
}

fn relative_url(path: &str) -> Result<Url, CloudError> {
    // Appended as text: "@host" or "//host" must not replace the host.
    if !path.starts_with('/') {
        return Err(CloudError::BadVariable {
            variable: RELATIVE.to_owned(),
            expected: "a path that starts with /",
        });
    }
    checked_url(
        &format!("http://169.254.170.2{path}"),
        RELATIVE,
        is_container_host,
    )
}

/// Returns whether SDKs accept a host over plain HTTP: this machine, ECS and EKS.
fn is_container_host(host: &Host<&str>) -> bool {
    is_loopback(host)
        || ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"]
            .contains(&host.to_string().as_str())
}

async fn token(client: &CloudClient) -> Result<Option<Secret>, CloudError> {
    if let Some(path) = client.var(TOKEN_FILE) {
        return client.token_file(Path::new(path)).await.map(Some);
    }
    Ok(client
        .var(TOKEN)
        .map(|token| client.keep(Secret::new(token))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_limited_to_known_hosts() {
        for (url, is_allowed) in [
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://127.0.0.1:1338/", true),
            ("https://credentials.example/", true),
            ("http://169.254.169.254/", false),
            ("http://10.0.0.1/", false),
            ("http://credentials.example/", false),
            ("ftp://127.0.0.1/", false),
        ] {
            let checked = checked_url(url, FULL, is_container_host);
            assert_eq!(checked.is_ok(), is_allowed, "{url}");
        }
        for path in ["@evil.example/", "evil", ".evil.example/"] {
            assert!(relative_url(path).is_err(), "{path}");
        }
        let url = relative_url("//evil.example/").expect("a URL");
        assert_eq!(url.host_str(), Some("169.254.170.2"));
    }
}
