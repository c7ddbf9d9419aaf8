//! One fault: the request it affects, the operation, the protocol, and how the run must end.

use std::{fmt, sync::Arc, time::Duration};

use super::trial::Trial;
use crate::support::{
    polyarch::Output,
    registry::{Builder, Rule, Scheme},
};

/// The operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Act {
    /// `publish` of two images in the same registry.
    Publish,
    /// `publish` with given platforms, so that only HEAD requests are needed.
    PublishKnown,
    /// `publish` of one image under three tags.
    PublishThree,
    /// `copy` from the faulty registry to a good one.
    CopyFrom,
    /// `copy` from a good registry to the faulty one.
    CopyTo,
    /// `copy` between repositories of the faulty registry.
    CopyWithin,
    /// `copy --referrers` from the faulty registry to a good one.
    CopyReferrers,
    /// `create`, then `push`.
    Push,
    /// `inspect`.
    Inspect,
}

impl Act {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Publish | Self::PublishKnown | Self::PublishThree => "publish",
            Self::CopyFrom | Self::CopyTo | Self::CopyWithin | Self::CopyReferrers => "copy",
            Self::Push => "push",
            Self::Inspect => "inspect",
        }
    }
}

/// The protocol of the registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    /// HTTP/1.1 in plain text.
    Http1,
    /// HTTP/1.1 over TLS.
    Tls1,
    /// HTTP/2 over TLS.
    Http2,
}

/// Plain HTTP/1.1, and HTTP/2.
pub(super) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];
/// All three protocols.
pub(super) const ALL: [Protocol; 3] = [Protocol::Http1, Protocol::Tls1, Protocol::Http2];

impl Protocol {
    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::Http1 => Scheme::Http,
            Self::Tls1 => Scheme::TlsHttp1,
            Self::Http2 => Scheme::TlsHttp2,
        }
    }
}

/// The expected end of a run, and the expected content of the registries.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Exit code 0; the tag points to exactly what a run without faults publishes.
    Done,
    /// Exit code 0; the tag points to the digest that the run prints, and did not point to it before.
    DoneAnew,
    /// This exit code; no tag of any registry has changed.
    Refused(i32),
    /// This exit code; the case itself checks the tags.
    Mixed(i32),
}

type Change = Arc<dyn Fn(Builder) -> Builder + Send + Sync>;
type Arrange = Arc<dyn Fn(&mut Trial) + Send + Sync>;
type Look = Arc<dyn Fn(&Trial, &Output) + Send + Sync>;

/// One case. Cases that differ only in `fault` and protocol share a line of the table.
#[derive(Clone)]
pub(super) struct Case {
    /// The kind of fault.
    pub(super) fault: String,
    /// The number of repetitions, or another difference between lines of the table.
    pub(super) when: String,
    /// The affected request.
    pub(super) request: &'static str,
    pub(super) act: Act,
    pub(super) protocol: Protocol,
    pub(super) end: End,
    /// The budget for waiting, in seconds.
    pub(super) retry_for: u64,
    /// How long the run may take beyond the budget, on a machine that runs many cases at once.
    pub(super) allowance: Duration,
    pub(super) words: Vec<String>,
    /// Whether the registries have a token server and a user with all permissions.
    pub(super) has_tokens: bool,
    /// Whether the case is valid even if some rules were not applied.
    pub(super) allows_unused_rules: bool,
    pub(super) builder: Vec<Change>,
    pub(super) arrange: Vec<Arrange>,
    pub(super) look: Vec<Look>,
}

impl Case {
    pub(super) fn new(fault: &str, act: Act, request: &'static str) -> Self {
        Self {
            fault: fault.to_owned(),
            when: String::new(),
            request,
            act,
            protocol: Protocol::Http1,
            end: End::Done,
            retry_for: 30,
            allowance: Duration::from_secs(20),
            words: Vec::new(),
            has_tokens: false,
            allows_unused_rules: false,
            builder: Vec::new(),
            arrange: Vec::new(),
            look: Vec::new(),
        }
    }

    pub(super) fn when(mut self, when: &str) -> Self {
        when.clone_into(&mut self.when);
        self
    }

    /// Adds a rule to the faulty registry.
    pub(super) fn rule(self, rule: Rule) -> Self {
        self.arrange(move |trial| trial.faulty().rule(rule.clone()))
    }

    /// Configures the faulty registry.
    pub(super) fn registry(
        mut self,
        change: impl Fn(Builder) -> Builder + Send + Sync + 'static,
    ) -> Self {
        self.builder.push(Arc::new(change));
        self
    }

    /// Adds a preparation of the run.
    pub(super) fn arrange(mut self, arrange: impl Fn(&mut Trial) + Send + Sync + 'static) -> Self {
        self.arrange.push(Arc::new(arrange));
        self
    }

    /// Adds a check after the run.
    pub(super) fn look(mut self, look: impl Fn(&Trial, &Output) + Send + Sync + 'static) -> Self {
        self.look.push(Arc::new(look));
        self
    }

    pub(super) fn words<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.words.extend(words.map(str::to_owned));
        self
    }

    pub(super) fn tokens(mut self) -> Self {
        self.has_tokens = true;
        self
    }

    pub(super) fn retry_for(mut self, seconds: u64) -> Self {
        self.retry_for = seconds;
        self
    }

    /// Allows more time. For cases that parse tens of MiB of JSON, which is slow in a debug build.
    pub(super) fn slow(mut self) -> Self {
        self.allowance = Duration::from_secs(120);
        self
    }

    /// Allows that some rules are not applied.
    pub(super) fn allow_unused_rules(mut self) -> Self {
        self.allows_unused_rules = true;
        self
    }

    pub(super) fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// Expects this exit code and that nothing is published.
    pub(super) fn refused(self, code: i32) -> Self {
        self.end(End::Refused(code))
    }

    /// Expects this exit code. The case itself checks what is published.
    pub(super) fn mixed(self, code: i32) -> Self {
        self.end(End::Mixed(code))
    }

    /// Returns a copy of the case for each of these protocols.
    pub(super) fn over<const N: usize>(self, protocols: [Protocol; N]) -> Vec<Self> {
        protocols
            .into_iter()
            .map(|protocol| Self {
                protocol,
                ..self.clone()
            })
            .collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} ({} {}, {:?})",
            self.fault,
            self.when,
            self.act.name(),
            self.request,
            self.protocol
        )
    }
}
