//! Azure Container Registry, and Docker Hub by OIDC.

use serde_json::json;

use super::{
    auth, home, result_of,
    server::{CloudServer, Reply, Seen},
    stand_in,
};

pub(super) const HOST: &str = "team.azurecr.io";

/// Implements the used API calls of GitHub, Entra ID, the managed identity, the registry and Docker Hub. They accept
/// only the tokens of the tests.
pub(super) fn azure(path: &str, request: &Seen) -> Reply {
    let tokens = ["tok-file", "tok-github", "tok-entra"];
    let names = ["client_assertion", "subject_token", "access_token"];
    let shown = names.map(|name| request.field(name)).concat();
    if request.method == "POST" && !tokens.contains(&shown.as_str()) {
        return Reply::status(401, "");
    }
    match path {
        "/tenant-1/oauth2/v2.0/token" | "/metadata/identity/oauth2/token" | "/msi" => {
            Reply::json(json!({ "access_token": "tok-entra" }))
        }
        "/oauth2/exchange" => Reply::json(json!({ "refresh_token": "tok-registry" })),
        "/oidc" => Reply::json(json!({ "value": "tok-github" })),
        "/oauth/token" => Reply::json(json!({ "access_token": "tok-hub" })),
        _ => Reply::status(404, "not found"),
    }
}

#[test]
fn a_client_secret_is_the_password() {
    let mut scene = home();
    scene.set("AZURE_CLIENT_ID", "app-1");
    scene.set("AZURE_CLIENT_SECRET", "s3cr3t-azure");
    let (used, output) = auth(&scene, HOST);
    assert_eq!(used, "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET");
    assert!(output.stdout.contains("password of \"app-1\""), "{output}");
}

#[test]
fn a_federated_token_is_exchanged_twice() {
    let (mut scene, entra) = (home(), CloudServer::start(azure));
    let registry = CloudServer::with_tls(azure);
    stand_in(&mut scene, HOST, &registry);
    scene.write("token", "tok-file");
    scene.set("AZURE_CLIENT_ID", "app-1");
    scene.set("AZURE_TENANT_ID", "tenant-1");
    scene.set("AZURE_FEDERATED_TOKEN_FILE", "HOME/token");
    scene.set("AZURE_AUTHORITY_HOST", &entra.url());
    let (used, output) = auth(&scene, HOST);
    assert_eq!(
        used, "AZURE_CLIENT_ID, AZURE_TENANT_ID with an ID token",
        "{output}"
    );
    let login = entra.only("/tenant-1/oauth2/v2.0/token");
    for (field, value) in [
        ("client_id", "app-1"),
        ("scope", "https://containerregistry.azure.net/.default"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", "tok-file"),
        ("grant_type", "client_credentials"),
    ] {
        assert_eq!(login.field(field), value, "{field}");
    }
    let exchange = registry.only("/oauth2/exchange");
    for (field, value) in [
        ("grant_type", "access_token"),
        ("service", HOST),
        ("tenant", "tenant-1"),
        ("access_token", "tok-entra"),
    ] {
        assert_eq!(exchange.field(field), value, "{field}");
    }
}

#[test]
fn managed_identities_are_used() {
    for (variable, path) in [
        ("IDENTITY_ENDPOINT", "/msi"),
        (
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            "/metadata/identity/oauth2/token",
        ),
    ] {
        let (mut scene, metadata) = (home(), CloudServer::start(azure));
        let registry = CloudServer::with_tls(azure);
        stand_in(&mut scene, HOST, &registry);
        let end = if path == "/msi" { path } else { "" };
        scene.set(variable, &format!("{}{end}", metadata.url()));
        scene.set("IDENTITY_HEADER", "s3cr3t-header");
        scene.set("AZURE_CLIENT_ID", "identity-1");
        let (used, output) = auth(&scene, HOST);
        assert_eq!(used, "the managed identity of this machine", "{output}");
        let request = metadata.only(path);
        assert_eq!(
            request.field("resource"),
            "https://containerregistry.azure.net"
        );
        assert_eq!(request.field("client_id"), "identity-1");
        assert_eq!(
            registry.only("/oauth2/exchange").field("access_token"),
            "tok-entra"
        );
    }
}

#[test]
fn docker_hub_accepts_the_id_token_of_github() {
    let (mut scene, github) = (home(), CloudServer::start(azure));
    let identity = CloudServer::with_tls(azure);
    stand_in(&mut scene, "identity.docker.com", &identity);
    scene.set(
        "DOCKERHUB_OIDC_CONNECTIONID",
        "7a7ff4b4-4b8b-4bd6-a0b8-111111111111",
    );
    scene.set("DOCKERHUB_USERNAME", "company");
    scene.set(
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        &format!("{}/oidc?v=1", github.url()),
    );
    scene.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "tok-request");
    let (_, output) = auth(&scene, "docker.io");
    let result = result_of(&output, "DOCKERHUB_OIDC_CONNECTIONID");
    assert!(result.starts_with("password of \"company\""), "{output}");
    assert_eq!(
        github.only("/oidc").field("audience"),
        "https://identity.docker.com"
    );
    let exchange = identity.only("/oauth/token");
    for (field, value) in [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:id_token",
        ),
        ("subject_token", "tok-github"),
        ("connection_id", "7a7ff4b4-4b8b-4bd6-a0b8-111111111111"),
        ("expires_in", "300"),
    ] {
        assert_eq!(exchange.field(field), value, "{field}");
    }
}
