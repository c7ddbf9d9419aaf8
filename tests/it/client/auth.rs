//! Credentials: where they are sent and how often, and the messages if they are refused.

use super::shown;
use std::time::Duration;

use base64::Engine as _;
use polyarch::store::{FailureKind, Store as _, StoreError};

use super::fixture::{Builder, Client, manifest, soon, tag};
use crate::support::{
    image::Image,
    registry::{
        Accounts, Bearer, Class, Content, Fault, Recorded, Registry, Role, Rule, Scheme, Site,
        TokenField,
    },
};

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::TlsHttp1, Scheme::TlsHttp2];

fn accounts() -> Accounts {
    Accounts::new("ci", "hunter2")
}

async fn bearer(bearer: Bearer) -> Registry {
    let registry = Registry::builder().bearer(bearer).start().await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    registry
}

fn logged_in(registry: &Registry) -> Builder {
    Builder::of(registry).login(registry, "ci", "hunter2")
}

/// Limits a rule to requests with a token. The first request has the password instead.
fn with_token(rule: Rule) -> Rule {
    rule.and(|seen| {
        let shown = seen.headers.get("authorization");
        shown.is_some_and(|value| value.as_bytes().starts_with(b"Bearer"))
    })
}

async fn read(client: &Client, registry: &Registry) -> Result<(), StoreError> {
    let store = client.pull(registry, "a").await;
    soon(store.manifest(&tag("t"))).await.map(drop)
}

async fn write(client: &Client, registry: &Registry) -> Result<(), StoreError> {
    let image = Image::new("linux/amd64").load(registry, "a", None);
    let store = client.push(registry, "a").await;
    soon(store.put_manifest(&manifest(&image))).await
}

#[tokio::test]
async fn a_password_is_sent_without_a_challenge() {
    for scheme in SCHEMES {
        let registry = Registry::builder()
            .scheme(scheme)
            .basic(accounts())
            .start()
            .await;
        Image::new("linux/amd64").load(&registry, "a", "t");
        let client = logged_in(&registry).build();
        read(&client, &registry).await.unwrap();
        assert_eq!(registry.requests().len(), 1);
        assert!(!client.events.all().join(" ").contains("hunter2"));
    }
}

#[tokio::test]
async fn secret_that_the_registry_repeats_is_not_printed() {
    let basic = Registry::builder().basic(accounts()).start().await;
    Image::new("linux/amd64").load(&basic, "a", "t");
    let bearer = bearer(Bearer::new(accounts())).await;
    for registry in [basic, bearer] {
        let client = logged_in(&registry).build();
        read(&client, &registry).await.unwrap();
        let sent = registry.requests();
        let sent = sent
            .iter()
            .rev()
            .find(|it| it.role == Role::Registry)
            .unwrap();
        let header = sent.header("authorization").to_owned();
        let (_, secret) = header.split_once(' ').expect("a scheme");
        for body in [
            format!("you sent {header}"),
            format!("you sent <b>{secret}</b>"),
            serde_json::json!({"errors": [{"code": "UNKNOWN", "message": format!("bad {header}!")}]})
                .to_string(),
        ] {
            registry.rule(Rule::on(Class::ManifestGet).then(Fault::reply(400, &[], body)));
            let error = read(&client, &registry).await.unwrap_err();
            let all = format!("{error} {:?}", error.hints);
            assert!(!all.contains(secret), "{all}");
            assert!(all.contains("***"), "{all}");
        }
    }
}

