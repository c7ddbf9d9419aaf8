//! The command of an image, and the programs that are executed first when a container starts.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer};

use super::executable::Content;
use super::limits::MAX_PROGRAMS;
use super::tree::{File, Key, Names, Tree};
use crate::spec::{ImageConfig, Platform};

/// The search path of Docker and runc for an image that sets none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_WINDOWS_PATH: &str = "C:\\Windows\\System32;C:\\Windows";

const SHELLS: [&str; 6] = ["ash", "bash", "dash", "ksh", "sh", "zsh"];
/// Programs that execute the command in their arguments.
const INITS: [&str; 6] = [
    "catatonit",
    "docker-init",
    "dumb-init",
    "env",
    "tini",
    "tini-static",
];
/// The first words of shell commands that are not files.
const BUILTINS: [&str; 26] = [
    ".", "[", "alias", "case", "cd", "command", "echo", "eval", "exit", "export", "false", "for",
    "if", "printf", "read", "set", "shift", "source", "test", "time", "trap", "true", "ulimit",
    "umask", "until", "while",
];

/// The parts of a config that concern the start of a container.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md>.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Config {
    #[serde(flatten)]
    image: ImageConfig,
    #[serde(default)]
    config: Option<Execution>,
}

#[derive(Debug, Default, Deserialize)]
struct Execution {
    #[serde(default, rename = "Entrypoint", deserialize_with = "words")]
    entrypoint: Vec<String>,
    #[serde(default, rename = "Cmd", deserialize_with = "words")]
    cmd: Vec<String>,
    #[serde(default, rename = "Env", deserialize_with = "words")]
    env: Vec<String>,
    #[serde(default, rename = "WorkingDir")]
    working_dir: Option<String>,
    /// The first word is a complete Windows command line.
    #[serde(default, rename = "ArgsEscaped")]
    args_escaped: bool,
}

/// Accepts a list, `null`, and a single string, which old builders wrote.
fn words<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        None,
        One(String),
        Many(Vec<String>),
    }
    Ok(match Words::deserialize(value)? {
        Words::None => Vec::new(),
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    })
}

/// The command of an image.
#[derive(Debug)]
pub(super) struct Command {
    names: Names,
    words: Vec<String>,
    /// The number of words that belong to the entrypoint.
    entrypoint: usize,
    /// The directories of the search path.
    path: Vec<String>,
    directory: String,
}

/// The programs of a command.
#[derive(Debug, Default)]
pub(super) struct Programs {
    /// The files that are executed, in their order, each once.
    pub(super) files: Vec<File>,
    /// The first program that must exist and was not found.
    pub(super) missing: Option<String>,
    /// Whether every program was found.
    pub(super) is_complete: bool,
    /// Whether a later member of the layer may precede one of these files in the search path.
    pub(super) is_tentative: bool,
    /// The paths that were searched and do not exist.
    pub(super) absent: HashSet<Key>,
}

impl Config {
    /// Returns the platform that the config declares, and the command of the image if it has one.
    pub(super) fn split(self) -> (Platform, Option<Command>) {
        let platform = Platform::from(self.image);
        let execution = self.config.unwrap_or_default();
        let command = Command::new(execution, &platform);
        (platform, command)
    }
}

impl Command {
    fn new(config: Execution, platform: &Platform) -> Option<Self> {
        let is_windows = platform.os.eq_ignore_ascii_case("windows");
        let mut words = config.entrypoint;
        let mut entrypoint = words.len();
        words.extend(config.cmd);
        if is_windows
            && config.args_escaped
            && let Some(first) = words.first()
        {
            words = split_windows(first);
            entrypoint = words.len();
        }
        if words.first().is_none_or(String::is_empty) {
            return None;
        }
        let directory = config.working_dir.unwrap_or_default();
        let directory = match directory.as_str() {
            "" => "/".to_owned(),
            _ => directory,
        };
        let is_path = |name: &str| {
            if is_windows {
                name.eq_ignore_ascii_case("path")
            } else {
                name == "PATH"
            }
        };
        let settings = config.env.iter().rev();
        let mut settings = settings.filter_map(|line| line.split_once('='));
        let path = settings.find(|(name, _)| is_path(name));
        let path = path.map(|(_, value)| value);
        let path: Vec<String> = if is_windows {
            let own = path.unwrap_or(DEFAULT_WINDOWS_PATH);
            own.split(';').map(str::to_owned).collect()
        } else {
            let own = path.unwrap_or(DEFAULT_PATH);
            own.split(':').map(str::to_owned).collect()
        };
        Some(Self {
            names: if is_windows {
                Names::Windows
            } else {
                Names::Unix
            },
            words,
            entrypoint,
            path,
            directory,
        })
    }

    pub(super) fn names(&self) -> Names {
        self.names
    }

    /// Searches for the programs in the layers so far.
    pub(super) fn programs(&self, tree: &Tree) -> Programs {
        let mut programs = Programs {
            is_complete: true,
            ..Programs::default()
        };
        let mut words = &self.words[..];
        let mut is_certain = true;
        for _ in 0..MAX_PROGRAMS {
            let Some(name) = words.first() else {
                break;
            };
            let is_script = self.execute(name, is_certain, tree, &mut programs);
            if let Some(text) = shell_command(words) {
                if let Some(name) = first_program(text) {
                    self.execute(name, false, tree, &mut programs);
                }
                break;
            }
            let Some((next, certain)) = self.next(words, is_script) else {
                break;
            };
            words = next;
            is_certain = certain;
        }
        programs
    }

