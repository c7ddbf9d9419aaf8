//! Outputs, job summary, annotations and masks for the runners of GitHub, Gitea and Forgejo. All paths come from the
//! environment of the step; without a path nothing is written.

mod command;
mod entries;
mod markdown;
mod output;
#[cfg(test)]
#[path = "../../../fuzz/src/runner.rs"]
mod runner;
mod summary;

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

pub use command::{annotations, masks};
use command::{commands, with_details};
pub use output::{heredocs, outputs};
pub use summary::{SUMMARY_LIMIT, summary};

use super::files::FileError;
use super::result::ErrorResult;
use super::results::Results;
use crate::auth::Secret;
use crate::disk::{self, Access};
use crate::environment::Environment;

/// Masks `secrets` and their base64 form in the rest of the log. Does nothing outside a job, where it would print them.
pub fn mask(environment: &Environment, secrets: &[Secret]) {
    if environment.var("GITHUB_ACTIONS") == Some("true") {
        write_log(&masks(secrets, environment));
    }
}

/// Writes an error annotation for a failure without a result. Does nothing outside a job.
pub fn report_failure(environment: &Environment, title: &str, failure: &ErrorResult) {
    if environment.var("GITHUB_ACTIONS") == Some("true") {
        let title = format!("polyarch: {title}");
        write_log(&commands("error", &title, vec![with_details(failure)]));
    }
}

/// Reports a run: annotations, outputs and, with `with_summary`, the job summary. `failure` is the error that the
/// command ends with. Writes as much as possible, and returns the first error.
pub fn report(
    environment: &Environment,
    results: &Results,
    failure: Option<&ErrorResult>,
    with_summary: bool,
) -> Result<(), FileError> {
    write_log(&annotations(results, failure));
    let (index_path, index_written) = match write_index(environment, results) {
        Ok(path) => (path, Ok(())),
        Err(error) => (None, Err(error)),
    };
    let outputs_written = write_outputs(environment, results, index_path.as_deref());
    let path = environment.var("GITHUB_STEP_SUMMARY");
    let summary_written = path.filter(|_| with_summary).map_or(Ok(()), |path| {
        append(Path::new(path), |size| {
            let left = SUMMARY_LIMIT.saturating_sub(size);
            summary(results, failure, left)
        })
    });
    outputs_written.and(summary_written).and(index_written)
}

fn write_outputs(
    environment: &Environment,
    results: &Results,
    index_path: Option<&Path>,
) -> Result<(), FileError> {
    let Some(path) = environment.var("GITHUB_OUTPUT").map(Path::new) else {
        return Ok(());
    };
    let outputs = outputs(results, index_path);
    write_log(&commands("warning", "polyarch", outputs.warnings));
    let text = heredocs(&outputs.values).map_err(|source| error(path, source))?;
    append(path, |_| text)
}

/// Writes to standard error: standard output is for results. Write errors are ignored.
fn write_log(lines: &[String]) {
    let text = lines.iter().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    });
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes the bytes of the index for later steps. The name contains the digest, because runs may share the directory.
fn write_index(environment: &Environment, results: &Results) -> Result<Option<PathBuf>, FileError> {
    let (Some(directory), Some(result)) = (environment.var("RUNNER_TEMP"), results.first_good())
    else {
        return Ok(None);
    };
    let name = format!("polyarch-index-{}.json", result.digest.hex());
    let path = Path::new(directory).join(name);
    // The name is predictable, so a symbolic link there is replaced, not followed.
    disk::write(&path, &result.bytes, Access::Shared)
        .map_err(|source| error(&path, io::Error::other(source)))?;
    Ok(Some(path))
}

/// Appends text that starts on a new line. `text` receives the size of the file.
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
    use std::fs;

    use super::super::fixture::{failed, published};
    use super::*;

    #[test]
    fn outputs_and_summary_are_appended() {
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

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_at_the_index_path_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        fs::write(&target, "old").unwrap();
        let name = format!("polyarch-index-{}.json", published().digest.hex());
        std::os::unix::fs::symlink(&target, directory.path().join(name)).unwrap();
        let temporary = directory.path().to_str().unwrap().to_owned();
        let environment: Environment = [("RUNNER_TEMP", temporary)].into_iter().collect();
        let path = write_index(&environment, &vec![published()].into()).unwrap();
        assert_eq!(fs::read(path.unwrap()).unwrap(), published().bytes);
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
    }

    #[test]
    fn outputs_are_written_although_the_index_file_cannot_be() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("output");
        let missing = directory.path().join("missing");
        let environment: Environment = [
            ("GITHUB_OUTPUT", output.to_str().unwrap()),
            ("RUNNER_TEMP", missing.to_str().unwrap()),
        ]
        .into_iter()
        .collect();
        let error = report(&environment, &vec![published()].into(), None, true).unwrap_err();
        assert!(error.path.starts_with(&missing));
        let outputs = runner::parse_outputs(&fs::read_to_string(output).unwrap()).unwrap();
        let find = |name: &str| &outputs.iter().find(|(key, _)| key == name).unwrap().1;
        assert_eq!(*find("digest"), published().digest.to_string());
        assert_eq!(find("index-path"), "");
    }

    #[test]
    fn without_files_nothing_is_written() {
        report(&Environment::default(), &vec![failed()].into(), None, true).unwrap();
    }

    #[test]
    fn the_summary_is_optional() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("summary");
        let environment: Environment = [("GITHUB_STEP_SUMMARY", path.to_str().unwrap())]
            .into_iter()
            .collect();
        report(&environment, &vec![published()].into(), None, false).unwrap();
        assert!(!path.exists());
    }
}
