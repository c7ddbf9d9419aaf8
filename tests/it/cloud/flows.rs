//! `publish` to a registry that accepts only the credential of one flow. Tests every source of credentials of every
//! cloud, from the environment to the pushed tag.

use serde_json::{Value, json};

use super::{
    aws::{self, aws},
    azure::{self, azure},
    behind,
    google::{self, ACT, external, github_source, google},
    publishes, route,
    server::{CloudServer, Reply, Seen},
};
use crate::support::{
    image::Image,
    registry::{Accounts, Bearer, Registry, TokenField},
    scene::Scene,
};

/// A flow: its name, its environment, and the resulting credential.
type Flow<T> = (&'static str, fn(&mut Scene, &CloudServer), T);

/// Returns a registry that gives tokens only to one user, like public registries.
fn token_registry(host: &str, realm: &str, user: &str, password: &str) -> Bearer {
    Bearer::new(Accounts::new(user, password))
        .realm(realm)
        .service(host)
        .field(TokenField::Both)
        .without_anonymous()
}

fn github(scene: &mut Scene, server: &CloudServer) {
    let url = format!("{}/oidc?api-version=2.0", server.url());
    scene.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url);
    scene.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "tok-request");
}

fn token_file(scene: &mut Scene, variable: &str) {
    scene.write("token", "tok-file\n");
    scene.set(variable, "HOME/token");
}

fn profile(scene: &mut Scene, name: &str) {
    let keys = "[fixed]\naws_access_key_id = AKIDFILE\naws_secret_access_key = s3cr3t-file\n";
    scene.write(".aws/credentials", keys);
    let role = format!("role_arn = {}\n", aws::ROLE);
    scene.write(
        ".aws/config",
        format!(
            "[profile chained]\n{role}source_profile = fixed\n\
             [profile federated]\n{role}web_identity_token_file = HOME/token\n\
             [profile printed]\ncredential_process = printf '%s' \
             '{{\"Version\":1,\"AccessKeyId\":\"AKIDPROC\",\"SecretAccessKey\":\"s3cr3t-process\"}}'\n"
        ),
    );
    scene.write("token", "tok-file");
    scene.set("AWS_PROFILE", name);
}

/// The flows of AWS, with the resulting key.
const AWS: [Flow<&str>; 10] = [
    ("keys", |scene, _| aws::set_keys(scene), "AKIDENV"),
    (
        "session token",
        |scene, _| {
            aws::set_keys(scene);
            scene.set("AWS_ACCESS_KEY_ID", "ASIAENV");
            scene.set("AWS_SESSION_TOKEN", "tok-session");
        },
        "ASIAENV",
    ),
    (
        "web identity by file",
        |scene, _| {
            scene.set("AWS_ROLE_ARN", aws::ROLE);
            token_file(scene, "AWS_WEB_IDENTITY_TOKEN_FILE");
        },
        "ASIAROLE",
    ),
    (
        "GitHub OIDC",
        |scene, server| {
            scene.set("AWS_ROLE_ARN", aws::ROLE);
            github(scene, server);
        },
        "ASIAROLE",
    ),
    (
        "profile with keys",
        |scene, _| profile(scene, "fixed"),
        "AKIDFILE",
    ),
    (
        "profile with a role",
        |scene, _| profile(scene, "chained"),
        "ASIAROLE",
    ),
    (
        "profile with a web identity",
        |scene, _| profile(scene, "federated"),
        "ASIAROLE",
    ),
    (
        "profile with a process",
        |scene, _| profile(scene, "printed"),
        "AKIDPROC",
    ),
    (
        "container credentials",
        |scene, server| {
            let url = format!("{}/container", server.url());
            scene.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url);
            scene.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "tok-container");
        },
        "ASIAJSON",
    ),
    (
        "IMDSv2",
        |scene, server| scene.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url()),
        "ASIAJSON",
    ),
];

#[test]
fn ecr_accepts_the_password_of_each_flow() {
    for (name, set, key) in AWS {
        println!("{name}");
        let accounts = Accounts::new("AWS", &format!("swordfish-{key}"));
        let (mut scene, _) = behind(aws::HOST, Registry::builder().basic(accounts));
        let server = CloudServer::start(aws);
        scene.set("AWS_ENDPOINT_URL", &server.url());
        set(&mut scene, &server);
        publishes(&scene);
    }
}

#[test]
fn ecr_public_accepts_the_password_for_a_token() {
    let host = "public.ecr.aws";
    let realm = "https://public.ecr.aws/token/";
    let bearer = token_registry(host, realm, "AWS", "swordfish-ASIAROLE");
    let (mut scene, _) = behind(host, Registry::builder().bearer(bearer));
    let server = CloudServer::start(aws);
    scene.set("AWS_ENDPOINT_URL", &server.url());
    scene.set("AWS_ROLE_ARN", aws::ROLE);
    github(&mut scene, &server);
    publishes(&scene);
}