    /// Returns the part of the command that a program executes, and whether this is certain.
    fn next<'a>(&'a self, words: &'a [String], is_script: bool) -> Option<(&'a [String], bool)> {
        let (program, arguments) = words.split_first()?;
        let program = base_name(program);
        if INITS.contains(&program) {
            if let Some(end) = arguments.iter().position(|word| word == "--") {
                return Some((&arguments[end + 1..], true));
            }
            let is_option = |word: &String| word.starts_with('-') || word.contains('=');
            let first = arguments.iter().position(|word| !is_option(word))?;
            return Some((&arguments[first..], false));
        }
        // A shell or a script in the entrypoint usually executes the command after it.
        let is_in_entrypoint = self.words.len() - words.len() < self.entrypoint;
        let command = self.words.get(self.entrypoint..)?;
        let has_command = command.first().is_some_and(|word| !word.starts_with('-'));
        let passes_on = is_script || SHELLS.contains(&program);
        (passes_on && is_in_entrypoint && has_command).then_some((command, false))
    }

    /// Adds a program, and the interpreters of a script. Returns whether it is a script.
    fn execute(&self, name: &str, is_certain: bool, tree: &Tree, programs: &mut Programs) -> bool {
        let mut name = name.to_owned();
        let mut is_script = false;
        for _ in 0..MAX_PROGRAMS {
            let Some(file) = self.find(&name, tree, programs) else {
                programs.is_complete = false;
                if is_certain && programs.missing.is_none() {
                    programs.missing = Some(name);
                }
                return is_script;
            };
            let content = file.content.clone();
            programs.add(file);
            let Content::Script(line) = content else {
                return is_script;
            };
            is_script = true;
            let (interpreter, program) = interpreters(&line);
            if let Some(program) = program {
                // `env` itself is executed first.
                match self.find(interpreter, tree, programs) {
                    Some(file) => programs.add(file),
                    None => programs.is_complete = false,
                }
                program.clone_into(&mut name);
            } else {
                interpreter.clone_into(&mut name);
            }
        }
        is_script
    }

    fn find(&self, name: &str, tree: &Tree, programs: &mut Programs) -> Option<File> {
        let is_path = match self.names {
            Names::Unix => name.contains('/'),
            Names::Windows => name.contains(['/', '\\', ':']),
        };
        if is_path {
            return self.find_at(&self.within(&self.directory, name), tree, programs);
        }
        let absent = programs.absent.len();
        for directory in &self.path {
            // An empty directory is the working directory.
            let directory = self.within(&self.directory, directory);
            let file = self.find_at(&self.within(&directory, name), tree, programs);
            let is_program = |file: &File| file.is_executable || self.names == Names::Windows;
            if let Some(file) = file.filter(is_program) {
                programs.is_tentative |= programs.absent.len() > absent;
                return Some(file);
            }
        }
        None
    }

    fn find_at(&self, path: &str, tree: &Tree, programs: &mut Programs) -> Option<File> {
        let found = tree.find(path.as_bytes(), &mut programs.absent);
        if found.is_some() || self.names == Names::Unix {
            return found;
        }
        tree.find(format!("{path}.exe").as_bytes(), &mut programs.absent)
    }

    /// Returns `path` if it is absolute, otherwise the path within `directory`.
    fn within(&self, directory: &str, path: &str) -> String {
        let is_absolute = match self.names {
            Names::Unix => path.starts_with('/'),
            Names::Windows => path.starts_with(['/', '\\']) || path.get(1..2) == Some(":"),
        };
        if is_absolute {
            path.to_owned()
        } else {
            format!("{directory}/{path}")
        }
    }
}

impl Programs {
    fn add(&mut self, file: File) {
        if !self.files.contains(&file) {
            self.files.push(file);
        }
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns the text after the option `-c` of a shell.
fn shell_command(words: &[String]) -> Option<&str> {
    let (program, arguments) = words.split_first()?;
    if !SHELLS.contains(&base_name(program)) {
        return None;
    }
    let is_option = |word: &&String| word.starts_with('-') && !word.starts_with("--");
    let options = arguments.iter().take_while(is_option).count();
    let last = options.checked_sub(1)?;
    arguments[last].ends_with('c').then_some(())?;
    arguments.get(options).map(String::as_str)
}

/// Returns the program that a shell command executes first, if that is evident.
fn first_program(text: &str) -> Option<&str> {
    let is_assignment = |word: &&str| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_name))
    };
    let mut words = text.split_whitespace();
    let word = words.find(|word| *word != "exec" && !is_assignment(word))?;
    // Anything else is expanded by the shell.
    let is_plain = word
        .bytes()
        .all(|byte| is_name(byte) || b"./+-".contains(&byte));
    (is_plain && !BUILTINS.contains(&word)).then_some(word)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns the program of a `#!` line and, if it is `env`, the program that `env` searches for.
fn interpreters(line: &str) -> (&str, Option<&str>) {
    let mut words = line.split_whitespace();
    let interpreter = words.next().unwrap_or_default();
    if base_name(interpreter) != "env" {
        return (interpreter, None);
    }
    let program = words.find(|word| !word.starts_with('-') && !word.contains('='));
    (interpreter, program)
}

/// Returns the first words of a command line of Windows. Only the program matters.
fn split_windows(line: &str) -> Vec<String> {
    let line = line.trim_start();
    let (program, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => line.split_once(' ').unwrap_or((line, "")),
    };
    let rest = rest.split_whitespace();
    std::iter::once(program)
        .chain(rest)
        .map(str::to_owned)
        .collect()
}
