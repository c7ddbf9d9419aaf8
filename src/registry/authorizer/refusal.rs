//! What a registry's 401 or 403 asks for: a token, a new one, another credential. Each is tried once.

use http::{HeaderValue, StatusCode, header};

use super::{AuthHeader, AuthMethod, Authorizer, State, TokenServer, header_of};
use crate::auth::{Challenge, Credential, Realm, Scheme, Scope, parse_challenges};
use crate::progress::Event;
use crate::registry::call::{Answer, Call, Outcome};
use crate::registry::registries::Access;
use crate::store::{FailureKind, StoreError};

/// How often one call may come back with something better to send: a challenge that is answered, a token that had
/// ended, one with more scopes, another credential.
const MOST_TRIALS: u32 = 4;

/// What has been tried for one call.
#[derive(Default)]
pub(in crate::registry) struct Trials {
    count: u32,
    /// A fresh token was fetched in place of one that was refused.
    renewed: bool,
}

/// What a refusal means for the call.
pub(in crate::registry) enum AuthOutcome {
    /// There is something better to send now.
    TryAgain,
    /// The answer stands.
    Final,
}

impl Authorizer {
    /// What a 401 or 403 asks for: a token, a new one, another credential. Each is tried once.
    pub(in crate::registry) async fn consider(
        &self,
        call: &Call,
        grant: &AuthHeader,
        answer: &Answer,
        trials: &mut Trials,
    ) -> Outcome<AuthOutcome> {
        trials.count += 1;
        if trials.count > MOST_TRIALS {
            return Ok(AuthOutcome::Final);
        }
        let mut state = self.state.lock().await;
        if grant.generation != state.grant(&self.wanted(call)).generation {
            // Another call has been through this already.
            trials.renewed |= grant.header.is_some();
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
                .consider_bearer(&mut state, call, grant, challenge, trials)
                .await;
        }
        let authorization = state.candidate.credential.basic_authorization();
        let was_basic = matches!(state.method, AuthMethod::Fixed(Some(_)));
        if let (Some(_), Some(authorization), false) = (of(Scheme::Basic), authorization, was_basic)
        {
            state.fix(header_of(&authorization));
            self.shown().used_token = false;
            return Ok(AuthOutcome::TryAgain);
        }
        self.next_candidate(&mut state, call).await
    }

    async fn consider_bearer(
        &self,
        state: &mut State,
        call: &Call,
        grant: &AuthHeader,
        challenge: &Challenge,
        trials: &mut Trials,
    ) -> Outcome<AuthOutcome> {
        let asked = challenge.scope().map(Scope::parse_list).unwrap_or_default();
        let is_first = !matches!(state.method, AuthMethod::Bearer { .. });
        if !is_first && state.had(&self.wanted(call), &asked) {
            // The same scopes again would give the same token, unless it had merely ended.
            if challenge.error() == Some("insufficient_scope") || trials.renewed {
                return self.next_candidate(state, call).await;
            }
            trials.renewed = true;
        }
        // One that is too narrow is still good for what it is for.
        if challenge.error() != Some("insufficient_scope") {
            state.drop_refused(grant);
        }
        self.follow(state, call, challenge, asked).await
    }

    /// Fetches the token that a challenge asks for.
    async fn follow(
        &self,
        state: &mut State,
        call: &Call,
        challenge: &Challenge,
        asked: Vec<Scope>,
    ) -> Outcome<AuthOutcome> {
        let registry = self.host.registry();
        let base = self.host.base();
        let realm =
            Realm::check(challenge.realm().unwrap_or_default(), &base).map_err(|error| {
                StoreError::new(
                    FailureKind::Refused,
                    call.operation.clone(),
                    error.to_string(),
                )
                .hint(format!(
                    "{registry} names a token server that must not be shown credentials"
                ))
            })?;
        let server = TokenServer(realm, challenge.service().map(str::to_owned));
        match self.fetch(state, server, Some(asked), call).await {
            Ok(()) => Ok(AuthOutcome::TryAgain),
            Err(error)
                if matches!(error.kind, FailureKind::Unauthorized | FailureKind::Denied)
                    && self.may_switch(state, call) =>
            {
                match self.next_candidate(state, call).await {
                    Ok(AuthOutcome::TryAgain) => Ok(AuthOutcome::TryAgain),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// 403. GHCR answers it now and then to a good token under parallel pushes: one new token, one retry.
    async fn consider_denial(&self, state: &mut State, call: &Call) -> Outcome<AuthOutcome> {
        if call.access != Access::Push || call.is_offer {
            return Ok(AuthOutcome::Final);
        }
        if let AuthMethod::Bearer { server, .. } = &state.method
            && !state.renewed_for_denial
        {
            let server = server.clone();
            state.renewed_for_denial = true;
            self.fetch(state, server, None, call).await?;
            return Ok(AuthOutcome::TryAgain);
        }
        self.next_candidate(state, call).await
    }

    fn may_switch(&self, state: &State, call: &Call) -> bool {
        let pushes = self.declared().iter().any(|scope| scope.allows("push"));
        pushes
            && !call.is_offer
            && !state.switched
            && state.candidate.credential != Credential::Anonymous
    }

    /// A credential that was found is refused on a push: the next place may hold the one that was meant
    /// (read-only pull credentials in `DOCKER_AUTH_CONFIG` must not break a GitLab push).
    async fn next_candidate(&self, state: &mut State, call: &Call) -> Outcome<AuthOutcome> {
        if !self.may_switch(state, call) {
            return Ok(AuthOutcome::Final);
        }
        state.switched = true;
        let next = match state.search.next().await {
            Ok(Some(next)) if next.credential != Credential::Anonymous => next,
            _ => return Ok(AuthOutcome::Final),
        };
        self.host
            .transport
            .observed()
            .observe(Event::Notice(&format!(
                "{} refused the credentials from {}; trying those from {}",
                self.host.registry(),
                state.candidate.origin,
                next.origin
            )));
        self.shown().candidate = next.clone();
        state.candidate = next;
        state.renewed_for_denial = false;
        state.generation += 1;
        let basic = state.candidate.credential.basic_authorization();
        match std::mem::replace(&mut state.method, AuthMethod::Unknown) {
            AuthMethod::Bearer { server, .. } => {
                self.fetch(state, server, None, call).await?;
            }
            AuthMethod::Unknown | AuthMethod::Fixed(_) => {
                state.fix(basic.as_ref().and_then(header_of));
            }
        }
        Ok(AuthOutcome::TryAgain)
    }
}
