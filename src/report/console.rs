//! What happens, on standard error: bars on a terminal, a line an event in a log, nothing but warnings where
//! silence is expected.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::github::neutral;
use super::tree::human_size;
use crate::progress::{BlobOutcome, Event, Observer};
use crate::spec::Digest;
use crate::sync::Mutex;

/// How often a log line tells how far a blob is.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleMode {
    /// Bars that redraw themselves, and a line for what is done.
    Terminal,
    /// A line an event.
    Lines,
    /// Notices, warnings and waits.
    Quiet,
}

/// Shows events on standard error.
pub struct Console {
    mode: ConsoleMode,
    debug: bool,
    bars: MultiProgress,
    blobs: Mutex<HashMap<(Digest, String), Shown>>,
}

/// What is shown of a blob under way.
struct Shown {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Console {
    /// Shows nothing yet. `debug`: every request, too.
    pub fn new(mode: ConsoleMode, debug: bool) -> Self {
        let target = match mode {
            ConsoleMode::Terminal => ProgressDrawTarget::stderr(),
            ConsoleMode::Lines | ConsoleMode::Quiet => ProgressDrawTarget::hidden(),
        };
        Self {
            mode,
            debug,
            bars: MultiProgress::with_draw_target(target),
            blobs: Mutex::default(),
        }
    }

    /// A line above the bars, and no command to a CI runner. A closed standard error is no reason to stop.
    fn line(&self, text: &str) {
        self.bars.suspend(|| {
            let line = text.replace('\n', " ");
            let _ = writeln!(std::io::stderr(), "{}", neutral(&line));
        });
    }

    fn blob_bytes(&self, digest: &Digest, size: u64, target: &str, done: u64) {
        let mut blobs = self.blobs.lock();
        let shown = blobs
            .entry((digest.clone(), target.to_owned()))
            .or_insert_with(|| Shown {
                bar: (self.mode == ConsoleMode::Terminal).then(|| self.bar(digest, size)),
                last_line: Instant::now(),
            });
        if let Some(bar) = &shown.bar {
            bar.set_position(done);
        } else if self.mode == ConsoleMode::Lines && shown.last_line.elapsed() >= LINE_EVERY {
            shown.last_line = Instant::now();
            let percent = done * 100 / size.max(1);
            self.line(&format!(
                "{}: {} of {} ({percent} %)",
                digest.short(),
                human_size(done),
                human_size(size)
            ));
        }
    }

    fn bar(&self, digest: &Digest, size: u64) -> ProgressBar {
        let style = ProgressStyle::with_template(
            "{prefix} [{bar:30}] {decimal_bytes:>9}/{decimal_total_bytes:<9} {decimal_bytes_per_sec:>11} {eta:>4}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
        let bar = self.bars.add(ProgressBar::new(size).with_style(style));
        bar.set_prefix(digest.short().to_owned());
        bar
    }

    fn blob_done(&self, digest: &Digest, size: u64, target: &str, how: BlobOutcome<'_>) {
        let key = (digest.clone(), target.to_owned());
        let shown = self.blobs.lock().remove(&key);
        if let Some(bar) = shown.and_then(|shown| shown.bar) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        if self.mode != ConsoleMode::Quiet {
            let how = match how {
                BlobOutcome::Pushed => format!("Pushed ({})", human_size(size)),
                BlobOutcome::Exists => "Layer already exists".to_owned(),
                BlobOutcome::Mounted(from) => format!("Mounted from {from}"),
            };
            self.line(&format!("{}: {how}", digest.short()));
        }
    }

    fn progress_line(&self, text: impl FnOnce() -> String) {
        if self.mode != ConsoleMode::Quiet {
            self.line(&text());
        }
    }
}

impl Observer for Console {
    fn close(&self) {
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn observe(&self, event: Event<'_>) {
        match event {
            Event::Notice(text) => self.line(&format!("notice: {text}")),
            Event::Warning(text) => self.line(&format!("warning: {text}")),
            Event::Waiting {
                doing,
                cause,
                delay,
            } => self.line(&format!(
                "waiting {:.1} s before another try to {doing}: {cause}",
                delay.as_secs_f64()
            )),
            Event::Request {
                method,
                url,
                outcome,
                took,
            } => {
                if self.debug {
                    self.line(&format!(
                        "debug: {method} {url}: {outcome} ({} ms)",
                        took.as_millis()
                    ));
                }
            }
            Event::BlobBytes { blob, target, done } => {
                self.blob_bytes(&blob.digest, blob.size, target, done);
            }
            Event::BlobDone { blob, target, how } => {
                self.blob_done(&blob.digest, blob.size, target, how);
            }
            Event::ManifestDone { digest, target } => {
                self.progress_line(|| format!("{}: Pushed manifest to {target}", digest.short()));
            }
            Event::TagDone {
                reference,
                digest,
                already,
            } => self.progress_line(|| {
                let how = if already { " (already there)" } else { "" };
                format!("{reference}: digest: {digest}{how}")
            }),
            Event::Verified { reference } => {
                self.progress_line(|| format!("{reference}: verified"));
            }
        }
    }
}
