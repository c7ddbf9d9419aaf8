//! The script of faults: rules for requests.

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
    /// This answer in place of the real one.
    Reply {
        /// Its status.
        status: u16,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// Its body.
        body: Bytes,
    },
    /// The answer comes this much later.
    Delay(Duration),
    /// The answer comes when the requests so far satisfy a condition; see [`Fault::until`].
    Until(Condition),
    /// No answer ever comes.
    Stall,
    /// Before any answer: TCP reset (HTTP/1.1), `RST_STREAM` (HTTP/2).
    Reset,
    /// Before any answer: TCP reset of the connection, whatever else it carries.
    ResetConnection,
    /// `RST_STREAM` with `REFUSED_STREAM` (HTTP/2); the connection is closed without
    /// an answer over HTTP/1.1.
    RefuseStream,
    /// A GOAWAY for every stream, then the end (HTTP/2); the connection is
    /// closed without an answer over HTTP/1.1.
    GoAway,
    /// The answer comes, and the connection takes no further request: a graceful
    /// GOAWAY (HTTP/2), `connection: close` (HTTP/1.1).
    LastOnConnection,
    /// Reset after so many bytes of the request body were taken.
    ResetUpload(u64),
    /// Reset after so many bytes of the answer's body.
    ResetBody(u64),
    /// So many bytes of the body, then silence.
    StallBody(u64),
    /// The body comes a byte at a time, with such a pause before each.
    Drip(Duration),
    /// So many bytes of the body, then the end, while the length promises all.
    Truncate(u64),
    /// So many bytes of the body, with a length that agrees.
    TruncateCleanly(u64),
    /// The first byte of the body is wrong.
    Corrupt,
    /// So many bytes too many, with a length that agrees.
    Overlong(u64),
    /// All bytes of the body, with a length that does not agree.
    ContentLength(u64),
    /// The body is compressed, with `content-encoding`.
    Gzip,
    /// The body is something else.
    Body(Content),
    /// The body starts right and never ends.
    Endless,
    /// So many more headers of so many bytes each.
    HeaderFlood {
        /// How many.
        count: usize,
        /// The length of each value.
        size: usize,
    },
    /// A header is set to this.
    Header(String, String),
    /// A header is left out.
    RemoveHeader(String),
    /// A redirect to this URL.
    Redirect(u16, String),
    /// Every token issued so far is invalid from now on.
    ExpireTokens,
    /// These bytes as they are, in place of the answer, then the end of the connection.
    Raw(Bytes),
}

impl Fault {
    /// An answer with this status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::reply(status, &[], "")
    }

    /// An answer with this status, these headers and this body.
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

    /// The answer comes when the requests so far satisfy `condition`.
    pub fn until(condition: impl Fn(&[Recorded]) -> bool + Send + Sync + 'static) -> Self {
        Self::Until(Condition(Arc::new(condition)))
    }

    /// A header is set to this.
    pub fn header(name: &str, value: &str) -> Self {
        Self::Header(name.into(), value.into())
    }
}

/// A condition on the requests that a registry has received.
#[derive(Clone)]
pub struct Condition(Arc<Check>);

type Check = dyn Fn(&[Recorded]) -> bool + Send + Sync;

impl Condition {
    /// Whether the requests satisfy it.
    pub fn holds(&self, requests: &[Recorded]) -> bool {
        (self.0)(requests)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condition")
    }
}

/// A request, as rules see it.
pub struct Seen<'a> {
    /// Which of the registry's hosts the request came to.
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

/// Which requests, how many of them, and their faults.
///
/// The first rule that matches a request and is not used up is applied, alone. So
/// rules in a row play one after another: "a 500, then a reset, then all is well".
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
    /// For requests of `class`, once.
    pub fn on(class: Class) -> Self {
        Self::when(move |seen| seen.class == class)
    }

    /// For requests that `condition` picks, once.
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

    /// Only if this holds too.
    pub fn and(mut self, condition: impl Fn(&Seen<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Arc::new(condition));
        self
    }

    /// Only for paths like `pattern`, in which one `*` stands for anything.
    pub fn path(self, pattern: &str) -> Self {
        let pattern = pattern.to_owned();
        self.and(move |seen| glob(&pattern, seen.path))
    }

    /// Only for requests with credentials, so that those that draw the challenge do
    /// not count.
    pub fn authorised(self) -> Self {
        self.and(|seen| seen.headers.contains_key(http::header::AUTHORIZATION))
    }

    /// From the `n`th match on, counted from 1.
    pub fn nth(mut self, n: usize) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    /// So many times.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// Every time.
    pub fn forever(mut self) -> Self {
        self.times = None;
        self
    }

    /// The request takes effect before its answer is lost: with [`Fault::Reply`],
    /// [`Fault::Reset`], [`Fault::Stall`] and the like.
    pub fn applied(mut self) -> Self {
        self.applied = true;
        self
    }

    /// What happens; several are applied in order.
    pub fn then(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

/// What to do with one request.
#[derive(Default)]
pub struct Act {
    /// Whether the request takes effect although its answer is replaced.
    pub applied: bool,
    /// What happens.
    pub faults: Vec<Fault>,
}

/// The rules in force.
pub struct Script {
    rules: Mutex<Vec<Rule>>,
}

impl Script {
    /// A script of `rules`.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules: Mutex::new(rules),
        }
    }

    /// What happens to this request.
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

    /// Forgets all rules.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// How often each rule was applied, in the order of adding.
    pub fn fired(&self) -> Vec<usize> {
        self.rules().iter().map(|rule| rule.fired).collect()
    }

    /// How many rules still wait for a match that they must have.
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
