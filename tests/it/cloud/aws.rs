//! ECR and ECR Public.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    auth, behind, home, result_of,
    server::{CloudServer, Reply, Seen},
};
use crate::support::{
    image::Image,
    registry::{Accounts, Class, Fault, Registry, Rule},
    scene::Scene,
};

pub(super) const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/ci";

/// Implements the used API calls of ECR, STS, GitHub, the container service and EC2. The password contains the key that
/// signed the call. STS accepts only the ID tokens of the tests.
pub(super) fn aws(path: &str, request: &Seen) -> Reply {
    let key = key_of(request);
    let is_temporary = key.starts_with("ASIA");
    let has_session = !request.header("x-amz-security-token").is_empty();
    let is_signed = !key.is_empty() && is_temporary == has_session;
    let password = STANDARD.encode(format!("AWS:swordfish-{key}"));
    let id_tokens = ["tok-file", "tok-github", "tok-gitlab"];
    let role_keys = "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s3cr3t-role</SecretAccessKey>\
                     <SessionToken>tok-role</SessionToken>";
    let json_keys =
        json!({ "AccessKeyId": "ASIAJSON", "SecretAccessKey": "s3cr3t-json", "Token": "tok-json" });
    match (
        path,
        request.header("x-amz-target"),
        request.field("Action").as_str(),
    ) {
        ("/", target, _) if !target.is_empty() && !is_signed => Reply::Full(
            400,
            String::new(),
            json!({ "__type": "UnrecognizedClientException" }).to_string(),
        ),
        ("/", target, _) if target.starts_with("AmazonEC2ContainerRegistry_V20150921") => {
            Reply::json(json!({ "authorizationData": [{ "authorizationToken": password }] }))
        }
        ("/", target, _) if target.starts_with("SpencerFrontendService") => {
            Reply::json(json!({ "authorizationData": { "authorizationToken": password } }))
        }
        ("/", _, "AssumeRoleWithWebIdentity")
            if !id_tokens.contains(&request.field("WebIdentityToken").as_str()) =>
        {
            Reply::status(400, "<Error><Code>InvalidIdentityToken</Code></Error>")
        }
        ("/", _, "AssumeRole") if key.is_empty() => Reply::status(403, ""),
        ("/", _, "AssumeRoleWithWebIdentity" | "AssumeRole") => Reply::status(
            200,
            format!("<Response><Credentials>{role_keys}</Credentials></Response>"),
        ),
        ("/oidc", ..) => Reply::json(json!({ "value": "tok-github" })),
        ("/container" | "/latest/meta-data/iam/security-credentials/node-role", ..) => {
            Reply::json(json_keys)
        }
        ("/latest/api/token", ..) if request.method == "PUT" => Reply::status(200, "tok-imds"),
        ("/latest/meta-data/iam/security-credentials/", ..) => Reply::status(200, "node-role"),
        _ => Reply::status(404, "not found"),
    }
}

/// Returns the key that signed a request, or an empty text.
fn key_of(request: &Seen) -> &str {
    let authorization = request.header("authorization");
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=");
    rest.and_then(|rest| rest.split('/').next())
        .unwrap_or_default()
}

fn scene() -> (Scene, CloudServer) {
    let mut scene = home();
    let server = CloudServer::start(aws);
    scene.set("AWS_ENDPOINT_URL", &server.url());
    (scene, server)
}

/// Returns the call to ECR. Checks that it is signed with this key for this service.
#[track_caller]
fn ecr_call(server: &CloudServer, key: &str, service: &str) -> Seen {
    let call = server
        .seen()
        .into_iter()
        .find(|seen| !seen.header("x-amz-target").is_empty());
    let call = call.expect("a call to ECR");
    assert_eq!(key_of(&call), key);
    let authorization = call.header("authorization");
    assert!(
        authorization.contains(&format!("/{service}/aws4_request")),
        "{authorization}"
    );
    call
}

pub(super) fn set_keys(scene: &mut Scene) {
    scene.set("AWS_ACCESS_KEY_ID", "AKIDENV");
    scene.set("AWS_SECRET_ACCESS_KEY", "s3cr3t-env");
}

#[test]
fn keys_in_variables_are_exchanged() {
    let (mut scene, server) = scene();
    set_keys(&mut scene);
    let (used, output) = auth(&scene, HOST);
    assert_eq!(
        used,
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN"
    );
    assert!(
        result_of(&output, "AWS_ACCESS_KEY_ID,").starts_with("password of \"AWS\""),
        "{output}"
    );
    let call = ecr_call(&server, "AKIDENV", "eu-west-1/ecr");
    assert_eq!(call.header("x-amz-security-token"), "");
    assert_eq!(call.body, "{}");

    scene.set("AWS_ACCESS_KEY_ID", "ASIAENV");
    scene.set("AWS_SESSION_TOKEN", "tok-session");
    auth(&scene, &format!("{HOST}/app"));
    let last = server.seen().pop().expect("a call");
    assert_eq!(last.header("x-amz-security-token"), "tok-session");
    assert!(
        last.header("authorization")
            .contains("x-amz-security-token")
    );
}

