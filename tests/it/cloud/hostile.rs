//! Endpoints that redirect, send false, endless or very slow answers, and hosts with names similar to a cloud's.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    auth, home, result_of,
    server::{CloudServer, Reply},
};
use crate::support::scene::Scene;

const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const KEYS: &str = "AWS_ACCESS_KEY_ID,";

fn with_keys(server: &CloudServer) -> Scene {
    let mut scene = home();
    scene.set("AWS_ENDPOINT_URL", &server.url());
    scene.set("AWS_ACCESS_KEY_ID", "AKIDENV");
    scene.set("AWS_SECRET_ACCESS_KEY", "s3cr3t-env");
    scene
}

#[test]
fn lookalike_hosts_get_nothing() {
    let server = CloudServer::start(|_, _| Reply::status(500, ""));
    let mut scene = with_keys(&server);
    scene.set("GCE_METADATA_HOST", &server.address.to_string());
    scene.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", &server.url());
    for host in [
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        "evil.dkr.ecr.eu-west-1.amazonaws.com",
        "team.azurecr.io.evil.example",
        "gcr.io.evil.example",
        "169.254.169.254",
    ] {
        let (used, _) = auth(&scene, host);
        assert_eq!(used, "anonymous access", "{host}");
    }
    assert!(server.seen().is_empty());
}

#[test]
fn false_answers_are_errors_that_name_the_action() {
    for (reply, expected) in [
        (
            Reply::Full(
                400,
                String::new(),
                json!({ "__type": "com.amazon#AccessDeniedException", "Message": "no policy allows it" })
                    .to_string(),
            ),
            "answered 400: AccessDeniedException: no policy allows it",
        ),
        (
            Reply::Full(400, String::new(), json!({ "__type": "ExpiredTokenException" }).to_string()),
            "answered 400: ExpiredTokenException",
        ),
        (Reply::status(200, "<html>"), "contains no authorizationData/0/authorizationToken"),
        (Reply::json(json!({ "authorizationData": [] })), "contains no authorizationData"),
        (
            Reply::json(json!({ "authorizationData": [{ "authorizationToken": STANDARD.encode("nothing") }] })),
            "contains no base64 of AWS:<password>",
        ),
    ] {
        let server = CloudServer::start(move |_, _| reply.clone());
        let (_, output) = auth(&with_keys(&server), HOST);
        let result = result_of(&output, KEYS);
        let start = "error: cannot call ecr:GetAuthorizationToken with AWS_ACCESS_KEY_ID";
        assert!(result.starts_with(start) && result.contains(expected), "{output}");
    }
}

#[test]
fn redirects_are_not_followed() {
    let other = CloudServer::start(|_, _| Reply::status(200, ""));
    let location = format!("location: {}/\r\n", other.url());
    for status in [302, 307] {
        let location = location.clone();
        let server =
            CloudServer::start(move |_, _| Reply::Full(status, location.clone(), String::new()));
        let (_, output) = auth(&with_keys(&server), HOST);
        let result = result_of(&output, KEYS);
        assert!(result.contains(&format!("answered {status}")), "{output}");
    }
    assert!(other.seen().is_empty());
}

#[test]
fn large_answers_are_cut_off() {
    let server = CloudServer::start(|_, _| Reply::Endless(2 << 30));
    let (_, output) = auth(&with_keys(&server), HOST);
    let result = result_of(&output, KEYS);
    assert!(result.contains("more than 262144 bytes"), "{output}");
}

#[test]
fn a_slow_metadata_service_is_left_after_a_second() {
    let server = CloudServer::start(|_, _| Reply::Drip);
    let mut scene = home();
    scene.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url());
    let (used, output) = auth(&scene, HOST);
    assert_eq!(used, "anonymous access");
    assert_eq!(
        result_of(&output, "the metadata service of EC2"),
        "- the metadata service did not answer"
    );
    assert!(output.wall < Duration::from_secs(20), "{:?}", output.wall);
}

#[test]
fn endpoints_over_plain_http_are_refused() {
    let mut scene = home();
    scene.set("AWS_ENDPOINT_URL", "http://ecr.example");
    scene.set("AWS_ACCESS_KEY_ID", "AKIDENV");
    scene.set("AWS_SECRET_ACCESS_KEY", "s3cr3t-env");
    let (_, output) = auth(&scene, HOST);
    assert_eq!(
        result_of(&output, KEYS),
        "error: AWS_ENDPOINT_URL must be an https URL or an address of this machine"
    );
}
