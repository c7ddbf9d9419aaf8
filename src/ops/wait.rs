//! Resolves the sources of a job, and waits for sources that do not exist yet.

use std::time::{Duration, Instant};

use super::job::Job;
use super::locate::locate;
use super::{OpsError, Run};
use crate::hint::Hint;
use crate::plan::Source;
use crate::progress::Event;
use crate::resolve::{SourceRequest, resolve, resolve_each};
use crate::sources::SourceForm;
use crate::store::{FailureKind, StoreError};
use crate::stores::Stores;
use crate::text::listed;

/// The first and the longest pause between attempts to find missing sources.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const MAX_WAIT: Duration = Duration::from_secs(5);

impl Job {
    /// Resolves the sources, and waits for sources that do not exist yet. Only these are read again. Returns the sources,
    /// and whether it has waited.
    pub(super) async fn resolve(&self, run: Run<'_>) -> Result<(Vec<Source>, bool), OpsError> {
        let stores = run.stores;
        if self.wait.is_zero() {
            let requests = locate(self, stores).await?;
            let sources = resolve(stores, &requests).await;
            let sources = sources.map_err(|error| {
                let can_wait = error.kind == FailureKind::NotFound && !self.read_all;
                let hint = can_wait.then_some(Hint::WaitForSource);
                self.source_error(hint.into_iter().fold(error, StoreError::hint))
            });
            return Ok((sources?, false));
        }
        let deadline = Instant::now() + self.wait;
        let mut pause = FIRST_WAIT;
        let mut sources: Vec<Option<Source>> = vec![None; self.sources.len()];
        let mut has_waited = false;
        loop {
            let missing = self.resolve_missing(&mut sources, stores).await?;
            if missing.is_empty() {
                return Ok((sources.into_iter().flatten().collect(), has_waited));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.source_error(joined(missing)));
            }
            let delay = pause.min(left);
            observe_missing(&missing, delay, run);
            tokio::time::sleep(delay).await;
            has_waited = true;
            pause = (pause * 2).min(MAX_WAIT);
        }
    }

    /// Resolves the sources that are `None`. Returns the name and the error of each source that does not exist.
    async fn resolve_missing(
        &self,
        sources: &mut [Option<Source>],
        stores: &Stores,
    ) -> Result<Vec<(String, StoreError)>, OpsError> {
        let all = locate(self, stores).await?;
        let open = sources.iter_mut().zip(&all);
        let (open, requests): (Vec<_>, Vec<&SourceRequest>) =
            open.filter(|(source, _)| source.is_none()).unzip();
        let mut missing = Vec::new();
        let results = resolve_each(stores, &requests).await?;
        for ((source, request), result) in open.into_iter().zip(requests).zip(results) {
            match result {
                Ok(found) => *source = Some(found),
                Err(error) if error.is_missing() => missing.push((request.name.clone(), error)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(missing)
    }

    fn source_error(&self, error: StoreError) -> OpsError {
        let mut bare = self.sources.iter().map(|source| &source.form);
        let is_bare = bare.any(|form| matches!(form, SourceForm::Digest(_)));
        if is_bare && self.image.is_none() && error.kind == FailureKind::NotFound {
            OpsError::DigestNotFound(error)
        } else {
            error.into()
        }
    }
}

/// Reports the sources that are still missing.
fn observe_missing(missing: &[(String, StoreError)], delay: Duration, run: Run<'_>) {
    let (doing, cause) = match missing {
        [(_, error)] => ("find a source".to_owned(), error.to_string()),
        several => {
            let names = listed(several.iter().map(|(name, _)| name));
            let doing = format!("find {} sources", several.len());
            (doing, format!("they do not exist yet: {names}"))
        }
    };
    run.observed.observe(Event::Waiting {
        doing: &doing,
        cause: &cause,
        delay,
    });
}

/// Returns the first error, with the others as notes.
fn joined(missing: Vec<(String, StoreError)>) -> StoreError {
    let mut errors = missing.into_iter().map(|(_, error)| error);
    let first = errors.next();
    let first = first.expect("the caller has found a missing source");
    errors.fold(first, |first, other| {
        first.hint(Hint::AlsoFailed(other.to_string()))
    })
}