#[tokio::test]
async fn every_form_of_a_challenge() {
    for challenge in [
        r#"Bearer realm="{realm}",service="{service}",scope="{scope}""#,
        r#"bearer realm="{realm}", service="{service}""#,
        r#"BEARER REALM="{realm}",SERVICE={service}"#,
        r#"BASIC realm="x", Bearer realm="{realm}",service="{service}",scope="{scope}""#,
        r#"Bearer service="{service}",realm="{realm}",scope="registry:catalog:*""#,
        r#"Negotiate, Bearer realm="/token",service="{service}""#,
    ] {
        let registry = Registry::builder()
            .bearer(Bearer::new(accounts()))
            .challenges([challenge])
            .start()
            .await;
        Image::new("linux/amd64").load(&registry, "a", "t");
        read(&logged_in(&registry).build(), &registry)
            .await
            .unwrap_or_else(|error| panic!("{challenge}: {error}"));
        assert_eq!(registry.requests().len(), 3, "{challenge}");
    }
    let registry = Registry::builder()
        .basic(accounts())
        .challenges(["Negotiate", r#"BASIC realm="Sonatype Nexus""#])
        .start()
        .await;
    Image::new("linux/amd64").load(&registry, "a", "t");
    read(&logged_in(&registry).build(), &registry)
        .await
        .unwrap();
}

#[tokio::test]
async fn one_token_covers_all_declared_scopes() {
    for scheme in SCHEMES {
        let registry = Registry::builder()
            .scheme(scheme)
            .bearer(Bearer::new(accounts()).field(TokenField::AccessToken))
            .start()
            .await;
        for repo in ["a", "b", "c"] {
            Image::new("linux/amd64").load(&registry, repo, "t");
        }
        let client = logged_in(&registry).build();
        let (a, b, c) = (
            client.push(&registry, "a").await,
            client.pull(&registry, "b").await,
            client.pull(&registry, "c").await,
        );
        let t = tag("t");
        let (one, two, three) = tokio::join!(a.manifest(&t), b.manifest(&t), c.manifest(&t));
        a.put_manifest(&one.unwrap()).await.unwrap();
        two.and(three).unwrap();
        assert_eq!(registry.count(Class::Token), 1, "{scheme:?}");
        let token = registry
            .requests()
            .into_iter()
            .find(|r| r.class == Class::Token);
        let query = token.unwrap().query;
        for scope in ["a%3Apull%2Cpush", "b%3Apull", "c%3Apull"] {
            assert!(
                query.contains(&format!("scope=repository%3A{scope}")),
                "{query}"
            );
        }
    }
}

#[tokio::test]
async fn parallel_requests_over_the_limit_do_not_deadlock() {
    // The token server is the same host, so its request counts for the limit too.
    for jobs in [1, 2, 4] {
        let registry = bearer(Bearer::new(accounts())).await;
        let mut builder = logged_in(&registry);
        builder.jobs = jobs;
        let client = builder.build();
        let store = client.pull(&registry, "a").await;
        let name = tag("t");
        let all = futures_util::future::join_all((0..8).map(|_| store.manifest(&name)));
        for outcome in soon(all).await {
            outcome.unwrap();
        }
        assert_eq!(registry.count(Class::Token), 1);
        assert!(registry.most_at_once() <= jobs);
    }
}

#[tokio::test]
async fn identity_token_is_posted_or_sent_as_basic() {
    for status in [None, Some(400), Some(401), Some(404), Some(405)] {
        // Without POST, the server accepts the identity token as a password.
        let mut server = Bearer::new(Accounts::new("<token>", "refresh-me"));
        server = match status {
            None => server.identity_token("<token>", "refresh-me"),
            Some(status) => server.post_status(status),
        };
        let registry = bearer(server).await;
        let client = Builder::of(&registry)
            .identity_token(&registry, "refresh-me")
            .build();
        read(&client, &registry).await.unwrap();
        let tokens = 1 + usize::from(status.is_some());
        assert_eq!(registry.count(Class::Token), tokens, "{status:?}");
        let leaks = |r: &Recorded| r.class != Class::Token && r.carries("refresh-me");
        assert_eq!(registry.count_where(leaks), 0);
    }
}

#[tokio::test]
async fn identity_token_is_not_redirected_to_another_host() {
    let registry = bearer(Bearer::new(accounts()).identity_token("ci", "refresh-me")).await;
    let other = Registry::builder().ip("127.0.0.2").start().await;
    let away = Fault::Redirect(307, format!("{}/token", other.url()));
    registry.rule(Rule::on(Class::Token).forever().then(away));
    let client = Builder::of(&registry)
        .identity_token(&registry, "refresh-me")
        .build();
    assert!(read(&client, &registry).await.is_err());
    assert_eq!(
        other.count_where(|request| request.carries("refresh-me")),
        0
    );
}

#[tokio::test]
async fn every_lifetime_of_a_token_is_handled() {
    for (expires_in, lifetime) in [
        (Some(0), Duration::from_secs(60)),
        (None, Duration::from_secs(60)),
        (Some(1), Duration::from_secs(60)),
        (Some(300), Duration::from_secs(60)),
    ] {
        let server = Bearer::new(accounts())
            .expires_in(expires_in)
            .lifetime(lifetime);
        let registry = bearer(server).await;
        let client = logged_in(&registry).build();
        for _ in 0..3 {
            read(&client, &registry).await.unwrap();
        }
        let tokens = registry.count(Class::Token);
        assert!(
            tokens == 1 || expires_in == Some(1),
            "{expires_in:?} {tokens}"
        );
    }
}

#[tokio::test]
async fn expired_token_is_renewed_once_in_every_phase() {
    for scheme in SCHEMES {
        for class in [
            Class::ManifestGet,
            Class::ManifestHead,
            Class::ManifestPut,
            Class::BlobGet,
            Class::BlobHead,
            Class::UploadPost,
            Class::UploadPut,
        ] {
            let registry = Registry::builder()
                .scheme(scheme)
                .bearer(Bearer::new(accounts()))
                .start()
                .await;
            let image = Image::new("linux/amd64").load(&registry, "a", "t");
            let client = logged_in(&registry).build();
            let (from, to) = (
                client.pull(&registry, "a").await,
                client.push(&registry, "b").await,
            );
            registry.rule(with_token(Rule::on(class)).then(Fault::ExpireTokens));
            let read = from.manifest(&tag("t")).await.unwrap();
            from.describe(&tag("t")).await.unwrap();
            for blob in read.image().unwrap().blobs() {
                assert!(!to.has_blob(blob).await.unwrap());
                soon(to.copy_blob(blob, from.clone(), &|_| ()))
                    .await
                    .unwrap();
            }
            to.put_manifest(&read).await.unwrap();
            assert_eq!(registry.pending_rules(), 0, "{class:?}");
            assert_eq!(registry.count(Class::Token), 2, "{scheme:?} {class:?}");
            assert!(registry.manifest("b", &image.digest).is_some());
        }
    }
}

#[tokio::test]
async fn tokens_for_many_repositories_are_renewed_in_groups() {
    let registry = bearer(Bearer::new(accounts())).await;
    let client = logged_in(&registry).build();
    let mut stores = Vec::new();
    for number in 0..160 {
        let path = format!("a-team-of-some-size/one-of-its-images-{number}");
        stores.push(client.pull(&registry, &path).await);
    }
    // With permission, missing content is answered with 404.
    let ask_all = async || {
        let before = registry.count(Class::Token);
        for store in &stores {
            let error = soon(store.manifest(&tag("t"))).await.unwrap_err();
            assert_eq!(error.kind, FailureKind::NotFound, "{error}");
        }
        registry.count(Class::Token) - before
    };
    let first = ask_all().await;
    assert!((2..=8).contains(&first), "{first} tokens");
    assert_eq!(ask_all().await, 0);
    let lifetime = Duration::from_secs(300);
    for ended_early in [true, false] {
        if ended_early {
            registry.expire_tokens();
        } else {
            registry.advance(lifetime);
            tokio::time::pause();
            tokio::time::advance(lifetime).await;
            tokio::time::resume();
        }
        let renewed = ask_all().await;
        assert!(
            (1..=first + 1).contains(&renewed),
            "{renewed} tokens after {first}, ended early: {ended_early}"
        );
    }
}

#[tokio::test]
async fn registry_that_always_denies_gets_few_requests() {
    let registry = bearer(Bearer::new(accounts()).lifetime(Duration::ZERO)).await;
    let error = read(&logged_in(&registry).build(), &registry)
        .await
        .unwrap_err();
    assert_eq!(error.kind, FailureKind::Denied, "{error}");
    // The challenge, the token, one fresh token.
    assert_eq!(registry.count(Class::ManifestGet), 3);
    assert_eq!(registry.count(Class::Token), 2);
    // Each challenge has a new scope, and no token is sufficient.
    let registry = bearer(Bearer::new(accounts())).await;
    let refuse = |number: usize| {
        let challenge = format!(
            r#"Bearer realm="{}/token",service="test-registry",scope="repository:x{number}:pull""#,
            registry.url()
        );
        Rule::on(Class::ManifestGet).then(Fault::reply(
            401,
            &[("www-authenticate", &challenge)],
            "",
        ))
    };
    for number in 0..20 {
        registry.rule(refuse(number));
    }
    assert!(
        read(&logged_in(&registry).build(), &registry)
            .await
            .is_err()
    );
    assert!(registry.count(Class::ManifestGet) <= 5);
}

#[tokio::test]
async fn missing_wrong_and_weak_credentials_are_different() {
    let granted = || accounts().grant("ci", "other", "pull,push");
    let mut errors = Vec::new();
    for by_token in [false, true] {
        let registry = || async {
            let builder = Registry::builder();
            let builder = if by_token {
                builder.bearer(Bearer::new(granted()).without_anonymous())
            } else {
                builder.basic(granted())
            };
            builder.start().await
        };
        // Without credentials.
        let it = registry().await;
        let error = write(&Client::of(&it), &it).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Unauthorized, "{error:?}");
        errors.push(shown(&error, &it));
        // With wrong credentials.
        let it = registry().await;
        let client = Builder::of(&it).login(&it, "ci", "wrong").build();
        let error = write(&client, &it).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Unauthorized, "{error:?}");
        errors.push(shown(&error, &it));
        assert!(!format!("{error:?}").contains("wrong\""), "{error:?}");
        // With valid credentials that lack the permission.
        let it = registry().await;
        let error = write(&logged_in(&it).build(), &it).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Denied, "{error:?}");
        errors.push(shown(&error, &it));
        assert!(it.manifest("a", "t").is_none());
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    failed to push HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: not logged in: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required)
    no credentials for HOST were found
    log in (`docker login HOST`), or set POLYARCH_REGISTRY=HOST, POLYARCH_USERNAME and POLYARCH_PASSWORD
    run `polyarch auth REF` to see where credentials are searched for
    failed to push HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: wrong credentials: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required)
    check the password or token of "ci" from config.json (key HOST): HOST rejected it, so it may be wrong or expired
    run `polyarch auth REF` to see where credentials are searched for
    failed to push HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: not allowed: HOST answered 403 Forbidden (DENIED: requested access to the resource is denied)
    check the permissions of the account: the credentials of "ci" from config.json (key HOST) are valid, but they lack push access to a
    failed to push HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce (getting a token from HOST): not logged in: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required: incorrect username or password)
    no credentials for HOST were found
    log in (`docker login HOST`), or set POLYARCH_REGISTRY=HOST, POLYARCH_USERNAME and POLYARCH_PASSWORD
    run `polyarch auth REF` to see where credentials are searched for
    failed to push HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce (getting a token from HOST): wrong credentials: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required: incorrect username or password)
    check the password or token of "ci" from config.json (key HOST): HOST rejected it, so it may be wrong or expired
    run `polyarch auth REF` to see where credentials are searched for
    failed to push HOST/a@sha256:d744833917e1a644fd3ca564a257c6f7944d436536dca98e3695d06cc89aa2ce: not allowed: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required)
    check the permissions of the account: the credentials of "ci" from config.json (key HOST) are valid, but they lack push access to a
    "#);
}