/// Writes a credential file of Google.
fn google_file(scene: &mut Scene, file: &Value) {
    scene.write("google.json", file.to_string());
    scene.set("GOOGLE_APPLICATION_CREDENTIALS", "HOME/google.json");
}

fn impersonating(server: &CloudServer, source: Value) -> Value {
    let mut file = external(server, source);
    let url = format!("{}/act{ACT}", server.url());
    file["service_account_impersonation_url"] = json!(url);
    file
}

/// The flows of Google, with the resulting user and password.
const GOOGLE: [Flow<(&str, &str)>; 9] = [
    (
        "external account",
        |scene, server| google_file(scene, &external(server, github_source(server))),
        ("oauth2accesstoken", "tok-federated"),
    ),
    (
        "external account with impersonation",
        |scene, server| {
            google_file(
                scene,
                &impersonating(server, json!({ "file": "HOME/token" })),
            );
            scene.write("token", "tok-file");
        },
        ("oauth2accesstoken", "tok-service-account"),
    ),
    (
        "service account key",
        |scene, _| google_file(scene, &service_account()),
        ("_json_key", ""),
    ),
    (
        "user",
        |scene, server| {
            let url = format!("{}/refresh", server.url());
            let file = json!({
                "type": "authorized_user", "client_id": "id", "client_secret": "s3cr3t-client",
                "refresh_token": "tok-refresh", "token_uri": url,
            });
            google_file(scene, &file);
        },
        ("oauth2accesstoken", "tok-user"),
    ),
    (
        "well-known file",
        |scene, _| {
            let file = ".config/gcloud/application_default_credentials.json";
            scene.write(file, service_account().to_string());
        },
        ("_json_key", ""),
    ),
    (
        "access token",
        |scene, _| scene.set("CLOUDSDK_AUTH_ACCESS_TOKEN", "tok-given"),
        ("oauth2accesstoken", "tok-given"),
    ),
    (
        "GitHub OIDC without a file",
        |scene, server| {
            github(scene, server);
            scene.set("POLYARCH_GOOGLE_PROVIDER", PROVIDER);
        },
        ("oauth2accesstoken", "tok-federated"),
    ),
    (
        "GitHub OIDC without a file, with impersonation",
        |scene, server| {
            github(scene, server);
            scene.set("POLYARCH_GOOGLE_PROVIDER", PROVIDER);
            scene.set("POLYARCH_GOOGLE_SERVICE_ACCOUNT", ACCOUNT);
        },
        ("oauth2accesstoken", "tok-service-account"),
    ),
    (
        "metadata server",
        |scene, server| scene.set("GCE_METADATA_HOST", &server.address.to_string()),
        ("oauth2accesstoken", "tok-metadata"),
    ),
];

const PROVIDER: &str = "projects/1/locations/global/workloadIdentityPools/p/providers/g";
const ACCOUNT: &str = "sa@p.iam.gserviceaccount.com";

fn service_account() -> Value {
    json!({ "type": "service_account", "private_key": "s3cr3t-key" })
}

#[test]
fn artifact_registry_accepts_the_token_of_each_flow() {
    for (name, set, (user, password)) in GOOGLE {
        println!("{name}");
        // The password of a key is the text of its file.
        let key = service_account().to_string();
        let password = if user == "_json_key" { &key } else { password };
        let realm = format!("https://{}/v2/token", google::HOST);
        let bearer = token_registry(google::HOST, &realm, user, password);
        let (mut scene, _) = behind(google::HOST, Registry::builder().bearer(bearer));
        let (server, apis) = (CloudServer::start(google), CloudServer::with_tls(google));
        let registry = scene.registry().address();
        let hosts = [
            (google::HOST, registry),
            ("sts.googleapis.com", apis.address),
            ("iamcredentials.googleapis.com", apis.address),
        ];
        route(&mut scene, hosts);
        set(&mut scene, &server);
        publishes(&scene);
    }
}

