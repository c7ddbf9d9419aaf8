//! Artifact Registry and Container Registry.

use serde_json::{Value, json};

use super::{
    auth, home, result_of,
    server::{CloudServer, Reply, Seen},
};
use crate::support::scene::Scene;

pub(super) const HOST: &str = "europe-west1-docker.pkg.dev";
/// The end of the path that returns the token of a service account.
pub(super) const ACT: &str = "/sa@p.iam.gserviceaccount.com:generateAccessToken";
const POOL: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/g";

/// Implements the used API calls of GitHub, STS, IAM and the metadata server. STS and IAM accept only the tokens of the
/// tests.
pub(super) fn google(path: &str, request: &Seen) -> Reply {
    let subject = request.field("subject_token");
    let is_federated = request.header("authorization") == "Bearer tok-federated";
    let flavor = "metadata-flavor: Google\r\n".to_owned();
    match path {
        "/oidc" => Reply::json(json!({ "value": "tok-github" })),
        "/sts" | "/v1/token" if ["tok-github", "tok-file"].contains(&subject.as_str()) => {
            Reply::json(json!({ "access_token": "tok-federated", "expires_in": 3600 }))
        }
        _ if path.ends_with(ACT) && is_federated => {
            Reply::json(json!({ "accessToken": "tok-service-account" }))
        }
        "/refresh" if request.field("refresh_token") == "tok-refresh" => {
            Reply::json(json!({ "access_token": "tok-user" }))
        }
        "/computeMetadata/v1/instance/service-accounts/default/token" => Reply::Full(
            200,
            flavor,
            json!({ "access_token": "tok-metadata" }).to_string(),
        ),
        _ => Reply::status(404, "not found"),
    }
}

fn scene(file: impl Fn(&CloudServer) -> Value) -> (Scene, CloudServer) {
    let (mut scene, server) = (home(), CloudServer::start(google));
    scene.write("google.json", file(&server).to_string());
    scene.set("GOOGLE_APPLICATION_CREDENTIALS", "HOME/google.json");
    (scene, server)
}

pub(super) fn external(server: &CloudServer, source: Value) -> Value {
    json!({
        "type": "external_account",
        "audience": POOL,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/sts", server.url()),
        "credential_source": source,
    })
}

/// Returns the content of the file that google-github-actions/auth writes.
pub(super) fn github_source(server: &CloudServer) -> Value {
    json!({
        "url": format!("{}/oidc?audience=a", server.url()),
        "headers": { "Authorization": "Bearer tok-request" },
        "format": { "type": "json", "subject_token_field_name": "value" },
    })
}

#[test]
fn a_service_account_key_is_the_password() {
    let (scene, server) =
        scene(|_| json!({ "type": "service_account", "private_key": "s3cr3t-key" }));
    let (used, output) = auth(&scene, &format!("{HOST}/project/app"));
    assert_eq!(used, "GOOGLE_APPLICATION_CREDENTIALS");
    let result = result_of(&output, "GOOGLE_APPLICATION_CREDENTIALS");
    assert!(result.starts_with("password of \"_json_key\""), "{output}");
    assert!(server.seen().is_empty());
}

#[test]
fn an_external_account_is_exchanged() {
    let (scene, server) = scene(|server| external(server, github_source(server)));
    let (used, output) = auth(&scene, "gcr.io");
    assert_eq!(used, "GOOGLE_APPLICATION_CREDENTIALS", "{output}");
    assert_eq!(
        server.only("/oidc").header("authorization"),
        "Bearer tok-request"
    );
    let exchange = server.only("/sts");
    for (field, value) in [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("audience", POOL),
        ("scope", "https://www.googleapis.com/auth/cloud-platform"),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("subject_token", "tok-github"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
    ] {
        assert_eq!(exchange.field(field), value, "{field}");
    }
}

#[test]
fn an_external_account_acts_as_a_service_account() {
    let (scene, server) = scene(|server| {
        let mut file = external(server, json!({ "file": "HOME/token" }));
        file["service_account_impersonation_url"] = json!(format!("{}/act{ACT}", server.url()));
        file
    });
    let file = scene
        .read("google.json")
        .replace("HOME", &scene.home().display().to_string());
    scene.write("google.json", file);
    scene.write("token", "tok-file");
    let (used, output) = auth(&scene, HOST);
    assert_eq!(used, "GOOGLE_APPLICATION_CREDENTIALS", "{output}");
    let exchange = server.only("/sts");
    assert_eq!(exchange.field("subject_token"), "tok-file");
    assert_eq!(
        exchange.field("scope"),
        "https://www.googleapis.com/auth/iam"
    );
    let act = server.only(&format!("/act{ACT}"));
    assert_eq!(act.header("authorization"), "Bearer tok-federated");
    let body: Value = serde_json::from_str(&act.body).expect("JSON");
    assert_eq!(body["lifetime"], "3600s");
    assert_eq!(
        body["scope"],
        json!(["https://www.googleapis.com/auth/cloud-platform"])
    );
}

#[test]
fn a_user_refreshes_a_token() {
    let (scene, server) = scene(|server| {
        json!({
            "type": "authorized_user",
            "client_id": "id",
            "client_secret": "s3cr3t-client",
            "refresh_token": "tok-refresh",
            "token_uri": format!("{}/refresh", server.url()),
        })
    });
    let (used, _) = auth(&scene, HOST);
    assert_eq!(used, "GOOGLE_APPLICATION_CREDENTIALS");
    let refresh = server.only("/refresh");
    assert_eq!(refresh.field("refresh_token"), "tok-refresh");
    assert_eq!(refresh.field("grant_type"), "refresh_token");
}

#[test]
fn the_metadata_server_is_called_without_a_proxy() {
    let (mut scene, server) = (home(), CloudServer::start(google));
    let proxy = CloudServer::start(|_, _| Reply::status(502, "proxy"));
    scene.set("HTTP_PROXY", &proxy.url());
    // The address is not on loopback, since a proxy is never used for loopback.
    scene.set(
        "GCE_METADATA_HOST",
        &format!("0.0.0.0:{}", server.address.port()),
    );
    let (used, output) = auth(&scene, HOST);
    assert_eq!(used, "the metadata server of Google Cloud", "{output}");
    assert!(proxy.seen().is_empty());
    let request = server.only("/computeMetadata/v1/instance/service-accounts/default/token");
    assert_eq!(request.header("metadata-flavor"), "Google");
}

#[test]
fn an_access_token_is_used_as_it_is() {
    let mut scene = home();
    scene.set("CLOUDSDK_AUTH_ACCESS_TOKEN", "tok-given");
    let (used, output) = auth(&scene, "eu.gcr.io");
    assert_eq!(used, "CLOUDSDK_AUTH_ACCESS_TOKEN");
    let result = result_of(&output, "CLOUDSDK_AUTH_ACCESS_TOKEN");
    assert!(
        result.starts_with("password of \"oauth2accesstoken\""),
        "{output}"
    );
}
