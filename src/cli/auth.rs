//! `polyarch auth`: the whole search for credentials, told step by step. Never a secret.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::args::{AccessArg, AuthArgs, Format};
use super::context::Context;
use super::failure::Failure;
use super::shell::print;
use crate::auth::{Explanation, Keychain, Outcome, Scope};
use crate::spec::{JsonStyle, Reference, write};

pub(super) async fn run(arguments: &AuthArgs, context: &Context<'_>) -> Result<ExitCode, Failure> {
    let reference = Reference::parse_or_latest(&arguments.reference)?;
    let path = reference.repository().path();
    let scope = match arguments.access {
        AccessArg::Pull => Scope::pull(path),
        AccessArg::Push => Scope::push(path),
    };
    let keychain = Keychain::new(context.environment);
    let explanation = keychain.explain(reference.registry(), &scope).await;
    print(&match arguments.format {
        Some(Format::Json) => {
            let mut text = write(&explanation, JsonStyle::Oci);
            text.push(b'\n');
            text
        }
        None => as_text(&explanation).into_bytes(),
    })
}

fn as_text(explanation: &Explanation) -> String {
    let mut text = format!(
        "Credentials for {}/{} ({}), in the order of the search:\n\n",
        explanation.registry,
        explanation.repository,
        explanation.actions.join(", ")
    );
    for step in &explanation.steps {
        let mark = if step.used { "=>" } else { "  " };
        let found = match &step.outcome {
            Outcome::Found {
                kind: "anonymous", ..
            } => "always possible".to_owned(),
            Outcome::Found {
                kind,
                username,
                origin,
            } => match username {
                Some(user) => format!("{kind} of {user:?}, from {origin}"),
                None => format!("{kind}, from {origin}"),
            },
            Outcome::Nothing { reason } => format!("- {reason}"),
            Outcome::Error { message } => format!("error: {message}"),
        };
        let _ = writeln!(
            text,
            "{mark} {}. {}\n        {found}",
            step.step, step.place
        );
    }
    if let Some(used) = explanation.used() {
        let _ = write!(text, "\nUsed: {}\n", used.place);
    }
    text
}
