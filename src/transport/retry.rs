//! Delays between the tries of a request, and the retry budget of a run.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use tokio::time::Instant;

use super::timeouts::Timeouts;
use crate::progress::{Event, Observed};
use crate::sync::Mutex;
use crate::text::with_causes;

/// The longest pause without a `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// The longest `Retry-After` that is accepted; a longer one ends the run.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The maximum number of tries of one request. Limits the requests to a host where each try fails at once.
const MAX_TRIES: u32 = 8;
/// The time for which a host that has never accepted a connection is tried, if each try fails without delay.
pub(super) const NEVER_CONNECTED_FOR: Duration = Duration::from_secs(5);

/// Returns whether the same request may succeed later.
pub fn is_retryable_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The last failure, and the reason why there is no further try.
#[derive(Debug, thiserror::Error)]
#[error("{} ({reason})", with_causes(&**last))]
pub struct GaveUpAfter {
    pub last: Arc<dyn Error + Send + Sync>,
    pub reason: GiveUp,
}

/// Why a request is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    #[error("Retry-After of {} s exceeds the limit of {} s", .0.as_secs(), LONGEST_RETRY_AFTER.as_secs())]
    RetryAfter(Duration),
    #[error("gave up after {MAX_TRIES} tries")]
    Tries,
    /// The budget of the run, as configured.
    #[error("gave up after waiting {} s for retries", .0.as_secs())]
    Budget(Duration),
    /// The budget of the run, as configured, which slow answers have used up.
    #[error("gave up after {} s of slow answers and retries", .0.as_secs())]
    Slow(Duration),
    #[error("gave up after {} s", NEVER_CONNECTED_FOR.as_secs())]
    NeverConnected,
}

/// The time that one run may spend waiting, over all its requests. Waits that overlap count once, since the limit
/// applies to the wall clock.
#[derive(Debug)]
pub struct Budget {
    total: Duration,
    /// The limit for slow answers and pauses together. When it is exceeded, a slow answer ends the run.
    slow: Duration,
    first_pause: Duration,
    spent: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    /// The total length of the `covered` periods.
    waited: Duration,
    /// The periods spent waiting, as begin and end. They do not overlap.
    covered: Vec<(Instant, Instant)>,
}

impl Spent {
    /// Returns the part of a period that is not covered yet.
    fn uncovered(&self, begin: Instant, end: Instant) -> Duration {
        let overlaps = self.covered.iter().map(|(from, to)| {
            let (from, to) = (begin.max(*from), end.min(*to));
            to.saturating_duration_since(from)
        });
        end.saturating_duration_since(begin)
            .saturating_sub(overlaps.sum())
    }

    fn cover(&mut self, mut begin: Instant, mut end: Instant) {
        self.waited += self.uncovered(begin, end);
        self.covered.retain(|(from, to)| {
            let is_apart = *to < begin || end < *from;
            if !is_apart {
                begin = begin.min(*from);
                end = end.max(*to);
            }
            is_apart
        });
        self.covered.push((begin, end));
    }
}

impl Budget {
    /// Creates a budget of `total`. If `total` is zero, nothing is retried, and the budget for slow answers is the idle
    /// timeout.
    pub fn new(total: Duration, timeouts: &Timeouts) -> Self {
        Self {
            total,
            slow: if total.is_zero() {
                timeouts.idle
            } else {
                total
            },
            first_pause: timeouts.first_pause,
            spent: Mutex::default(),
        }
    }

    /// Subtracts the time `lost` that ends now, and a pause that begins now. Fails, and subtracts nothing, if both
    /// exceed the budget.
    pub(super) fn spend(&self, lost: Duration, pause: Duration) -> Result<(), GiveUp> {
        let mut spent = self.spent.lock();
        let now = Instant::now();
        let (begin, end) = (now.checked_sub(lost).unwrap_or(now), now + pause);
        if spent.waited + spent.uncovered(begin, end) > self.total {
            return Err(GiveUp::Budget(self.total));
        }
        spent.cover(begin, end);
        Ok(())
    }

    /// Subtracts the time `lost` that ends now, even if it exceeds the budget. Fails if it does.
    pub(super) fn charge(&self, lost: Duration) -> Result<(), GiveUp> {
        let mut spent = self.spent.lock();
        let now = Instant::now();
        spent.cover(now.checked_sub(lost).unwrap_or(now), now);
        if spent.waited > self.slow {
            return Err(GiveUp::Slow(self.slow));
        }
        Ok(())
    }
}

/// The duration in `Retry-After` (RFC 9110, section 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// Reads the header: seconds or an HTTP date. Returns `None` for a negative, past or unreadable value.
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

/// The values that decide how long to wait before the next try.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetryDelay {
    /// The pause that the host asked for.
    pub retry_after: Option<RetryAfter>,
    /// The time that the failed try spent waiting. It counts against the budget.
    pub lost: Duration,
    /// The upper bound of the pause.
    pub longest: Option<Duration>,
}

