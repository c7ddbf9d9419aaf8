//! Runs a `docker-credential-*` program: the server name on its input, JSON on its output. Time and output are
//! limited, and the program must be in an absolute directory of `PATH`.
//!
//! <https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol>

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::credential::TOKEN_USERNAME;
use super::variables::is_secret_variable;
use super::{Credential, HelperFailure, Secret};
use crate::environment::Environment;

/// The time limit of a helper, which may request a token from a cloud.
pub(super) const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum size of the output in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// The bytes of standard error that are kept.
const MAX_STDERR: u64 = 8 * 1024;

/// How long to wait for the end of standard error after the helper exited.
const GRACE: Duration = Duration::from_millis(100);

/// The characters of an error message that are shown.
const MAX_SHOWN: usize = 200;

/// The output of helpers that have no credential, together with a failure code.
///
/// <https://github.com/docker/docker-credential-helpers/blob/main/credentials/error.go>
const NOTHING_FOUND: &str = "credentials not found in native keychain";

/// Returns the file name of a helper.
pub(super) fn program_name(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Runs the helper `name` for `server`. Returns `None` if it has no credential.
pub(super) async fn ask(
    name: &str,
    server: &str,
    environment: &Environment,
    timeout: Duration,
) -> Result<Option<Credential>, HelperFailure> {
    let program = find(name, environment)?;
    let mut child = start(&program, environment).map_err(not_runnable)?;
    let output = tokio::time::timeout(timeout, exchange(&mut child, server))
        .await
        .map_err(|_| HelperFailure::TimedOut(timeout))??;
    if output.status.success() {
        return read_answer(&output.stdout);
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stdout.trim() == NOTHING_FOUND || stderr.trim() == NOTHING_FOUND {
        return Ok(None);
    }
    // The official helpers print errors to standard output, others to standard error.
    let message = first_line(&stdout)
        .or_else(|| first_line(&stderr))
        .map(|line| format!(": {line}"))
        .unwrap_or_default();
    Err(HelperFailure::Failed {
        status: output.status.to_string(),
        message,
    })
}

/// Finds the program in the `PATH` of `environment`. Relative directories are skipped: a helper must not come from
/// the current directory.
fn find(name: &str, environment: &Environment) -> Result<PathBuf, HelperFailure> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    if name.is_empty() || !name.chars().all(harmless) {
        return Err(HelperFailure::BadName);
    }
    let file = format!("{}{}", program_name(name), std::env::consts::EXE_SUFFIX);
    std::env::split_paths(environment.var("PATH").unwrap_or_default())
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(&file))
        .find(|path| is_program(path))
        .ok_or(HelperFailure::NotFound)
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Starts the helper with the variables of `environment`, except polyarch's own secrets.
fn start(program: &Path, environment: &Environment) -> std::io::Result<Child> {
    Command::new(program)
        .arg("get")
        .env_clear()
        .envs(
            environment
                .with_prefix("")
                .filter(|(name, _)| !is_secret_variable(name)),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

struct Output {
    status: ExitStatus,
    stdout: Zeroizing<Vec<u8>>,
    stderr: Vec<u8>,
}

/// Writes the server name and collects the output.
async fn exchange(child: &mut Child, server: &str) -> Result<Output, HelperFailure> {
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input may have closed it already.
        let _ = stdin.write_all(server.as_bytes()).await;
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
                // A daemon that the helper started may keep the pipe open; the helper itself has exited.
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

/// Keeps the first bytes of standard error and discards the rest, so that the helper does not block.
async fn drain(mut stderr: impl AsyncRead + Unpin, captured: &mut Vec<u8>) {
    let kept = (&mut stderr).take(MAX_STDERR).read_to_end(captured).await;
    if kept.is_ok() {
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
}

/// Reads standard output to its end and waits for the helper to exit.
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

/// The output of a helper. Go programs ignore the letter case of the names.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", alias = "username", default)]
    username: Option<String>,
    #[serde(rename = "Secret", alias = "secret")]
    secret: Option<Secret>,
}

/// Parses the output. Returns `None` if user name and secret are both empty.
pub(super) fn read_answer(answer: &[u8]) -> Result<Option<Credential>, HelperFailure> {
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|error| HelperFailure::NotJson {
            line: error.line(),
            column: error.column(),
        })?;
    let username = answer.username.filter(|name| !name.is_empty());
    let secret = answer.secret.filter(|secret| !secret.reveal().is_empty());
    match (username, secret) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(HelperFailure::Incomplete("the user name")),
        (Some(_), None) => Err(HelperFailure::Incomplete("the secret")),
        (Some(username), Some(token)) if username == TOKEN_USERNAME => {
            Ok(Some(Credential::IdentityToken {
                username: None,
                token,
            }))
        }
        (Some(username), Some(password)) => Ok(Some(Credential::Basic { username, password })),
    }
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::auth::error::in_one_line;
    use crate::auth::fixture::Home;

    async fn ask_script(script: &str) -> Result<Option<Credential>, HelperFailure> {
        let home = Home::new();
        home.helper("test", script);
        ask("test", "ghcr.io", &home.environment(&[]), HELPER_TIMEOUT).await
    }

    async fn complaint(script: &str) -> String {
        in_one_line(&ask_script(script).await.expect_err("a failure"))
    }

    #[tokio::test]
    async fn the_server_goes_in_and_the_credential_comes_out() {
        let found =
            ask_script(r#"printf '{"ServerURL":"x","Username":"%s","Secret":"%s"}' "$(cat)" "$1""#)
                .await
                .expect("an answer");
        let expected = Credential::Basic {
            username: "ghcr.io".into(),
            password: Secret::new("get"),
        };
        assert_eq!(found, Some(expected));
    }

    #[tokio::test]
    async fn the_token_user_means_an_identity_token() {
        let found = ask_script(r#"echo '{"Username":"<token>","Secret":"refresh"}'"#)
            .await
            .expect("an answer");
        let expected = Credential::IdentityToken {
            username: None,
            token: Secret::new("refresh"),
        };
        assert_eq!(found, Some(expected));
    }

    #[tokio::test]
    async fn nothing_found_is_no_error() {
        for script in [
            "echo 'credentials not found in native keychain'; exit 1",
            "echo 'credentials not found in native keychain' >&2; exit 1",
            r#"echo '{"ServerURL":"","Username":"","Secret":""}'"#,
        ] {
            assert_eq!(ask_script(script).await.expect(script), None, "{script}");
        }
    }

    #[tokio::test]
    async fn a_failure_says_what_the_helper_said() {
        assert_eq!(
            complaint(r"printf '\npass store is \033[31muninitialized\nsecond'; exit 3").await,
            "exit status: 3: pass store is [31muninitialized"
        );
        assert_eq!(
            complaint("echo 'no session' >&2; exit 1").await,
            "exit status: 1: no session"
        );
    }

    #[tokio::test]
    async fn a_failure_never_shows_an_answer() {
        assert_eq!(
            complaint(r#"echo '{"Username":"joe","Secret":"hunter2"}'; exit 1"#).await,
            "exit status: 1"
        );
        assert_eq!(
            complaint(r#"echo '{"Username":"joe","Secret":hunter2}'"#).await,
            "its answer is not JSON (line 1, column 28)"
        );
        assert_eq!(
            complaint(r#"echo '{"Username":"","Secret":"hunter2"}'"#).await,
            "its answer lacks the user name"
        );
    }

    #[tokio::test]
    async fn an_endless_answer_is_refused() {
        assert_eq!(
            complaint("exec cat /dev/zero").await,
            "its answer is larger than 1048576 bytes"
        );
    }

    #[tokio::test]
    async fn endless_complaints_do_not_block_the_answer() {
        let script = r#"head -c 1000000 /dev/zero >&2; echo '{"Username":"joe","Secret":"s"}'"#;
        assert!(ask_script(script).await.expect("an answer").is_some());
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_ended() {
        let home = Home::new();
        home.helper("test", "exec cat /dev/zero >/dev/null");
        let timeout = Duration::from_millis(200);
        let failure = ask("test", "ghcr.io", &home.environment(&[]), timeout)
            .await
            .expect_err("a timeout");
        assert_eq!(failure.to_string(), "no answer within 0.2 s");
    }

    #[tokio::test]
    async fn a_helper_that_ignores_its_input_works() {
        let script = r#"exec <&-; echo '{"Username":"joe","Secret":"s"}'"#;
        assert!(ask_script(script).await.expect("an answer").is_some());
    }

    #[tokio::test]
    async fn the_helper_sees_the_environment_but_not_our_secrets() {
        let home = Home::new();
        home.helper(
            "test",
            r#"echo "{\"Username\":\"$AWS_PROFILE\",\"Secret\":\"${POLYARCH_PASSWORD_2-unset}\"}""#,
        );
        let environment = home.environment(&[("AWS_PROFILE", "dev"), ("POLYARCH_PASSWORD_2", "x")]);
        let found = ask("test", "ghcr.io", &environment, HELPER_TIMEOUT).await;
        let expected = Credential::Basic {
            username: "dev".into(),
            password: Secret::new("unset"),
        };
        assert_eq!(found.expect("an answer"), Some(expected));
    }

    #[tokio::test]
    async fn a_name_cannot_leave_the_search_path() {
        let home = Home::new();
        home.helper("test", "exit 1");
        for name in [
            "", "../test", "/bin/sh", "a/b", "a\\b", "a b", "a\0b", "a;b",
        ] {
            let failure = ask(name, "x", &home.environment(&[]), HELPER_TIMEOUT).await;
            assert!(matches!(failure, Err(HelperFailure::BadName)), "{name:?}");
        }
    }

    #[tokio::test]
    async fn the_search_path_is_the_one_of_the_environment() {
        let home = Home::new();
        home.helper("test", "exit 1");
        for path in ["", ".", "bin", "/nonexistent"] {
            let environment = home.environment(&[("PATH", path)]);
            let failure = ask("test", "x", &environment, HELPER_TIMEOUT).await;
            assert!(matches!(failure, Err(HelperFailure::NotFound)), "{path:?}");
        }
    }
}