#[tokio::test]
async fn refused_push_tries_the_next_credentials() {
    for by_token in [false, true] {
        let all = accounts()
            .user("robot", "reader")
            .grant("robot", "*", "pull")
            .grant("ci", "*", "pull,push");
        let builder = Registry::builder();
        let builder = if by_token {
            builder.bearer(Bearer::new(all))
        } else {
            builder.basic(all)
        };
        let registry = builder.start().await;
        // The first credentials may only pull.
        let auth = base64::engine::general_purpose::STANDARD.encode("robot:reader");
        let json = format!(
            r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#,
            registry.host()
        );
        let client = logged_in(&registry)
            .var("DOCKER_AUTH_CONFIG", &json)
            .build();
        write(&client, &registry).await.unwrap();
        let notices = client.events.of("notice");
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(
            notices[0].contains("DOCKER_AUTH_CONFIG") && notices[0].contains("config.json"),
            "{notices:?}"
        );
    }
}

#[tokio::test]
async fn denied_request_is_retried_with_a_new_token() {
    let registry = bearer(Bearer::new(accounts())).await;
    let denied = Fault::reply(403, &[], r#"{"errors":[{"code":"DENIED"}]}"#);
    registry.rule(with_token(Rule::on(Class::ManifestPut)).then(denied));
    write(&logged_in(&registry).build(), &registry)
        .await
        .unwrap();
    assert_eq!(registry.count(Class::Token), 2);
}

#[tokio::test]
async fn unsafe_token_server_gets_no_credentials() {
    let mut errors = Vec::new();
    for (scheme, realm) in [
        (Scheme::TlsHttp2, "http://127.0.0.1:9/token"),
        (Scheme::TlsHttp2, "https://169.254.169.254/token"),
        (Scheme::Http, "https://10.0.0.1/token"),
        (Scheme::Http, "https://ci:x@auth.example/token"),
        (Scheme::Http, "file:///etc/passwd"),
    ] {
        let registry = Registry::builder()
            .scheme(scheme)
            .bearer(Bearer::new(accounts()).realm(realm))
            .start()
            .await;
        Image::new("linux/amd64").load(&registry, "a", "t");
        let error = read(&logged_in(&registry).build(), &registry)
            .await
            .unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{error}");
        errors.push(shown(&error, &registry));
    }
    insta::assert_snapshot!(errors.join("\n"), @"
    failed to read HOST/a:t: the token server 127.0.0.1 uses plain HTTP; credentials are not sent to it
    contact the operator of HOST: it names a token server that must not receive credentials
    failed to read HOST/a:t: the token server 169.254.169.254 is an internal address, and not the host of the registry
    contact the operator of HOST: it names a token server that must not receive credentials
    failed to read HOST/a:t: the token server 10.0.0.1 is an internal address, and not the host of the registry
    contact the operator of HOST: it names a token server that must not receive credentials
    failed to read HOST/a:t: the URL of the token server auth.example contains a user name or password
    contact the operator of HOST: it names a token server that must not receive credentials
    failed to read HOST/a:t: the realm of the challenge is not a URL
    contact the operator of HOST: it names a token server that must not receive credentials
    ");
}

#[tokio::test]
async fn password_is_sent_to_registry_and_token_server_only() {
    for scheme in SCHEMES {
        let registry = Registry::builder()
            .scheme(scheme)
            .bearer(Bearer::new(accounts()).at(Site::new(scheme).ip("127.0.0.3")))
            .uploads_at(Site::new(scheme).ip("127.0.0.2"))
            .blobs_at(Site::new(scheme).ip("127.0.0.4"))
            .start()
            .await;
        let image = Image::new("linux/amd64").load(&registry, "a", "t");
        let client = logged_in(&registry).build();
        let (from, to) = (
            client.pull(&registry, "a").await,
            client.push(&registry, "b").await,
        );
        let read = from.manifest(&tag("t")).await.unwrap();
        for blob in read.image().unwrap().blobs() {
            soon(to.copy_blob(blob, from.clone(), &|_| ()))
                .await
                .unwrap();
        }
        to.put_manifest(&read).await.unwrap();
        assert!(registry.manifest("b", &image.digest).is_some());
        let tokens = registry.issued_tokens();
        for request in registry.requests() {
            let shown = request.carries("hunter2");
            let holder = matches!(request.role, Role::Registry | Role::Token);
            assert!(!shown || holder, "{request:?}");
            let token = tokens.iter().any(|token| request.carries(token));
            assert!(!token || request.role == Role::Registry, "{request:?}");
        }
        // The token server and the other hosts have certificates of the same authority.
        assert!(registry.count_where(|request| request.role == Role::Token) > 0);
        let events = client.events.all().join("\n");
        assert!(!events.contains("hunter2") && tokens.iter().all(|token| !events.contains(token)));
    }
}

#[tokio::test]
async fn failing_token_server_is_retried() {
    for status in [408, 429, 500, 502, 503, 504] {
        let registry = bearer(Bearer::new(accounts())).await;
        registry.rule(Rule::on(Class::Token).times(3).then(Fault::status(status)));
        registry.rule(Rule::on(Class::Token).then(Fault::Reset));
        read(&logged_in(&registry).build(), &registry)
            .await
            .unwrap();
        registry.rule(Rule::on(Class::Token).forever().then(Fault::status(status)));
        let error = read(&logged_in(&registry).build(), &registry)
            .await
            .unwrap_err();
        assert_eq!(error.kind, FailureKind::Unavailable, "{error}");
        assert!(error.cause().contains(&status.to_string()), "{error}");
        assert!(error.cause().contains("gave up after"), "{error}");
    }
}

#[tokio::test]
async fn a_hostile_token_server_is_refused() {
    let token = |length: usize| format!(r#"{{"token":"{}"}}"#, "x".repeat(length));
    let mut errors = Vec::new();
    for fault in [
        Fault::reply(200, &[], "<html>hello</html>"),
        Fault::reply(200, &[], "{}"),
        Fault::reply(200, &[], r#"{"token":"a\nb"}"#),
        Fault::reply(200, &[], token(70_000)),
        Fault::Body(Content::virtual_bytes(1, 2 << 30)),
        Fault::Endless,
        Fault::HeaderFlood {
            count: 20,
            size: 8000,
        },
    ] {
        let registry = bearer(Bearer::new(accounts())).await;
        registry.rule(Rule::on(Class::Token).forever().then(fault));
        let error = read(&logged_in(&registry).build(), &registry)
            .await
            .unwrap_err();
        assert_eq!(error.kind, FailureKind::Refused, "{error}");
        errors.push(shown(&error, &registry));
        assert_eq!(registry.count(Class::Token), 1);
    }
    insta::assert_snapshot!(errors.join("\n"), @"
    failed to read HOST/a:t (getting a token from HOST): the answer of the token server is not the JSON of a token (line 1, column 1)
    failed to read HOST/a:t (getting a token from HOST): the answer of the token server contains no token
    failed to read HOST/a:t (getting a token from HOST): the token contains characters that are not allowed in a header
    failed to read HOST/a:t (getting a token from HOST): HOST sent more than 65536 bytes of a token answer
    failed to read HOST/a:t (getting a token from HOST): HOST sent more than 65536 bytes of a token answer
    failed to read HOST/a:t (getting a token from HOST): HOST sent more than 65536 bytes of a token answer
    failed to read HOST/a:t (getting a token from HOST): HOST sent more than 65536 bytes of headers
    ");
}
