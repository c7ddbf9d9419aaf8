//! Runs on a pseudo-terminal of 80 columns: colours, and progress bars that are removed at the end.

use std::{
    fs::File,
    io::Read as _,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{
    Registry,
    image::Image,
    registry::{Class, Fault, Rule},
};

const COLUMNS: usize = 80;

/// A run on a terminal.
struct Session {
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    _home: tempfile::TempDir,
}

impl Session {
    fn start(words: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let terminal = openpty(&size, None).expect("a pseudo-terminal");
        let home = tempfile::tempdir().expect("a directory");
        let stdio = || Stdio::from(terminal.slave.try_clone().expect("a descriptor"));
        let child = Command::new(env!("CARGO_BIN_EXE_polyarch"))
            .args(words)
            .current_dir(home.path())
            .env_clear()
            .envs([("TERM", "xterm")])
            .env("HOME", home.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .expect("the binary starts");
        drop(terminal.slave);
        let output = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&output);
        let mut master = File::from(terminal.master);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            // Linux reports the end of a pseudo-terminal as an error.
            while let Ok(length @ 1..) = master.read(&mut piece) {
                shared.lock().unwrap().extend(&piece[..length]);
            }
        });
        Self {
            child,
            output,
            reader,
            _home: home,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    fn wait_until(&self, condition: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !condition(&self.text()) {
            assert!(Instant::now() < deadline, "{:#?}", screen(&self.text()));
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns the exit code and everything that was written.
    fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            match self.child.try_wait().expect("a status") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    let _ = self.child.kill();
                    panic!("no end: {:?}", self.text());
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        self.reader.join().expect("the reader ends");
        let text = String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned();
        (status.code(), text)
    }
}

/// Returns the lines that a terminal shows after this output.
fn screen(output: &str) -> Vec<String> {
    let mut rows: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut chars = output.chars();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['), "{output:?}");
                let mut parameter = String::new();
                let command = loop {
                    match chars.next().expect("a command") {
                        c if c.is_ascii_alphabetic() => break c,
                        c => parameter.push(c),
                    }
                };
                let count = parameter.parse().unwrap_or(1);
                match command {
                    'A' => row = row.saturating_sub(count),
                    'B' => row += count,
                    'K' if parameter == "2" => rows[row].clear(),
                    'K' => rows[row].truncate(column),
                    'J' => rows.truncate(row + 1),
                    'm' => {}
                    other => panic!("unknown command {other}: {output:?}"),
                }
            }
            c => {
                if column == COLUMNS {
                    (row, column) = (row + 1, 0);
                }
                rows.resize(rows.len().max(row + 1), Vec::new());
                let line = &mut rows[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        rows.resize(rows.len().max(row + 1), Vec::new());
    }
    let lines = rows.iter().map(|line| line.iter().collect::<String>());
    lines.map(|line| line.trim_end().to_owned()).collect()
}

fn has_bar(line: &str) -> bool {
    line.contains("] ") && line.contains(" / ")
}

/// Returns two registries, an image with four layers in the first one, and a copy target in the second one.
fn scene() -> (Registry, Registry, String, String) {
    let (from, to) = (
        Registry::builder().start_in_background(),
        Registry::builder().start_in_background(),
    );
    let image = Image::new("linux/amd64").layers(&[400_000, 400_001, 400_002, 400_003]);
    image.load(&from, "team/app", "amd64");
    let source = from.reference("team/app", "amd64");
    let target = to.reference("team/app", "1");
    (from, to, source, target)
}

#[test]
fn an_interrupted_run_leaves_no_progress_bars() {
    let (from, _to, source, target) = scene();
    let stall = Fault::StallBody(200_000);
    from.rule(Rule::on(Class::BlobGet).forever().then(stall));
    let session = Session::start(&["publish", "-t", &target, &source], &[]);
    // All four bars are on the screen at once.
    session.wait_until(|text| {
        let bars = screen(text).iter().filter(|line| has_bar(line)).count();
        bars == 4
    });
    let id = i32::try_from(session.child.id()).expect("a process id");
    kill(Pid::from_raw(id), Signal::SIGINT).expect("a signal");
    let (code, output) = session.end();
    let screen = screen(&output);
    assert_eq!(code, Some(130), "{screen:#?}");
    assert!(!screen.iter().any(|line| has_bar(line)), "{screen:#?}");
    assert!(
        screen.iter().any(|line| line == "error: interrupted"),
        "{screen:#?}"
    );
}

#[test]
fn a_finished_run_leaves_no_progress_bars() {
    let (_from, _to, source, target) = scene();
    let (code, output) = Session::start(&["publish", "-t", &target, &source], &[]).end();
    let screen = screen(&output);
    assert_eq!(code, Some(0), "{screen:#?}");
    assert!(!screen.iter().any(|line| has_bar(line)), "{screen:#?}");
    let pushed = screen.iter().filter(|line| line.contains(": Pushed ("));
    // Four layers and the config.
    assert_eq!(pushed.count(), 5, "{screen:#?}");
}

#[test]
fn colours_are_used_on_a_terminal_unless_declined() {
    let (_from, _to, source, target) = scene();
    let words = ["publish", "-t", &target, &source];
    for (variables, is_coloured) in [
        (&[][..], true),
        (&[("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ] {
        let (code, output) = Session::start(&words, variables).end();
        assert_eq!(code, Some(0), "{output}");
        let painted =
            output.contains("\u{1b}[32malready exists") || output.contains("\u{1b}[32mpushed");
        assert_eq!(painted, is_coloured, "{variables:?}: {output:?}");
    }
}
