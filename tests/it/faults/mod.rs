//! Every fault of a registry or of the network that must be survived or refused: the real binary, over HTTP/1.1
//! and HTTP/2, and for each case what the reader of the log sees, the exit code, what is visible in the registries
//! afterwards, the time and the memory that it took. The table of `docs/faults.md` is made of the outcomes.

mod bodies;
mod breaks;
mod case;
mod hostile;
mod judge;
mod limits;
mod partly;
mod program;
mod redirects;
mod scene;
mod statuses;
mod table;
mod tokens;
mod uploads;

use std::sync::OnceLock;

use case::Case;
use judge::Outcome;

/// A row of the list, and its cases. They run once for its own test and for the table.
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
    Group::new("Statuses that pass or stay", statuses::statuses),
    Group::new("`Retry-After`", statuses::retry_after),
    Group::new("Connections that break", breaks::resets),
    Group::new("Silence", breaks::silences),
    Group::new("Bodies that are not what was asked for", bodies::bodies),
    Group::new("Tokens", tokens::tokens),
    Group::new("Redirects", redirects::redirects),
    Group::new("Uploads", uploads::uploads),
    Group::new("Runs that fail half way", partly::partly),
    Group::new("Foreign layers", partly::foreign_layers),
    Group::new("Limits", limits::limits),
    Group::new("Memory", hostile::hostile),
];

#[test]
fn statuses_that_pass_or_stay() {
    GROUPS[0].holds();
}

#[test]
fn retry_after() {
    GROUPS[1].holds();
}

#[test]
fn connections_that_break() {
    GROUPS[2].holds();
}

#[test]
fn silence() {
    GROUPS[3].holds();
}

#[test]
fn bodies_that_are_not_what_was_asked_for() {
    GROUPS[4].holds();
}

#[test]
fn tokens_that_end_or_never_come() {
    GROUPS[5].holds();
}

#[test]
fn redirects_to_elsewhere() {
    GROUPS[6].holds();
}

#[test]
fn uploads_and_mounts() {
    GROUPS[7].holds();
}

#[test]
fn runs_that_fail_half_way() {
    GROUPS[8].holds();
}

#[test]
fn foreign_layers() {
    GROUPS[9].holds();
}

#[test]
fn limits() {
    GROUPS[10].holds();
}

#[test]
fn memory() {
    GROUPS[11].holds();
}

#[test]
fn the_table_says_what_happens() {
    table::check(&GROUPS);
}
