//! The seeds of `fuzz/corpus` through every target, as they are and damaged: what the fuzzer once found is found again
//! on any machine, without libFuzzer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{TARGETS, Target, parts};

/// How many damaged copies of each seed are tried.
const COPIES: u64 = 100;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(name)
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder("corpus").join(target))
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

/// A copy with some bytes changed, left out, repeated, or taken from another seed: always the same for one number.
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
        // Shown by the test harness if the target panics.
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
fn every_target_survives_its_seeds_and_damaged_copies_of_them() {
    for (name, target) in TARGETS {
        replay(name, *target);
    }
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let named: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named.len(), TARGETS.len());
    assert_eq!(names_in(&folder("fuzz_targets")), named);
    assert_eq!(names_in(&folder("corpus")), named);
}

#[test]
fn documents_are_told_apart() {
    assert_eq!(parts(b"a\n----\n\n----\nb"), [&b"a"[..], b"", b"b"]);
    assert_eq!(parts(b""), [b""]);
}
