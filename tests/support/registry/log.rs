//! The request log: all requests as they were received. Secrets are stored too, since tests check where they were sent.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version, request::Parts};

use super::{Role, route::Class};

/// A request and the status of its answer.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The number of the request, from 1 in the order of arrival.
    pub number: u64,
    /// The time since the registry started.
    pub at: Duration,
    /// The connection of the request; see [`super::link::Link`].
    pub connection: u64,
    /// The host of the registry that received it.
    pub role: Role,
    /// Its HTTP version.
    pub version: Version,
    /// Its method.
    pub method: Method,
    /// Its class.
    pub class: Class,
    /// The path, as it was sent.
    pub path: String,
    /// The query, as it was sent; empty if there was none.
    pub query: String,
    /// The headers, secrets included.
    pub headers: HeaderMap,
    /// The form that was posted to the token endpoint.
    pub form: Option<Bytes>,
    /// The number of bytes of its body that were read.
    pub body: u64,
    /// The status; `None` before the answer, and after a reset or stall.
    pub status: Option<StatusCode>,
}

impl Recorded {
    /// Returns the header `name` as text. The text is empty if the header was not sent.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Returns whether the request has credentials.
    pub fn authorised(&self) -> bool {
        self.headers.contains_key(http::header::AUTHORIZATION)
    }

    /// Returns whether the request contains `secret`: in the path, query, headers, form, or in decoded Basic
    /// credentials.
    pub fn carries(&self, secret: &str) -> bool {
        let form = self.form.as_deref().unwrap_or_default();
        let basic = self.header("authorization").split_once(' ');
        let basic = basic.and_then(|(_, text)| STANDARD.decode(text.trim()).ok());
        let headers = self.headers.values().map(http::HeaderValue::as_bytes);
        headers
            .chain([self.path.as_bytes(), self.query.as_bytes(), form])
            .chain(basic.as_deref())
            .any(|text| contains(text, secret.as_bytes()))
    }

    /// Returns whether the request is a write.
    pub fn writes(&self) -> bool {
        self.class != Class::Token && self.method != Method::GET && self.method != Method::HEAD
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}

/// All requests.
pub struct Log {
    start: Instant,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    next: u64,
    lines: Vec<Line>,
}

struct Line {
    recorded: Recorded,
    body: Arc<AtomicU64>,
}

impl Log {
    /// Creates an empty log.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            lines: Mutex::default(),
        }
    }

    /// Records a request. Returns its number and the counter for the bytes of its body.
    pub fn open(
        &self,
        connection: u64,
        role: Role,
        class: Class,
        parts: &Parts,
    ) -> (u64, Arc<AtomicU64>) {
        let body = Arc::new(AtomicU64::new(0));
        let mut lines = self.lines();
        lines.next += 1;
        let number = lines.next;
        lines.lines.push(Line {
            recorded: Recorded {
                number,
                at: self.start.elapsed(),
                connection,
                role,
                version: parts.version,
                method: parts.method.clone(),
                class,
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                headers: parts.headers.clone(),
                form: None,
                body: 0,
                status: None,
            },
            body: Arc::clone(&body),
        });
        (number, body)
    }

    /// Records the status of the answer to request `number`.
    pub fn close(&self, number: u64, status: StatusCode) {
        self.amend(number, |line| line.status = Some(status));
    }

    /// Records the form of request `number`.
    pub fn form(&self, number: u64, form: Bytes) {
        self.amend(number, |line| line.form = Some(form));
    }

    /// Returns all requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        let lines = self.lines();
        let recorded = lines.lines.iter().map(|line| Recorded {
            body: line.body.load(Ordering::Relaxed),
            ..line.recorded.clone()
        });
        recorded.collect()
    }

    /// Removes all requests. The numbers continue.
    pub fn clear(&self) {
        self.lines().lines.clear();
    }

    fn amend(&self, number: u64, change: impl FnOnce(&mut Recorded)) {
        let mut lines = self.lines();
        let found = lines
            .lines
            .iter_mut()
            .rev()
            .find(|line| line.recorded.number == number);
        if let Some(line) = found {
            change(&mut line.recorded);
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
