//! Users with their permissions, and the options of a token server.

use std::time::Duration;

use super::options::Site;

/// Users, and which repositories they may pull from, push to and delete from.
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
    /// One user, with all permissions until the first grant; others have none
    /// do anything.
    pub fn new(user: &str, password: &str) -> Self {
        Self::default().user(user, password)
    }

    /// One more user.
    #[must_use]
    pub fn user(mut self, user: &str, password: &str) -> Self {
        self.users.push((user.into(), password.into()));
        self
    }

    /// Lets `user` do `actions` (`pull,push,delete`) in `repositories` (`team/*`).
    /// From the first grant on, everything that is not granted is denied.
    #[must_use]
    pub fn grant(self, user: &str, repositories: &str, actions: &str) -> Self {
        self.add(Some(user), repositories, actions)
    }

    /// Permits `actions` in `repositories` with or without a password.
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

    /// Whether the password is that of the user.
    pub fn knows(&self, user: &str, password: &str) -> bool {
        self.users.iter().any(|(u, p)| u == user && p == password)
    }

    /// Whether `user` (`None`: without credentials) may do `action` in `repository`.
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

/// Whether `text` fits `pattern`, in which one `*` stands for anything.
pub fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

/// The field of a token answer that holds the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenField {
    /// `token`
    Token,
    /// `access_token`
    AccessToken,
    /// Both.
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
    /// Hands tokens to `accounts` on the registry's own host.
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

    /// Hands them out on a host of its own.
    #[must_use]
    pub fn at(mut self, site: Site) -> Self {
        self.site = Some(site);
        self
    }

    /// The realm that challenges name, wherever it points.
    #[must_use]
    pub fn realm(mut self, url: &str) -> Self {
        self.realm = Some(url.into());
        self
    }

    /// The service in challenges; a token for another one is refused.
    #[must_use]
    pub fn service(mut self, service: &str) -> Self {
        self.service = service.into();
        self
    }

    /// The field of the answer to GET; POST always answers `access_token`.
    #[must_use]
    pub fn field(mut self, field: TokenField) -> Self {
        self.field = field;
        self
    }

    /// `expires_in` in seconds; `None` leaves it out. Tokens live that long, or 60 seconds
    /// for 0 and without it.
    #[must_use]
    pub fn expires_in(mut self, seconds: Option<u64>) -> Self {
        self.expires_in = seconds;
        self
    }

    /// How long tokens really live.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// A token is good for so many requests.
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

    /// An identity (refresh) token by which POST knows `user`.
    #[must_use]
    pub fn identity_token(mut self, user: &str, token: &str) -> Self {
        self.identity_tokens.push((token.into(), user.into()));
        self
    }

    /// An access token of Azure that POST exchanges for an identity token of `user`.
    #[must_use]
    pub fn access_token(mut self, user: &str, token: &str) -> Self {
        self.access_tokens.push((token.into(), user.into()));
        self
    }

    /// Issues no token without credentials (401).
    #[must_use]
    pub fn without_anonymous(mut self) -> Self {
        self.anonymous = false;
        self
    }

    /// Answers 403 DENIED to a token of too little scope, in place of a 401 challenge
    /// with `insufficient_scope`.
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
