//! Tests which variables are found for which registry, and the errors for incomplete sets.

use super::*;
use crate::text::with_causes;

async fn look(
    variables: &[(&str, &str)],
    host: &str,
    repository: &str,
) -> Result<Option<Candidate>, String> {
    let environment: Environment = variables.iter().copied().collect();
    find(&environment, &host.parse().expect("a host"), repository)
        .await
        .map_err(|error| with_causes(&error))
}

fn basic(username: &str, password: &str) -> Credential {
    Credential::Basic {
        username: username.into(),
        password: Secret::new(password),
    }
}

const JOE: [(&str, &str); 3] = [
    ("POLYARCH_REGISTRY", "ghcr.io"),
    ("POLYARCH_USERNAME", "joe"),
    ("POLYARCH_PASSWORD", "a:b\n"),
];

#[tokio::test]
async fn a_triple_is_for_its_registry_only() {
    let found = look(&JOE, "ghcr.io", "team/app").await.expect("no error");
    let found = found.expect("a credential");
    assert_eq!(found.credential, basic("joe", "a:b"));
    assert_eq!(
        found.origin.to_string(),
        "POLYARCH_USERNAME and POLYARCH_PASSWORD"
    );
    for host in ["docker.io", "ghcr.io:443", "xghcr.io", "ghcr.io.example"] {
        assert_eq!(look(&JOE, host, "team/app").await, Ok(None), "{host}");
    }
}

#[tokio::test]
async fn numbers_may_have_gaps() {
    let variables = [
        ("POLYARCH_REGISTRY_2", "quay.io"),
        ("POLYARCH_USERNAME_2", "two"),
        ("POLYARCH_PASSWORD_2", "p2"),
        ("POLYARCH_REGISTRY_11", "docker.io"),
        ("POLYARCH_TOKEN_11", "t11"),
    ];
    let quay = look(&variables, "quay.io", "a").await.expect("no error");
    assert_eq!(quay.expect("found").credential, basic("two", "p2"));
    let hub = look(&variables, "index.docker.io", "library/a").await;
    assert_eq!(
        hub.expect("no error").expect("found").credential,
        Credential::Bearer(Secret::new("t11"))
    );
}

#[tokio::test]
async fn the_most_specific_registry_wins_then_the_lower_number() {
    let variables = [
        ("POLYARCH_REGISTRY", "ghcr.io"),
        ("POLYARCH_TOKEN", "host"),
        ("POLYARCH_REGISTRY_2", "ghcr.io/team"),
        ("POLYARCH_TOKEN_2", "team"),
        ("POLYARCH_REGISTRY_3", "https://ghcr.io/team"),
        ("POLYARCH_TOKEN_3", "third"),
        ("PLUGIN_REGISTRY", "ghcr.io/team"),
        ("PLUGIN_TOKEN", "plugin"),
    ];
    for (repository, expected) in [("team/app", "plugin"), ("other/app", "host")] {
        let found = look(&variables, "ghcr.io", repository).await;
        let found = found.expect("no error").expect("found").credential;
        assert_eq!(found, Credential::Bearer(Secret::new(expected)));
    }
}

#[tokio::test]
async fn plugin_variables_are_separate_groups() {
    let variables = [
        ("PLUGIN_REGISTRY", "https://index.docker.io/v1/"),
        ("PLUGIN_USERNAME", "joe"),
        ("PLUGIN_PASSWORD", "p"),
        ("POLYARCH_REGISTRY", "ghcr.io"),
    ];
    let hub = look(&variables, "docker.io", "a").await.expect("no error");
    assert_eq!(hub.expect("found").credential, basic("joe", "p"));
    assert_eq!(look(&variables, "ghcr.io", "a").await, Ok(None));
}

