//! The errors of a cloud name the missing action, role, permission or variable.

use std::fmt::Write as _;

use serde_json::json;

use super::{
    auth,
    aws::{self, ROLE, aws, set_keys},
    azure, behind,
    google::{self, ACT, external, google},
    home, result_of,
    server::{CloudServer, Reply, Seen},
    stand_in,
};
use crate::support::{
    registry::{Accounts, Registry},
    scene::Scene,
};

const DENIED: &str = r#"{"error":"access_denied","error_description":"no policy allows it"}"#;

fn denied() -> Reply {
    Reply::status(403, DENIED)
}

/// Returns a server that denies the requests for which `is_denied` is true, and answers all others with `answer`.
fn denying(
    answer: fn(&str, &Seen) -> Reply,
    is_denied: impl Fn(&str, &Seen) -> bool + Send + Sync + 'static,
) -> CloudServer {
    CloudServer::start(move |path, request| {
        if is_denied(path, request) {
            denied()
        } else {
            answer(path, request)
        }
    })
}

fn id_token(scene: &mut Scene) {
    scene.set("POLYARCH_ID_TOKEN", "tok-file");
}

#[test]
fn refusals_of_aws_name_the_action_and_the_role() {
    let mut lines = String::new();
    let mut case = |server: &CloudServer, host: &str, source: &str, set: &dyn Fn(&mut Scene)| {
        let mut scene = home();
        scene.set("AWS_ENDPOINT_URL", &server.url());
        scene.name("SERVER", server.url());
        set(&mut scene);
        let (_, output) = auth(&scene, host);
        let _ = writeln!(lines, "{}", result_of(&output, source));
    };
    let all = denying(aws, |_, _| true);
    let ecr = denying(aws, |_, it| !it.header("x-amz-target").is_empty());
    let role = |scene: &mut Scene| scene.set("AWS_ROLE_ARN", ROLE);
    let federated = |scene: &mut Scene| {
        role(scene);
        id_token(scene);
    };
    case(&all, aws::HOST, "AWS_ACCESS_KEY_ID,", &set_keys);
    case(&all, "public.ecr.aws", "AWS_ACCESS_KEY_ID,", &set_keys);
    case(&all, aws::HOST, "AWS_ROLE_ARN", &federated);
    case(&ecr, aws::HOST, "AWS_ROLE_ARN", &federated);
    case(&all, aws::HOST, "AWS_PROFILE", &|scene| {
        let keys = "[keys]\naws_access_key_id = AKIDFILE\naws_secret_access_key = s3cr3t-file\n";
        scene.write(".aws/credentials", keys);
        let config = format!("[profile chained]\nrole_arn = {ROLE}\nsource_profile = keys\n");
        scene.write(".aws/config", config);
        scene.set("AWS_PROFILE", "chained");
    });
    case(&all, aws::HOST, "AWS_CONTAINER_CREDENTIALS", &|scene| {
        scene.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "SERVER/container");
    });
    case(&all, aws::HOST, "AWS_ROLE_ARN", &|scene| {
        role(scene);
        scene.set("ACTIONS_ID_TOKEN_REQUEST_URL", "SERVER/oidc");
        scene.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "tok-request");
    });
    case(&all, aws::HOST, "AWS_ROLE_ARN", &|scene| {
        role(scene);
        scene.set("GITHUB_ACTIONS", "true");
    });
    case(&all, aws::HOST, "AWS_ACCESS_KEY_ID,", &|scene| {
        scene.set("AWS_ACCESS_KEY_ID", "AKIDENV");
    });
    case(&all, aws::HOST, "AWS_ROLE_ARN", &role);
    insta::assert_snapshot!(lines, @r#"
    error: cannot call ecr:GetAuthorizationToken with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: cannot call ecr-public:GetAuthorizationToken with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: cannot assume arn:aws:iam::123456789012:role/ci (sts:AssumeRoleWithWebIdentity) with POLYARCH_ID_TOKEN: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: cannot call ecr:GetAuthorizationToken with the role arn:aws:iam::123456789012:role/ci: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: cannot assume arn:aws:iam::123456789012:role/ci (sts:AssumeRole) with the keys of the profile "keys": 127.0.0.1 answered 403: access_denied: no policy allows it
    error: cannot get the credentials that AWS_CONTAINER_CREDENTIALS_FULL_URI names: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: cannot get an ID token of GitHub: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: AWS_ROLE_ARN is set, but the job lacks the permission `id-token: write`
    error: AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not
    - AWS_ROLE_ARN is set, but no ID token was found
    "#);
}

