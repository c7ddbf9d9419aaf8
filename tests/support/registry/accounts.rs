//! Users with their permissions, and the options of a token server.

use std::time::Duration;

use super::options::Site;

/// Users, and the repositories that they may pull from, push to and delete from.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    users: Vec<(String, String)>,
    grants: Vec<Grant>,
}

#[derive(Clone, Debug)]
struct Grant {
    user: Option<String>,
    repositories: String,
    actions: Vec<String>,
}

impl Accounts {
    /// Creates accounts with one user, who has all permissions until the first grant. Other users have no permissions.
    pub fn new(user: &str, password: &str) -> Self {
        Self::default().user(user, password)
    }

    /// Adds a user.
    #[must_use]
    pub fn user(mut self, user: &str, password: &str) -> Self {
        self.users.push((user.into(), password.into()));
        self
    }

    /// Permits `user` the `actions` (`pull,push,delete`) in `repositories` (`team/*`). After the first grant, every
    /// action without a grant is denied.
    #[must_use]
    pub fn grant(self, user: &str, repositories: &str, actions: &str) -> Self {
        self.add(Some(user), repositories, actions)
    }

    /// Permits `actions` in `repositories`, with or without credentials.
    #[must_use]
    pub fn anonymous(self, repositories: &str, actions: &str) -> Self {
        self.add(None, repositories, actions)
    }

    fn add(mut self, user: Option<&str>, repositories: &str, actions: &str) -> Self {
        self.grants.push(Grant {
            user: user.map(str::to_owned),
            repositories: repositories.into(),
            actions: actions.split(',').map(str::to_owned).collect(),
        });
        self
    }

    /// Returns whether the user name and password are valid.
    pub fn accepts(&self, user: &str, password: &str) -> bool {
        self.users.iter().any(|(u, p)| u == user && p == password)
    }

    /// Returns whether `user` (`None`: without credentials) may do `action` in `repository`.
    pub fn allows(&self, user: Option<&str>, repository: &str, action: &str) -> bool {
        if user.is_some() && self.grants.iter().all(|grant| grant.user.is_none()) {
            return true;
        }
        self.grants.iter().any(|grant| {
            (grant.user.is_none() || grant.user.as_deref() == user)
                && glob(&grant.repositories, repository)
                && grant.actions.iter().any(|granted| granted == action)
        })
    }
}

/// Returns whether `text` matches `pattern`, in which one `*` matches any text.
pub fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

/// The field of a token response that contains the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenField {
    /// `token`
    Token,
    /// `access_token`
    AccessToken,
    /// Both fields.
    Both,
}

/// A token server, and the registry that trusts it.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub(super) accounts: Accounts,
    pub(super) site: Option<Site>,
    pub(super) realm: Option<String>,
    pub(super) service: String,
    pub(super) field: TokenField,
    pub(super) expires_in: Option<u64>,
    pub(super) lifetime: Option<Duration>,
    pub(super) uses: Option<u64>,
    pub(super) post_status: Option<u16>,
    pub(super) identity_tokens: Vec<(String, String)>,
    pub(super) access_tokens: Vec<(String, String)>,
    pub(super) anonymous: bool,
    pub(super) deny: bool,
}

impl Bearer {
    /// Creates a token server for `accounts` on the registry's own host.
    pub fn new(accounts: Accounts) -> Self {
        Self {
            accounts,
            site: None,
            realm: None,
            service: "test-registry".into(),
            field: TokenField::Token,
            expires_in: Some(300),
            lifetime: None,
            uses: None,
            post_status: None,
            identity_tokens: Vec::new(),
            access_tokens: Vec::new(),
            anonymous: true,
            deny: false,
        }
    }

    /// Puts the token server on another host.
    #[must_use]
    pub fn at(mut self, site: Site) -> Self {
        self.site = Some(site);
        self
    }

    /// Sets the realm in challenges, which may be any URL.
    #[must_use]
    pub fn realm(mut self, url: &str) -> Self {
        self.realm = Some(url.into());
        self
    }

    /// Sets the service in challenges. A token request for another service is refused.
    #[must_use]
    pub fn service(mut self, service: &str) -> Self {
        self.service = service.into();
        self
    }

    /// Sets the token field of the answer to GET. POST always answers `access_token`.
    #[must_use]
    pub fn field(mut self, field: TokenField) -> Self {
        self.field = field;
        self
    }

    /// Sets `expires_in` in seconds; `None` omits it. Tokens are valid for this time, or for 60 seconds if it is 0 or
    /// omitted.
    #[must_use]
    pub fn expires_in(mut self, seconds: Option<u64>) -> Self {
        self.expires_in = seconds;
        self
    }

    /// Sets the actual lifetime of tokens.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Limits the number of requests for which a token is valid.
    #[must_use]
    pub fn uses(mut self, requests: u64) -> Self {
        self.uses = Some(requests);
        self
    }

    /// Answers POST with this status (400, 404, 405).
    #[must_use]
    pub fn post_status(mut self, status: u16) -> Self {
        self.post_status = Some(status);
        self
    }

    /// Adds an identity (refresh) token of `user`, which POST accepts.
    #[must_use]
    pub fn identity_token(mut self, user: &str, token: &str) -> Self {
        self.identity_tokens.push((token.into(), user.into()));
        self
    }

    /// Adds an Azure access token that POST exchanges for an identity token of `user`.
    #[must_use]
    pub fn access_token(mut self, user: &str, token: &str) -> Self {
        self.access_tokens.push((token.into(), user.into()));
        self
    }

    /// Refuses token requests without credentials (401).
    #[must_use]
    pub fn without_anonymous(mut self) -> Self {
        self.anonymous = false;
        self
    }

    /// Answers 403 DENIED to a token with too few permissions, instead of a 401 challenge with `insufficient_scope`.
    #[must_use]
    pub fn deny(mut self) -> Self {
        self.deny = true;
        self
    }

    pub(super) fn actual_lifetime(&self) -> Duration {
        let announced = self.expires_in.filter(|seconds| *seconds > 0).unwrap_or(60);
        self.lifetime.unwrap_or(Duration::from_secs(announced))
    }
}
