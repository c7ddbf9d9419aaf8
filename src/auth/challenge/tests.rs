//! Headers of real registries, and invented headers.

use proptest::prelude::*;

use super::*;

fn challenge(scheme: Scheme, parameters: &[(&str, &str)]) -> Challenge {
    let parameters = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Challenge { scheme, parameters }
}

fn bearer(parameters: &[(&str, &str)]) -> Challenge {
    challenge(Scheme::Bearer, parameters)
}

fn basic(parameters: &[(&str, &str)]) -> Challenge {
    challenge(Scheme::Basic, parameters)
}

fn other(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
    challenge(Scheme::Other(scheme.to_owned()), parameters)
}

#[test]
fn headers_of_real_registries() {
    let table = [
        (
            "Docker Hub",
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull,push""#,
            bearer(&[
                ("realm", "https://auth.docker.io/token"),
                ("service", "registry.docker.io"),
                ("scope", "repository:library/nginx:pull,push"),
            ]),
        ),
        (
            "GHCR",
            r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull""#,
            bearer(&[
                ("realm", "https://ghcr.io/token"),
                ("service", "ghcr.io"),
                ("scope", "repository:user/image:pull"),
            ]),
        ),
        (
            "ECR",
            r#"Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#,
            basic(&[
                (
                    "realm",
                    "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",
                ),
                ("service", "ecr.amazonaws.com"),
            ]),
        ),
        (
            "ECR Public",
            r#"Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws""#,
            bearer(&[
                ("realm", "https://public.ecr.aws/token/"),
                ("service", "public.ecr.aws"),
                ("scope", "aws"),
            ]),
        ),
        (
            "GCR",
            r#"Bearer realm="https://gcr.io/v2/token",service=gcr.io"#,
            bearer(&[("realm", "https://gcr.io/v2/token"), ("service", "gcr.io")]),
        ),
        (
            "Artifact Registry",
            r#"Bearer realm="https://us-docker.pkg.dev/v2/token""#,
            bearer(&[("realm", "https://us-docker.pkg.dev/v2/token")]),
        ),
        (
            "ACR",
            r#"Bearer realm="https://myregistry.azurecr.io/oauth2/token",service="myregistry.azurecr.io",scope="repository:library/hello-world:metadata_read",error="invalid_token""#,
            bearer(&[
                ("realm", "https://myregistry.azurecr.io/oauth2/token"),
                ("service", "myregistry.azurecr.io"),
                ("scope", "repository:library/hello-world:metadata_read"),
                ("error", "invalid_token"),
            ]),
        ),
        (
            "Quay",
            r#"Bearer realm="https://quay.io/v2/auth",service="quay.io""#,
            bearer(&[("realm", "https://quay.io/v2/auth"), ("service", "quay.io")]),
        ),
        (
            "Harbor",
            r#"Bearer realm="https://harbor.example.com/service/token",service="harbor-registry",scope="repository:library/app:pull,push""#,
            bearer(&[
                ("realm", "https://harbor.example.com/service/token"),
                ("service", "harbor-registry"),
                ("scope", "repository:library/app:pull,push"),
            ]),
        ),
        (
            "GitLab",
            r#"Bearer realm="https://gitlab.com/jwt/auth",service="container_registry",scope="repository:group/project:pull""#,
            bearer(&[
                ("realm", "https://gitlab.com/jwt/auth"),
                ("service", "container_registry"),
                ("scope", "repository:group/project:pull"),
            ]),
        ),
        (
            "Artifactory",
            r#"Basic realm="Artifactory Realm""#,
            basic(&[("realm", "Artifactory Realm")]),
        ),
        (
            "Nexus",
            r#"BASIC realm="Sonatype Nexus Repository Manager""#,
            basic(&[("realm", "Sonatype Nexus Repository Manager")]),
        ),
    ];
    for (registry, header, expected) in table {
        assert_eq!(parse_challenges([header]), [expected], "{registry}");
    }
}

