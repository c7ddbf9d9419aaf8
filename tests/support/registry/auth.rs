//! Authorization: the permissions that a request needs, whether its credentials have them, and the challenge if they do
//! not.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode, header, request::Parts};

use super::{
    Role,
    accounts::{Accounts, Bearer},
    options::Auth,
    reply::{self, Reply},
    route::{self, Class, Endpoint},
    server::Shared,
    token::Verdict,
};

/// An action of a request in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    repo: String,
    actions: Vec<&'static str>,
}

/// Returns the answer that refuses the request, or `None` if it is permitted.
pub fn refuse(shared: &Shared, parts: &Parts, endpoint: &Endpoint, class: Class) -> Option<Reply> {
    let needs = needs(parts, endpoint, class);
    match &shared.options.auth {
        Auth::None => None,
        Auth::Basic(accounts) => refuse_basic(shared, accounts, &parts.headers, &needs),
        Auth::Bearer(bearer) => refuse_bearer(shared, bearer, &parts.headers, &needs),
    }
}

/// Returns the user and password of a Basic header, or `Err` for another header.
pub fn basic(headers: &HeaderMap) -> Option<Result<(String, String), ()>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let pair = || {
        let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    };
    Some(pair().ok_or(()))
}

/// Returns the permissions that the request needs (the token documents of the distribution project, "scope").
fn needs(parts: &Parts, endpoint: &Endpoint, class: Class) -> Vec<Need> {
    let Some(repo) = endpoint.repo() else {
        return Vec::new();
    };
    let actions = match class {
        // Distribution requires this for any DELETE, also of an upload.
        Class::ManifestDelete | Class::BlobDelete | Class::UploadDelete => vec!["delete"],
        Class::ManifestPut
        | Class::UploadPost
        | Class::UploadPatch
        | Class::UploadPut
        | Class::UploadGet => vec!["pull", "push"],
        _ => vec!["pull"],
    };
    let mut needs = vec![Need {
        repo: repo.into(),
        actions,
    }];
    let from = route::parameter(&parts.uri, "from").filter(|_| class == Class::UploadPost);
    if let Some(repo) = from {
        needs.push(Need {
            repo,
            actions: vec!["pull"],
        });
    }
    needs
}

fn refuse_basic(
    shared: &Shared,
    accounts: &Accounts,
    headers: &HeaderMap,
    needs: &[Need],
) -> Option<Reply> {
    let user = match basic(headers) {
        Some(Ok((user, password))) if accounts.accepts(&user, &password) => Some(user),
        Some(_) => return Some(challenge(shared, needs, None)),
        None => None,
    };
    let granted = needs.iter().all(|need| {
        let mut actions = need.actions.iter();
        actions.all(|action| accounts.allows(user.as_deref(), &need.repo, action))
    });
    match user {
        None if !granted || needs.is_empty() => Some(challenge(shared, needs, None)),
        Some(_) if !granted => Some(denied()),
        _ => None,
    }
}

fn refuse_bearer(
    shared: &Shared,
    bearer: &Bearer,
    headers: &HeaderMap,
    needs: &[Need],
) -> Option<Reply> {
    let shown = headers.get(header::AUTHORIZATION);
    let Some(shown) = shown.and_then(|value| value.to_str().ok()) else {
        return Some(challenge(shared, needs, None));
    };
    let token = match shown.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Some(challenge(shared, needs, Some("invalid_token"))),
    };
    let wanted: Vec<(&str, &str)> = needs
        .iter()
        .flat_map(|need| {
            need.actions
                .iter()
                .map(|action| (need.repo.as_str(), *action))
        })
        .collect();
    match shared.tokens().verdict(shared.clock.now(), token, &wanted) {
        Verdict::Good => None,
        Verdict::Unknown | Verdict::Expired => {
            Some(challenge(shared, needs, Some("invalid_token")))
        }
        Verdict::TooNarrow if bearer.deny => Some(denied()),
        Verdict::TooNarrow => Some(challenge(shared, needs, Some("insufficient_scope"))),
    }
}

fn denied() -> Reply {
    reply::error("DENIED", "requested access to the resource is denied")
}

/// Returns a 401 with the default challenge, or with the challenges that the test has set.
fn challenge(shared: &Shared, needs: &[Need], error: Option<&str>) -> Reply {
    let scope: Vec<String> = needs
        .iter()
        .map(|need| format!("repository:{}:{}", need.repo, need.actions.join(",")))
        .collect();
    let scope = scope.join(" ");
    let (realm, service) = match &shared.options.auth {
        Auth::Bearer(bearer) => {
            let own = || format!("{}/token", shared.url(Role::Token));
            (
                bearer.realm.clone().unwrap_or_else(own),
                bearer.service.clone(),
            )
        }
        Auth::None | Auth::Basic(_) => ("test-registry".to_owned(), String::new()),
    };
    let usual = || {
        let mut text = match &shared.options.auth {
            Auth::Bearer(_) => r#"Bearer realm="{realm}",service="{service}""#.to_owned(),
            Auth::None | Auth::Basic(_) => r#"Basic realm="{realm}""#.to_owned(),
        };
        if text.starts_with("Bearer") && !scope.is_empty() {
            text.push_str(r#",scope="{scope}""#);
        }
        if let Some(error) = error {
            let _ = write!(text, ",error=\"{error}\"");
        }
        vec![text]
    };
    let mut answer = reply::error_with(
        StatusCode::UNAUTHORIZED,
        "UNAUTHORIZED",
        "authentication required",
    );
    for template in shared.options.challenges.clone().unwrap_or_else(usual) {
        let text = template
            .replace("{realm}", &realm)
            .replace("{service}", &service)
            .replace("{scope}", &scope);
        reply::add(&mut answer, "www-authenticate", &text);
    }
    answer
}
