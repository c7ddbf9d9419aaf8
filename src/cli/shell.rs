//! Shell completions and the manual page, generated from the arguments.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use super::args::{self, CompletionsArgs};
use super::failure::Failure;

pub(super) fn completions(arguments: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut args::command(),
        "polyarch",
        &mut script,
    );
    print(&script)
}

/// Prints one manual page with a section for each command.
pub(super) fn man() -> Result<ExitCode, Failure> {
    let command = args::command().version(env!("CARGO_PKG_VERSION"));
    let whole = clap_mangen::Man::new(command.clone());
    let mut page = QUOTE.to_owned();
    page += &section(|out| whole.render_title(out))?;
    page += &section(|out| whole.render_name_section(out))?;
    page += &section(|out| whole.render_synopsis_section(out))?;
    page += &section(|out| whole.render_description_section(out))?;
    page += &section(|out| whole.render_options_section(out))?;
    for subcommand in command.get_subcommands() {
        let words = format!("polyarch {}", subcommand.get_name());
        let _ = writeln!(page, ".SH \"{}\"", words.to_uppercase());
        let subcommand = subcommand.clone().name(words.clone()).bin_name(words);
        // Otherwise, the page would contain only the names of the options that `-h` omits.
        let part = clap_mangen::Man::new(subcommand.mut_args(|it| it.hide_short_help(false)));
        let parts = [
            section(|out| part.render_description_section(out))?,
            section(|out| part.render_synopsis_section(out))?,
            section(|out| part.render_options_section(out))?,
        ];
        page += &parts.concat().replace(".SH ", ".SS ");
    }
    let extra = section(|out| whole.render_extra_section(out))?;
    page += &extra.replace(".SH EXTRA", ".SH \"ENVIRONMENT AND EXIT CODES\"");
    print(page.as_bytes())
}

/// The definition of an apostrophe for `groff` and others.
const QUOTE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Renders a section without [`QUOTE`], which `render` repeats.
fn section(render: impl Fn(&mut dyn io::Write) -> io::Result<()>) -> Result<String, Failure> {
    let mut text = Vec::new();
    render(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().filter(|line| !line.contains(".ds Aq "));
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}

/// Prints to standard output. A reader that ends early (`| head`) is no error.
pub(super) fn print(bytes: &[u8]) -> Result<ExitCode, Failure> {
    match write_out(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => Ok(written.map(|()| ExitCode::SUCCESS)?),
    }
}

/// Prints the result of a run. A reader that ends early is an error: it would not receive the digest.
pub(super) fn print_result(bytes: &[u8]) -> Result<(), Failure> {
    write_out(bytes)
        .map_err(|error| Failure::from(error).context("cannot write to standard output"))
}

fn write_out(bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
