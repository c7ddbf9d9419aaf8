//! `WWW-Authenticate`: what a registry wants to see (RFC 9110, section 11.6.1). Forgiving:
//! whatever comes in, the challenges that can be understood come out.

use std::borrow::Cow;

/// One challenge of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// How to authenticate.
    pub scheme: Scheme,
    /// Names in lower case with their values, unquoted, in the order of the header.
    pub parameters: Vec<(String, String)>,
}

/// A scheme of authentication. Compared without regard to letter case: Nexus writes
/// `BASIC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// User name and password in each request.
    Basic,
    /// A token from a token server.
    Bearer,
    /// Something that registries are not known to use, as written.
    Other(String),
}

impl Challenge {
    /// The value of a parameter; `name` in lower case. The first one counts if a name is
    /// given twice.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Bearer: the URL of the token server. Basic: a text for people.
    pub fn realm(&self) -> Option<&str> {
        self.parameter("realm")
    }

    /// The name under which the token server knows the registry. Google's leaves it out
    /// on some paths (<https://github.com/apple/container/issues/2274>).
    pub fn service(&self) -> Option<&str> {
        self.parameter("service").filter(|value| !value.is_empty())
    }

    /// What the request needed, in the form of [`Scope::parse_list`](super::Scope::parse_list).
    pub fn scope(&self) -> Option<&str> {
        self.parameter("scope").filter(|value| !value.is_empty())
    }

    /// Why a token was refused: `invalid_token`, `insufficient_scope` (RFC 6750, 3.1).
    pub fn error(&self) -> Option<&str> {
        self.parameter("error").filter(|value| !value.is_empty())
    }
}

/// The challenges in the values of all `WWW-Authenticate` headers of an answer, in their
/// order. Bytes that are no text are replaced.
pub fn parse_challenges<H: AsRef<[u8]>>(headers: impl IntoIterator<Item = H>) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for header in headers {
        let text = String::from_utf8_lossy(header.as_ref());
        Parser::new(&text).collect_into(&mut challenges);
    }
    challenges
}

/// Walks through the value of one header.
///
/// A comma separates challenges as well as parameters, so it decides nothing: a word
/// with `=` after it is a parameter of the challenge before, any other word begins a
/// challenge. (RFC 9110 says the same in its note on parsing.)
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
                // A parameter in front of any scheme belongs to nothing.
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

    /// Skips spaces and commas (empty list elements are allowed); whether a comma was
    /// among them.
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

    /// A token of RFC 9110, possibly empty.
    fn word(&mut self) -> &'a str {
        self.take_while(is_token_char)
    }

    /// The value after `=`. Without quotes it may hold what the RFC forbids there, such
    /// as the slashes of a URL.
    fn value(&mut self) -> Cow<'a, str> {
        self.skip_spaces();
        match self.rest.strip_prefix('"') {
            Some(rest) => {
                self.rest = rest;
                Cow::Owned(self.quoted())
            }
            None => Cow::Borrowed(self.take_while(|c| !is_space(c) && c != ',')),
        }
    }

    /// What follows an opening quote, up to the closing one or the end.
    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut characters = self.rest.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => value.extend(characters.next()),
                other => value.push(other),
            }
        }
        self.rest = characters.as_str();
        value
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

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

#[cfg(test)]
mod tests;
