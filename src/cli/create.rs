//! `polyarch create`.

use std::process::ExitCode;

use super::args::CreateArgs;
use super::context::Context;
use super::failure::Failure;
use super::shell::print;
use crate::draft::Drafts;
use crate::ops::drafts::{CreateOptions, Existing, create};
use crate::spec::Reference;

pub(super) async fn run(
    arguments: &CreateArgs,
    context: &Context<'_>,
) -> Result<ExitCode, Failure> {
    let parse = |what: &str, text: &String| {
        Reference::parse_or_latest(text).map_err(|error| {
            Failure::reference(text, error).context(format!("error parsing name for {what} {text}"))
        })
    };
    let sources = arguments.manifests.iter();
    let options = CreateOptions {
        list: parse("manifest list", &arguments.list)?,
        sources: sources
            .map(|text| parse("manifest", text))
            .collect::<Result<_, _>>()?,
        existing: match arguments {
            CreateArgs { replace: true, .. } => Existing::Replace,
            CreateArgs { amend: true, .. } => Existing::Amend,
            _ => Existing::Refuse,
        },
    };
    let stores = context.stores(&arguments.connection);
    let drafts = Drafts::locate(context.environment)?;
    create(&options, &drafts, context.run(&stores)).await?;
    print(format!("Created manifest list {}\n", options.list).as_bytes())
}
