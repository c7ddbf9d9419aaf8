//! Runs a program that prints a credential, with limits on time and output. Child processes of the program are ended
//! with it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::secret_variables::is_own_secret;
use crate::environment::Environment;

/// The time limit of a program, which may request a token from a cloud.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum size of the output in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// The bytes of standard error that are kept.
const MAX_STDERR: u64 = 8 * 1024;

/// How long to wait for the end of standard error after the program exited.
const GRACE: Duration = Duration::from_millis(100);

/// The characters of an error message that are shown.
const MAX_SHOWN: usize = 200;

/// Why a credential helper or another program failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HelperFailure {
    /// The name could select a program outside of the search path.
    #[error("its name may contain only letters, digits, `.`, `_`, `+` and `-`")]
    BadName,
    #[error("no such program in PATH")]
    NotFound,
    /// The program cannot be started, or its pipes fail.
    #[error("it cannot be run")]
    NotRunnable(#[source] Arc<io::Error>),
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    #[error("its answer is larger than {0} bytes")]
    TooMuchOutput(u64),
    #[error("{status}{message}")]
    Failed {
        status: String,
        /// The first line of its standard error after a colon, or empty.
        message: String,
    },
    #[error("its answer is not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("its answer lacks {0}")]
    Incomplete(&'static str),
}

/// Runs a program with the variables of `environment`, except polyarch's own secrets.
pub(super) async fn run(
    mut command: Command,
    environment: &Environment,
    input: &str,
    timeout: Duration,
) -> Result<Output, HelperFailure> {
    let variables = environment.with_prefix("");
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command
        .env_clear()
        .envs(variables.filter(|(name, _)| !is_own_secret(name)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(not_runnable)?;
    let _group = Group::of(&child);
    tokio::time::timeout(timeout, exchange(&mut child, input))
        .await
        .map_err(|_| HelperFailure::TimedOut(timeout))?
}

/// The process group of a program. It is killed on drop, since a program that is still running could wait for an answer
/// that is never read.
struct Group {
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            id: id.and_then(rustix::process::Pid::from_raw),
        }
    }

    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Self {}
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // Fails if all its processes have ended.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

/// The output of a program and its exit status.
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Zeroizing<Vec<u8>>,
    pub(super) stderr: Vec<u8>,
}

impl Output {
    /// Returns the error of a program that exited with a failure. Its standard output is never shown, since it may
    /// contain a secret.
    pub(super) fn failure(&self) -> HelperFailure {
        let message = first_line(&String::from_utf8_lossy(&self.stderr))
            .map(|line| format!(": {line}"))
            .unwrap_or_default();
        HelperFailure::Failed {
            status: self.status.to_string(),
            message,
        }
    }
}

/// Writes the input and collects the output.
async fn exchange(child: &mut Child, input: &str) -> Result<Output, HelperFailure> {
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input may have closed it already.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(not_runnable(std::io::ErrorKind::BrokenPipe.into()));
    };
    let mut captured = Vec::new();
    let (status, stdout) = {
        let mut draining = std::pin::pin!(drain(stderr, &mut captured));
        let mut answering = std::pin::pin!(answer_of(child, stdout));
        tokio::select! {
            answer = &mut answering => {
                // The program has exited, but a daemon that it started may keep the pipe open.
                let _ = tokio::time::timeout(GRACE, draining).await;
                answer?
            }
            () = &mut draining => answering.await?,
        }
    };
    Ok(Output {
        status,
        stdout,
        stderr: captured,
    })
}

/// Keeps the first bytes of standard error and discards the rest, so that the program does not block.
async fn drain(mut stderr: impl AsyncRead + Unpin, captured: &mut Vec<u8>) {
    let kept = (&mut stderr).take(MAX_STDERR).read_to_end(captured).await;
    if kept.is_ok() {
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
}

/// Reads standard output to its end and waits for the program to exit.
async fn answer_of(
    child: &mut Child,
    stdout: impl AsyncRead + Unpin,
) -> Result<(ExitStatus, Zeroizing<Vec<u8>>), HelperFailure> {
    let mut answer = Zeroizing::new(Vec::new());
    stdout
        .take(MAX_ANSWER + 1)
        .read_to_end(&mut answer)
        .await
        .map_err(not_runnable)?;
    if answer.len() as u64 > MAX_ANSWER {
        return Err(HelperFailure::TooMuchOutput(MAX_ANSWER));
    }
    let status = child.wait().await.map_err(not_runnable)?;
    Ok((status, answer))
}

fn not_runnable(error: std::io::Error) -> HelperFailure {
    HelperFailure::NotRunnable(Arc::new(error))
}

/// Returns the first line that is not empty, shortened and without control characters. Output that looks like JSON is
/// never shown: it may contain a secret.
fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    if text.contains('{') {
        return None;
    }
    let shown: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_SHOWN)
        .collect();
    Some(shown)
}