#[test]
fn every_way_to_write_it() {
    let table: &[(&str, &[Challenge])] = &[
        ("", &[]),
        (" , ,\t", &[]),
        ("Basic", &[basic(&[])]),
        ("bEARER REALM=r", &[bearer(&[("realm", "r")])]),
        (
            r#"Bearer realm = "r" , service= s"#,
            &[bearer(&[("realm", "r"), ("service", "s")])],
        ),
        (
            r#"Bearer realm="r" service="s""#,
            &[bearer(&[("realm", "r"), ("service", "s")])],
        ),
        (
            r#"Bearer ,, realm="r",,service="s",,"#,
            &[bearer(&[("realm", "r"), ("service", "s")])],
        ),
        (
            "Bearer realm=https://a/b?c=d,service=s",
            &[bearer(&[("realm", "https://a/b?c=d"), ("service", "s")])],
        ),
        (
            r#"Basic realm="say \"hi, there\" \\ = x""#,
            &[basic(&[("realm", r#"say "hi, there" \ = x"#)])],
        ),
        (r#"Basic realm="open"#, &[basic(&[("realm", "open")])]),
        (r#"Basic realm="open\"#, &[basic(&[("realm", "open")])]),
        ("Basic realm=", &[basic(&[("realm", "")])]),
        (r#"Basic realm="""#, &[basic(&[("realm", "")])]),
        (r#"realm="lost""#, &[]),
        (
            r#"Basic realm="a", Bearer realm="b",service="s""#,
            &[
                basic(&[("realm", "a")]),
                bearer(&[("realm", "b"), ("service", "s")]),
            ],
        ),
        (
            r#"Negotiate, NTLM TlRMTVNT==, Digest realm="d", qop="auth, auth-int", Basic realm="b""#,
            &[
                other("Negotiate", &[]),
                other("NTLM", &[("tlrmtvnt", "=")]),
                other("Digest", &[("realm", "d"), ("qop", "auth, auth-int")]),
                basic(&[("realm", "b")]),
            ],
        ),
        ("NTLM abc, Basic", &[other("NTLM", &[]), basic(&[])]),
        ("@@ Basic ;; realm=x", &[basic(&[("realm", "x")])]),
    ];
    for (header, expected) in table {
        assert_eq!(&parse_challenges([header]), expected, "{header}");
    }
}

#[test]
fn several_headers_are_read_in_order() {
    let headers: [&[u8]; 3] = [b"Basic realm=a", b"service=lost", b"Bearer realm=\"\xff\""];
    assert_eq!(
        parse_challenges(headers),
        [basic(&[("realm", "a")]), bearer(&[("realm", "\u{fffd}")]),]
    );
}

#[test]
fn accessors_find_what_they_name() {
    let parsed = parse_challenges([
        r#"Bearer Realm="r",SERVICE="s",scope="x",error="insufficient_scope",realm="second""#,
    ]);
    let challenge = parsed.first().expect("one challenge");
    assert_eq!(challenge.realm(), Some("r"));
    assert_eq!(challenge.service(), Some("s"));
    assert_eq!(challenge.scope(), Some("x"));
    assert_eq!(challenge.error(), Some("insufficient_scope"));
    assert_eq!(challenge.parameter("charset"), None);
    let empty = parse_challenges([r#"Bearer service="",scope=,error="""#]);
    let challenge = empty.first().expect("one challenge");
    assert_eq!(challenge.service(), None);
    assert_eq!(challenge.scope(), None);
    assert_eq!(challenge.error(), None);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        parse_challenges([bytes]);
    }

    /// Text from the characters of the grammar reaches more code of the parser than random bytes do.
    #[test]
    fn any_mix_of_the_grammar_is_survived(text in r#"[a-c="\\, \tBé@]{0,60}"#) {
        parse_challenges([text]);
    }

    #[test]
    fn what_is_written_with_quotes_is_read_back(
        values in proptest::collection::vec("[ -~]{0,20}", 1..5),
    ) {
        let parameters: Vec<(String, String)> = values
            .into_iter()
            .enumerate()
            .map(|(index, value)| (format!("p{index}"), value))
            .collect();
        let written: Vec<String> = parameters
            .iter()
            .map(|(name, value)| {
                let value = value.replace('\\', r"\\").replace('"', r#"\""#);
                format!(r#"{name}="{value}""#)
            })
            .collect();
        let header = format!("Bearer {}", written.join(","));
        let expected = Challenge { scheme: Scheme::Bearer, parameters };
        prop_assert_eq!(parse_challenges([header]), vec![expected]);
    }
}