#[test]
fn refusals_of_google_name_the_role() {
    let mut lines = String::new();
    let mut case = |is_denied: fn(&str, &Seen) -> bool, set: &dyn Fn(&mut Scene, &CloudServer)| {
        let server = denying(google, is_denied);
        let mut scene = home();
        set(&mut scene, &server);
        let (_, output) = auth(&scene, google::HOST);
        let lines_of = output
            .stdout
            .lines()
            .filter(|line| line.contains("error: "));
        for line in lines_of {
            let _ = writeln!(lines, "{}", line.trim());
        }
    };
    let impersonated = |scene: &mut Scene, server: &CloudServer| {
        scene.write("token", "tok-file");
        let mut file = external(server, json!({ "file": "HOME/token" }));
        file["service_account_impersonation_url"] = format!("{}{ACT}", server.url()).into();
        scene.write(
            "google.json",
            file.to_string().replace("HOME", &scene.expand("HOME")),
        );
        scene.set("GOOGLE_APPLICATION_CREDENTIALS", "HOME/google.json");
    };
    case(|path, _| path == "/sts", &impersonated);
    case(|path, _| path.ends_with(ACT), &impersonated);
    case(|_, _| true, &|scene, server| {
        let url = format!("{}/refresh", server.url());
        scene.write(
            "google.json",
            json!({
                "type": "authorized_user", "client_id": "c", "client_secret": "s3cr3t-client",
                "refresh_token": "tok-refresh", "token_uri": url,
            })
            .to_string(),
        );
        scene.set("GOOGLE_APPLICATION_CREDENTIALS", "HOME/google.json");
    });
    case(|_, _| true, &|scene, server| {
        scene.set("GCE_METADATA_HOST", &server.address.to_string());
    });
    case(|_, _| true, &|scene, _| {
        scene.set(
            "POLYARCH_GOOGLE_PROVIDER",
            "projects/1/locations/global/workloadIdentityPools/p/providers/g",
        );
        scene.set("GITHUB_ACTIONS", "true");
    });
    insta::assert_snapshot!(lines, @"
    error: cannot exchange the token that HOME/google.json names: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: cannot act as sa@p.iam.gserviceaccount.com (iam.serviceAccounts.getAccessToken, in the role Workload Identity User): 127.0.0.1 answered 403: access_denied: no policy allows it
    error: cannot refresh the token in HOME/google.json: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: POLYARCH_GOOGLE_PROVIDER is set, but the job lacks the permission `id-token: write`
    ");
}

#[test]
fn refusals_of_azure_and_docker_hub_name_the_role() {
    let mut lines = String::new();
    let mut case = |host: &str, is_denied: fn(&str) -> bool, variables: &[(&str, &str)]| {
        let reply = move |path: &str, request: &Seen| {
            if is_denied(path) {
                denied()
            } else {
                azure::azure(path, request)
            }
        };
        let (server, registry) = (CloudServer::start(reply), CloudServer::with_tls(reply));
        let mut scene = home();
        let name = if host == "docker.io" {
            "identity.docker.com"
        } else {
            host
        };
        stand_in(&mut scene, name, &registry);
        scene.name("SERVER", server.url());
        for (name, value) in variables {
            scene.set(name, value);
        }
        let (_, output) = auth(&scene, host);
        let lines_of = output
            .stdout
            .lines()
            .filter(|line| line.contains("error: "));
        for line in lines_of {
            let _ = writeln!(lines, "{}", line.trim());
        }
    };
    let federated = [
        ("AZURE_CLIENT_ID", "app-1"),
        ("AZURE_TENANT_ID", "tenant-1"),
        ("AZURE_AUTHORITY_HOST", "SERVER"),
        ("POLYARCH_ID_TOKEN", "tok-file"),
    ];
    case(azure::HOST, |path| path.ends_with("/token"), &federated);
    case(azure::HOST, |path| path == "/oauth2/exchange", &federated);
    let identity = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", "SERVER")];
    case(azure::HOST, |path| path.contains("/identity/"), &identity);
    let job = [
        ("AZURE_CLIENT_ID", "app-1"),
        ("AZURE_TENANT_ID", "tenant-1"),
        ("GITHUB_ACTIONS", "true"),
    ];
    case(azure::HOST, |_| true, &job);
    let hub = [
        (
            "DOCKERHUB_OIDC_CONNECTIONID",
            "7a7ff4b4-4b8b-4bd6-a0b8-111111111111",
        ),
        ("DOCKERHUB_USERNAME", "company"),
        ("POLYARCH_ID_TOKEN", "tok-file"),
    ];
    case("docker.io", |_| true, &hub);
    case("docker.io", |_| true, &hub[..1]);
    insta::assert_snapshot!(lines, @"
    error: cannot log in as the application app-1 with POLYARCH_ID_TOKEN: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: cannot log in to team.azurecr.io (the role AcrPush or AcrPull is needed): team.azurecr.io answered 403: access_denied: no policy allows it
    error: cannot get the token of the managed identity: 127.0.0.1 answered 403: access_denied: no policy allows it
    error: AZURE_TENANT_ID is set, but the job lacks the permission `id-token: write`
    error: cannot exchange POLYARCH_ID_TOKEN for DOCKERHUB_OIDC_CONNECTIONID: identity.docker.com answered 403: access_denied: no policy allows it
    error: DOCKERHUB_OIDC_CONNECTIONID is set, but DOCKERHUB_USERNAME is not
    ");
}

#[test]
fn missing_access_names_what_to_grant() {
    let mut errors = String::new();
    for host in [aws::HOST, "public.ecr.aws", google::HOST, azure::HOST] {
        let accounts = Accounts::new("ci", "hunter2").grant("ci", "*", "pull");
        let (mut scene, _) = behind(host, Registry::builder().basic(accounts));
        scene.log_in_to("HOST", "ci", "hunter2");
        let output = scene.run("publish -t HOST/app:1 HOST/app:a").exits(3);
        let hint = output.error().lines().find(|line| line.contains("grant "));
        let _ = writeln!(errors, "{}", hint.expect("a hint").trim());
    }
    insta::assert_snapshot!(errors, @"
    hint: grant the actions ecr:BatchCheckLayerAvailability, ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:PutImage
    hint: grant the actions ecr-public:BatchCheckLayerAvailability, ecr-public:InitiateLayerUpload, ecr-public:UploadLayerPart, ecr-public:CompleteLayerUpload, ecr-public:PutImage
    hint: grant the role Artifact Registry Writer (roles/artifactregistry.writer)
    hint: grant the role AcrPush
    ");
}
