//! `polyarch auth`: the result of every source of credentials, without secrets.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use super::args::{AuthArgs, Format};
use super::context::Context;
use super::failure::{Failure, parse_reference};
use super::shell::print;
use crate::auth::{Explanation, Keychain, Outcome, Scope};
use crate::registry::Access;
use crate::spec::{JsonStyle, RegistryHost, write};
use crate::transport::{Transport, TransportSettings};

pub(super) async fn run(arguments: &AuthArgs, context: &Context<'_>) -> Result<ExitCode, Failure> {
    let (registry, repository) = target(&arguments.reference)?;
    let scope = match arguments.access {
        Access::Pull => Scope::pull(repository),
        Access::Push => Scope::push(repository),
    };
    let settings = TransportSettings::of_environment(context.environment);
    let transport = Transport::new(settings, Arc::clone(&context.observed));
    let keychain = Keychain::with_clouds(context.environment, transport);
    let explanation = keychain.explain(&registry, &scope).await;
    print(&match arguments.format {
        Some(Format::Json) => {
            let mut text = write(&explanation, JsonStyle::Oci);
            text.push(b'\n');
            text
        }
        None => as_text(&explanation).into_bytes(),
    })
}

/// Parses `REF|HOST`. A text without a slash is a host if it contains a dot or a colon, or if it is `localhost`.
fn target(text: &str) -> Result<(RegistryHost, String), Failure> {
    let may_be_host = !text.contains('/') && (text.contains(['.', ':']) || text == "localhost");
    if may_be_host && let Ok(registry) = text.parse() {
        return Ok((registry, String::new()));
    }
    let reference = parse_reference(text)?;
    let repository = reference.repository().path().to_owned();
    Ok((reference.registry().clone(), repository))
}

fn as_text(explanation: &Explanation) -> String {
    let mut target = explanation.registry.clone();
    if !explanation.repository.is_empty() {
        target = format!("{target}/{}", explanation.repository);
    }
    let mut text = format!(
        "Credentials for {target} ({}), in the order of the search:\n\n",
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
