//! The process environment as a value: read in `main` and passed down, so that a test sets exactly what it needs. Only
//! the colours of a printed failure are chosen from the environment of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

/// A snapshot of the environment variables.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// The names of variables whose values are not UTF-8.
    unreadable: BTreeSet<String>,
}

impl Environment {
    /// Reads the environment of this process.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    /// Reads variables. If a value is not UTF-8, keeps only the name.
    fn of(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in pairs {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => {
                    environment.variables.insert(name, value);
                }
                Err(_) => {
                    environment.unreadable.insert(name);
                }
            }
        }
        environment
    }

    /// Iterates over the names of variables whose values are not UTF-8.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(String::as_str)
    }

    /// Iterates over the names of variables whose values are UTF-8.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// Returns the value of `name`, or `None` if it is unset or empty: CI systems set inputs without a value
    /// to "".
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Iterates over the variables whose name starts with `prefix`, without the prefix.
    pub fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.variables.iter().filter_map(move |(name, value)| {
            let rest = name.strip_prefix(prefix)?;
            (!value.is_empty()).then_some((rest, value.as_str()))
        })
    }

    /// Sets a variable in this snapshot. The environment of the process is not changed.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Returns the home directory of the user.
    pub fn home(&self) -> Option<PathBuf> {
        self.var("HOME")
            .or_else(|| self.var("USERPROFILE"))
            .map(PathBuf::from)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        let variables = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            variables,
            unreadable: BTreeSet::new(),
        }
    }
}

/// Prints the names only: a value may be a secret.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let environment: Environment = [("A", ""), ("B", "b")].into_iter().collect();
        assert_eq!(environment.var("A"), None);
        assert_eq!(environment.var("B"), Some("b"));
        assert_eq!(environment.var("C"), None);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_name_of_a_value_that_is_not_utf_8_is_kept() {
        use std::os::unix::ffi::OsStringExt as _;
        let value = OsString::from_vec(b"p\xe4ss".to_vec());
        let environment = Environment::of([("A".into(), value), ("B".into(), "b".into())]);
        assert_eq!(environment.var("A"), None);
        assert_eq!(environment.unreadable().collect::<Vec<_>>(), ["A"]);
        assert_eq!(environment.names().collect::<Vec<_>>(), ["B"]);
    }

    #[test]
    fn debug_never_shows_a_value() {
        let environment: Environment = [("TOKEN", "hunter2")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), r#"["TOKEN"]"#);
    }
}
