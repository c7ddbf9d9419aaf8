//! Checks that no secret of the tests appears in the arguments of a run, in its output at the highest verbosity, or in
//! a file that it wrote.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// All passwords of the tests.
const PASSWORDS: [&str; 5] = ["hunter2", "s3cr3t", "pa55word", "mistaken", "swordfish"];

/// The prefixes of all tokens that the test registry issues.
const TOKENS: [&str; 2] = ["tok-", "ref-"];

/// The minimum length of a secret. Shorter ones would be found in other words.
const SHORTEST: usize = 6;

/// The maximum size of a file that is searched, in bytes. Larger files are layers and archives.
const LARGEST: u64 = 1 << 20;

/// The search for secrets in one run. It begins before the run starts.
pub struct Watch {
    home: PathBuf,
    secrets: Vec<String>,
    known: BTreeSet<PathBuf>,
    is_verbose: bool,
}

impl Watch {
    /// Begins the search. `variables` are the variables of the run; the value of a variable with the name of a secret
    /// is a secret.
    pub fn begin(home: &Path, variables: &[(String, String)], words: &[&str]) -> Self {
        let named = variables
            .iter()
            .filter(|(name, _)| name.ends_with("_PASSWORD") || name.ends_with("_TOKEN"))
            .map(|(_, value)| value.as_str())
            .filter(|value| value.len() >= SHORTEST);
        let secrets: Vec<String> = PASSWORDS.into_iter().chain(named).flat_map(forms).collect();
        for word in words {
            assert_eq!(secret_in(&secrets, word), None, "as an argument: {words:?}");
        }
        let known = files_with(&secrets, home);
        let requested = words.iter().any(|word| ["--debug", "-D"].contains(word));
        let set = variables.iter().any(|(name, _)| name == "POLYARCH_DEBUG");
        Self {
            home: home.to_owned(),
            secrets,
            known,
            is_verbose: !requested && !set,
        }
    }

    /// Returns the variable that turns on all debug output, which `end` checks and removes again.
    pub fn variable(&self) -> Option<(&'static str, &'static str)> {
        self.is_verbose.then_some(("POLYARCH_DEBUG", "true"))
    }

    /// Searches the output and the files of the run. Returns standard error without the output that `variable` added.
    #[track_caller]
    pub fn end(self, stdout: &str, stderr: String) -> String {
        for text in [stdout, &stderr] {
            assert_eq!(
                secret_in(&self.secrets, text),
                None,
                "in the output: {text}"
            );
            for (at, _) in TOKENS.iter().flat_map(|token| text.match_indices(token)) {
                let hex = text[at + 4..].bytes().take_while(u8::is_ascii_hexdigit);
                assert!(hex.count() < 32, "a token is printed: {text}");
            }
        }
        let new: Vec<_> = files_with(&self.secrets, &self.home)
            .difference(&self.known)
            .cloned()
            .collect();
        assert!(new.is_empty(), "a secret was written to {new:?}");
        if self.is_verbose {
            stderr
                .split_inclusive('\n')
                .filter(|line| !is_debug(line))
                .collect()
        } else {
            stderr
        }
    }
}

fn is_debug(line: &str) -> bool {
    line.starts_with("debug: ") || line.starts_with("{\"event\":\"request\"")
}

/// Returns a secret and its base64 forms. In the forms, any text may precede and follow it, as in `user:secret` and
/// JSON.
pub fn forms(secret: &str) -> Vec<String> {
    // A base64 character encodes six bits. Characters that also depend on the surrounding text are omitted.
    let shifted = (0..3).map(|shift: usize| {
        let bytes = [&vec![0; shift], secret.as_bytes()].concat();
        let own = (shift * 8).div_ceil(6)..bytes.len() * 8 / 6;
        STANDARD.encode(bytes)[own].to_owned()
    });
    let shifted = shifted.filter(|text| text.len() >= SHORTEST);
    shifted.chain([secret.to_owned()]).collect()
}

fn secret_in<'a>(secrets: &'a [String], text: &str) -> Option<&'a String> {
    secrets.iter().find(|secret| text.contains(secret.as_str()))
}

/// Returns the files below a directory that contain a secret.
fn files_with(secrets: &[String], directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else {
                continue;
            };
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() && entry.metadata().is_ok_and(|it| it.len() <= LARGEST) {
                let content = fs::read(&path).unwrap_or_default();
                if secret_in(secrets, &String::from_utf8_lossy(&content)).is_some() {
                    found.insert(path);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secrets = forms("hunter2");
        for text in [
            "x hunter2 y".to_owned(),
            STANDARD.encode("hunter2"),
            STANDARD.encode("ci:hunter2"),
            STANDARD.encode("joe:hunter2"),
            STANDARD.encode("anna:hunter2 and more"),
        ] {
            assert!(secret_in(&secrets, &text).is_some(), "{text}");
        }
        assert_eq!(secret_in(&secrets, &STANDARD.encode("ci:hunting")), None);
    }

    #[test]
    fn revealed_and_written_secrets_are_found() {
        let home = tempfile::tempdir().expect("a directory");
        let begin = || {
            Watch::begin(
                home.path(),
                &[("X_TOKEN".into(), "0a1b2c3d".into())],
                &["ls"],
            )
        };
        let fails = |act: &dyn Fn(Watch)| {
            let watch = begin();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(watch))).is_err()
        };
        assert!(fails(&|watch| drop(watch.end("0a1b2c3d", String::new()))));
        assert!(fails(&|watch| drop(
            watch.end("", format!("tok-{:032x}", 7))
        )));
        assert!(fails(&|watch| {
            fs::write(home.path().join("new"), "hunter2").expect("a file");
            drop(watch.end("", String::new()));
        }));
        // Files that existed before the run belong to the test.
        let stderr = begin().end("", "debug: GET x: 200 (1 ms)\nerror: no\n".into());
        assert_eq!(stderr, "error: no\n");
        let argument = || Watch::begin(home.path(), &[], &["--password=hunter2"]);
        assert!(std::panic::catch_unwind(argument).is_err());
    }
}
