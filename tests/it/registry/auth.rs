//! Authentication: passwords and tokens are checked.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};

use super::client::{Answer, Client};
use crate::support::{
    image::{Image, media},
    registry::{Accounts, Bearer, Class, Fault, Registry, Role, Rule, Scheme, Site, TokenField},
};

fn accounts() -> Accounts {
    Accounts::new("ci", "pw")
        .user("guest", "pw2")
        .grant("ci", "team/*", "pull,push")
        .anonymous("public/*", "pull")
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Requests a token for scopes from the token server with these credentials.
async fn ask(registry: &Registry, credentials: Option<&str>, scopes: &[&str]) -> Answer {
    let mut client = Client::of_role(registry, Role::Token);
    if let Some(credentials) = credentials {
        client = client.authorized(credentials);
    }
    let scopes: String = scopes.iter().flat_map(|scope| ["&scope=", scope]).collect();
    client
        .get(&format!("/token?service=test-registry{scopes}"))
        .await
}

async fn token(registry: &Registry, credentials: Option<&str>, scopes: &[&str]) -> String {
    let answer = ask(registry, credentials, scopes).await;
    assert_eq!(answer.status, StatusCode::OK);
    let token = answer.json()["token"].as_str().expect("a token").to_owned();
    format!("Bearer {token}")
}

/// Returns the status of a pull with this `Authorization` header.
async fn pull(registry: &Registry, repo: &str, authorization: &str) -> u16 {
    let mut client = Client::of(registry).authorized(authorization);
    let answer = client.get(&format!("/v2/{repo}/manifests/t")).await;
    answer.status.as_u16()
}

#[tokio::test]
async fn basic_requires_password_and_permission() {
    let registry = Registry::builder().basic(accounts()).start().await;
    for repo in ["team/app", "public/app"] {
        Image::new("linux/amd64").load(&registry, repo, "t");
    }
    let answer = Client::of(&registry).get("/v2/team/app/manifests/t").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (401, "UNAUTHORIZED".into())
    );
    assert_eq!(
        answer.header("www-authenticate"),
        "Basic realm=\"test-registry\""
    );
    assert_eq!(
        Client::of(&registry).get("/v2/").await.status,
        StatusCode::UNAUTHORIZED
    );
    for (user, password, repo, status) in [
        ("ci", "pw", "team/app", 200),
        ("ci", "wrong", "team/app", 401),
        ("guest", "pw2", "team/app", 403),
        ("guest", "pw2", "public/app", 200),
    ] {
        assert_eq!(
            pull(&registry, repo, &basic(user, password)).await,
            status,
            "{user} {repo}"
        );
    }
    let answer = Client::of(&registry)
        .get("/v2/public/app/manifests/t")
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let mut guest = Client::of(&registry).authorized(&basic("guest", "pw2"));
    let answer = guest
        .put("/v2/public/app/manifests/u", media::OCI_MANIFEST, "{}")
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (403, "DENIED".into())
    );
}

#[tokio::test]
async fn first_request_gets_a_challenge_with_the_scope() {
    let registry = Registry::builder()
        .bearer(Bearer::new(accounts()))
        .start()
        .await;
    let realm = format!(
        "Bearer realm=\"{}/token\",service=\"test-registry\"",
        registry.url()
    );
    let mut client = Client::of(&registry);
    assert_eq!(client.get("/v2/").await.header("www-authenticate"), realm);
    let answer = client.get("/v2/team/app/manifests/t").await;
    let scope = "scope=\"repository:team/app:pull\"";
    assert_eq!(
        answer.header("www-authenticate"),
        format!("{realm},{scope}")
    );
    let mount = "/v2/team/b/blobs/uploads/?mount=sha256:0&from=team/a";
    let answer = client.send(Method::POST, mount, &[], "").await;
    let scope = "scope=\"repository:team/b:pull,push repository:team/a:pull\"";
    assert_eq!(
        answer.header("www-authenticate"),
        format!("{realm},{scope}")
    );
}

