//! The credential of one client, and the header or tokens that it was exchanged for.

use http::HeaderValue;
use tokio::time::Instant;

use crate::auth::{Candidate, Scope, Search, Secret, Token, TokenServer};

/// A credential, the search that found it, and the header or tokens that are sent for it.
pub(super) struct AuthState {
    pub(super) candidate: Candidate,
    /// Finds further credentials.
    pub(super) search: Search,
    pub(super) method: AuthMethod,
    /// Increases with each change of the header. It shows whether a refusal is for an older header.
    generation: u64,
    /// Whether another credential has been tried.
    pub(super) has_switched: bool,
    /// Whether a new token has been fetched because of a `denied` error.
    pub(super) has_renewed_for_denial: bool,
    /// Whether Basic was refused after it was sent without a challenge. It is not sent again.
    pub(super) has_dropped_basic: bool,
}

pub(super) enum AuthMethod {
    /// Nothing has been sent yet.
    Unknown,
    /// A header that does not change, or none.
    Fixed(Option<HeaderValue>),
    /// Tokens of a token server.
    Bearer {
        server: TokenServer,
        /// The tokens, the newest one last. Usually there is only one; a run with very many repositories needs several.
        tokens: Vec<HeldToken>,
    },
}

/// A token, and the scopes that it was requested with.
pub(super) struct HeldToken {
    token: Token,
    scopes: Vec<Scope>,
    generation: u64,
}

impl HeldToken {
    pub(super) fn is_fresh(&self) -> bool {
        self.token.is_fresh(Instant::now().into_std())
    }
}

/// The `Authorization` header of one attempt.
pub(super) struct AuthHeader {
    pub(super) value: Option<HeaderValue>,
    pub(super) generation: u64,
}

impl AuthState {
    pub(super) fn new(candidate: Candidate, search: Search) -> Self {
        Self {
            candidate,
            search,
            method: AuthMethod::Unknown,
            generation: 0,
            has_switched: false,
            has_renewed_for_denial: false,
            has_dropped_basic: false,
        }
    }

    /// Returns the header for a call that needs these scopes.
    pub(super) fn header(&self, needed: &[Scope]) -> AuthHeader {
        let (value, generation) = match &self.method {
            AuthMethod::Unknown => (None, self.generation),
            AuthMethod::Fixed(value) => (value.clone(), self.generation),
            AuthMethod::Bearer { .. } => match self.held(needed) {
                Some(held) => (bearer_header(&held.token.secret), held.generation),
                None => (None, self.generation),
            },
        };
        AuthHeader { value, generation }
    }

    /// Returns the newest token that was requested with these scopes.
    pub(super) fn held(&self, needed: &[Scope]) -> Option<&HeldToken> {
        let AuthMethod::Bearer { tokens, .. } = &self.method else {
            return None;
        };
        tokens.iter().rev().find(|held| {
            let mut scopes = needed.iter();
            scopes.all(|scope| Scope::any_covers(&held.scopes, scope))
        })
    }

    /// Returns whether the token for a call was also requested with the scopes of a challenge.
    pub(super) fn was_requested_with(&self, needed: &[Scope], challenged: &[Scope]) -> bool {
        self.held(needed).is_some_and(|held| {
            let mut challenged = challenged.iter();
            challenged.all(|scope| Scope::any_covers(&held.scopes, scope))
        })
    }

    /// Adds a token, and removes tokens that have expired or that the new one replaces.
    pub(super) fn hold(&mut self, server: TokenServer, token: Token, scopes: Vec<Scope>) {
        self.generation += 1;
        let mut tokens = match std::mem::replace(&mut self.method, AuthMethod::Unknown) {
            AuthMethod::Bearer { tokens, .. } => tokens,
            AuthMethod::Unknown | AuthMethod::Fixed(_) => Vec::new(),
        };
        tokens.retain(|held| {
            let mut own = held.scopes.iter();
            held.is_fresh() && !own.all(|scope| Scope::any_covers(&scopes, scope))
        });
        tokens.push(HeldToken {
            token,
            scopes,
            generation: self.generation,
        });
        self.method = AuthMethod::Bearer { server, tokens };
    }

    /// Removes the token of a header that was refused.
    pub(super) fn drop_refused(&mut self, header: &AuthHeader) {
        if let AuthMethod::Bearer { tokens, .. } = &mut self.method {
            tokens.retain(|held| held.generation != header.generation);
        }
    }

    /// Sends this header from now on, for every repository.
    pub(super) fn fix(&mut self, value: Option<HeaderValue>) {
        self.method = AuthMethod::Fixed(value);
        self.generation += 1;
    }

    /// Replaces the credential by the next one that the search finds.
    pub(super) fn switch_to(&mut self, candidate: Candidate) -> AuthMethod {
        self.candidate = candidate;
        self.has_renewed_for_denial = false;
        self.has_dropped_basic = false;
        self.generation += 1;
        std::mem::replace(&mut self.method, AuthMethod::Unknown)
    }
}

/// Returns the header of a bearer token.
pub(super) fn bearer_header(token: &Secret) -> Option<HeaderValue> {
    secret_header(&Secret::new(format!("Bearer {}", token.reveal())))
}

/// Returns a header value that is never printed. Returns `None` if the text is not valid in a header.
pub(super) fn secret_header(text: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text.reveal()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
