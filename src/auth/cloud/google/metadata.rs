//! The metadata server of Google Cloud: <https://cloud.google.com/compute/docs/access/authenticate-workloads>.

use url::Url;

use super::exchange::access_token;
use crate::auth::Credential;
use crate::auth::cloud::client::{CloudClient, CloudRequest};
use crate::auth::cloud::error::CloudError;
use crate::auth::cloud::lookup::Lookup;
use crate::auth::cloud::machine::Machine;

const HOST: &str = "GCE_METADATA_HOST";
const PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// Variables of Cloud Run, Cloud Run functions and App Engine, whose machines have no firmware tables.
const SERVERLESS: [&str; 4] = [
    "K_SERVICE",
    "CLOUD_RUN_JOB",
    "FUNCTION_TARGET",
    "GAE_SERVICE",
];
const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");

pub(super) async fn find(client: &CloudClient) -> Result<Lookup<Credential>, CloudError> {
    let is_serverless = SERVERLESS.iter().any(|name| client.var(name).is_some());
    let host = match client.var(HOST) {
        Some(host) => host,
        None if is_serverless || Machine::current() == Machine::Google => "169.254.169.254",
        None => return Ok(Lookup::nothing("this machine is not in Google Cloud")),
    };
    let url = Url::parse(&format!("http://{host}{PATH}"));
    let url = url
        .ok()
        .filter(|url| url.path() == PATH && url.username().is_empty());
    let url = url.ok_or_else(|| CloudError::BadVariable {
        variable: HOST.to_owned(),
        expected: "a host with an optional port",
    })?;
    let request = CloudRequest::get(url).header(FLAVOR.0, FLAVOR.1);
    let Ok(answer) = client.ask_metadata(&request).await else {
        return Ok(Lookup::nothing("the metadata server did not answer"));
    };
    // A captive portal or another server may answer in its place.
    if answer
        .headers
        .get(FLAVOR.0)
        .is_none_or(|flavor| flavor != FLAVOR.1)
    {
        return Ok(Lookup::nothing(
            "another server answered in place of the metadata server",
        ));
    }
    if answer.status == http::StatusCode::NOT_FOUND {
        return Ok(Lookup::nothing("the machine has no service account"));
    }
    let operation = "cannot get the token of the service account of this machine";
    let token = answer.field(operation, "/access_token")?;
    Ok(Lookup::Found(access_token(client.keep(token))))
}