#[test]
fn ecr_public_has_its_own_call() {
    let (mut scene, server) = scene();
    set_keys(&mut scene);
    auth(&scene, "public.ecr.aws/team/app");
    ecr_call(&server, "AKIDENV", "us-east-1/ecr-public");
}

#[test]
fn a_web_identity_comes_from_a_file() {
    let (mut scene, server) = scene();
    scene.write("token", "tok-file\n");
    scene.set("AWS_ROLE_ARN", ROLE);
    scene.set("AWS_WEB_IDENTITY_TOKEN_FILE", "HOME/token");
    scene.set("AWS_ROLE_SESSION_NAME", "session");
    let (used, _) = auth(&scene, HOST);
    assert_eq!(used, "AWS_ROLE_ARN with an ID token");
    let first = server.seen().remove(0);
    assert_eq!(first.field("WebIdentityToken"), "tok-file");
    assert_eq!(first.field("RoleArn"), ROLE);
    assert_eq!(first.field("RoleSessionName"), "session");
    assert_eq!(first.header("authorization"), "");
    let call = ecr_call(&server, "ASIAROLE", "eu-west-1/ecr");
    assert_eq!(call.header("x-amz-security-token"), "tok-role");
}

#[test]
fn a_web_identity_comes_from_github() {
    let (mut scene, server) = scene();
    scene.set("AWS_ROLE_ARN", ROLE);
    scene.set(
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        &format!("{}/oidc?api-version=2.0", server.url()),
    );
    scene.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "tok-request");
    auth(&scene, HOST);
    let request = server.only("/oidc");
    assert_eq!(
        request.target,
        "/oidc?api-version=2.0&audience=sts.amazonaws.com"
    );
    assert_eq!(request.header("authorization"), "Bearer tok-request");
    let exchange = server.seen().remove(1);
    assert_eq!(exchange.field("WebIdentityToken"), "tok-github");
    ecr_call(&server, "ASIAROLE", "eu-west-1/ecr");
}

#[test]
fn a_web_identity_comes_from_gitlab() {
    let (mut scene, server) = scene();
    scene.set("AWS_ROLE_ARN", ROLE);
    scene.set("POLYARCH_ID_TOKEN", "tok-general");
    scene.set("POLYARCH_ID_TOKEN_AWS", "tok-gitlab");
    auth(&scene, HOST);
    assert_eq!(server.seen()[0].field("WebIdentityToken"), "tok-gitlab");
}

#[test]
fn the_missing_permission_of_a_job_is_named() {
    let (mut scene, server) = scene();
    scene.set("AWS_ROLE_ARN", ROLE);
    scene.set("GITHUB_ACTIONS", "true");
    let (used, output) = auth(&scene, HOST);
    assert_eq!(used, "anonymous access");
    assert_eq!(
        result_of(&output, "AWS_ROLE_ARN"),
        "error: AWS_ROLE_ARN is set, but the job lacks the permission `id-token: write`"
    );
    assert!(server.seen().is_empty());
}

#[test]
fn profiles_have_keys_roles_and_processes() {
    for (profile, key) in [
        ("fixed", "AKIDFILE"),
        ("chained", "ASIAROLE"),
        ("printed", "AKIDPROC"),
    ] {
        let (mut scene, server) = scene();
        scene.write(
            ".aws/credentials",
            "[fixed]\naws_access_key_id = AKIDFILE\naws_secret_access_key = s3cr3t-file\n",
        );
        scene.write(
            ".aws/config",
            format!(
                "[profile chained]\nrole_arn = {ROLE}\nsource_profile = fixed\nexternal_id = x\n\
                 [profile printed]\ncredential_process = printf '%s' \
                 '{{\"Version\":1,\"AccessKeyId\":\"AKIDPROC\",\"SecretAccessKey\":\"s3cr3t-process\"}}'\n\
                 [profile single]\nsso_session = company\n"
            ),
        );
        scene.set("AWS_PROFILE", profile);
        let (used, output) = auth(&scene, HOST);
        assert_eq!(
            used, "AWS_PROFILE in ~/.aws/credentials and ~/.aws/config",
            "{output}"
        );
        ecr_call(&server, key, "eu-west-1/ecr");
        if profile == "chained" {
            let assume = server.seen().remove(0);
            assert_eq!(assume.field("Action"), "AssumeRole");
            assert_eq!(assume.field("ExternalId"), "x");
            assert!(
                assume
                    .header("authorization")
                    .contains("Credential=AKIDFILE/")
            );
        }
        scene.set("AWS_PROFILE", "single");
        let (_, output) = auth(&scene, HOST);
        assert_eq!(
            result_of(&output, "AWS_PROFILE"),
            "error: cannot use the AWS profile \"single\": profiles with SSO are not supported"
        );
    }
}

