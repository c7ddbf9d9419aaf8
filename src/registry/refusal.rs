//! Answers to refused calls: gets the token that a challenge asks for, a new token, or another credential.

use http::{HeaderValue, StatusCode, header};

use super::answer::Answer;
use super::authorizer::Authorizer;
use super::call::{Access, Call, Outcome};
use super::tokens::{AuthHeader, AuthMethod, AuthState, secret_header};
use crate::auth::{
    Challenge, Credential, Origin, Realm, Scheme, Scope, TokenServer, parse_challenges,
};
use crate::progress::Event;
use crate::store::{FailureKind, StoreError};

/// The maximum number of attempts at one call with new credentials: after a challenge, an expired token, a token with
/// more scopes, or another credential.
const MAX_TRIALS: u32 = 4;

/// The credentials that were tried for one call.
#[derive(Default)]
pub(super) struct Trials {
    count: u32,
    /// Whether a new token has replaced one that was refused.
    has_renewed: bool,
}

/// The consequence of a refusal for a call.
pub(super) enum AuthOutcome {
    /// The call should be sent again: the credentials have changed.
    TryAgain,
    /// The answer is final.
    Final,
}

impl Authorizer {
    /// Handles a 401 or 403: gets the token that the challenge asks for, a new token, or another credential. Tries each
    /// of them once.
    pub(super) async fn consider(
        &self,
        call: &Call,
        sent: &AuthHeader,
        answer: &Answer,
        trials: &mut Trials,
    ) -> Outcome<AuthOutcome> {
        trials.count += 1;
        if trials.count > MAX_TRIALS {
            return Ok(AuthOutcome::Final);
        }
        let mut state = self.state.lock().await;
        if sent.generation != state.header(&self.needed(call)).generation {
            // A concurrent call has already changed the credentials. If these are refused, too, the next attempt renews
            // them.
            return Ok(AuthOutcome::TryAgain);
        }
        if answer.status == StatusCode::FORBIDDEN {
            return self.consider_denial(&mut state, call).await;
        }
        let values = answer.headers.get_all(header::WWW_AUTHENTICATE);
        let challenges = parse_challenges(values.iter().map(HeaderValue::as_bytes));
        let of = |scheme| {
            let mut all = challenges.iter();
            all.find(move |challenge| challenge.scheme == scheme)
        };
        if let Some(challenge) = of(Scheme::Bearer) {
            return self
                .consider_bearer(&mut state, call, sent, challenge, trials)
                .await;
        }
        let basic = state.candidate.credential.basic_authorization();
        let was_basic = matches!(state.method, AuthMethod::Fixed(Some(_)));
        if let (Some(_), Some(basic), false) = (of(Scheme::Basic), basic, was_basic) {
            state.fix(secret_header(&basic));
            self.in_use.lock().is_accepted = false;
            return Ok(AuthOutcome::TryAgain);
        }
        // zot with bearer authorization answers a request with Basic with a 401 without a challenge. It sends a
        // challenge only to requests without credentials.
        if challenges.is_empty() && was_basic && !state.has_dropped_basic && !self.is_accepted() {
            state.has_dropped_basic = true;
            state.fix(None);
            return Ok(AuthOutcome::TryAgain);
        }
        self.try_next_candidate(&mut state, call).await
    }

    async fn consider_bearer(
        &self,
        state: &mut AuthState,
        call: &Call,
        sent: &AuthHeader,
        challenge: &Challenge,
        trials: &mut Trials,
    ) -> Outcome<AuthOutcome> {
        let challenged = challenge.scope().map(Scope::parse_list).unwrap_or_default();
        let is_too_narrow = challenge.error() == Some("insufficient_scope");
        if state.was_requested_with(&self.needed(call), &challenged) {
            // A request with the same scopes gives the same token, unless the last one had expired.
            if is_too_narrow || trials.has_renewed {
                return self.try_next_candidate(state, call).await;
            }
            trials.has_renewed = true;
        }
        // A token whose scopes are too narrow for this call may be sufficient for other calls.
        if !is_too_narrow {
            state.drop_refused(sent);
        }
        self.follow(state, call, challenge, challenged).await
    }

