//! The format of the cases.
//!
//! An image is `NAME docker|oci PLATFORM [version=V] [features=A,B] [layers=N] [seed=N] [note=TEXT] [newline]
//! [compact]`. A step is a command with its arguments. In images and steps, `@` at the beginning of a word is the
//! namespace of the case in the registry (`@/app:1`, `@:1`, `@-x/y:1`). In steps, `{NAME}` is the digest of the image
//! with this name.
//!
//! `look LIST ENTRY` stands for every form of `inspect` of a local list. `pull LIST` stands for the removal of the
//! local list and every form of `inspect` of the pushed list. `all LIST ENTRY` stands for `look`, `push` and `pull`.

use std::fmt;

use crate::support::{
    image::{Image, Loaded},
    registry::Registry,
};

/// Images, and commands that use them.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) images: Vec<String>,
    pub(super) steps: Vec<String>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "=== {}", self.name)?;
        for image in &self.images {
            write!(f, "\n  image {image}")?;
        }
        for step in &self.steps {
            write!(f, "\n  {step}")?;
        }
        Ok(())
    }
}

impl Case {
    /// Returns the commands, with `look`, `pull` and `all` replaced by what they stand for.
    pub(super) fn commands(&self) -> Vec<Vec<String>> {
        self.steps.iter().flat_map(|step| expanded(step)).collect()
    }

    /// Returns the repositories in images and steps, without the `@`.
    pub(super) fn repositories(&self) -> Vec<String> {
        let words = self.images.iter().chain(&self.steps);
        let names = words.flat_map(|text| text.split(' '));
        let mut repositories: Vec<String> = names
            .filter_map(|word| Some(split_name(word.strip_prefix('@')?).0.to_owned()))
            .collect();
        repositories.sort();
        repositories.dedup();
        repositories
    }
}

fn expanded(step: &str) -> Vec<Vec<String>> {
    let words: Vec<&str> = step.split_whitespace().collect();
    let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    match words[..] {
        ["look", list, entry] => vec![
            own(&["inspect", list]),
            own(&["inspect", "-v", list]),
            own(&["inspect", list, entry]),
            own(&["inspect", list, entry, "--verbose"]),
        ],
        ["all", list, entry] => [
            format!("look {list} {entry}"),
            format!("push {list}"),
            format!("pull {list}"),
        ]
        .iter()
        .flat_map(|step| expanded(step))
        .collect(),
        ["pull", list] => vec![
            own(&["rm", list]),
            own(&["inspect", list]),
            own(&["inspect", "-v", list]),
        ],
        _ => vec![own(&words)],
    }
}

/// Splits `repository[:tag][@digest]` into the repository and the rest.
pub(super) fn split_name(name: &str) -> (&str, &str) {
    name.split_at(name.find([':', '@']).unwrap_or(name.len()))
}

/// An image of a case, which is stored in a registry in the test process.
pub(super) struct Built {
    /// The name in the case, with `@`.
    pub(super) name: String,
    pub(super) loaded: Loaded,
}

/// Builds an image, and stores it in the repository `parts` of `scratch`.
pub(super) fn build(text: &str, scratch: &Registry) -> Built {
    let mut words = text.split(' ');
    let name = words.next().expect("a name").to_owned();
    let flavour = words.next().expect("a flavour");
    let mut image = Image::new(words.next().expect("a platform"));
    if flavour == "docker" {
        image = image.docker();
    }
    let (mut newline, mut compact) = (false, false);
    for word in words {
        let number = |value: &str| value.parse::<u64>().expect("a number");
        image = match word.split_once('=') {
            Some(("version", version)) => image.os_version(version),
            Some(("features", list)) => image.os_features(list.split(',').map(str::to_owned)),
            Some(("layers", count)) => {
                let count: usize = count.parse().expect("a number");
                image.layers(&(10..10 + count).collect::<Vec<_>>())
            }
            Some(("seed", seed)) => image.seed(number(seed)),
            Some(("note", text)) => image.annotations(serde_json::json!({ "note": text })),
            None if word == "newline" => {
                newline = true;
                image
            }
            None if word == "compact" => {
                compact = true;
                image
            }
            _ => panic!("{word}?"),
        };
    }
    let mut loaded = image.load(scratch, "parts", None);
    if compact {
        let document: serde_json::Value = serde_json::from_slice(&loaded.bytes).expect("JSON");
        loaded.bytes = document.to_string().into();
    }
    if newline {
        loaded.bytes = [&loaded.bytes[..], b"\n"].concat().into();
    }
    loaded.digest = crate::support::digest::sha256(&loaded.bytes);
    Built { name, loaded }
}