#[tokio::test]
async fn tokens_have_only_requested_and_granted_permissions() {
    let registry = Registry::builder()
        .bearer(Bearer::new(accounts()))
        .start()
        .await;
    for repo in ["team/app", "public/app", "other/app"] {
        Image::new("linux/amd64").load(&registry, repo, "t");
    }
    let ci = basic("ci", "pw");
    let all = ["repository:team/app:pull,push", "repository:other/app:pull"];
    let token_of_ci = token(&registry, Some(&ci), &all).await;
    assert_eq!(pull(&registry, "team/app", &token_of_ci).await, 200);
    assert_eq!(pull(&registry, "other/app", &token_of_ci).await, 401);
    assert_eq!(pull(&registry, "public/app", &token_of_ci).await, 401);
    assert_eq!(pull(&registry, "team/app", "Bearer forged").await, 401);
    assert_eq!(pull(&registry, "team/app", &ci).await, 401);
    let narrow = token(&registry, Some(&ci), &["repository:team/app:pull"]).await;
    let mut client = Client::of(&registry).authorized(&narrow);
    let answer = client
        .put("/v2/team/app/manifests/u", media::OCI_MANIFEST, "{}")
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.ends_with("scope=\"repository:team/app:pull,push\",error=\"insufficient_scope\"")
    );
    let anonymous = token(&registry, None, &["repository:public/app:pull,push"]).await;
    assert_eq!(pull(&registry, "public/app", &anonymous).await, 200);
    let mut client = Client::of(&registry).authorized(&anonymous);
    let answer = client
        .put("/v2/public/app/manifests/u", media::OCI_MANIFEST, "{}")
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let refused = ask(&registry, Some(&basic("ci", "no")), &[]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(registry.issued_tokens().len(), 3);
}

