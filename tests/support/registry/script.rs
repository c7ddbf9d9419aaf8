//! Faults for requests, as a list of rules.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{Role, accounts::glob, content::Content, log::Recorded, route::Class};

/// The effect of a rule.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer is sent instead of the real one.
    Reply {
        /// Its status.
        status: u16,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// Its body.
        body: Bytes,
    },
    /// The answer is delayed by this time.
    Delay(Duration),
    /// The answer is delayed until the requests so far satisfy a condition; see [`Fault::until`].
    Until(Condition),
    /// The request is never answered.
    Stall,
    /// The connection is reset before the answer (HTTP/1.1), or the stream with `RST_STREAM` (HTTP/2).
    Reset,
    /// The connection is reset before the answer, with all other requests on it.
    ResetConnection,
    /// The stream is reset with `REFUSED_STREAM` (HTTP/2). Over HTTP/1.1, the connection is closed without an answer.
    RefuseStream,
    /// A GOAWAY for every stream is sent and the connection is closed (HTTP/2). Over HTTP/1.1, it is closed without an
    /// answer.
    GoAway,
    /// The request is answered, and the connection accepts no further requests: a graceful GOAWAY (HTTP/2),
    /// `connection: close` (HTTP/1.1).
    LastOnConnection,
    /// The request is reset after this number of bytes of its body.
    ResetUpload(u64),
    /// The body of the request is read byte by byte, with this pause before each byte.
    DripUpload(Duration),
    /// The answer is reset after this number of bytes of its body.
    ResetBody(u64),
    /// This number of bytes of the body is sent; then the connection stays open without data.
    StallBody(u64),
    /// The body is sent byte by byte, with this pause before each byte.
    Drip(Duration),
    /// The body ends after this number of bytes, but the header has the full length.
    Truncate(u64),
    /// The body ends after this number of bytes, and the header has this length.
    TruncateCleanly(u64),
    /// The first byte of the body is wrong.
    Corrupt,
    /// This number of bytes is appended to the body, and the header has the longer length.
    Overlong(u64),
    /// The whole body is sent, but the header has this length.
    ContentLength(u64),
    /// The body is compressed, with `content-encoding`.
    Gzip,
    /// This body is sent instead.
    Body(Content),
    /// The body begins correctly and never ends.
    Endless,
    /// Headers are added to the answer.
    HeaderFlood {
        /// The number of headers.
        count: usize,
        /// The length of each value, in bytes.
        size: usize,
    },
    /// A header is set to this value.
    Header(String, String),
    /// A header is removed.
    RemoveHeader(String),
    /// A redirect to this URL.
    Redirect(u16, String),
    /// Every token issued so far is invalid from now on.
    ExpireTokens,
    /// These bytes are sent unchanged instead of the answer; then the connection is closed.
    Raw(Bytes),
}

impl Fault {
    /// Creates an answer with this status and no body.
    pub fn status(status: u16) -> Self {
        Self::reply(status, &[], "")
    }

    /// Creates an answer with this status, these headers and this body.
    pub fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let headers = headers.iter();
        Self::Reply {
            status,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.into(),
        }
    }

    /// Delays the answer until the requests so far satisfy `condition`.
    pub fn until(condition: impl Fn(&[Recorded]) -> bool + Send + Sync + 'static) -> Self {
        Self::Until(Condition(Arc::new(condition)))
    }

    /// Sets a header to this value.
    pub fn header(name: &str, value: &str) -> Self {
        Self::Header(name.into(), value.into())
    }
}

/// A condition on the requests that a registry has received.
#[derive(Clone)]
pub struct Condition(Arc<Check>);

type Check = dyn Fn(&[Recorded]) -> bool + Send + Sync;

impl Condition {
    /// Returns whether the requests satisfy the condition.
    pub fn holds(&self, requests: &[Recorded]) -> bool {
        (self.0)(requests)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condition")
    }
}

