//! Challenges, token answers and credential documents.

use std::time::{Duration, Instant};

use url::{Host, Url};

use polyarch::address::is_internal;
use polyarch::auth::facade::{read_config, read_helper_answer};
use polyarch::auth::{Credential, Location, Realm, Scope, Token, parse_challenges};
use polyarch::spec::RegistryHost;

use super::text;

/// Checks `WWW-Authenticate` headers, one for each line: the size of the result is limited, and no realm is an internal
/// address.
pub fn challenge(data: &[u8]) {
    let challenges = parse_challenges(data.split(|byte| *byte == b'\n'));
    assert!(challenges.len() <= data.len());
    for challenge in &challenges {
        let _ = (challenge.service(), challenge.error());
        if let Some(scope) = challenge.scope() {
            for scope in Scope::parse_list(scope) {
                assert_eq!(scope.to_string().parse(), Ok(scope));
            }
        }
        if let Some(realm) = challenge.realm() {
            realm_of(realm, "https://registry.example");
            realm_of(realm, "http://registry.example:5000");
        }
    }
    if let Some(text) = text(data) {
        realm_of(text, "https://registry.example");
    }
}

fn realm_of(realm: &str, registry: &str) {
    let registry = Url::parse(registry).expect("an address");
    let Ok(realm) = Realm::check(realm, &registry) else {
        return;
    };
    let url = realm.url();
    let host: Host<&str> = url.host().expect("a host");
    assert!(!is_internal(&host));
    assert!(url.username().is_empty() && url.password().is_none());
    let is_own = url.origin() == registry.origin();
    assert!(url.scheme() == "https" || (is_own && registry.scheme() == "http"));
}

/// Checks a token response: the token is valid in a header and has a lifetime of at most a day.
pub fn token(data: &[u8]) {
    let now = Instant::now();
    if let Ok(token) = Token::parse(data, now) {
        assert!(token.secret.reveal().bytes().all(|b| b.is_ascii_graphic()));
        assert!(token.is_fresh(now));
        assert!(token.refresh_at <= token.expires_at);
        assert!(token.expires_at <= now + Duration::from_secs(24 * 60 * 60));
        assert!(!format!("{token:?}").contains(&format!("\"{}\"", token.secret.reveal())));
    }
}

/// Checks a `config.json` or `auth.json`, and the same bytes as the output of a credential helper: a credential is
/// found only for its own host, and no message quotes the document.
pub fn docker_config(data: &[u8]) {
    let _ = read_helper_answer(data);
    let location = Location::Variable("TEST".into());
    for host in ["docker.io", "ghcr.io", "localhost:5000"] {
        let host: RegistryHost = host.parse().expect("a host");
        let found = match read_config(data, &location, &host, "team/app") {
            Ok(found) => found,
            Err(error) => {
                let shown = error.to_string();
                assert!(shown.contains("TEST"), "{shown}");
                assert!(shown.len() < 200, "{shown}");
                return;
            }
        };
        for entry in found.entries {
            assert_eq!(entry.fit.map(|fit| fit > 0), Some(entry.is_limited));
            if let Some(credential) = entry.credential {
                check_credential(&credential);
            }
        }
        assert_ne!(found.helper.as_deref(), Some(""));
    }
}

fn check_credential(credential: &Credential) {
    let _ = credential.basic_authorization();
    if let Some(secret) = credential.secret() {
        assert!(!secret.reveal().is_empty() || matches!(credential, Credential::Basic { .. }));
        assert!(format!("{credential:?}").contains("***"));
    }
}
