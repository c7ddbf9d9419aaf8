//! Headers of real registries, and invented headers.

use proptest::prelude::*;

use super::*;

/// Writes the challenges of a header in one form: schemes in usual spelling, all values in quotes.
fn rewritten<H: AsRef<[u8]>>(headers: impl IntoIterator<Item = H>) -> String {
    let challenge = |challenge: &Challenge| {
        let scheme = match &challenge.scheme {
            Scheme::Other(name) => name.clone(),
            known => format!("{known:?}"),
        };
        let parameter = |(name, value): &(String, String)| format!("{name}={value:?}");
        let parameters: Vec<String> = challenge.parameters.iter().map(parameter).collect();
        format!("{scheme} {}", parameters.join(","))
            .trim_end()
            .to_owned()
    };
    let challenges = parse_challenges(headers);
    let texts: Vec<String> = challenges.iter().map(challenge).collect();
    texts.join(", ")
}

#[test]
fn headers_of_real_registries_are_read() {
    for header in [
        r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull,push""#,
        r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull""#,
        r#"Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#,
        r#"Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws""#,
        r#"Bearer realm="https://us-docker.pkg.dev/v2/token""#,
        r#"Bearer realm="https://myregistry.azurecr.io/oauth2/token",service="myregistry.azurecr.io",scope="repository:library/hello-world:metadata_read",error="invalid_token""#,
        r#"Bearer realm="https://quay.io/v2/auth",service="quay.io""#,
        r#"Bearer realm="https://harbor.example.com/service/token",service="harbor-registry",scope="repository:library/app:pull,push""#,
        r#"Bearer realm="https://gitlab.com/jwt/auth",service="container_registry",scope="repository:group/project:pull""#,
        r#"Basic realm="Artifactory Realm""#,
    ] {
        assert_eq!(rewritten([header]), header);
    }
}

#[test]
fn every_form_of_a_header_is_read() {
    for (header, expected) in [
        (
            r#"Bearer realm="https://gcr.io/v2/token",service=gcr.io"#,
            r#"Bearer realm="https://gcr.io/v2/token",service="gcr.io""#,
        ),
        (r#"BASIC realm="Sonatype""#, r#"Basic realm="Sonatype""#),
        ("", ""),
        (" , ,\t", ""),
        ("Basic", "Basic"),
        ("bEARER REALM=r", r#"Bearer realm="r""#),
        (
            r#"Bearer realm = "r" , service= s"#,
            r#"Bearer realm="r",service="s""#,
        ),
        (
            r#"Bearer realm="r" service="s""#,
            r#"Bearer realm="r",service="s""#,
        ),
        (
            r#"Bearer ,, realm="r",,service="s",,"#,
            r#"Bearer realm="r",service="s""#,
        ),
        (
            "Bearer realm=https://a/b?c=d,service=s",
            r#"Bearer realm="https://a/b?c=d",service="s""#,
        ),
        (
            r#"Basic realm="say \"hi, there\" \\ = x""#,
            r#"Basic realm="say \"hi, there\" \\ = x""#,
        ),
        (r#"Basic realm="open"#, r#"Basic realm="open""#),
        (r#"Basic realm="open\"#, r#"Basic realm="open""#),
        ("Basic realm=", r#"Basic realm="""#),
        (r#"realm="lost""#, ""),
        (
            r#"Basic realm="a", Bearer realm="b",service="s""#,
            r#"Basic realm="a", Bearer realm="b",service="s""#,
        ),
        (
            r#"Negotiate, NTLM TlRMTVNT==, Digest realm="d", qop="auth, auth-int", Basic realm="b""#,
            r#"Negotiate, NTLM tlrmtvnt="=", Digest realm="d",qop="auth, auth-int", Basic realm="b""#,
        ),
        ("NTLM abc, Basic", "NTLM, Basic"),
        ("@@ Basic ;; realm=x", r#"Basic realm="x""#),
    ] {
        assert_eq!(rewritten([header]), expected, "{header}");
    }
    let several: [&[u8]; 3] = [b"Basic realm=a", b"service=lost", b"Bearer realm=\"\xff\""];
    assert_eq!(
        rewritten(several),
        "Basic realm=\"a\", Bearer realm=\"\u{fffd}\""
    );
}

#[test]
fn the_first_value_that_is_not_empty_counts() {
    let parsed = parse_challenges([
        r#"Bearer Realm="r",SERVICE="s",scope="x",error="insufficient_scope",realm="second""#,
    ]);
    let [challenge] = &parsed[..] else {
        panic!("{parsed:?}");
    };
    assert_eq!(challenge.realm(), Some("r"));
    assert_eq!(challenge.service(), Some("s"));
    assert_eq!(challenge.scope(), Some("x"));
    assert_eq!(challenge.error(), Some("insufficient_scope"));
    let parsed = parse_challenges([r#"Bearer service="",scope=,error="""#]);
    let empty = (parsed[0].service(), parsed[0].scope(), parsed[0].error());
    assert_eq!(empty, (None, None, None));
}

proptest! {
    #[test]
    fn quoted_values_are_read_unchanged(
        values in proptest::collection::vec("[ -~]{0,20}", 1..5),
    ) {
        let parameters = values.iter().enumerate();
        let parameters: Vec<String> = parameters
            .map(|(index, value)| format!("p{index}={value:?}"))
            .collect();
        let header = format!("Bearer {}", parameters.join(","));
        prop_assert_eq!(rewritten([&header]), header);
    }
}
