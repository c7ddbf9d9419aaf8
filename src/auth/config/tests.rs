use super::*;

fn location() -> Location {
    Location::Variable("TEST".into())
}

fn parse(text: &str) -> Config {
    Config::parse(text.as_bytes(), &location()).expect("valid configuration")
}

fn keys<'a>(config: &'a Config, host: &str, repository: &str, limited: bool) -> Vec<&'a str> {
    config
        .entries(&host.parse().expect("a host"), repository, limited)
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

fn credential(entry: &str) -> Result<Option<Credential>, EntryProblem> {
    serde_json::from_str::<Entry>(entry)
        .expect("valid entry")
        .credential()
}

fn basic(username: &str, password: &str) -> Credential {
    Credential::Basic {
        username: username.into(),
        password: Secret::new(password),
    }
}

#[test]
fn the_most_specific_key_comes_first() {
    let config = parse(
        r#"{"auths": {"https://ghcr.io": {}, "ghcr.io": {}, "ghcr.io/team": {},
            "ghcr.io/team/app": {}, "ghcr.io/other": {}, "quay.io": {}}}"#,
    );
    assert_eq!(
        keys(&config, "ghcr.io", "team/app", true),
        ["ghcr.io/team/app", "ghcr.io/team"]
    );
    assert_eq!(
        keys(&config, "ghcr.io", "team/app", false),
        ["ghcr.io", "https://ghcr.io"]
    );
}

#[test]
fn dockers_own_key_wins_over_other_spellings_of_docker_hub() {
    let config = parse(
        r#"{"auths": {"docker.io": {}, "https://registry-1.docker.io": {},
            "https://index.docker.io/v1/": {}, "index.docker.io": {}}}"#,
    );
    assert_eq!(
        keys(&config, "docker.io", "library/nginx", false),
        [
            "https://index.docker.io/v1/",
            "docker.io",
            "index.docker.io",
            "https://registry-1.docker.io"
        ]
    );
}