/// A request, as input of the conditions of rules.
pub struct Seen<'a> {
    /// The host of the registry that received the request.
    pub role: Role,
    /// Its class.
    pub class: Class,
    /// Its method.
    pub method: &'a Method,
    /// Its path, as it was sent.
    pub path: &'a str,
    /// Its query, as it was sent.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

type Pick = Arc<dyn Fn(&Seen<'_>) -> bool + Send + Sync>;

/// A condition for requests, the number of requests to which the rule applies, and their faults.
///
/// For each request, only the first rule is applied that matches and is not used up. So consecutive rules apply to
/// consecutive requests: a 500 to the first, a reset to the second, no fault to the third.
#[derive(Clone)]
#[must_use]
pub struct Rule {
    conditions: Vec<Pick>,
    skip: usize,
    times: Option<usize>,
    applied: bool,
    faults: Vec<Fault>,
    fired: usize,
}

impl Rule {
    /// Creates a rule for one request of `class`.
    pub fn on(class: Class) -> Self {
        Self::when(move |seen| seen.class == class)
    }

    /// Creates a rule for one request that satisfies `condition`.
    pub fn when(condition: impl Fn(&Seen<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self {
            conditions: vec![Arc::new(condition)],
            skip: 0,
            times: Some(1),
            applied: false,
            faults: Vec::new(),
            fired: 0,
        }
    }

    /// Adds a condition.
    pub fn and(mut self, condition: impl Fn(&Seen<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Arc::new(condition));
        self
    }

    /// Limits the rule to paths that match `pattern`, in which one `*` matches any text.
    pub fn path(self, pattern: &str) -> Self {
        let pattern = pattern.to_owned();
        self.and(move |seen| glob(&pattern, seen.path))
    }

    /// Limits the rule to requests with credentials. Requests that receive the challenge are then not counted.
    pub fn authorised(self) -> Self {
        self.and(|seen| seen.headers.contains_key(http::header::AUTHORIZATION))
    }

    /// Skips all matching requests before the `n`th, counted from 1.
    pub fn nth(mut self, n: usize) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    /// Applies the rule to this number of requests.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// Applies the rule to every matching request.
    pub fn forever(mut self) -> Self {
        self.times = None;
        self
    }

    /// Handles the request before its answer is lost: for [`Fault::Reply`], [`Fault::Reset`], [`Fault::Stall`] and
    /// similar faults.
    pub fn applied(mut self) -> Self {
        self.applied = true;
        self
    }

    /// Adds a fault. Several faults are applied in order.
    pub fn then(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

/// The faults for one request.
#[derive(Default)]
pub struct Act {
    /// Whether the request is handled although its answer is replaced.
    pub applied: bool,
    /// The faults, in order.
    pub faults: Vec<Fault>,
}

/// The active rules.
pub struct Script {
    rules: Mutex<Vec<Rule>>,
}

impl Script {
    /// Creates a list of rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules: Mutex::new(rules),
        }
    }

    /// Returns the faults for this request, and counts the rule that matched.
    pub fn take(&self, seen: &Seen<'_>) -> Act {
        for rule in self.rules().iter_mut() {
            if !rule.conditions.iter().all(|condition| condition(seen)) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.times.is_some_and(|times| rule.fired >= times) {
                continue;
            }
            rule.fired += 1;
            return Act {
                applied: rule.applied,
                faults: rule.faults.clone(),
            };
        }
        Act::default()
    }

    /// Adds a rule after the others.
    pub fn add(&self, rule: Rule) {
        self.rules().push(rule);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// Returns how often each rule was applied, in the order in which the rules were added.
    pub fn fired(&self) -> Vec<usize> {
        self.rules().iter().map(|rule| rule.fired).collect()
    }

    /// Returns the number of rules that were not applied as often as required.
    pub fn pending(&self) -> usize {
        let rules = self.rules();
        let due = rules.iter().filter(|rule| match rule.times {
            Some(times) => rule.fired < times,
            None => rule.fired == 0,
        });
        due.count()
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
