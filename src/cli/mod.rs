//! Parses arguments, renders results and returns exit codes. Each command has a file. May depend on every other
//! module.

mod annotate;
mod args;
mod auth;
mod check;
mod choices;
mod connection_args;
mod context;
mod copy;
mod create;
mod csv;
mod docker;
mod failure;
mod from_environment;
mod inspect;
mod invocation;
mod ls;
mod outcome;
mod publish;
mod publish_args;
mod publish_report;
mod push;
mod rm;
mod shell;
mod signals;
mod switches;
mod usage;
mod variables;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::auth::secrets_in_variables;
use crate::environment::Environment;
use crate::progress::Event;
use crate::report::{Wording, github};
use args::{Cli, Command};
use context::{Context, Progress};
use failure::Failure;
pub use failure::exit;
use invocation::Invocation;
use switches::Switches;

/// Runs one command and returns its exit code. The first of the `arguments` is the name of the program.
pub fn main(arguments: Vec<OsString>, environment: &Environment) -> ExitCode {
    let (arguments, environment) = match invocation::read(arguments, environment) {
        Invocation::PluginMetadata => return invocation::print_metadata(),
        Invocation::Docker(arguments) => return docker::run_next(&arguments, environment),
        Invocation::Command {
            arguments,
            environment,
        } => (arguments, environment),
    };
    let environment = &*environment;
    // GitHub masks a secret only in the output after this command.
    github::mask(environment, &secrets_in_variables(environment));
    let cli = match parse(&arguments, environment) {
        Ok(cli) => cli,
        Err(error) => return report_usage_error(&error, &arguments, environment),
    };
    let name = cli.command.as_ref().map_or("polyarch", Command::name);
    let wording = wording(name, environment);
    match run(cli, environment, wording) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.is_reported() {
                let title = format!("{name} failed");
                github::report_failure(environment, &title, &failure.result(wording));
            }
            failure.print(wording)
        }
    }
}

/// Returns the wording of messages of a command.
fn wording(name: &str, environment: &Environment) -> Wording {
    let all = args::command();
    Wording::of_environment(environment).for_command(|option| {
        all.find_subcommand(name).is_none_or(|command| {
            let mut options = command.get_arguments().filter_map(clap::Arg::get_long);
            options.any(|long| long == option)
        })
    })
}

/// Prints a usage error, or the requested help.
fn report_usage_error(
    error: &clap::Error,
    arguments: &[OsString],
    environment: &Environment,
) -> ExitCode {
    if !error.use_stderr() {
        // A reader of `--help` that ends early is no error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let wording = Wording::of_environment(environment);
    let failure = usage::failure(error, &args::command(), arguments);
    github::report_failure(environment, "wrong usage", &failure.result(wording));
    failure.print(wording)
}

fn parse(arguments: &[OsString], environment: &Environment) -> Result<Cli, clap::Error> {
    let own = arguments.iter().take_while(|argument| *argument != "--");
    let is_brief = own.into_iter().any(|argument| argument == "-h");
    let command = if is_brief {
        args::brief_command()
    } else {
        args::command()
    };
    let Switches {
        arguments,
        declined,
    } = switches::resolve(&command, arguments)?;
    let arguments = from_environment::complete(&command, &arguments, &declined, environment)?;
    let matches = command.try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

fn run(cli: Cli, environment: &Environment, wording: Wording) -> Result<ExitCode, Failure> {
    variables::check_encoding(environment)?;
    let Some(command) = cli.command else {
        if cli.version {
            return version::print(cli.verbose);
        }
        args::command().print_help()?;
        return Ok(ExitCode::from(exit::USAGE));
    };
    let progress = progress_of(&command);
    let online = Online {
        environment,
        progress,
        debug: cli.debug,
        wording,
    };
    match command {
        Command::Completions(arguments) => shell::completions(&arguments),
        Command::Man => shell::man(),
        Command::Rm(arguments) => rm::run(&arguments, environment, wording),
        Command::Ls(arguments) => ls::run(&arguments, environment, wording),
        Command::Annotate(arguments) => annotate::run(&arguments, environment),
        Command::Create(arguments) => online.run(async |context: &Context<'_>| {
            let run = Box::pin(create::run(&arguments, context));
            context.unless_interrupted(run).await
        }),
        Command::Inspect(arguments) => online.run(async |context: &Context<'_>| {
            let run = Box::pin(inspect::run(&arguments, context));
            context.unless_interrupted(run).await
        }),
        Command::Check(arguments) => online.run(async |context: &Context<'_>| {
            let run = Box::pin(check::run(&arguments, context));
            context.unless_interrupted(run).await
        }),
        Command::Auth(arguments) => online.run(async |context: &Context<'_>| {
            let run = auth::run(&arguments, context);
            context.unless_interrupted(run).await
        }),
        Command::Push(arguments) => {
            online.run(async |context: &Context<'_>| push::run(&arguments, context).await)
        }
        Command::Publish(arguments) => {
            online.run(async |context: &Context<'_>| publish::run(&arguments, context).await)
        }
        Command::Copy(arguments) => {
            online.run(async |context: &Context<'_>| copy::run(&arguments, context).await)
        }
    }
}

fn progress_of(command: &Command) -> Progress {
    match command {
        Command::Publish(arguments) => Progress::FromOption(arguments.run.output.progress()),
        Command::Copy(arguments) => Progress::FromOption(arguments.run.output.progress()),
        _ => Progress::DropIn,
    }
}

/// Runs commands that use registries.
struct Online<'a> {
    environment: &'a Environment,
    progress: Progress,
    debug: bool,
    wording: Wording,
}

