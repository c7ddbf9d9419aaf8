//! What GitHub's runner reads: outputs, the job summary, annotations, masks. Gitea and Forgejo read the same.
//! Every path comes from the environment of the step; nothing happens where the runner names no file.

mod command;
mod entries;
mod markdown;
mod output;
#[cfg(test)]
#[path = "../../../fuzz/src/runner.rs"]
mod runner;
mod summary;

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

pub use command::{annotations, masks, neutral};
use command::{commands, with_hints};
pub use output::{heredocs, outputs};
pub use summary::{SUMMARY_LIMIT, summary};

use super::files::FileError;
use super::result::{ErrorResult, IndexResult, Status};
use super::results::Results;
use crate::auth::Secret;
use crate::environment::Environment;

/// Hides `secrets` and their base64 form in everything that the job prints from here on. Only under a runner:
/// anywhere else this would print them.
pub fn mask(environment: &Environment, secrets: &[Secret]) {
    if environment.var("GITHUB_ACTIONS") == Some("true") {
        say(&masks(secrets, environment));
    }
}

/// Tells the runner of a failure of which there is nothing to report but itself. Only under a runner.
pub fn tell(environment: &Environment, title: &str, failure: &ErrorResult) {
    if environment.var("GITHUB_ACTIONS") == Some("true") {
        let title = format!("polyarch: {title}");
        say(&commands("error", &title, vec![with_hints(failure)]));
    }
}

/// Tells the runner how a run ended: outputs, annotations and, with `with_summary`, the job summary. `failure`
/// is what the run is about to end with.
pub fn report(
    environment: &Environment,
    results: &Results,
    failure: Option<&ErrorResult>,
    with_summary: bool,
) -> Result<(), FileError> {
    say(&annotations(results, failure));
    let index_path = keep_index(environment, results)?;
    if let Some(path) = environment.var("GITHUB_OUTPUT") {
        let outputs = outputs(results, index_path.as_deref());
        let text = heredocs(&outputs).map_err(|source| error(Path::new(path), source))?;
        append(Path::new(path), |_| text)?;
    }
    let path = environment.var("GITHUB_STEP_SUMMARY");
    if let Some(path) = path.filter(|_| with_summary) {
        append(Path::new(path), |size| {
            let left = SUMMARY_LIMIT.saturating_sub(size);
            summary(results, failure, left)
        })?;
    }
    Ok(())
}

/// On standard error: standard output is for results. A closed one is no reason to fail.
fn say(lines: &[String]) {
    let text = lines.iter().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    });
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The bytes of the index for later steps, under a name of its own: a second run in the job, or in another job
/// on the same machine, takes nothing away from the first.
fn keep_index(
    environment: &Environment,
    results: &[IndexResult],
) -> Result<Option<PathBuf>, FileError> {
    let (Some(directory), Some(result)) = (environment.var("RUNNER_TEMP"), first_good(results))
    else {
        return Ok(None);
    };
    let name = format!("polyarch-index-{}.json", result.digest.hex());
    let path = Path::new(directory).join(name);
    fs::write(&path, &result.bytes).map_err(|source| error(&path, source))?;
    Ok(Some(path))
}

/// The first that is there, or would be in a real run.
fn first_good(results: &[IndexResult]) -> Option<&IndexResult> {
    results
        .iter()
        .find(|result| result.status != Status::Failed)
}

/// Adds to a file what `text` makes of its size so far, on a line of its own.
fn append(path: &Path, text: impl FnOnce(usize) -> String) -> Result<(), FileError> {
    let try_append = || {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let size = file.metadata()?.len();
        let mut before = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut before)?;
        }
        let separator = if before == *b"\n" { "" } else { "\n" };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        file.write_all(format!("{separator}{}", text(size)).as_bytes())
    };
    try_append().map_err(|source| error(path, source))
}

fn error(path: &Path, source: io::Error) -> FileError {
    FileError {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{failed, published};
    use super::*;

    #[test]
    fn files_are_added_to_and_every_output_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("output"), "mine=1").unwrap();
        fs::write(at("summary"), "mine\n").unwrap();
        let environment: Environment = [
            ("GITHUB_OUTPUT", at("output")),
            ("GITHUB_STEP_SUMMARY", at("summary")),
            ("RUNNER_TEMP", directory.path().to_owned()),
        ]
        .into_iter()
        .map(|(name, path)| (name, path.to_str().unwrap().to_owned()))
        .collect();
        report(&environment, &vec![published()].into(), None, true).unwrap();
        let outputs = runner::parse_outputs(&fs::read_to_string(at("output")).unwrap()).unwrap();
        let find = |name: &str| {
            outputs
                .iter()
                .find(|(key, _)| key == name)
                .unwrap()
                .1
                .clone()
        };
        assert_eq!(find("mine"), "1");
        assert_eq!(find("digest"), published().digest.to_string());
        assert_eq!(fs::read(find("index-path")).unwrap(), published().bytes);
        let summary = fs::read_to_string(at("summary")).unwrap();
        assert!(summary.starts_with("mine\n## "), "{summary}");
    }

    #[test]
    fn without_files_nothing_is_written() {
        report(&Environment::default(), &vec![failed()].into(), None, true).unwrap();
    }

    #[test]
    fn the_summary_can_be_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("summary");
        let environment: Environment = [("GITHUB_STEP_SUMMARY", path.to_str().unwrap())]
            .into_iter()
            .collect();
        report(&environment, &vec![published()].into(), None, false).unwrap();
        assert!(!path.exists());
    }
}
