//! Runs the binary under test, or a program for comparison, in an isolated environment.

use std::{
    fmt,
    io::{Read, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{names::Names, secrets::Watch};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_polyarch");

/// How long a run may take, unless the test sets another limit.
const LIMIT: Duration = Duration::from_secs(120);

/// The interval at which the memory of a measured run is sampled. The kernel keeps the peak, so only an allocation in
/// the last moment of a process can be missed.
const SAMPLING: Duration = Duration::from_millis(3);

/// The measured size of the static binary's pages that are resident during a run, in KiB: 4,124.
const STATIC_BINARY: u64 = 4200;

/// A command line of `polyarch` without the environment of the caller. Its output and the files that it writes are
/// searched for secrets, unless [`Polyarch::unwatched`] is called.
#[derive(Clone, Debug)]
pub struct Polyarch {
    program: PathBuf,
    home: PathBuf,
    names: Names,
    words: Vec<String>,
    variables: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    limit: Duration,
    is_watched: bool,
    is_measured: bool,
    has_reader: bool,
}

impl Polyarch {
    /// Creates a command line with `home` as its home and working directory.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            program: PathBuf::from(BINARY),
            home: home.into(),
            names: Names::default(),
            words: Vec::new(),
            variables: Vec::new(),
            stdin: None,
            limit: LIMIT,
            is_watched: true,
            is_measured: false,
            has_reader: true,
        }
    }

    /// Runs another program instead, under the same conditions.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self.is_watched = false;
        self
    }

    /// Replaces these names in arguments and variables by their values, and the values in the output by the names.
    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Appends arguments.
    pub fn args<T: AsRef<str>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        let words = words
            .into_iter()
            .map(|word| self.names.expand(word.as_ref()));
        self.words.extend(words);
        self
    }

    /// Sets a variable; the last value counts.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables
            .push((name.to_owned(), self.names.expand(value)));
        self
    }

    /// Sets the content of standard input, which is empty otherwise.
    pub fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(content.into());
        self
    }

    /// Sets how long the run may take.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Disables the search for secrets, which needs all debug output.
    pub fn unwatched(mut self) -> Self {
        self.is_watched = false;
        self
    }

    /// Measures the peak memory of the run. The run uses one heap, like the static binary; by default glibc creates a
    /// varying number of heaps for the threads.
    pub fn measured(mut self) -> Self {
        self.is_measured = true;
        self.env("MALLOC_ARENA_MAX", "1")
    }

    /// Closes standard output at once, like a reader that ends early.
    pub fn without_reader(mut self) -> Self {
        self.has_reader = false;
        self
    }

    /// Runs the command to its end.
    ///
    /// Panics if the program cannot be started, exceeds the time limit, panics or reveals a secret.
    #[track_caller]
    pub fn run(self) -> Output {
        self.start().wait()
    }

    /// Runs the command to its end on a separate thread, so that a registry on the caller's runtime can answer.
    pub async fn run_async(self) -> Output {
        let run = tokio::task::spawn_blocking(move || self.run());
        run.await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// Starts the program.
    #[track_caller]
    pub fn start(self) -> Running {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let watch = self
            .is_watched
            .then(|| Watch::begin(&self.home, &self.variables, &words));
        let began = Instant::now();
        let mut child = Command::new(&self.program)
            .args(&self.words)
            .current_dir(&self.home)
            .env_clear()
            .env("HOME", &self.home)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(watch.as_ref().and_then(Watch::variable))
            .stdin(
                self.stdin
                    .as_ref()
                    .map_or_else(Stdio::null, |_| Stdio::piped()),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{} must be installed: {error}", self.program.display())
            });
        if let (Some(content), Some(mut stdin)) = (self.stdin.clone(), child.stdin.take()) {
            // A program may exit before it has read all of its input.
            thread::spawn(move || drop(stdin.write_all(&content)));
        }
        let (open, ended) = mpsc::channel();
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        Running {
            stdout: self.has_reader.then(|| read(stdout, open.clone())),
            stderr: Some(read(stderr, open)),
            run: self,
            child,
            watch,
            began,
            ended,
        }
    }
}

impl fmt::Display for Polyarch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program.file_name().unwrap_or_default().display();
        write!(f, "{program} {}", self.names.redact(&self.words.join(" ")))
    }
}

/// Reads a pipe to its end, and then drops `open`.
fn read(mut pipe: impl Read + Send + 'static, open: mpsc::Sender<()>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        drop(open);
        bytes
    })
}