#[tokio::test]
async fn too_little_scope_can_be_denied_instead_of_challenged() {
    let bearer = Bearer::new(accounts()).deny().without_anonymous();
    let registry = Registry::builder().bearer(bearer).start().await;
    let token = token(
        &registry,
        Some(&basic("guest", "pw2")),
        &["repository:team/app:pull"],
    )
    .await;
    assert_eq!(pull(&registry, "team/app", &token).await, 403);
    assert_eq!(
        ask(&registry, None, &[]).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn tokens_expire_by_time_by_use_and_on_request() {
    let bearer = Bearer::new(Accounts::new("ci", "pw"))
        .expires_in(Some(100))
        .uses(3);
    let registry = Registry::builder().bearer(bearer).start().await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    let ci = basic("ci", "pw");
    let fresh = || token(&registry, Some(&ci), &["repository:a:pull"]);

    let old = fresh().await;
    registry.advance(Duration::from_secs(99));
    assert_eq!(pull(&registry, "a", &old).await, 200);
    registry.advance(Duration::from_secs(1));
    assert_eq!(pull(&registry, "a", &old).await, 401);

    let used = fresh().await;
    for status in [200, 200, 200, 401] {
        assert_eq!(pull(&registry, "a", &used).await, status);
    }

    let ended = fresh().await;
    registry.expire_tokens();
    assert_eq!(pull(&registry, "a", &ended).await, 401);

    registry.rule(
        Rule::on(Class::ManifestGet)
            .authorised()
            .then(Fault::ExpireTokens),
    );
    let ended = fresh().await;
    assert_eq!(pull(&registry, "a", &ended).await, 401);
    assert_eq!(pull(&registry, "a", &fresh().await).await, 200);
}

#[tokio::test]
async fn token_answers_have_the_configured_fields() {
    for (field, expires_in, has_token, has_access_token) in [
        (TokenField::Token, Some(0), true, false),
        (TokenField::AccessToken, None, false, true),
        (TokenField::Both, Some(1), true, true),
    ] {
        let bearer = Bearer::new(accounts()).field(field).expires_in(expires_in);
        let registry = Registry::builder().bearer(bearer).start().await;
        let answer = ask(&registry, None, &["repository:public/app:pull"])
            .await
            .json();
        assert_eq!(answer["token"].is_string(), has_token);
        assert_eq!(answer["access_token"].is_string(), has_access_token);
        assert_eq!(answer["expires_in"].as_u64(), expires_in);
    }
}

#[tokio::test]
async fn refresh_token_is_accepted_by_post() {
    let bearer = Bearer::new(accounts()).identity_token("ci", "refresh-me");
    let registry = Registry::builder().bearer(bearer).start().await;
    Image::new("linux/amd64").load(&registry, "team/app", "t");
    let form = |token: &str| {
        format!(
            "grant_type=refresh_token&service=test-registry&client_id=x\
             &scope=repository:team/app:pull%20repository:team/b:pull&refresh_token={token}"
        )
    };
    let mut client = Client::of_role(&registry, Role::Token);
    let answer = client
        .send(Method::POST, "/token", &[], form("wrong"))
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let answer = client
        .send(Method::POST, "/token", &[], form("refresh-me"))
        .await
        .json();
    let token = answer["access_token"].as_str().expect("a token");
    assert_eq!(
        answer["scope"],
        "repository:team/app:pull repository:team/b:pull"
    );
    assert_eq!(
        pull(&registry, "team/app", &format!("Bearer {token}")).await,
        200
    );

    let mut client = client.authorized(&basic("ci", "pw"));
    let answer = client.get("/token?offline_token=true").await.json();
    let handed_out = answer["refresh_token"].as_str().expect("a refresh token");
    let answer = client
        .send(Method::POST, "/token", &[], form(handed_out))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        registry.count_where(|request| request.carries("refresh-me")),
        1
    );
    assert_eq!(registry.count_where(|request| request.carries("ci:pw")), 2);

    let without = Bearer::new(accounts())
        .identity_token("ci", "refresh-me")
        .post_status(405);
    let without = Registry::builder().bearer(without).start().await;
    let mut client = Client::of_role(&without, Role::Token);
    let answer = client
        .send(Method::POST, "/token", &[], form("refresh-me"))
        .await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_token_server_can_be_another_host() {
    let bearer = Bearer::new(accounts()).at(Site::new(Scheme::TlsHttp2).ip("127.0.0.3"));
    let registry = Registry::builder().bearer(bearer).start().await;
    let answer = Client::of(&registry)
        .get("/v2/public/app/manifests/t")
        .await;
    let realm = format!("realm=\"{}/token\"", registry.url_of(Role::Token));
    assert!(realm.contains("https://127.0.0.3:"), "{realm}");
    assert!(answer.header("www-authenticate").contains(&realm));
    assert_eq!(ask(&registry, None, &[]).await.status, StatusCode::OK);
    let mut client = Client::of(&registry);
    assert_eq!(client.get("/token").await.status, StatusCode::NOT_FOUND);
    let mut client = Client::of_role(&registry, Role::Token);
    assert_eq!(
        client.get("/v2/public/app/manifests/t").await.status,
        StatusCode::NOT_FOUND
    );
    let roles: Vec<_> = registry
        .requests()
        .iter()
        .map(|request| request.role)
        .collect();
    assert_eq!(
        roles,
        [Role::Registry, Role::Token, Role::Registry, Role::Token]
    );
}

#[tokio::test]
async fn challenges_and_realms_can_be_anything() {
    let bearer = Bearer::new(accounts())
        .realm("http://169.254.169.254/token")
        .service("s");
    let registry = Registry::builder()
        .bearer(bearer)
        .challenges([
            "BASIC realm=x, bearer Realm=\"{realm}\", service=\"{service}\", scope=\"{scope}\"",
            "Negotiate",
        ])
        .start()
        .await;
    let answer = Client::of(&registry).get("/v2/a/manifests/t").await;
    let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(
        challenges,
        [
            "BASIC realm=x, bearer Realm=\"http://169.254.169.254/token\", service=\"s\", \
             scope=\"repository:a:pull\"",
            "Negotiate"
        ]
    );
    let answer = Client::of(&registry).get("/token?service=other").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}
