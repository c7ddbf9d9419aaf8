//! The search as a whole, over temporary homes with real files and helper programs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::auth::fixture::Home;
use crate::text::with_causes;

/// Returns a `config.json` with one password entry for each key. The user name is `user`.
fn auths(entries: &[(&str, &str)]) -> String {
    let auths: serde_json::Map<String, serde_json::Value> = entries
        .iter()
        .map(|(key, password)| {
            let auth = STANDARD.encode(format!("user:{password}"));
            ((*key).to_owned(), serde_json::json!({ "auth": auth }))
        })
        .collect();
    serde_json::json!({ "auths": auths }).to_string()
}

/// Returns a script that answers with this password and appends each request to the file `asked`.
fn answering(home: &Home, password: &str) -> String {
    let asked = home.path("asked");
    format!(
        r#"cat >>'{}'; echo >>'{0}'; echo '{{"Username":"user","Secret":"{password}"}}'"#,
        asked.display()
    )
}

fn asked(home: &Home) -> Vec<String> {
    let asked = std::fs::read_to_string(home.path("asked")).unwrap_or_default();
    asked.lines().map(str::to_owned).collect()
}

/// Returns all candidates of a search as `secret`, and all errors as text.
async fn all(keychain: &Keychain, host: &str, scope: &Scope) -> Vec<String> {
    let mut search = keychain.search(&host.parse().expect("a host"), scope);
    let mut found = Vec::new();
    loop {
        match search.next().await {
            Ok(Some(candidate)) => found.push(match candidate.credential.secret() {
                Some(secret) => secret.reveal().to_owned(),
                None => candidate.credential.kind().to_owned(),
            }),
            Ok(None) => return found,
            Err(error) => found.push(with_causes(&error)),
        }
    }
}

async fn first(keychain: &Keychain, host: &str, scope: &Scope) -> Candidate {
    let mut search = keychain.search(&host.parse().expect("a host"), scope);
    let candidate = search.next().await.expect("no error");
    candidate.expect("a candidate")
}

/// Returns a home with a credential for ghcr.io in every source.
fn everywhere() -> (Home, Environment) {
    let home = Home::new();
    let path = |name: &str| home.path(name).display().to_string();
    home.write("named.json", &auths(&[("ghcr.io", "2-named")]));
    home.write(
        ".docker/buildx/config/ghcr.io/team/app@pull,push/config.json",
        &auths(&[("ghcr.io", "3-scoped-push")]),
    );
    home.write(
        ".docker/buildx/config/ghcr.io/config.json",
        &auths(&[("ghcr.io", "3-scoped-host")]),
    );
    home.write(".docker/config.json", &auths(&[("ghcr.io", "4-docker")]));
    home.write("run/containers/auth.json", &auths(&[("ghcr.io", "5-run")]));
    home.write(
        ".config/containers/auth.json",
        &auths(&[("ghcr.io", "5-user")]),
    );
    let environment = home.environment(&[
        ("POLYARCH_REGISTRY", "ghcr.io"),
        ("POLYARCH_USERNAME", "user"),
        ("POLYARCH_PASSWORD", "1-variables"),
        ("REGISTRY_AUTH_FILE", &path("named.json")),
        ("DOCKER_AUTH_CONFIG", &auths(&[("ghcr.io", "3-variable")])),
        ("XDG_RUNTIME_DIR", &path("run")),
        ("GITHUB_ACTOR", "octocat"),
        ("GITHUB_TOKEN", "6-github"),
    ]);
    (home, environment)
}

#[tokio::test]
async fn sources_are_searched_in_order() {
    let (_home, environment) = everywhere();
    let keychain = Keychain::new(&environment);
    assert_eq!(
        all(&keychain, "ghcr.io", &Scope::push("team/app")).await,
        [
            "1-variables",
            "2-named",
            "3-variable",
            "3-scoped-push",
            "3-scoped-host",
            "4-docker",
            "5-run",
            "5-user",
            "6-github",
            "anonymous",
        ]
    );
}

#[tokio::test]
async fn no_credential_is_used_for_another_registry() {
    let (_home, environment) = everywhere();
    let keychain = Keychain::new(&environment);
    for host in [
        "docker.io",
        "quay.io",
        "ghcr.io:443",
        "ghcr.io.example",
        "localhost:5000",
    ] {
        let found = all(&keychain, host, &Scope::push("team/app")).await;
        assert_eq!(found, ["anonymous"], "{host}");
    }
    assert!(keychain.secrets_seen().is_empty());
}

