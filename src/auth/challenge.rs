//! Parses `WWW-Authenticate` headers (RFC 9110, section 11.6.1). Invalid parts are skipped.

use std::borrow::Cow;

use crate::text::unquoted;

/// One challenge of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub scheme: Scheme,
    /// The parameters in the order of the header: names in lower case, and values without quotes.
    pub parameters: Vec<(String, String)>,
}

/// An authentication scheme. Letter case is ignored: Nexus writes `BASIC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// A user name and password in each request.
    Basic,
    /// A token from a token server.
    Bearer,
    /// Any other scheme, as written.
    Other(String),
}

impl Challenge {
    /// Returns the first value of the parameter `name` (in lower case).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the URL of the token server for Bearer, or a display text for Basic.
    pub fn realm(&self) -> Option<&str> {
        self.parameter("realm")
    }

    /// Returns the name of the registry at the token server. Google omits it on some paths
    /// (<https://github.com/apple/container/issues/2274>).
    pub fn service(&self) -> Option<&str> {
        self.parameter("service").filter(|value| !value.is_empty())
    }

    /// Returns the scopes that the request needs, as [`Scope::parse_list`](super::Scope::parse_list) reads them.
    pub fn scope(&self) -> Option<&str> {
        self.parameter("scope").filter(|value| !value.is_empty())
    }

    /// Returns why a token was refused: `invalid_token`, `insufficient_scope` (RFC 6750, 3.1).
    pub fn error(&self) -> Option<&str> {
        self.parameter("error").filter(|value| !value.is_empty())
    }
}

/// Parses the values of all `WWW-Authenticate` headers of a response. Bytes that are not UTF-8 are replaced.
pub fn parse_challenges<H: AsRef<[u8]>>(headers: impl IntoIterator<Item = H>) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for header in headers {
        let text = String::from_utf8_lossy(header.as_ref());
        Parser::new(&text).collect_into(&mut challenges);
    }
    challenges
}

/// Parser of one header value.
///
/// A comma separates challenges as well as parameters, so it cannot be used to split them. A word with `=` after it is
/// a parameter of the current challenge; any other word begins a new challenge.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn collect_into(mut self, challenges: &mut Vec<Challenge>) {
        let first = challenges.len();
        // Right after a scheme, a word without `=` is its token68 (as in `NTLM abc`).
        let mut after_scheme = false;
        loop {
            after_scheme &= !self.skip_separators();
            if self.rest.is_empty() {
                return;
            }
            let word = self.word();
            if word.is_empty() {
                self.skip_one();
                continue;
            }
            self.skip_spaces();
            if let Some(rest) = self.rest.strip_prefix('=') {
                self.rest = rest;
                let value = self.value();
                // A parameter before the first scheme is ignored.
                if let Some(challenge) = challenges[first..].last_mut() {
                    let name = word.to_ascii_lowercase();
                    challenge.parameters.push((name, value.into_owned()));
                }
                after_scheme = false;
            } else if after_scheme && (self.rest.is_empty() || self.rest.starts_with(',')) {
                after_scheme = false;
            } else {
                challenges.push(Challenge {
                    scheme: Scheme::new(word),
                    parameters: Vec::new(),
                });
                after_scheme = true;
            }
        }
    }

    /// Skips spaces and commas (empty list elements are allowed). Returns whether there was a comma.
    fn skip_separators(&mut self) -> bool {
        let start = self.rest;
        self.rest = start.trim_start_matches(|c| is_space(c) || c == ',');
        start[..start.len() - self.rest.len()].contains(',')
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }

    fn skip_one(&mut self) {
        let mut characters = self.rest.chars();
        characters.next();
        self.rest = characters.as_str();
    }

    /// Reads a token of RFC 9110, which may be empty.
    fn word(&mut self) -> &'a str {
        self.take_while(is_token_char)
    }

    /// Returns the value after `=`. An unquoted value may contain characters that the RFC forbids, such as the
    /// slashes of a URL.
    fn value(&mut self) -> Cow<'a, str> {
        self.skip_spaces();
        match self.rest.strip_prefix('"') {
            Some(rest) => {
                let (value, rest) = unquoted(rest);
                self.rest = rest.unwrap_or_default();
                Cow::Owned(value)
            }
            None => Cow::Borrowed(self.take_while(|c| !is_space(c) && c != ',')),
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

impl Scheme {
    fn new(word: &str) -> Self {
        if word.eq_ignore_ascii_case("basic") {
            Self::Basic
        } else if word.eq_ignore_ascii_case("bearer") {
            Self::Bearer
        } else {
            Self::Other(word.to_owned())
        }
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// Returns whether a character is a `tchar` of RFC 9110, section 5.6.2.
fn is_token_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

#[cfg(test)]
mod tests;