/// A started program. It is killed when dropped.
pub struct Running {
    run: Polyarch,
    child: Child,
    watch: Option<Watch>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    /// The channel is disconnected when both pipes have ended.
    ended: mpsc::Receiver<()>,
    began: Instant,
}

impl Running {
    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("process numbers are small");
        kill(Pid::from_raw(id), signal).expect("a process of this test");
    }

    /// Waits for the end of the program; see [`Polyarch::run`].
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let (status, memory) = self.wait_for_exit();
        let wall = self.began.elapsed();
        let text = |pipe: Option<JoinHandle<Vec<u8>>>| {
            let bytes = pipe.map_or_else(Vec::new, |pipe| pipe.join().expect("a reader"));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let stdout = text(self.stdout.take());
        let stderr = text(self.stderr.take());
        let shown = format!("{}: {stdout}{stderr}", self.run);
        assert!(
            status.is_some(),
            "longer than {:?}: {shown}",
            self.run.limit
        );
        assert!(!stderr.contains("panicked at"), "{shown}");
        let stderr = match self.watch.take() {
            Some(watch) => watch.end(&stdout, stderr),
            None => stderr,
        };
        Output {
            code: status.map_or(-1, exit_code),
            stdout: self.run.names.redact(&stdout),
            stderr: self.run.names.redact(&stderr),
            wall,
            memory,
            line: self.run.to_string(),
        }
    }

    /// Returns the exit status, or `None` after the time limit, and the peak memory in KiB if it is measured.
    fn wait_for_exit(&mut self) -> (Option<ExitStatus>, u64) {
        let deadline = self.began + self.run.limit;
        let mut memory = 0;
        loop {
            if self.run.is_measured {
                let used = peak_memory(self.child.id(), &self.run.program);
                memory = memory.max(used + STATIC_BINARY);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let pause = if self.run.is_measured {
                SAMPLING.min(left)
            } else {
                left
            };
            match self.ended.recv_timeout(pause) {
                Err(mpsc::RecvTimeoutError::Timeout) if left.is_zero() => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    return (None, memory);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return (Some(self.child.wait().expect("a child")), memory);
                }
                Err(mpsc::RecvTimeoutError::Timeout) | Ok(()) => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The signal cannot be sent if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the exit code. After a signal it is 128 plus the number of the signal, as in shells.
fn exit_code(status: ExitStatus) -> i32 {
    let by_signal = || 128 + status.signal().unwrap_or_default();
    status.code().unwrap_or_else(by_signal)
}

/// Returns the peak memory of a process in KiB, without the pages of its program file: the kernel can drop these pages,
/// and in a debug build they take 16 MiB. Returns 0 while the process is still a copy of its parent.
fn peak_memory(id: u32, program: &Path) -> u64 {
    let is_started = std::fs::read_link(format!("/proc/{id}/exe"))
        .is_ok_and(|file| file.file_name() == program.file_name());
    if !is_started {
        return 0;
    }
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let peak = field("VmHWM:").unwrap_or_default();
    peak.saturating_sub(field("RssFile:").unwrap_or_default())
}

/// The result of a run. Its display form, which snapshots use, omits empty streams.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code, or 128 plus the number of the signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The time from the start to the exit.
    pub wall: Duration,
    /// The peak memory of a [`Polyarch::measured`] run in KiB, including the pages of the static binary.
    pub memory: u64,
    /// The command line, for assertion messages.
    line: String,
}

impl Output {
    /// Asserts success.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Asserts this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{self}", self.line);
        self
    }

    /// Returns the digest on the last line of standard output.
    #[track_caller]
    pub fn digest(&self) -> String {
        self.stdout.lines().last().expect("a line").to_owned()
    }

    /// Returns standard error from the error message on, without the preceding messages about progress and waits.
    #[track_caller]
    pub fn error(&self) -> &str {
        let is_start = |at: &usize| *at == 0 || self.stderr[..*at].ends_with('\n');
        let mut errors = self.stderr.match_indices("error: ").map(|(at, _)| at);
        let start = errors
            .find(is_start)
            .unwrap_or_else(|| panic!("no error: {self}"));
        &self.stderr[start..]
    }

    /// Parses standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exit code: {}", self.code)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "----- {name} -----")?;
                f.write_str(text)?;
                if !text.ends_with('\n') {
                    f.write_str("(no line end)\n")?;
                }
            }
        }
        Ok(())
    }
}
