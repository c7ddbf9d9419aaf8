//! Endpoints that redirect, send false, endless or very slow answers, and hosts with names similar to a cloud's.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    auth,
    aws::{HOST, ROLE, aws, set_keys},
    behind, home, result_of,
    server::{CloudServer, Reply},
};
use crate::support::{
    proxy::Passed,
    registry::{Fault, Registry, Rule},
    scene::Scene,
};

const TOKEN: (&str, &str) = ("POLYARCH_ID_TOKEN", "tok-general");
const REQUEST_TOKEN: (&str, &str) = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "tok-request");
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

/// Runs `polyarch auth` with each source of each cloud that calls an endpoint. All endpoints are `server`. Checks that
/// no source gives a credential, and returns the number of requests of each.
fn requests_of_each_source(server: &CloudServer) -> Vec<usize> {
    /// The registry, the variables, and the name of the source.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let url = server.url();
    let external = json!({
        "type": "external_account", "audience": "a", "subject_token_type": "t",
        "token_url": url, "credential_source": { "file": "HOME/token" },
    });
    let sources: [Case<'_>; 8] = [
        (HOST, &[("AWS_ROLE_ARN", ROLE), TOKEN], "AWS_ROLE_ARN"),
        (
            HOST,
            &[
                ("AWS_ROLE_ARN", ROLE),
                ("ACTIONS_ID_TOKEN_REQUEST_URL", &url),
                REQUEST_TOKEN,
            ],
            "AWS_ROLE_ARN",
        ),
        (
            HOST,
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)],
            "AWS_CONTAINER_CREDENTIALS",
        ),
        (
            HOST,
            &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)],
            "the metadata service of EC2",
        ),
        (
            "gcr.io",
            &[("GOOGLE_APPLICATION_CREDENTIALS", "HOME/google.json")],
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (
            "gcr.io",
            &[("GCE_METADATA_HOST", url.trim_start_matches("http://"))],
            "the metadata server",
        ),
        (
            "team.azurecr.io",
            &[
                ("AZURE_CLIENT_ID", "app-1"),
                ("AZURE_TENANT_ID", "tenant-1"),
                ("AZURE_AUTHORITY_HOST", &url),
                TOKEN,
            ],
            "AZURE_CLIENT_ID, AZURE_TENANT_ID",
        ),
        (
            "team.azurecr.io",
            &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url)],
            "the managed identity",
        ),
    ];
    let requests = sources.map(|(host, variables, source)| {
        let mut scene = home();
        scene.set("AWS_ENDPOINT_URL", &url);
        scene.write("token", "tok-file");
        scene.write("google.json", external.to_string());
        for (name, value) in variables {
            scene.set(name, value);
        }
        let before = server.seen().len();
        let (used, output) = auth(&scene, host);
        assert_eq!(used, "anonymous access", "{output}");
        assert_ne!(result_of(&output, source), "- not set", "{output}");
        server.seen().len() - before
    });
    requests.to_vec()
}

#[test]
fn no_source_follows_a_redirect() {
    let other = CloudServer::start(|_, _| Reply::status(200, ""));
    let location = format!("location: {}/\r\n", other.url());
    let server = CloudServer::start(move |_, _| Reply::Full(307, location.clone(), String::new()));
    assert_eq!(requests_of_each_source(&server), [1; 8]);
    assert!(other.seen().is_empty());
}

#[test]
fn no_source_accepts_a_false_or_endless_answer() {
    for reply in [
        Reply::status(200, "<html>Sign in</html>"),
        Reply::json(json!({ "access_token": "two words", "AccessKeyId": 7 })),
        Reply::Endless(2 << 30),
    ] {
        let server = CloudServer::start(move |_, _| reply.clone());
        let requests = requests_of_each_source(&server);
        assert!(requests.iter().all(|count| *count > 0), "{requests:?}");
    }
}

/// A registry of a cloud sends no client to the metadata service, neither with its challenge nor with a redirect.
#[test]
fn a_registry_that_names_a_metadata_service_is_refused() {
    let metadata = "http://169.254.169.254/latest/api/token";
    let challenge = format!("Bearer realm=\"{metadata}\",service=\"ecr\"");
    for fault in [
        Fault::reply(401, &[("www-authenticate", &challenge)], ""),
        Fault::Redirect(307, metadata.to_owned()),
    ] {
        let rule = Rule::when(|_| true).forever().then(fault);
        let (mut scene, proxy) = behind(HOST, Registry::builder().rule(rule));
        let server = CloudServer::start(aws);
        scene.set("AWS_ENDPOINT_URL", &server.url());
        set_keys(&mut scene);
        let output = scene.run("publish -t HOST/app:1 HOST/app:a");
        assert!(output.code != 0, "{output}");
        let passed = proxy.passed();
        let is_registry = |it: &Passed| it.target == format!("{HOST}:443");
        assert!(passed.iter().all(is_registry), "{passed:?}");
        let error = &output.stderr;
        assert!(
            error.contains("must not receive credentials") || error.contains("refused redirect"),
            "{error}"
        );
    }
}

#[test]
fn large_answers_are_cut_off() {
    let server = CloudServer::start(|_, _| Reply::Endless(2 << 30));
    let (_, output) = auth(&with_keys(&server), HOST);
    let result = result_of(&output, KEYS);
    assert!(result.contains("more than 262144 bytes"), "{output}");
}

#[test]
fn a_slow_metadata_service_is_given_up_after_a_second() {
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
