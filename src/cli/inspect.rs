//! `polyarch inspect`: shows a local list or an image in a registry, in Docker's format or others.

use std::process::ExitCode;

use super::args::{Format, InspectArgs};
use super::context::Context;
use super::failure::{Failure, exit, parse_reference};
use super::shell::print;
use crate::draft::Drafts;
use crate::ops::inspect::{InspectOptions, Subject, inspect};
use crate::report::Inspection;
use crate::spec::LayoutReference;

pub(super) async fn run(
    arguments: &InspectArgs,
    context: &Context<'_>,
) -> Result<ExitCode, Failure> {
    let options = InspectOptions {
        subject: subject(&arguments.names)?,
        children: arguments.verbose,
        platform: arguments.verbose || arguments.format.is_some(),
    };
    // If there is no directory for drafts, there are no drafts.
    let drafts = Drafts::locate(context.environment).ok();
    let stores = context.stores(&arguments.connection);
    let inspection = inspect(&options, drafts.as_ref(), context.run(&stores)).await?;
    print(&render(&inspection, arguments)?)
}

fn subject(names: &[String]) -> Result<Subject, Failure> {
    Ok(match names {
        // A script may pass an empty "$LIST".
        [list, image] if !list.is_empty() => Subject::Entry {
            list: parse_reference(list)?,
            image: parse_reference(image)?,
        },
        [.., name] if LayoutReference::is_meant_by(name) => Subject::Layout(
            name.parse()
                .map_err(|error| Failure::new(exit::USAGE, error))?,
        ),
        [.., name] => Subject::Name(parse_reference(name)?),
        [] => return Err(Failure::usage("missing MANIFEST")),
    })
}

fn render(inspection: &Inspection, arguments: &InspectArgs) -> Result<Vec<u8>, Failure> {
    if arguments.raw {
        return Ok(inspection.manifest.bytes.to_vec());
    }
    if arguments.tree {
        return Ok(inspection.tree().into_bytes());
    }
    let mut text = match arguments.format {
        Some(Format::Json) => inspection.json(),
        None if arguments.verbose => inspection
            .docker_verbose()
            .map_err(|error| Failure::new(exit::REFUSED, error))?,
        None => inspection.docker(),
    };
    text.push(b'\n');
    Ok(text)
}
