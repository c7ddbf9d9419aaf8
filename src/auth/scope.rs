//! Token scopes: a repository and the allowed actions.
//!
//! <https://distribution.github.io/distribution/spec/auth/scope/>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use url::form_urlencoded;

/// The maximum size of all scopes in the URL of one token request, in bytes. In the token, which is JSON in base64, they
/// take about twice as much.
const MAX_SCOPES: usize = 3 << 10;

/// `repository:team/app:pull,push`. The actions are sorted and unique, so equal scopes have equal texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    repository: String,
    actions: BTreeSet<String>,
}

impl Scope {
    pub fn new<A: Into<String>>(
        repository: impl Into<String>,
        actions: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            repository: repository.into(),
            actions: actions.into_iter().map(Into::into).collect(),
        }
    }

    pub fn pull(repository: impl Into<String>) -> Self {
        Self::new(repository, ["pull"])
    }

    /// Returns the scope for writing, which includes reading.
    pub fn push(repository: impl Into<String>) -> Self {
        Self::new(repository, ["pull", "push"])
    }

    /// Returns the path without the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(String::as_str)
    }

    /// Returns whether `action` is allowed; `*` allows every action.
    pub fn allows(&self, action: &str) -> bool {
        self.actions.contains(action) || self.actions.contains("*")
    }

    /// Returns whether a token for `self` is sufficient for `other`.
    pub fn covers(&self, other: &Self) -> bool {
        self.repository == other.repository && other.actions().all(|action| self.allows(action))
    }

    /// Returns whether a token for all of `scopes` is sufficient for `wanted`.
    pub fn any_covers(scopes: &[Self], wanted: &Self) -> bool {
        scopes.iter().any(|scope| scope.covers(wanted))
    }

    /// Merges the scopes of each repository and sorts them.
    pub fn normalise(scopes: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut merged: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for scope in scopes {
            merged
                .entry(scope.repository)
                .or_default()
                .extend(scope.actions);
        }
        merged
            .into_iter()
            .map(|(repository, actions)| Self {
                repository,
                actions,
            })
            .collect()
    }

    /// Returns the scopes for one token request: all of `wanted`, and as many of `more` as fit. One token for everything
    /// saves round trips, but proxies refuse headers over 8 KiB, and token servers refuse URLs of this length.
    pub fn fitting(wanted: Vec<Self>, more: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut free = MAX_SCOPES.saturating_sub(wanted.iter().map(Self::length_in_query).sum());
        let mut scopes = wanted;
        for scope in more {
            let Some(left) = free.checked_sub(scope.length_in_query()) else {
                break;
            };
            free = left;
            scopes.push(scope);
        }
        Self::normalise(scopes)
    }

    fn length_in_query(&self) -> usize {
        let text = self.to_string();
        let encoded = form_urlencoded::byte_serialize(text.as_bytes());
        "&scope=".len() + encoded.map(str::len).sum::<usize>()
    }

    /// Parses the `scope` of a challenge: scopes with spaces between them. Scopes that are not for repositories
    /// (`registry:catalog:*`, ECR Public's `aws`) are skipped.
    pub fn parse_list(text: &str) -> Vec<Self> {
        Self::normalise(
            text.split_ascii_whitespace()
                .filter_map(|scope| scope.parse().ok()),
        )
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository:{}:", self.repository)?;
        for (index, action) in self.actions().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{action}")?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a scope of the form `repository:NAME:ACTION[,ACTION...]`")]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;

    /// Parses a scope. The repository may contain a colon (a host with a port), so the last colon separates the
    /// actions.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let rest = text.strip_prefix("repository:").ok_or(ScopeError)?;
        let (repository, actions) = rest.rsplit_once(':').ok_or(ScopeError)?;
        if repository.is_empty() {
            return Err(ScopeError);
        }
        let actions = actions.split(',').filter(|action| !action.is_empty());
        Ok(Self::new(repository, actions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().expect(text)
    }

    #[test]
    fn a_scope_has_one_text() {
        for (text, written) in [
            ("repository:a/b:pull,push", "repository:a/b:pull,push"),
            ("repository:a/b:push,pull,push", "repository:a/b:pull,push"),
            ("repository:a/b:,pull,", "repository:a/b:pull"),
            ("repository:h:5000/a:pull", "repository:h:5000/a:pull"),
            ("repository:a/b:", "repository:a/b:"),
        ] {
            assert_eq!(scope(text).to_string(), written);
        }
        assert_eq!(Scope::push("a").to_string(), "repository:a:pull,push");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "repository",
            "repository:",
            "repository:a",
            "repository::pull",
            "registry:catalog:*",
            "aws",
            "repository(plugin):a:pull",
        ] {
            assert_eq!(text.parse::<Scope>(), Err(ScopeError), "{text}");
        }
    }

    #[test]
    fn covering_is_by_repository_and_actions() {
        for (held, wanted, covers) in [
            ("repository:a:pull,push", "repository:a:pull", true),
            ("repository:a:pull", "repository:a:pull,push", false),
            ("repository:a:*", "repository:a:delete,pull", true),
            ("repository:a:pull,push", "repository:a/b:pull", false),
            ("repository:a:pull", "repository:a:", true),
        ] {
            assert_eq!(
                scope(held).covers(&scope(wanted)),
                covers,
                "{held} {wanted}"
            );
        }
    }

    #[test]
    fn a_request_has_the_wanted_scopes_and_as_many_more_as_fit() {
        let all: Vec<Scope> = (0..200)
            .map(|number| Scope::push(format!("team/app-{number}")))
            .collect();
        let wanted = vec![Scope::push("zzz"), Scope::pull("base")];
        let asked = Scope::fitting(wanted.clone(), all.clone());
        assert!(wanted.iter().all(|scope| asked.contains(scope)));
        assert!((50..80).contains(&asked.len()), "{}", asked.len());
        assert!(all[..asked.len() - 2].iter().all(|it| asked.contains(it)));
        let few = Scope::fitting(Vec::new(), all[..20].to_vec());
        assert_eq!(few.len(), 20);
        // The scopes that are needed are always requested, however long they are.
        assert_eq!(Scope::fitting(all.clone(), wanted).len(), 200);
    }

    #[test]
    fn a_list_is_merged_by_repository() {
        let list = "repository:b:pull registry:catalog:* repository:a:push  repository:b:push aws";
        let written: Vec<_> = Scope::parse_list(list)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(written, ["repository:a:push", "repository:b:pull,push"]);
        assert!(Scope::any_covers(
            &Scope::parse_list(list),
            &Scope::push("b")
        ));
        assert!(!Scope::any_covers(
            &Scope::parse_list(list),
            &Scope::push("a")
        ));
    }
}