#[test]
fn every_form_of_an_entry_is_read() {
    for (entry, expected) in [
        // joe:secret
        (r#"{"auth": "am9lOnNlY3JldA=="}"#, basic("joe", "secret")),
        (r#"{"auth": "am9lOnNlY3JldA"}"#, basic("joe", "secret")),
        (
            r#"{"auth": "am9lOn\nNlY3JldA==\n"}"#,
            basic("joe", "secret"),
        ),
        // joe:a:b:c
        (r#"{"auth": "am9lOmE6Yjpj"}"#, basic("joe", "a:b:c")),
        (
            r#"{"username": "joe", "password": "secret", "email": "x"}"#,
            basic("joe", "secret"),
        ),
        (
            r#"{"auth": "am9lOg==", "identitytoken": "refresh"}"#,
            Credential::IdentityToken {
                username: Some("joe".into()),
                token: Secret::new("refresh"),
            },
        ),
        (
            r#"{"identitytoken": "refresh"}"#,
            Credential::IdentityToken {
                username: None,
                token: Secret::new("refresh"),
            },
        ),
        (
            r#"{"auth": "am9lOnNlY3JldA==", "registrytoken": "ready"}"#,
            Credential::Bearer(Secret::new("ready")),
        ),
    ] {
        assert_eq!(credential(entry), Ok(Some(expected)), "{entry}");
    }
}

#[test]
fn an_empty_entry_is_no_credential() {
    for entry in [
        "{}",
        r#"{"auth": "", "identitytoken": ""}"#,
        r#"{"email": "joe@example.com"}"#,
        r#"{"username": "joe"}"#,
    ] {
        assert_eq!(credential(entry), Ok(None), "{entry}");
    }
}

#[test]
fn the_problem_of_an_entry_is_reported() {
    for (entry, problem) in [
        (r#"{"auth": "%%%"}"#, EntryProblem::NotBase64),
        // joesecret
        (r#"{"auth": "am9lc2VjcmV0"}"#, EntryProblem::NoColon),
        // :secret
        (r#"{"auth": "OnNlY3JldA=="}"#, EntryProblem::NoUsername),
        (r#"{"password": "secret"}"#, EntryProblem::NoUsername),
        (r#"{"auth": "//4="}"#, EntryProblem::NotText),
    ] {
        assert_eq!(credential(entry), Err(problem), "{entry}");
    }
}

#[test]
fn a_broken_document_is_reported_by_position_without_a_quote() {
    for (text, expected) in [
        (
            "{\"auths\":\n {\"ghcr.io\": {\"auth\": 4711}}}",
            "TEST is not a valid Docker configuration: line 2, column 26: a value of the wrong type",
        ),
        (
            "{\"auths\": {\"ghcr.io\": hunter2}}",
            "TEST is not a valid Docker configuration: line 1, column 23: a syntax error in the JSON",
        ),
        (
            "{\"auths\": {\"ghcr.io\": {\"auth\": \"hunter2",
            "TEST is not a valid Docker configuration: line 1, column 39: the text ends too early",
        ),
        (
            "\"hunter2\"",
            "TEST is not a valid Docker configuration: line 1, column 9: a value of the wrong type",
        ),
    ] {
        let error = Config::parse(text.as_bytes(), &location()).expect_err(text);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn empty_documents_have_no_credentials() {
    for text in [
        "",
        " \n",
        "{}",
        r#"{"auths": null, "credHelpers": null, "credsStore": null}"#,
        r#"{"auths": {"ghcr.io": null}}"#,
        "\u{feff}{}",
    ] {
        let config = parse(text);
        assert!(keys(&config, "ghcr.io", "a", false).is_empty());
        assert_eq!(config.helper(&"ghcr.io".parse().expect("a host")), None);
    }
}

#[test]
fn the_size_has_a_limit() {
    let limit = usize::try_from(MAX_CONFIG).expect("fits");
    let at_limit = format!("{{}}{}", " ".repeat(limit - 2));
    assert!(Config::parse(at_limit.as_bytes(), &location()).is_ok());
    let over = format!("{at_limit} ");
    let error = Config::parse(over.as_bytes(), &location()).expect_err("over the limit");
    assert_eq!(error.to_string(), "TEST is larger than 1048576 bytes");
}

#[test]
fn a_helper_of_the_registry_precedes_the_store() {
    let config = parse(
        r#"{"credsStore": "desktop", "credHelpers": {"https://index.docker.io/v1/": "hub",
            "123.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login", "quay.io": ""}}"#,
    );
    let helper = |host: &str| {
        let host: RegistryHost = host.parse().expect("a host");
        config.helper(&host).map(|choice| {
            let servers: Vec<String> = choice.servers.iter().map(ToString::to_string).collect();
            (choice.name.to_owned(), servers)
        })
    };
    let expected = |name: &str, server: &str| Some((name.to_owned(), vec![server.to_owned()]));
    assert_eq!(
        helper("docker.io"),
        expected("hub", "https://index.docker.io/v1/")
    );
    assert_eq!(helper("ghcr.io"), expected("desktop", "ghcr.io"));
    assert_eq!(helper("quay.io"), None);
}

#[test]
fn both_spellings_of_a_helper_key_are_requested() {
    let config = parse(r#"{"credHelpers": {"docker.io": "x"}}"#);
    let host: RegistryHost = "docker.io".parse().expect("a host");
    let choice = config.helper(&host).expect("a helper");
    assert_eq!(choice.servers, ["https://index.docker.io/v1/", "docker.io"]);
}

#[test]
fn the_old_misspelling_of_the_store_is_accepted() {
    let config = parse(r#"{"credSstore": "desktop"}"#);
    let host: RegistryHost = "ghcr.io".parse().expect("a host");
    assert_eq!(
        config.helper(&host).map(|choice| choice.name),
        Some("desktop")
    );
}