#[tokio::test]
async fn the_most_specific_key_of_a_file_is_used() {
    let home = Home::new();
    home.helper("store", &answering(&home, "from-helper"));
    let entries = auths(&[
        ("ghcr.io", "host"),
        ("ghcr.io/team", "team"),
        ("ghcr.io/team/app", "app"),
    ]);
    let with_store = entries.replacen('{', r#"{"credsStore": "store","#, 1);
    home.write(".docker/config.json", &with_store);
    let keychain = Keychain::new(&home.environment(&[]));
    for (repository, expected) in [
        ("team/app", "app"),
        ("team/other", "team"),
        ("other/app", "from-helper"),
    ] {
        let found = all(&keychain, "ghcr.io", &Scope::pull(repository)).await;
        assert_eq!(found, [expected, "anonymous"], "{repository}");
    }
}

#[tokio::test]
async fn a_helper_runs_once_and_only_if_needed() {
    let home = Home::new();
    home.helper("store", &answering(&home, "from-helper"));
    home.write(".docker/config.json", r#"{"credsStore": "store"}"#);
    let variable = auths(&[("docker.io", "from-variable")]);
    let environment = home.environment(&[("DOCKER_AUTH_CONFIG", &variable)]);
    let keychain = Keychain::new(&environment);
    let scope = Scope::push("library/nginx");

    let candidate = first(&keychain, "docker.io", &scope).await;
    assert_eq!(
        candidate.origin.to_string(),
        "DOCKER_AUTH_CONFIG (key docker.io)"
    );
    assert!(asked(&home).is_empty());

    for _ in 0..2 {
        let found = all(&keychain.clone(), "registry-1.docker.io", &scope).await;
        assert_eq!(found, ["from-variable", "from-helper", "anonymous"]);
    }
    assert_eq!(asked(&home), ["https://index.docker.io/v1/"]);
    assert_eq!(keychain.secrets_seen().len(), 2);
}

#[tokio::test]
async fn a_file_is_read_once() {
    let home = Home::new();
    let path = home.write(".docker/config.json", &auths(&[("ghcr.io", "before")]));
    let keychain = Keychain::new(&home.environment(&[]));
    let scope = Scope::pull("a");
    assert_eq!(all(&keychain, "ghcr.io", &scope).await[0], "before");
    std::fs::remove_file(path).expect("removed");
    assert_eq!(all(&keychain, "ghcr.io", &scope).await[0], "before");
}

#[tokio::test]
async fn an_entry_is_used_if_the_helper_has_nothing() {
    let home = Home::new();
    home.helper(
        "store",
        "echo 'credentials not found in native keychain'; exit 1",
    );
    let entries = auths(&[("ghcr.io", "entry")]);
    home.write(
        ".docker/config.json",
        &entries.replacen('{', r#"{"credsStore": "store","#, 1),
    );
    let keychain = Keychain::new(&home.environment(&[]));
    let found = all(&keychain, "ghcr.io", &Scope::pull("a")).await;
    assert_eq!(found, ["entry", "anonymous"]);
}

#[tokio::test]
async fn a_helper_that_cannot_be_used_is_named_with_its_file() {
    let home = Home::new();
    home.helper("broken", "echo 'no session' >&2; exit 7");
    let path = home.path(".docker/config.json");
    for (store, expected) in [
        (
            "missing",
            "docker-credential-missing, the credential helper that FILE names for ghcr.io, failed: no such program in PATH",
        ),
        (
            "broken",
            "docker-credential-broken, the credential helper that FILE names for ghcr.io, failed: exit status: 7: no session",
        ),
        (
            "../broken",
            "docker-credential-../broken, the credential helper that FILE names for ghcr.io, failed: its name may contain only letters, digits, `.`, `_`, `+` and `-`",
        ),
    ] {
        home.write(
            ".docker/config.json",
            &serde_json::json!({ "credsStore": store }).to_string(),
        );
        let keychain = Keychain::new(&home.environment(&[("GITHUB_TOKEN", "token")]));
        // The search continues after the error.
        let expected = expected.replace("FILE", &path.display().to_string());
        assert_eq!(
            all(&keychain, "ghcr.io", &Scope::pull("a")).await,
            [expected.as_str(), "token", "anonymous"]
        );
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let home = Home::new();
    let file = home.write("broken.json", "{\"auths\": {\"ghcr.io\": hunter2}}");
    let directory = home.path("directory");
    std::fs::create_dir(&directory).expect("created");
    let large = home.write("large.json", &" ".repeat(1024 * 1024 + 1));
    let entry = home.write(
        "entry.json",
        r#"{"auths": {"ghcr.io": {"auth": "aHVudGVyMg=="}}}"#,
    );
    for (path, expected) in [
        (
            file,
            "PATH is not a valid Docker configuration: line 1, column 23: a syntax error in the JSON",
        ),
        (directory, "cannot read PATH: it is a directory"),
        (large, "PATH is larger than 1048576 bytes"),
        (
            entry,
            "the entry ghcr.io in PATH cannot be used: its `auth` has no colon between user name and password",
        ),
    ] {
        let path = path.display().to_string();
        let environment = home.environment(&[("REGISTRY_AUTH_FILE", &path)]);
        let keychain = Keychain::new(&environment);
        let expected = expected.replace("PATH", &path);
        assert_eq!(
            all(&keychain, "ghcr.io", &Scope::pull("a")).await,
            [expected.as_str(), "anonymous"]
        );
    }
}

#[tokio::test]
async fn a_broken_entry_of_another_registry_does_no_harm() {
    let home = Home::new();
    home.write(
        ".docker/config.json",
        r#"{"auths": {"quay.io": {"auth": "%%%"}, "ghcr.io": {"username": "user", "password": "p"}}}"#,
    );
    let keychain = Keychain::new(&home.environment(&[]));
    let found = all(&keychain, "ghcr.io", &Scope::pull("a")).await;
    assert_eq!(found, ["p", "anonymous"]);
}

#[tokio::test]
async fn the_same_credential_is_offered_once() {
    let home = Home::new();
    let config = serde_json::json!({"auths": {"ghcr.io":
        {"username": "octocat", "password": "token"}}});
    home.write(".docker/config.json", &config.to_string());
    let environment = home.environment(&[("GITHUB_ACTOR", "octocat"), ("GITHUB_TOKEN", "token")]);
    let keychain = Keychain::new(&environment);
    let found = all(&keychain, "ghcr.io", &Scope::pull("a")).await;
    assert_eq!(found, ["token", "anonymous"]);
    assert_eq!(keychain.secrets_seen(), [Secret::new("token")]);
    let masked = ["token", "octocat:token"].map(Secret::new);
    assert_eq!(keychain.secrets_to_mask(), masked);
}

#[tokio::test]
async fn explanation_contains_everything_but_secrets() {
    let home = Home::new();
    home.helper("store", &answering(&home, "hunter2"));
    home.write(".docker/config.json", r#"{"credsStore": "store"}"#);
    home.write(".config/containers/auth.json", "{hunter2");
    let environment = home.environment(&[("GITHUB_TOKEN", "hunter2")]);
    let keychain = Keychain::new(&environment);
    let explanation = keychain
        .explain(
            &"GHCR.io".parse().expect("a host"),
            &Scope::push("team/app"),
        )
        .await;

    let json = serde_json::to_string_pretty(&explanation).expect("JSON");
    assert!(!json.contains("hunter2"), "{json}");
    let base = home.path("");
    let base = base.display().to_string();
    let json = json.replace(base.trim_end_matches('/'), "HOME");
    insta::assert_snapshot!(json);
    let used = explanation.used().expect("something is used");
    assert_eq!(used.step, 5);
}

proptest! {
    /// A password of one host must not be used for another, however the two hosts are written.
    #[test]
    fn a_key_for_one_host_is_never_used_for_another(
        key in r"(https?://)?[a-c.]{1,4}(:[12])?(/[a-c]{1,2}){0,2}/?",
        host in r"[a-c]{1,2}(\.[a-c]){0,2}(:[12])?",
        repository in "[a-c]{1,2}(/[a-c]{1,2})?",
    ) {
        let variable = auths(&[(&key, "password")]);
        let environment: Environment = [("DOCKER_AUTH_CONFIG", variable)].into_iter().collect();
        let keychain = Keychain::new(&environment);
        let found = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(all(&keychain, &host, &Scope::pull(repository)));
        let without_scheme = key.split_once("://").map_or(key.as_str(), |(_, rest)| rest);
        let host_of_key = without_scheme.split('/').next().expect("a first part");
        if host_of_key != host {
            prop_assert_eq!(found, ["anonymous"]);
        }
    }
}
