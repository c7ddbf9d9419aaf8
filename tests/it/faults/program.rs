//! The real binary, watched: what it says, how long it takes, how much memory it takes.

use std::{
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// No run takes longer, whatever happens.
const LIMIT: Duration = Duration::from_secs(180);
/// How often the memory is looked at. The kernel keeps the highest value, so that only what a process takes in its
/// last moment can be missed.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// What a run said and took.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) took: Duration,
    /// The most resident memory, in KiB.
    pub(super) memory: u64,
}

impl Said {
    /// The longest of the waits that were told.
    pub(super) fn longest_wait(&self) -> Duration {
        let told = self.stderr.lines().filter_map(|line| {
            let seconds = line.strip_prefix("waiting ")?.split_once(" s ")?.0;
            seconds.parse().ok().map(Duration::from_secs_f64)
        });
        told.max().unwrap_or_default()
    }

    /// The digest on the last line of standard output.
    pub(super) fn digest(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }
}

/// Runs the binary in a home with these variables and nothing else of the caller's environment.
pub(super) fn run(home: &Path, variables: &[(String, String)], words: &[String]) -> Said {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_polyarch"))
        .args(words)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // One heap, as in the static binary: glibc gives each thread one of its own, by chance more or fewer.
        .env("MALLOC_ARENA_MAX", "1")
        .spawn()
        .expect("the binary starts");
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let (code, memory) = watch(&mut child, began);
    let text = |pipe: thread::JoinHandle<Vec<u8>>| {
        let bytes = pipe.join().expect("the pipe is read");
        String::from_utf8(bytes).expect("UTF-8")
    };
    Said {
        code,
        stdout: text(stdout),
        stderr: text(stderr),
        took: began.elapsed(),
        memory,
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// Waits for the end. The exit code is -1 for a signal, and for a run that had to be ended.
fn watch(child: &mut Child, began: Instant) -> (i32, u64) {
    let mut memory = 0;
    loop {
        if is_the_program(child.id()) {
            memory = memory.max(peak_memory(child.id()));
        }
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return (status.code().unwrap_or(-1), memory);
        }
        if began.elapsed() > LIMIT {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
            return (-1, memory);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Whether the new process has become the program: for a moment it has the memory of its parent.
fn is_the_program(id: u32) -> bool {
    let file = std::fs::read_link(format!("/proc/{id}/exe"));
    file.is_ok_and(|file| file.file_name() == Path::new(env!("CARGO_BIN_EXE_polyarch")).file_name())
}

/// The most memory that a process has had at once, in KiB; 0 where the system does not tell.
fn peak_memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
