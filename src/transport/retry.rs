//! When a request is tried again, after how long, and when enough is enough.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use tokio::time::Instant;

use crate::progress::{Event, Observed};
use crate::sync::Mutex;

/// The longest pause that we choose ourselves.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// The longest `Retry-After` that is honoured; a longer one ends the run.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The most times that one request is tried, so that a registry which fails at once, for ever, is not
/// asked more often than this before the budget ends.
const MOST_TRIES: u32 = 8;

/// Whether an answer with this status may turn into a better one by itself.
pub fn is_retryable_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The waiting that one run allows itself, over all its requests: waits that overlap count once, because
/// what matters to the person at the other end is the time on the clock.
#[derive(Debug)]
pub struct Budget {
    total: Duration,
    first_pause: Duration,
    state: Mutex<Spent>,
}

#[derive(Debug)]
struct Spent {
    waited: Duration,
    covered_until: Instant,
}

impl Budget {
    /// A budget of `total` waiting. The first pause of a request is at most `first_pause`; it doubles with
    /// each further failure.
    pub fn new(total: Duration, first_pause: Duration) -> Self {
        Self {
            total,
            first_pause,
            state: Mutex::new(Spent {
                waited: Duration::ZERO,
                covered_until: Instant::now(),
            }),
        }
    }

    /// The whole of it.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// Takes out of the budget what was `lost` by waiting in vain until now, and a wait of `pause` from now on; `false`
    /// if that no longer fits.
    pub(super) fn take(&self, lost: Duration, pause: Duration) -> bool {
        let mut spent = self.state.lock();
        let now = Instant::now();
        let end = now + pause;
        let from = now
            .checked_sub(lost)
            .unwrap_or(now)
            .max(spent.covered_until);
        let added = end.saturating_duration_since(from);
        if spent.waited + added > self.total {
            return false;
        }
        spent.waited += added;
        spent.covered_until = spent.covered_until.max(end);
        true
    }
}

/// What `Retry-After` asked for (RFC 9110, section 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// Reads the header: seconds or an HTTP date. A negative, past or unreadable one is as if it were not there.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seconds = text.parse().unwrap_or(u64::MAX / 1000);
            return Some(Self(Duration::from_secs(seconds)));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        let pause = date.duration_since(SystemTime::now()).ok()?;
        Some(Self(pause))
    }
}

/// The tries of one request.
pub struct Retries {
    budget: Arc<Budget>,
    observed: Observed,
    failures: u32,
}

impl Retries {
    /// No try yet.
    pub fn new(budget: Arc<Budget>, observed: Observed) -> Self {
        Self {
            budget,
            observed,
            failures: 0,
        }
    }

    /// How often this request has failed since the last progress.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Progress was made: the pauses start small again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next try: exponential with full jitter, or what the other side asked for. What was `lost`
    /// since this try began because the other side was silent is waiting, too. An error is the reason why there is no
    /// next try.
    pub async fn pause(
        &mut self,
        doing: &str,
        cause: &str,
        asked: Option<RetryAfter>,
        lost: Duration,
    ) -> Result<(), String> {
        self.failures += 1;
        if let Some(RetryAfter(asked)) = asked
            && asked > LONGEST_RETRY_AFTER
        {
            return Err(format!(
                "the registry asks to wait {} s, which is longer than the {} s that are honoured",
                asked.as_secs(),
                LONGEST_RETRY_AFTER.as_secs()
            ));
        }
        if self.failures >= MOST_TRIES {
            return Err(format!("gave up after {MOST_TRIES} tries"));
        }
        let pause = match asked {
            Some(RetryAfter(asked)) => asked + jitter(self.budget.first_pause),
            None => self.backoff(),
        };
        if !self.budget.take(lost, pause) {
            return Err(format!(
                "gave up: the {} s of waiting that this run allows are used up; raise them with --retry-for",
                self.budget.total().as_secs()
            ));
        }
        self.observed.observe(Event::Waiting {
            doing,
            cause,
            delay: pause,
        });
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Full jitter between a tenth and the whole of the step: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
    fn backoff(&self) -> Duration {
        let step = (self.budget.first_pause)
            .saturating_mul(1 << self.failures.min(10).saturating_sub(1))
            .min(LONGEST_PAUSE);
        step / 10 + jitter(step.mul_f64(0.9))
    }
}

fn jitter(up_to: Duration) -> Duration {
    up_to.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn header(value: &str) -> Option<RetryAfter> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        RetryAfter::of(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(header("1"), Some(RetryAfter(Duration::from_secs(1))));
        assert_eq!(header("0"), Some(RetryAfter(Duration::ZERO)));
        for nothing in ["-1", "", "soon", "1.5", "Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert_eq!(header(nothing), None, "{nothing}");
        }
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        let RetryAfter(pause) = header(&later).unwrap();
        assert!((28..=30).contains(&pause.as_secs()), "{pause:?}");
        assert!(header("99999999999999999999999").unwrap().0 > LONGEST_RETRY_AFTER);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_that_overlap_count_once() {
        let budget = Budget::new(Duration::from_secs(10), Duration::from_millis(250));
        for _ in 0..100 {
            assert!(budget.take(Duration::ZERO, Duration::from_secs(8)));
        }
        assert!(!budget.take(Duration::ZERO, Duration::from_secs(11)));
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert!(budget.take(Duration::ZERO, Duration::from_secs(2)));
        assert!(!budget.take(Duration::ZERO, Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_lost_by_silence_is_waiting_too() {
        let budget = Budget::new(Duration::from_secs(10), Duration::from_millis(250));
        tokio::time::sleep(Duration::from_secs(6)).await;
        // Two requests that were silent at the same time.
        assert!(budget.take(Duration::from_secs(6), Duration::from_secs(1)));
        assert!(budget.take(Duration::from_secs(6), Duration::from_secs(1)));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!budget.take(Duration::from_secs(2), Duration::from_secs(2)));
        assert!(budget.take(Duration::from_secs(2), Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_request_to_wait_ends_the_run_and_says_so() {
        let budget = Arc::new(Budget::new(
            Duration::from_secs(120),
            Duration::from_millis(250),
        ));
        let observed: Observed = Arc::new(Silent);
        let mut retries = Retries::new(budget, observed);
        let asked = Some(RetryAfter(Duration::from_secs(1_000_000_000)));
        let why = retries
            .pause("read", "429", asked, Duration::ZERO)
            .await
            .unwrap_err();
        assert!(why.contains("1000000000 s"), "{why}");
    }

    #[tokio::test(start_paused = true)]
    async fn tries_are_bounded() {
        let budget = Arc::new(Budget::new(
            Duration::from_secs(3600),
            Duration::from_millis(250),
        ));
        let observed: Observed = Arc::new(Silent);
        let mut retries = Retries::new(budget, observed);
        for _ in 1..MOST_TRIES {
            retries
                .pause("read", "503", None, Duration::ZERO)
                .await
                .unwrap();
        }
        assert!(
            retries
                .pause("read", "503", None, Duration::ZERO)
                .await
                .is_err()
        );
    }
}
