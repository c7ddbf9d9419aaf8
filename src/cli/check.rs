//! `polyarch check`.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::args::{CheckArgs, Format};
use super::context::Context;
use super::failure::Failure;
use super::shell::print;
use crate::ops::check::{CheckReport, CheckReportEntry, check};
use crate::progress::Event;
use crate::report::ExecutableResult;
use crate::sources::{SourceSpec, parse_sources};
use crate::spec::{JsonStyle, write};
use crate::text::Printable;

pub(super) async fn run(arguments: &CheckArgs, context: &Context<'_>) -> Result<ExitCode, Failure> {
    let mut sources: Vec<SourceSpec> = Vec::new();
    for text in &arguments.references {
        sources.extend(parse_sources(text)?);
    }
    let stores = context.stores(&arguments.connection);
    let mut failure: Option<Failure> = None;
    let mut reports = Vec::new();
    for source in sources {
        let name = source.text.clone();
        match Box::pin(check(source, arguments.level, context.run(&stores))).await {
            Ok(report) => {
                for notice in report.entries.iter().flat_map(|entry| &entry.notices) {
                    context.observed.observe(Event::Notice(notice));
                }
                let failures = report.entries.iter().flat_map(|entry| &entry.failures);
                let mut failures = failures.cloned().map(Failure::from);
                if let Some(first) = failures.next() {
                    let first = failures.fold(first, |first, other| first.and(&other));
                    failure = Some(joined(failure, first));
                }
                reports.push((name, report));
            }
            Err(error) => failure = Some(joined(failure, error.into())),
        }
    }
    print(&match arguments.format {
        Some(Format::Json) => as_json(&reports),
        None => as_text(&reports).into_bytes(),
    })?;
    match failure {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn joined(before: Option<Failure>, next: Failure) -> Failure {
    match before {
        Some(before) => before.and(&next),
        None => next,
    }
}

fn as_text(reports: &[(String, CheckReport)]) -> String {
    let mut text = String::new();
    for (name, report) in reports {
        let _ = writeln!(text, "{name} {}", report.plan.index.digest);
        for (planned, checked) in report.plan.entries.iter().zip(&report.entries) {
            let platform = match &planned.descriptor.platform {
                Some(platform) if !planned.is_attestation() => platform.to_string(),
                _ if planned.is_attestation() => "attestation".to_owned(),
                _ => planned.descriptor.media_type.to_string(),
            };
            let outcome = match checked.failures.first() {
                Some(first) => first.cause(),
                None => passed(checked),
            };
            let digest = planned.descriptor.digest.short();
            let _ = writeln!(text, "  {platform:<16} {digest}  {outcome}");
        }
    }
    text
}

/// Describes an entry without failures: `ok, 2 blobs, /app is aarch64`.
fn passed(checked: &CheckReportEntry) -> String {
    let mut text = "ok".to_owned();
    if checked.blobs > 0 {
        let _ = write!(text, ", {} blobs", checked.blobs);
    }
    for executable in &checked.executables {
        let executable = ExecutableResult::from(executable).to_string();
        let _ = write!(text, ", {}", Printable(&executable));
    }
    text
}

fn as_json(reports: &[(String, CheckReport)]) -> Vec<u8> {
    let reports: Vec<_> = reports
        .iter()
        .map(|(name, report)| {
            let entries: Vec<_> = report
                .plan
                .entries
                .iter()
                .zip(&report.entries)
                .map(|(planned, checked)| {
                    let failures = checked.failures.iter().map(ToString::to_string);
                    json!({
                        "digest": planned.descriptor.digest,
                        "mediaType": planned.descriptor.media_type,
                        "platform": planned.descriptor.platform,
                        "blobs": checked.blobs,
                        "executables": executables(checked),
                        "notices": checked.notices,
                        "failures": failures.collect::<Vec<_>>(),
                    })
                })
                .collect();
            json!({
                "reference": name,
                "digest": report.plan.index.digest,
                "entries": entries,
            })
        })
        .collect();
    let mut text = write(&json!({ "references": reports }), JsonStyle::Oci);
    text.push(b'\n');
    text
}

fn executables(checked: &CheckReportEntry) -> Vec<ExecutableResult> {
    let executables = checked.executables.iter();
    executables.map(ExecutableResult::from).collect()
}
