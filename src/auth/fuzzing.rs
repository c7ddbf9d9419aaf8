//! Fuzz targets of this room: see [`crate::fuzzing`].

#![expect(clippy::missing_panics_doc, reason = "a panic is how a target tells")]

use std::time::{Duration, Instant};

use url::{Host, Url};

use super::config::Config;
use super::config_key::ConfigKey;
use super::helper::read_answer;
use super::{Credential, Location, Realm, Scope, Token, parse_challenges};
use crate::address::is_internal;
use crate::fuzzing::text;
use crate::spec::RegistryHost;

/// `WWW-Authenticate` headers, one a line: what comes out is bounded by what came in, and no realm leads inside.
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

/// A token answer: the token fits into a header, its life is no longer than a day.
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

/// A `config.json` or `auth.json`, and the same bytes as the answer of a credential helper. What is found for a host
/// is that host's, and nothing that is printed quotes the document.
pub fn docker_config(data: &[u8]) {
    let _ = read_answer(data);
    let location = Location::Variable("TEST".into());
    let config = match Config::parse(data, &location) {
        Ok(config) => config,
        Err(error) => {
            let shown = error.to_string();
            assert!(
                shown.starts_with("the variable TEST") || shown.contains("TEST"),
                "{shown}"
            );
            assert!(shown.len() < 200, "{shown}");
            return;
        }
    };
    for name in ["docker.io", "ghcr.io", "localhost:5000"] {
        let host: RegistryHost = name.parse().expect("a host");
        for limited in [true, false] {
            for (key, entry) in config.entries(&host, "team/app", limited) {
                let fit = ConfigKey::parse(key).and_then(|key| key.fit(&host, "team/app"));
                assert_eq!(fit.map(|fit| fit > 0), Some(limited));
                if let Ok(Some(credential)) = entry.credential() {
                    used(&credential);
                }
            }
        }
        if let Some(choice) = config.helper(&host) {
            assert!(!choice.name.is_empty());
        }
    }
}

fn used(credential: &Credential) {
    let _ = credential.basic_authorization();
    if let Some(secret) = credential.secret() {
        assert!(!secret.reveal().is_empty() || matches!(credential, Credential::Basic { .. }));
        assert!(format!("{credential:?}").contains("***"));
    }
}
