//! Faults of registries and networks: the binary over HTTP/1.1 and HTTP/2, and for each case the exit code, the error,
//! the content of the registries afterwards, the time and the memory. `docs/faults.md` shows the observed results.

mod bodies;
mod breaks;
mod case;
mod hostile;
mod judge;
mod limits;
mod partly;
mod redirects;
mod statuses;
mod table;
mod tokens;
mod trial;
mod uploads;

use std::sync::OnceLock;

use case::Case;
use judge::Outcome;

/// A section of the table and its cases, which run once for the test of the section and for the table.
struct Group {
    /// The heading in the table.
    title: &'static str,
    cases: fn() -> Vec<Case>,
    outcomes: OnceLock<Vec<Outcome>>,
}

impl Group {
    const fn new(title: &'static str, cases: fn() -> Vec<Case>) -> Self {
        Self {
            title,
            cases,
            outcomes: OnceLock::new(),
        }
    }

    fn outcomes(&self) -> &[Outcome] {
        self.outcomes
            .get_or_init(|| judge::run_all(&(self.cases)()))
    }

    #[track_caller]
    fn holds(&self) {
        let outcomes = self.outcomes();
        let wrong: Vec<&str> = outcomes
            .iter()
            .filter_map(|it| it.wrong.as_deref())
            .collect();
        assert!(
            wrong.is_empty(),
            "{} of {} cases:\n\n{}",
            wrong.len(),
            outcomes.len(),
            wrong.join("\n\n")
        );
    }
}

static GROUPS: [Group; 12] = [
    Group::new("Error statuses", statuses::statuses),
    Group::new("`Retry-After`", statuses::retry_after),
    Group::new("Broken connections", breaks::resets),
    Group::new("Missing answers", breaks::silences),
    Group::new("Wrong bodies", bodies::bodies),
    Group::new("Tokens", tokens::tokens),
    Group::new("Redirects", redirects::redirects),
    Group::new("Uploads", uploads::uploads),
    Group::new("Partial failures", partly::partly),
    Group::new("Foreign layers", partly::foreign_layers),
    Group::new("Limits", limits::limits),
    Group::new("Memory", hostile::hostile),
];

#[test]
fn error_statuses_are_retried_or_reported() {
    GROUPS[0].holds();
}

#[test]
fn retry_after_is_obeyed_within_the_budget() {
    GROUPS[1].holds();
}

#[test]
fn broken_connections_are_retried_or_reported() {
    GROUPS[2].holds();
}

#[test]
fn missing_answers_are_retried_or_reported() {
    GROUPS[3].holds();
}

#[test]
fn wrong_bodies_are_never_published() {
    GROUPS[4].holds();
}

#[test]
fn expired_tokens_are_renewed() {
    GROUPS[5].holds();
}

#[test]
fn redirects_reveal_no_credentials() {
    GROUPS[6].holds();
}

#[test]
fn uploads_continue_after_faults() {
    GROUPS[7].holds();
}

#[test]
fn partial_failures_are_reported() {
    GROUPS[8].holds();
}

#[test]
fn foreign_layers_are_not_requested() {
    GROUPS[9].holds();
}

#[test]
fn limits_are_exact() {
    GROUPS[10].holds();
}

#[test]
fn memory_is_limited() {
    GROUPS[11].holds();
}

#[test]
fn table_shows_the_observed_results() {
    table::check(&GROUPS);
}
