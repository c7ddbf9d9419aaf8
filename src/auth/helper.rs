//! Runs a `docker-credential-*` program: the server name on its input, JSON on its output. Time and output are
//! limited, and the program must be in an absolute directory of `PATH`.
//!
//! <https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol>

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::credential::TOKEN_USERNAME;
use super::{Credential, HelperFailure, Secret, process};
use crate::environment::Environment;

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
    let mut command = Command::new(program);
    command.arg("get");
    let output = process::run(command, environment, server, timeout).await?;
    if output.status.success() {
        return read_answer(&output.stdout);
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stdout.trim() == NOTHING_FOUND || stderr.trim() == NOTHING_FOUND {
        return Ok(None);
    }
    Err(output.failure())
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

#[cfg(all(test, unix))]
mod tests {
    use super::process::TIMEOUT;
    use super::*;
    use crate::auth::fixture::Home;
    use crate::text::with_causes;

    async fn ask_script(script: &str) -> Result<Option<Credential>, HelperFailure> {
        let home = Home::new();
        home.helper("test", script);
        ask("test", "ghcr.io", &home.environment(&[]), TIMEOUT).await
    }

    async fn complaint(script: &str) -> String {
        with_causes(&ask_script(script).await.expect_err("a failure"))
    }

    #[tokio::test]
    async fn the_server_is_passed_and_the_credential_is_read() {
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
    async fn a_failure_shows_standard_error() {
        assert_eq!(
            complaint(r"printf '\npass store is \033[31muninitialized\nsecond' >&2; exit 3").await,
            "exit status: 3: pass store is [31muninitialized"
        );
    }

    #[tokio::test]
    async fn a_failure_never_shows_standard_output() {
        assert_eq!(
            complaint("echo hunter2; echo 'no session' >&2; exit 1").await,
            "exit status: 1: no session"
        );
        assert_eq!(complaint("echo hunter2; exit 1").await, "exit status: 1");
    }

    #[tokio::test]
    async fn programs_that_a_helper_has_started_end_with_it() {
        for end in ["exit 1", "exec cat /dev/zero >/dev/null"] {
            let home = Home::new();
            let pid = home.path("pid");
            let script = format!("sleep 600 & echo $! >'{}'; {end}", pid.display());
            home.helper("test", &script);
            let timeout = Duration::from_millis(500);
            let asked = ask("test", "ghcr.io", &home.environment(&[]), timeout).await;
            asked.expect_err("a failure");
            let pid = std::fs::read_to_string(pid).expect("a process");
            let process = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
            let is_running =
                || std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z "));
            for _ in 0..100 {
                if is_running() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            assert!(!is_running(), "{end}");
        }
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
    async fn endless_standard_error_does_not_block_the_answer() {
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
        let found = ask("test", "ghcr.io", &environment, TIMEOUT).await;
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
            let failure = ask(name, "x", &home.environment(&[]), TIMEOUT).await;
            assert!(matches!(failure, Err(HelperFailure::BadName)), "{name:?}");
        }
    }

    #[tokio::test]
    async fn the_search_path_is_the_one_of_the_environment() {
        let home = Home::new();
        home.helper("test", "exit 1");
        for path in ["", ".", "bin", "/nonexistent"] {
            let environment = home.environment(&[("PATH", path)]);
            let failure = ask("test", "x", &environment, TIMEOUT).await;
            assert!(matches!(failure, Err(HelperFailure::NotFound)), "{path:?}");
        }
    }
}
