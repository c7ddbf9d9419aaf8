//! `polyarch rm`: removes drafts, and continues after a failure.

use std::process::ExitCode;

use super::args::RmArgs;
use super::failure::{Failure, exit, parse_reference};
use crate::draft::Drafts;
use crate::environment::Environment;
use crate::ops::drafts::remove;
use crate::report::Wording;

pub(super) fn run(
    arguments: &RmArgs,
    environment: &Environment,
    wording: Wording,
) -> Result<ExitCode, Failure> {
    let drafts = Drafts::locate(environment)?;
    let mut code = 0;
    for text in &arguments.lists {
        let removed = parse_reference(text).and_then(|list| Ok(remove(&list, &drafts)?));
        if let Err(failure) = removed {
            let _ = failure.print(wording);
            // The exit code of a missing list takes precedence: scripts check for it.
            if code != exit::FAILURE {
                code = failure.code();
            }
        }
    }
    Ok(ExitCode::from(code))
}