#[tokio::test]
async fn missing_variables_are_named() {
    for (variables, expected) in [
        (
            vec![("POLYARCH_USERNAME", "joe"), ("POLYARCH_PASSWORD", "p")],
            "POLYARCH_USERNAME is set, but POLYARCH_REGISTRY is not",
        ),
        (
            vec![("PLUGIN_PASSWORD", "p")],
            "PLUGIN_PASSWORD is set, but PLUGIN_REGISTRY is not",
        ),
        (
            vec![
                ("POLYARCH_REGISTRY", "ghcr.io"),
                ("POLYARCH_TOKEN_2", "p"),
                ("POLYARCH_TOKEN", "p"),
            ],
            "POLYARCH_TOKEN_2 is set, but POLYARCH_REGISTRY_2 is not",
        ),
        (
            vec![("POLYARCH_REGISTRY", "ghcr.io"), ("POLYARCH_USERNAME", "j")],
            "POLYARCH_USERNAME is set, but POLYARCH_PASSWORD is not",
        ),
        (
            vec![("POLYARCH_REGISTRY", "ghcr.io"), ("POLYARCH_PASSWORD", "p")],
            "POLYARCH_PASSWORD is set, but POLYARCH_USERNAME is not",
        ),
        (
            vec![
                ("POLYARCH_REGISTRY", "ghcr.io"),
                ("POLYARCH_PASSWORD", "p"),
                ("POLYARCH_TOKEN", "t"),
            ],
            "POLYARCH_PASSWORD and POLYARCH_TOKEN are both set: only one of them can be used",
        ),
        (
            vec![("POLYARCH_REGISTRY", "joe@ghcr.io")],
            "POLYARCH_REGISTRY is not the name of a registry",
        ),
    ] {
        let error = look(&variables, "ghcr.io", "a").await;
        assert_eq!(error, Err(expected.to_owned()), "{variables:?}");
    }
}

#[tokio::test]
async fn other_own_variables_are_no_credentials() {
    let variables = [
        ("POLYARCH_TOKEN_FOO", "x"),
        ("POLYARCH_PASSWORDS", "x"),
        ("POLYARCH_TOKEN_", "x"),
        ("POLYARCH_TAG", "x"),
        ("PLUGIN_TAGS", "x"),
        ("POLYARCH_USERNAME", ""),
    ];
    assert_eq!(look(&variables, "ghcr.io", "a").await, Ok(None));
}

#[tokio::test]
async fn a_password_file_loses_one_newline() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("password");
    std::fs::write(&path, "p w\n\n").expect("written");
    let path = path.to_str().expect("UTF-8");
    let variables = [
        ("POLYARCH_REGISTRY", "ghcr.io"),
        ("POLYARCH_USERNAME", "joe"),
        ("POLYARCH_PASSWORD_FILE", path),
    ];
    let found = look(&variables, "ghcr.io", "a").await.expect("no error");
    let found = found.expect("found");
    assert_eq!(found.credential, basic("joe", "p w\n"));
    assert_eq!(
        found.origin.to_string(),
        "POLYARCH_USERNAME and POLYARCH_PASSWORD_FILE"
    );
}

#[tokio::test]
async fn an_unusable_password_file_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let absent = directory.path().join("absent");
    let absent = absent.to_str().expect("UTF-8").to_owned();
    let limit = usize::try_from(MAX_PASSWORD).expect("fits");
    for (path, expected) in [
        (absent, "cannot read PATH: entity not found"),
        (
            write("empty", b"\n"),
            "PATH, named by POLYARCH_PASSWORD_FILE, is empty",
        ),
        (
            write("large", &vec![b'x'; limit + 1]),
            "PATH is larger than 65536 bytes",
        ),
        (write("binary", b"\xff"), "cannot read PATH: invalid data"),
    ] {
        let variables = [
            ("POLYARCH_REGISTRY", "ghcr.io"),
            ("POLYARCH_USERNAME", "joe"),
            ("POLYARCH_PASSWORD_FILE", path.as_str()),
        ];
        let error = look(&variables, "ghcr.io", "a").await;
        assert_eq!(error, Err(expected.replace("PATH", &path)));
    }
}

#[test]
fn our_secrets_are_known_by_name() {
    for name in ["POLYARCH_PASSWORD", "POLYARCH_TOKEN_2", "PLUGIN_PASSWORD"] {
        assert!(crate::auth::secret_variables::is_own_secret(name), "{name}");
    }
    for name in ["POLYARCH_USERNAME", "AWS_SESSION_TOKEN", "PASSWORD"] {
        assert!(
            !crate::auth::secret_variables::is_own_secret(name),
            "{name}"
        );
    }
}

#[test]
fn every_secret_is_found_without_its_registry() {
    let environment: Environment = [
        ("POLYARCH_PASSWORD", "a:b\n"),
        ("POLYARCH_PASSWORD_FILE", "/a/path"),
        ("POLYARCH_PASSWORD_2", ""),
        ("POLYARCH_TOKEN_3", "t"),
        ("PLUGIN_PASSWORD", "p"),
        ("POLYARCH_USERNAME", "joe"),
    ]
    .into_iter()
    .collect();
    let found = secrets_in_variables(&environment);
    assert_eq!(found, ["a:b", "p", "t", "joe:a:b"].map(Secret::new));
}