    /// Fetches the token that a challenge asks for.
    async fn follow(
        &self,
        state: &mut AuthState,
        call: &Call,
        challenge: &Challenge,
        challenged: Vec<Scope>,
    ) -> Outcome<AuthOutcome> {
        let registry = self.endpoint.registry();
        let base = self.endpoint.base();
        let realm =
            Realm::check(challenge.realm().unwrap_or_default(), &base).map_err(|error| {
                StoreError::new(FailureKind::Refused, call.operation.clone(), error).hint(format!(
                    "contact the operator of {registry}: it names a token server that must not receive credentials"
                ))
            })?;
        let service = challenge.service().map(str::to_owned);
        let server = TokenServer { realm, service };
        let error = match self.fetch(state, server, Some(challenged), call).await {
            Ok(()) => return Ok(AuthOutcome::TryAgain),
            Err(error) => error,
        };
        let is_refused = matches!(error.kind, FailureKind::Unauthorized | FailureKind::Denied);
        if is_refused
            && matches!(
                self.try_next_candidate(state, call).await,
                Ok(AuthOutcome::TryAgain)
            )
        {
            return Ok(AuthOutcome::TryAgain);
        }
        Err(error)
    }

    /// Handles a 403. GHCR sometimes answers 403 to a valid token during parallel pushes, so one new token is requested
    /// and the call is sent again. ECR answers 403 to an expired login.
    async fn consider_denial(&self, state: &mut AuthState, call: &Call) -> Outcome<AuthOutcome> {
        let is_expected = call.access == Access::Pull && self.is_accepted();
        if call.is_optional || is_expected {
            return Ok(AuthOutcome::Final);
        }
        if call.access == Access::Pull {
            return self.try_next_candidate(state, call).await;
        }
        if let AuthMethod::Bearer { server, .. } = &state.method
            && !state.has_renewed_for_denial
        {
            let server = server.clone();
            state.has_renewed_for_denial = true;
            self.fetch(state, server, None, call).await?;
            return Ok(AuthOutcome::TryAgain);
        }
        self.try_next_candidate(state, call).await
    }

    fn is_accepted(&self) -> bool {
        self.in_use.lock().is_accepted
    }

    /// Returns whether another credential may be tried. For reads, a credential that the user has set in variables is
    /// not replaced.
    fn may_switch(&self, state: &AuthState, call: &Call) -> bool {
        let pushes = self.scopes.lock().iter().any(|scope| scope.allows("push"));
        let is_explicit = matches!(state.candidate.origin, Origin::Variables(_));
        (pushes || !is_explicit)
            && !call.is_optional
            && !state.has_switched
            && state.candidate.credential != Credential::Anonymous
    }

    /// Switches to the credential of the next source, once. Read-only credentials in `DOCKER_AUTH_CONFIG` must not
    /// prevent a push in GitLab CI, and an expired login in a Docker config must not prevent a read.
    async fn try_next_candidate(&self, state: &mut AuthState, call: &Call) -> Outcome<AuthOutcome> {
        if !self.may_switch(state, call) {
            return Ok(AuthOutcome::Final);
        }
        state.has_switched = true;
        let next = match state.search.next().await {
            Ok(Some(next)) if next.credential != Credential::Anonymous => next,
            _ => return Ok(AuthOutcome::Final),
        };
        let notice = format!(
            "{} refused the credentials from {}; trying those from {}",
            self.endpoint.registry(),
            state.candidate.origin,
            next.origin
        );
        let observed = self.endpoint.transport().observed();
        observed.observe(Event::Notice(&notice));
        {
            let mut in_use = self.in_use.lock();
            in_use.candidate = next.clone();
            in_use.is_accepted = false;
        }
        match state.switch_to(next) {
            AuthMethod::Bearer { server, .. } => self.fetch(state, server, None, call).await?,
            AuthMethod::Unknown | AuthMethod::Fixed(_) => {
                let basic = state.candidate.credential.basic_authorization();
                state.fix(basic.as_ref().and_then(secret_header));
            }
        }
        Ok(AuthOutcome::TryAgain)
    }
}
