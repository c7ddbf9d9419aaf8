//! One fault: what is spoilt, for which operation, over which protocol, and how the run must end.

use std::{fmt, sync::Arc};

use super::{program::Said, scene::Scene};
use crate::support::registry::{Builder, Rule, Scheme};

/// What the program is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Act {
    /// `publish` of two images that are in the same registry.
    Publish,
    /// The same, with platforms that are given, so that nothing but HEAD is needed.
    PublishKnown,
    /// `publish` of the one image, under three tags.
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

/// How the registries are spoken to.
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
/// All three.
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

/// How a run ends, and what is visible afterwards.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Exit 0; the tag points at exactly what a run without faults publishes.
    Done,
    /// Exit 0; the tag points at what the run says, which is not what it was before.
    DoneAnew,
    /// This exit code and these words on standard error; no tag of any registry has changed.
    Refused(i32, Vec<String>),
    /// This exit code and these words; the case itself looks at the tags.
    Mixed(i32, Vec<String>),
}

type Change = Arc<dyn Fn(Builder) -> Builder + Send + Sync>;
type Arrange = Arc<dyn Fn(&mut Scene) + Send + Sync>;
type Look = Arc<dyn Fn(&Scene, &Said) + Send + Sync>;

/// One case. Cases that differ in nothing but `fault` and protocol share a line of the table.
#[derive(Clone)]
pub(super) struct Case {
    /// The kind of fault.
    pub(super) fault: String,
    /// How often, or what else tells lines of the table apart.
    pub(super) when: String,
    /// The request that it happens to.
    pub(super) request: &'static str,
    pub(super) act: Act,
    pub(super) protocol: Protocol,
    pub(super) end: End,
    /// The cause in the table, where the words themselves differ from case to case.
    pub(super) cause: Option<String>,
    /// Seconds of waiting that the run allows itself.
    pub(super) retry_for: u64,
    pub(super) words: Vec<String>,
    /// With a token server, and a user who may do everything.
    pub(super) has_tokens: bool,
    /// Rules need not all have been applied.
    pub(super) may_be_spared: bool,
    /// The most resident memory in KiB.
    pub(super) memory: u64,
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
            cause: None,
            retry_for: 30,
            words: Vec::new(),
            has_tokens: false,
            may_be_spared: false,
            memory: 32 << 10,
            builder: Vec::new(),
            arrange: Vec::new(),
            look: Vec::new(),
        }
    }

    pub(super) fn when(mut self, when: &str) -> Self {
        when.clone_into(&mut self.when);
        self
    }

    /// A rule of the faulty registry.
    pub(super) fn rule(self, rule: Rule) -> Self {
        self.arrange(move |scene| scene.faulty.rule(rule.clone()))
    }

    /// How the faulty registry is.
    pub(super) fn registry(
        mut self,
        change: impl Fn(Builder) -> Builder + Send + Sync + 'static,
    ) -> Self {
        self.builder.push(Arc::new(change));
        self
    }

    /// What else is done before the run.
    pub(super) fn arrange(mut self, arrange: impl Fn(&mut Scene) + Send + Sync + 'static) -> Self {
        self.arrange.push(Arc::new(arrange));
        self
    }

    /// What else is looked at after the run.
    pub(super) fn look(mut self, look: impl Fn(&Scene, &Said) + Send + Sync + 'static) -> Self {
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

    /// It may take so much memory, in MiB, in place of 32.
    pub(super) fn memory(mut self, mebibytes: u64) -> Self {
        self.memory = mebibytes << 10;
        self
    }

    /// It need not come to all that was scripted.
    pub(super) fn spared(mut self) -> Self {
        self.may_be_spared = true;
        self
    }

    pub(super) fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// It fails with this exit code and says all of this, and nothing is published.
    pub(super) fn refused<const N: usize>(self, code: i32, says: [&str; N]) -> Self {
        self.end(End::Refused(code, says.map(str::to_owned).to_vec()))
    }

    /// It fails as [`Self::refused`]; what is published is looked at by the case.
    pub(super) fn mixed<const N: usize>(self, code: i32, says: [&str; N]) -> Self {
        self.end(End::Mixed(code, says.map(str::to_owned).to_vec()))
    }

    /// The cause as it stands in the table.
    pub(super) fn cause(mut self, cause: &str) -> Self {
        self.cause = Some(cause.to_owned());
        self
    }

    /// The same over each of these.
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
