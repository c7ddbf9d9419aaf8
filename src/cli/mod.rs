//! Arguments in, exit code out: one file a command. The only room that knows everybody.

mod annotate;
mod args;
mod auth;
mod connection_args;
mod context;
mod copy;
mod create;
mod csv;
mod failure;
mod from_environment;
mod inspect;
mod job;
mod list;
mod ls;
mod plugin;
mod publish;
mod publish_args;
mod publish_report;
mod push;
mod rm;
mod shell;
mod signals;
mod switches;
mod version;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::auth::secrets_in_variables;
use crate::environment::Environment;
use crate::report::{ErrorResult, Wording, github};
use crate::text::log_safe;
use args::{Cli, Command};
use context::{Context, Progress};
use failure::Failure;
pub use failure::exit;
use switches::Switches;

/// Runs one command to its exit code. `arguments` are those of the process, its name first.
pub fn main(arguments: Vec<OsString>, environment: &Environment) -> ExitCode {
    let arguments = match plugin::unwrap(arguments) {
        plugin::Call::Metadata => return plugin::print_metadata(),
        plugin::Call::Command(arguments) => arguments,
    };
    // Before anything else is said.
    github::mask(environment, &secrets_in_variables(environment));
    let cli = match parse(&arguments, environment) {
        Ok(cli) => cli,
        Err(error) => return misused(&error, environment),
    };
    let wording = Wording::of_environment(environment);
    let name = cli.command.as_ref().map_or("polyarch", Command::name);
    match run(cli, environment) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.is_told() {
                let title = format!("{name} failed");
                github::report_failure(environment, &title, &failure.result(wording));
            }
            failure.print(wording)
        }
    }
}

/// Wrong usage, or help that was asked for. What is wrong is quoted as it was given, so it could be a command to
/// a runner.
fn misused(error: &clap::Error, environment: &Environment) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe behind `--help` is no error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let failure = ErrorResult {
        message: message.to_owned(),
        hints: Vec::new(),
    };
    github::report_failure(environment, "wrong usage", &failure);
    if std::io::stderr().is_terminal() {
        let _ = error.print();
    } else {
        let _ = write!(std::io::stderr(), "{}", log_safe(&text));
    }
    ExitCode::from(exit::USAGE)
}

fn parse(arguments: &[OsString], environment: &Environment) -> Result<Cli, clap::Error> {
    let command = Cli::command();
    let Switches {
        arguments,
        declined,
    } = switches::resolve(&command, arguments)?;
    let arguments = from_environment::complete(&command, &arguments, &declined, environment)?;
    let matches = command.try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

fn run(cli: Cli, environment: &Environment) -> Result<ExitCode, Failure> {
    match cli.command {
        Some(Command::Completions(arguments)) => shell::completions(&arguments),
        Some(Command::Man) => shell::man(),
        Some(Command::Rm(arguments)) => rm::run(&arguments, environment),
        Some(Command::Ls(arguments)) => ls::run(&arguments, environment),
        Some(Command::Annotate(arguments)) => annotate::run(&arguments, environment),
        None if cli.version => version::print(cli.verbose),
        None => {
            Cli::command().print_help()?;
            Ok(ExitCode::from(exit::USAGE))
        }
        Some(command) => block_on(command, cli.debug, environment),
    }
}

/// The commands that talk to registries.
fn block_on(command: Command, debug: bool, environment: &Environment) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 4)))
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let context = Context::new(environment, progress_of(&command), debug);
        let outcome = dispatch(command, &context).await;
        context.observed.close();
        outcome
    });
    // Connections that are closing must not keep the process.
    runtime.shutdown_background();
    outcome
}

fn progress_of(command: &Command) -> Progress {
    match command {
        Command::Publish(arguments) => Progress::Asked(arguments.run.output.progress),
        Command::Copy(arguments) => Progress::Asked(arguments.run.output.progress),
        _ => Progress::DropIn,
    }
}

async fn dispatch(command: Command, context: &Context<'_>) -> Result<ExitCode, Failure> {
    match command {
        Command::Create(arguments) => {
            let run = Box::pin(create::run(&arguments, context));
            context.unless_interrupted(run).await
        }
        Command::Inspect(arguments) => {
            let run = Box::pin(inspect::run(&arguments, context));
            context.unless_interrupted(run).await
        }
        Command::Auth(arguments) => {
            let run = auth::run(&arguments, context);
            context.unless_interrupted(run).await
        }
        Command::Push(arguments) => push::run(&arguments, context).await,
        Command::Publish(arguments) => publish::run(&arguments, context).await,
        Command::Copy(arguments) => copy::run(&arguments, context).await,
        Command::Annotate(_)
        | Command::Rm(_)
        | Command::Ls(_)
        | Command::Completions(_)
        | Command::Man => Ok(ExitCode::SUCCESS),
    }
}