impl Online<'_> {
    fn run(
        self,
        command: impl AsyncFnOnce(&Context<'_>) -> Result<ExitCode, Failure>,
    ) -> Result<ExitCode, Failure> {
        require_free_descriptors().map_err(not_started)?;
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 4));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .map_err(not_started)?;
        let outcome = runtime.block_on(async {
            let context = Context::new(self.environment, self.progress, self.debug, self.wording);
            for warning in variables::warnings(&args::command(), self.environment) {
                context.observed.observe(Event::Warning(&warning));
            }
            let outcome = command(&context).await;
            context.observed.close();
            outcome
        });
        // Connections that are closing must not delay the exit.
        runtime.shutdown_background();
        outcome
    }
}

fn not_started(error: std::io::Error) -> Failure {
    Failure::from(error)
        .context("failed to start")
        .hint("raise the limit of open files, for example with `ulimit -n 1024`")
}

/// Checks that enough file descriptors are free for the runtime, which would otherwise panic.
fn require_free_descriptors() -> std::io::Result<()> {
    const PIPES: usize = 4;
    let pipes: std::io::Result<Vec<_>> = (0..PIPES).map(|_| std::io::pipe()).collect();
    pipes.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::Hint;

    /// Every hint that names options, in the order of [`Hint`].
    fn hints() -> Vec<Hint> {
        let registry = || "registry.example".parse().unwrap();
        let source = || "SOURCE".to_owned();
        vec![
            Hint::LowerRequestRate,
            Hint::RaiseRetryBudget,
            Hint::ChooseMediaType {
                media_type: "TYPE".to_owned(),
            },
            Hint::RaiseManifestLimit,
            Hint::AllowPlainHttp {
                registry: registry(),
            },
            Hint::NameInsecureSources {
                registry: registry(),
            },
            Hint::InsecureForNamedOnly {
                registry: registry(),
            },
            Hint::TrustCertificate {
                registry: registry(),
            },
            Hint::SkipCertificateChecks,
            Hint::PlainHttpScheme,
            Hint::SetPlatform { source: source() },
            Hint::AnnotatePlatform { source: source() },
            Hint::AddMissingPlatform,
            Hint::ChooseDuplicate,
            Hint::CorrectPlatform,
            Hint::ChooseAnnotationLevel {
                key: "KEY".to_owned(),
            },
            Hint::UseOciIndex,
            Hint::DropAttestations,
            Hint::NameImageRepository,
            Hint::WaitForSource,
            Hint::AddImageRepository,
            Hint::AnnotateEntry {
                list: "LIST".to_owned(),
                entry: source(),
            },
            Hint::ReplaceDraft {
                list: "LIST".to_owned(),
            },
        ]
    }

    /// Returns the options in a text, each with the command that the text names before it, or else `own`.
    fn options_in(text: &str, own: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (number, part) in text.split('`').enumerate() {
            let is_code = number % 2 == 1;
            let call = part.strip_prefix("polyarch ").filter(|_| is_code);
            let command = call.and_then(|call| call.split(' ').next()).unwrap_or(own);
            for word in part.split(' ').filter_map(|word| word.strip_prefix("--")) {
                let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
                let option = word.trim_end_matches(|c| !is_name(c));
                found.push((command.to_owned(), option.to_owned()));
            }
        }
        found
    }

    #[test]
    fn hints_name_only_options_that_their_command_has() {
        let environment = Environment::default();
        let all = args::command();
        let mut compared = 0;
        for command in all.get_subcommands() {
            let own = command.get_name();
            let wording = wording(own, &environment);
            for hint in hints() {
                let text = wording.render(&hint);
                for (name, option) in options_in(&text, own) {
                    let command = all.find_subcommand(&name).expect("a command");
                    let mut options = command.get_arguments().filter_map(clap::Arg::get_long);
                    assert!(options.any(|long| long == option), "{own}: {text}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 100, "{compared}");
    }

    #[test]
    fn copy_refers_to_publish_for_another_media_type() {
        let hint = Hint::ChooseMediaType {
            media_type: "TYPE".to_owned(),
        };
        let text = wording("copy", &Environment::default()).render(&hint);
        insta::assert_snapshot!(text, @"try `polyarch publish --media-type docker` or `polyarch publish --media-type oci`: the registry may not accept the media type TYPE");
    }
}
