//! Runs a `docker-credential-*` program: the server on its input, JSON on its output.
//! Everything about it is bounded: time, output, and where the program may come from.
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

/// How long a helper may take; it may ask a cloud for a token.
pub(super) const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer in bytes; tokens have a few kilobytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// How much of a complaint is kept, in bytes.
const MAX_COMPLAINT: u64 = 8 * 1024;

/// How long to wait for the end of the complaints once the answer is there.
const GRACE: Duration = Duration::from_millis(100);

/// How much of a complaint is shown, in characters.
const SHOWN_COMPLAINT: usize = 200;

/// What helpers say, with a failure code, when they have nothing.
///
/// <https://github.com/docker/docker-credential-helpers/blob/main/credentials/error.go>
const NOTHING_FOUND: &str = "credentials not found in native keychain";

/// The name of the program of a helper.
pub(super) fn program_name(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Asks the helper `name` for the credential of `server`; `None` if it has none.
pub(super) async fn ask(
    name: &str,
    server: &str,
    environment: &Environment,
    timeout: Duration,
) -> Result<Option<Credential>, HelperFailure> {
    let program = find(name, environment)?;
    let mut child = start(&program, environment).map_err(not_runnable)?;
    let output = tokio::time::timeout(timeout, talk(&mut child, server))
        .await
        .map_err(|_| HelperFailure::TimedOut(timeout))??;
    if output.status.success() {
        return read_answer(&output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if said.trim() == NOTHING_FOUND || complaint.trim() == NOTHING_FOUND {
        return Ok(None);
    }
    // Helpers complain on either; the official ones on standard output.
    let message = first_line(&said)
        .or_else(|| first_line(&complaint))
        .map(|line| format!(": {line}"))
        .unwrap_or_default();
    Err(HelperFailure::Failed {
        status: output.status.to_string(),
        message,
    })
}

/// The program in the `PATH` of `environment`. Directories that are not absolute are
/// passed over: a helper must not come out of the directory one happens to be in.
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

/// Starts the helper with the variables of `environment`, except the secrets that are
/// meant for polyarch itself.
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

/// Gives the server to the helper and takes its answer.
async fn talk(child: &mut Child, server: &str) -> Result<Output, HelperFailure> {
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input may have closed it already.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(not_runnable(std::io::ErrorKind::BrokenPipe.into()));
    };
    let mut complaint = Vec::new();
    let (status, stdout) = {
        let mut listening = std::pin::pin!(listen(stderr, &mut complaint));
        let mut answering = std::pin::pin!(answer_of(child, stdout));
        tokio::select! {
            answer = &mut answering => {
                // A daemon that the helper leaves behind may keep the pipe open for ever;
                // what the helper itself wrote is in it by now.
                let _ = tokio::time::timeout(GRACE, listening).await;
                answer?
            }
            () = &mut listening => answering.await?,
        }
    };
    Ok(Output {
        status,
        stdout,
        stderr: complaint,
    })
}

/// Keeps the beginning of what the helper complains about, and takes the rest away so
/// that the helper does not wait for a reader.
async fn listen(mut stderr: impl AsyncRead + Unpin, complaint: &mut Vec<u8>) {
    let kept = (&mut stderr)
        .take(MAX_COMPLAINT)
        .read_to_end(complaint)
        .await;
    if kept.is_ok() {
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
}

/// Reads the output to its end and waits for the helper.
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

/// The answer of a helper, which Go programs read without regard to letter case.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", alias = "username", default)]
    username: Option<String>,
    #[serde(rename = "Secret", alias = "secret")]
    secret: Option<Secret>,
}

/// The credential in an answer; `None` if user name and secret are both empty.
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

/// The first line with something in it, without control characters and cut to a length
/// for people. Nothing that looks like JSON is shown: it may be an answer with a secret.
fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    if text.contains('{') {
        return None;
    }
    let shown: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN_COMPLAINT)
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
        assert_eq!(failure.to_string(), "it gave no answer within 0.2 s");
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
