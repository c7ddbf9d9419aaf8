//! Runs every fuzz target with the seeds in `fuzz/corpus` and damaged copies of them, without libFuzzer.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a library when cargo-fuzz builds it")]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use targets::{TARGETS, Target, parts};

/// The number of damaged copies of each seed.
const COPIES: u64 = 100;

fn fuzz_directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(name)
}

fn names_in(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(fuzz_directory("corpus").join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let content = fs::read(&path).unwrap();
        (path, content)
    };
    files.into_iter().map(read).collect()
}

/// Returns a copy in which bytes are changed, removed, repeated or taken from another seed. The result depends only on
/// the arguments.
fn damaged(seed: &[u8], other: &[u8], number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    let mut copy = seed.to_vec();
    for _ in 0..=random.usize(..4) {
        let at = random.usize(..=copy.len());
        let end = random.usize(at..=(at + 16).min(copy.len()));
        match random.u8(..6) {
            0 => copy.truncate(at),
            1 => drop(copy.drain(at..end)),
            2 => {
                let piece = copy[at..end].to_vec();
                copy.splice(at..at, piece);
            }
            3 => {
                let from = random.usize(..=other.len());
                let to = random.usize(from..=(from + 32).min(other.len()));
                copy.splice(at..end, other[from..to].iter().copied());
            }
            4 => {
                let odd = *random.choice(b"\0\n\r\"{}[]:=<%\\/@\xff").unwrap_or(&0);
                copy.insert(at, odd);
            }
            _ => {
                if let Some(byte) = copy.get_mut(at) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
        }
    }
    copy
}

fn replay(name: &str, target: Target) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "no seeds in fuzz/corpus/{name}");
    for (position, (path, content)) in seeds.iter().enumerate() {
        // The test harness prints this if the target panics.
        println!("{name}: {}", path.display());
        target(content);
        let (_, other) = &seeds[(position + 1) % seeds.len()];
        for number in 0..COPIES {
            let copy = damaged(content, other, number);
            println!(
                "{name}: {} damaged by {number}: {:?}",
                path.display(),
                copy.escape_ascii().to_string()
            );
            target(&copy);
        }
    }
}

#[test]
fn targets_accept_seeds_and_damaged_copies() {
    for (name, target) in TARGETS {
        replay(name, *target);
    }
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let named: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named.len(), TARGETS.len());
    assert_eq!(names_in(&fuzz_directory("fuzz_targets")), named);
    assert_eq!(names_in(&fuzz_directory("corpus")), named);
}

#[test]
fn input_is_split_into_documents() {
    assert_eq!(parts(b"a\n----\n\n----\nb"), [&b"a"[..], b"", b"b"]);
    assert_eq!(parts(b""), [b""]);
}