#[test]
fn the_provider_is_the_audience_of_google() {
    let realm = "https://gcr.io/v2/token";
    let bearer = token_registry("gcr.io", realm, "oauth2accesstoken", "tok-service-account");
    let (mut scene, _) = behind("gcr.io", Registry::builder().bearer(bearer));
    let (server, apis) = (CloudServer::start(google), CloudServer::with_tls(google));
    let registry = scene.registry().address();
    let hosts = ["sts.googleapis.com", "iamcredentials.googleapis.com"];
    let apis_at = hosts.map(|host| (host, apis.address));
    route(
        &mut scene,
        apis_at.into_iter().chain([("gcr.io", registry)]),
    );
    github(&mut scene, &server);
    scene.set("POLYARCH_GOOGLE_PROVIDER", PROVIDER);
    scene.set("POLYARCH_GOOGLE_SERVICE_ACCOUNT", ACCOUNT);
    publishes(&scene);
    let audience = server.only("/oidc").field("audience");
    assert_eq!(audience, format!("https://iam.googleapis.com/{PROVIDER}"));
    let exchange = apis.only("/v1/token");
    let audience = exchange.field("audience");
    assert_eq!(audience, format!("//iam.googleapis.com/{PROVIDER}"));
}

/// The flows of Azure, and whether they end with an access token, which the registry exchanges.
const AZURE: [Flow<bool>; 5] = [
    (
        "client secret",
        |scene, _| scene.set("AZURE_CLIENT_SECRET", "s3cr3t-azure"),
        false,
    ),
    (
        "federated by file",
        |scene, server| {
            scene.set("AZURE_TENANT_ID", "tenant-1");
            scene.set("AZURE_AUTHORITY_HOST", &server.url());
            token_file(scene, "AZURE_FEDERATED_TOKEN_FILE");
        },
        true,
    ),
    (
        "GitHub OIDC",
        |scene, server| {
            scene.set("AZURE_TENANT_ID", "tenant-1");
            scene.set("AZURE_AUTHORITY_HOST", &server.url());
            github(scene, server);
        },
        true,
    ),
    (
        "managed identity of App Service",
        |scene, server| {
            let url = format!("{}/msi", server.url());
            scene.set("IDENTITY_ENDPOINT", &url);
            scene.set("IDENTITY_HEADER", "s3cr3t-header");
        },
        true,
    ),
    (
        "managed identity of a virtual machine",
        |scene, server| scene.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", &server.url()),
        true,
    ),
];

#[test]
fn acr_exchanges_the_token_of_each_flow() {
    for (name, set, is_exchanged) in AZURE {
        println!("{name}");
        let realm = format!("https://{}/oauth2/token", azure::HOST);
        let bearer = token_registry(azure::HOST, &realm, "app-1", "s3cr3t-azure");
        let bearer = bearer.access_token("app-1", "tok-entra");
        let (mut scene, _) = behind(azure::HOST, Registry::builder().bearer(bearer));
        let server = CloudServer::start(azure);
        scene.set("AZURE_CLIENT_ID", "app-1");
        set(&mut scene, &server);
        publishes(&scene);
        let is_exchange = |path: &str| path == "/oauth2/exchange";
        let exchanges = scene.registry().count_where(|it| is_exchange(&it.path));
        assert_eq!(exchanges, usize::from(is_exchanged), "{name}");
    }
}

#[test]
fn docker_hub_accepts_the_token_of_github_oidc() {
    let bearer = token_registry(
        "registry.docker.io",
        "https://auth.docker.io/token",
        "company",
        "tok-hub",
    );
    let (mut scene, _) = behind("registry-1.docker.io", Registry::builder().bearer(bearer));
    Image::new("linux/amd64").load(scene.registry(), "company/app", "a");
    let (server, identity) = (CloudServer::start(azure), CloudServer::with_tls(azure));
    let registry = scene.registry().address();
    let hosts = [
        ("registry-1.docker.io", registry),
        ("auth.docker.io", registry),
        ("identity.docker.com", identity.address),
    ];
    route(&mut scene, hosts);
    github(&mut scene, &server);
    scene.set("DOCKERHUB_OIDC_CONNECTIONID", "7a7ff4b4");
    scene.set("DOCKERHUB_USERNAME", "company");
    scene.ok("publish -t company/app:1 company/app:a");
    assert!(scene.registry().tag("company/app", "1").is_some());
    assert_eq!(identity.only("/oauth/token").field("expires_in"), "300");
}

#[test]
fn another_credential_is_refused() {
    let accounts = Accounts::new("AWS", "swordfish-AKIDFILE");
    let (mut scene, _) = behind(aws::HOST, Registry::builder().basic(accounts));
    let server = CloudServer::start(|path: &str, request: &Seen| match path {
        "/" => aws(path, request),
        _ => Reply::status(404, ""),
    });
    scene.set("AWS_ENDPOINT_URL", &server.url());
    aws::set_keys(&mut scene);
    let error = scene.fails(3, "publish -t HOST/app:1 HOST/app:a");
    assert!(error.contains("AWS_ACCESS_KEY_ID"), "{error}");
    assert_eq!(scene.registry().tag("app", "1"), None);
}