impl RetryDelay {
    /// Creates a delay after a response with these headers.
    pub fn after_response(headers: &HeaderMap) -> Self {
        Self {
            retry_after: RetryAfter::of(headers),
            ..Self::default()
        }
    }
}

/// The tries of one request.
pub struct Retries {
    budget: Arc<Budget>,
    observed: Observed,
    failures: u32,
}

impl Retries {
    pub fn new(budget: Arc<Budget>, observed: Observed) -> Self {
        Self {
            budget,
            observed,
            failures: 0,
        }
    }

    /// Returns the number of failures since the last progress.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Records progress. The next pause is short again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next try: with exponential backoff and full jitter, or for the time that the host asked for.
    /// Fails if there is no next try.
    pub async fn pause(
        &mut self,
        operation: &str,
        cause: &str,
        delay: RetryDelay,
    ) -> Result<(), GiveUp> {
        self.failures += 1;
        if let Some(RetryAfter(asked)) = delay.retry_after
            && asked > LONGEST_RETRY_AFTER
        {
            return Err(GiveUp::RetryAfter(asked));
        }
        if self.failures >= MAX_TRIES {
            return Err(GiveUp::Tries);
        }
        let pause = match delay.retry_after {
            Some(RetryAfter(asked)) => asked + jitter(self.budget.first_pause),
            None => self.backoff(),
        };
        let pause = delay.longest.map_or(pause, |longest| pause.min(longest));
        self.budget.spend(delay.lost, pause)?;
        self.observed.observe(Event::Waiting {
            doing: operation,
            cause,
            delay: pause,
        });
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Returns a random pause between a tenth of the step and the whole step (full jitter):
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
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

    fn budget(seconds: u64) -> Budget {
        Budget::new(Duration::from_secs(seconds), &Timeouts::default())
    }

    fn retries(seconds: u64) -> Retries {
        Retries::new(Arc::new(budget(seconds)), Arc::new(Silent))
    }

    fn spend(budget: &Budget, lost: u64, pause: u64) -> bool {
        let spent = budget.spend(Duration::from_secs(lost), Duration::from_secs(pause));
        spent.is_ok()
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
    async fn overlapping_pauses_count_once() {
        let budget = budget(10);
        for _ in 0..100 {
            assert!(spend(&budget, 0, 8));
        }
        assert!(!spend(&budget, 0, 11));
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert!(spend(&budget, 0, 2));
        assert!(!spend(&budget, 0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn time_lost_in_a_try_counts() {
        let budget = budget(10);
        tokio::time::sleep(Duration::from_secs(6)).await;
        // Two requests waited at the same time.
        assert!(spend(&budget, 6, 1));
        assert!(spend(&budget, 6, 1));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!spend(&budget, 2, 2));
        assert!(spend(&budget, 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn lost_time_before_and_after_a_pause_counts() {
        let budget = budget(10);
        tokio::time::sleep(Duration::from_secs(4)).await;
        // Another request pauses while this one waits for its answer.
        assert!(spend(&budget, 0, 1));
        tokio::time::sleep(Duration::from_secs(4)).await;
        budget.charge(Duration::from_secs(8)).unwrap();
        assert!(spend(&budget, 0, 2));
        assert!(!spend(&budget, 0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_budget_slow_answers_have_the_idle_timeout() {
        let budget = budget(0);
        tokio::time::sleep(Duration::from_secs(40)).await;
        budget.charge(Duration::from_secs(30)).unwrap();
        let error = budget.charge(Duration::from_secs(31)).unwrap_err();
        assert_eq!(error, GiveUp::Slow(Duration::from_secs(30)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_retry_after_ends_the_run() {
        let delay = RetryDelay {
            retry_after: Some(RetryAfter(Duration::from_secs(1_000_000_000))),
            ..RetryDelay::default()
        };
        let gave_up = retries(120).pause("read", "429", delay).await.unwrap_err();
        let message = gave_up.to_string();
        assert!(message.contains("1000000000 s"), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_tries_is_bounded() {
        let mut retries = retries(3600);
        for _ in 1..MAX_TRIES {
            let paused = retries.pause("read", "503", RetryDelay::default()).await;
            paused.unwrap();
        }
        let paused = retries.pause("read", "503", RetryDelay::default()).await;
        assert_eq!(paused, Err(GiveUp::Tries));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_at_most_the_longest() {
        let mut retries = retries(3600);
        let began = Instant::now();
        let delay = RetryDelay {
            longest: Some(Duration::from_millis(1)),
            ..RetryDelay::default()
        };
        for _ in 1..MAX_TRIES {
            retries.pause("read", "refused", delay).await.unwrap();
        }
        assert!(began.elapsed() <= Duration::from_millis(20));
    }
}