#[test]
fn containers_and_instances_have_keys() {
    let (mut scene, server) = scene();
    scene.set(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        &format!("{}/container", server.url()),
    );
    scene.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "tok-container");
    let (used, _) = auth(&scene, HOST);
    assert!(used.starts_with("AWS_CONTAINER_CREDENTIALS"), "{used}");
    assert_eq!(
        server.only("/container").header("authorization"),
        "tok-container"
    );
    ecr_call(&server, "ASIAJSON", "eu-west-1/ecr");

    let (mut scene, server) = self::scene();
    scene.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url());
    let (used, _) = auth(&scene, HOST);
    assert_eq!(used, "the metadata service of EC2");
    let keys = server.only("/latest/meta-data/iam/security-credentials/node-role");
    assert_eq!(keys.header("x-aws-ec2-metadata-token"), "tok-imds");
    ecr_call(&server, "ASIAJSON", "eu-west-1/ecr");

    scene.set("AWS_EC2_METADATA_DISABLED", "true");
    let (used, output) = auth(&scene, HOST);
    assert_eq!(used, "anonymous access");
    assert_eq!(
        result_of(&output, "the metadata service of EC2"),
        "- AWS_EC2_METADATA_DISABLED is true"
    );
}

/// Returns a registry with the name of ECR. It accepts the password of the server above.
fn registry() -> (Scene, CloudServer) {
    let accounts = Accounts::new("AWS", "swordfish-AKIDENV").grant("AWS", "*", "pull,push");
    let (mut scene, _) = behind(HOST, Registry::builder().basic(accounts));
    let server = CloudServer::start(aws);
    scene.set("AWS_ENDPOINT_URL", &server.url());
    set_keys(&mut scene);
    Image::new("linux/amd64").load(scene.registry(), "base", "a");
    (scene, server)
}

#[test]
fn one_call_serves_a_region_and_run() {
    let (scene, server) = registry();
    scene.ok(&format!(
        "publish -t {HOST}/app:1,{HOST}/base:1 {HOST}/app:a"
    ));
    assert!(scene.registry().tag("app", "1").is_some());
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_expired_login_is_followed_by_the_cloud() {
    let (scene, server) = registry();
    let auth = STANDARD.encode("AWS:mistaken");
    let config = json!({ "auths": { HOST: { "auth": auth } } });
    scene.write(".docker/config.json", config.to_string());
    scene.ok(&format!("inspect {HOST}/app:a"));
    scene.ok(&format!("publish -t {HOST}/app:1 {HOST}/app:a"));
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_missing_repository_is_explained() {
    let (scene, _server) = registry();
    let body = json!({ "errors": [{ "code": "NAME_UNKNOWN", "message": "The repository does not exist" }] });
    let fault = Fault::Reply {
        status: 404,
        headers: Vec::new(),
        body: body.to_string().into(),
    };
    for class in [Class::UploadPost, Class::ManifestPut] {
        scene
            .registry()
            .rule(Rule::on(class).forever().then(fault.clone()));
    }
    let output = scene.run(&format!("publish -t {HOST}/new:1 {HOST}/app:a"));
    let error = output.exits(4).stderr;
    assert!(
        error.contains("`aws ecr create-repository --region eu-west-1 --repository-name new`"),
        "{error}"
    );
}

#[test]
fn a_missing_public_repository_is_named_without_its_alias() {
    let accounts = Accounts::new("AWS", "swordfish-AKIDENV");
    let registry = Registry::builder().basic(accounts);
    let (mut scene, _) = behind("public.ecr.aws", registry);
    let server = CloudServer::start(aws);
    scene.set("AWS_ENDPOINT_URL", &server.url());
    set_keys(&mut scene);
    let body = json!({ "errors": [{ "code": "NAME_UNKNOWN", "message": "The repository does not exist" }] });
    let fault = Fault::reply(404, &[], body.to_string());
    for class in [Class::UploadPost, Class::ManifestPut] {
        let rule = Rule::on(class).forever();
        scene.registry().rule(rule.then(fault.clone()));
    }
    let output = scene.run("publish -t HOST/alias/team/new:1 HOST/app:a");
    let error = output.exits(4).stderr;
    let command =
        "`aws ecr-public create-repository --region us-east-1 --repository-name team/new`: ECR";
    assert!(error.contains(command), "{error}");
}

#[test]
fn other_registries_cost_no_call() {
    let mut scene = Scene::new();
    let server = CloudServer::start(aws);
    scene.set("AWS_ENDPOINT_URL", &server.url());
    scene.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url());
    set_keys(&mut scene);
    Image::new("linux/amd64").load(scene.registry(), "app", "a");
    scene.ok("publish -t HOST/app:1 HOST/app:a");
    assert!(server.seen().is_empty());
}

#[test]
fn secrets_of_a_run_are_masked() {
    let (mut scene, _server) = registry();
    scene.set("GITHUB_ACTIONS", "true");
    let line = format!("publish -t {HOST}/app:1 {HOST}/app:a");
    let output = scene
        .polyarch()
        .args(line.split(' '))
        .unwatched()
        .run()
        .ok();
    for secret in ["s3cr3t-env", "swordfish"] {
        let mask = format!("::add-mask::{secret}");
        assert!(
            output.stdout.contains(&mask) || output.stderr.contains(&mask),
            "{output}"
        );
    }
}
