//! `polyarch ls`: lists the drafts. Docker has no such command.

use std::process::ExitCode;

use super::args::{Format, LsArgs};
use super::failure::{Failure, exit};
use super::shell::print;
use crate::draft::Drafts;
use crate::environment::Environment;
use crate::report::{Wording, drafts_json, drafts_table};

pub(super) fn run(
    arguments: &LsArgs,
    environment: &Environment,
    wording: Wording,
) -> Result<ExitCode, Failure> {
    let listing = Drafts::locate(environment)?.list()?;
    print(&match arguments.format {
        Some(Format::Json) => drafts_json(&listing.drafts),
        None => drafts_table(&listing.drafts).into_bytes(),
    })?;
    for broken in &listing.broken {
        eprintln!("warning: {broken}");
        if let Some(hint) = broken.hint() {
            eprintln!(" hint: {}", wording.render(&hint));
        }
    }
    let is_complete = listing.broken.is_empty();
    Ok(ExitCode::from(if is_complete { 0 } else { exit::FAILURE }))
}
