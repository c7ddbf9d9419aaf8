//! Progress on standard error: bars on a terminal, a line for each event in a log, or only notices, warnings and waits.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::format::human_size;
use super::palette::{Palette, Tone};
use crate::progress::{BlobOutcome, Event, Observer};
use crate::spec::{Descriptor, Digest};
use crate::sync::Mutex;
use crate::text::log_safe;

/// The interval of the progress lines of a blob.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// The template of a bar, at most 77 columns wide.
const BAR: &str = "{prefix} [{bar:20}] {decimal_bytes:>10} / {decimal_total_bytes:>10} {decimal_bytes_per_sec:>12} {eta:>4}";

/// The amount of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleMode {
    /// Progress bars, and a line for each finished step.
    Terminal,
    /// A line for each event.
    Lines,
    /// Notices, warnings and waits.
    Quiet,
}

/// Shows events on standard error. Write errors are ignored: a closed standard error does not end a run.
pub struct Console {
    mode: ConsoleMode,
    debug: bool,
    palette: Palette,
    bars: MultiProgress,
    /// Locked while bars are drawn, so that no bar is drawn after [`Observer::close`].
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    blobs: HashMap<(Digest, String), BlobProgress>,
}

/// A blob that is being copied.
struct BlobProgress {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Console {
    /// Creates a console, which shows requests if `debug` is set.
    pub fn new(mode: ConsoleMode, debug: bool, palette: Palette) -> Self {
        let target = match mode {
            ConsoleMode::Terminal => ProgressDrawTarget::stderr(),
            ConsoleMode::Lines | ConsoleMode::Quiet => ProgressDrawTarget::hidden(),
        };
        Self {
            mode,
            debug,
            palette,
            bars: MultiProgress::with_draw_target(target),
            state: Mutex::default(),
        }
    }

    fn line(&self, text: &str) {
        self.write(&log_safe(&text.replace('\n', " ")));
    }

    fn labelled_line(&self, tone: Tone, label: &str, text: &str) {
        let label = self.palette.paint(tone, label);
        let text = log_safe(&text.replace('\n', " "));
        self.write(&format!("{label}: {text}"));
    }

    /// Writes a line above the bars.
    fn write(&self, line: &str) {
        let _state = self.state.lock();
        self.write_locked(line);
    }

    fn write_locked(&self, line: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }

    fn blob_bytes(&self, blob: &Descriptor, target: &str, done: u64) {
        let mut state = self.state.lock();
        if state.is_closed {
            return;
        }
        let progress = state
            .blobs
            .entry((blob.digest.clone(), target.to_owned()))
            .or_insert_with(|| BlobProgress {
                bar: (self.mode == ConsoleMode::Terminal).then(|| self.bar(blob)),
                last_line: Instant::now(),
            });
        if let Some(bar) = &progress.bar {
            bar.set_position(done);
        } else if self.mode == ConsoleMode::Lines && progress.last_line.elapsed() >= LINE_INTERVAL {
            progress.last_line = Instant::now();
            let percent = done * 100 / blob.size.max(1);
            self.write_locked(&format!(
                "{}: {} of {} ({percent} %)",
                blob.digest.short(),
                human_size(done),
                human_size(blob.size)
            ));
        }
    }

    fn bar(&self, blob: &Descriptor) -> ProgressBar {
        let style = ProgressStyle::with_template(BAR)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        // Style and prefix are set before the bar is added: a later change would draw it on a line that is never
        // cleared.
        let bar = ProgressBar::new(blob.size)
            .with_style(style)
            .with_prefix(blob.digest.short().to_owned());
        self.bars.add(bar)
    }

    fn blob_done(&self, blob: &Descriptor, target: &str, outcome: BlobOutcome<'_>) {
        let mut state = self.state.lock();
        let key = (blob.digest.clone(), target.to_owned());
        let bar = state.blobs.remove(&key).and_then(|progress| progress.bar);
        if let Some(bar) = bar.filter(|_| !state.is_closed) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        if self.mode != ConsoleMode::Quiet {
            let outcome = match outcome {
                BlobOutcome::Pushed => format!("Pushed ({})", human_size(blob.size)),
                BlobOutcome::Exists => "Layer already exists".to_owned(),
                BlobOutcome::Mounted(from) => format!("Mounted from {from}"),
            };
            self.write_locked(&format!("{}: {}", blob.digest.short(), log_safe(&outcome)));
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
        let mut state = self.state.lock();
        state.is_closed = true;
        for bar in state.blobs.drain().filter_map(|(_, progress)| progress.bar) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn observe(&self, event: Event<'_>) {
        match event {
            Event::Notice(text) => self.labelled_line(Tone::Notice, "notice", text),
            Event::Warning(text) => self.labelled_line(Tone::Warning, "warning", text),
            Event::Waiting {
                doing,
                cause,
                delay,
            } => self.line(&format!(
                "waiting {:.1} s before the next attempt to {doing}: {cause}",
                delay.as_secs_f64().max(0.1)
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
            Event::BlobBytes { blob, target, done } => self.blob_bytes(blob, target, done),
            Event::BlobDone { blob, target, how } => self.blob_done(blob, target, how),
            Event::ManifestDone { digest, target } => {
                self.progress_line(|| format!("{}: Pushed manifest to {target}", digest.short()));
            }
            Event::TagDone {
                reference,
                digest,
                already,
            } => self.progress_line(|| {
                let algorithm = digest.algorithm().as_str();
                let suffix = if already { " (already exists)" } else { "" };
                format!(
                    "{reference}: digest: {algorithm}:{}{suffix}",
                    digest.short()
                )
            }),
            Event::Verified { reference } => {
                self.progress_line(|| format!("{reference}: verified"));
            }
        }
    }
}
