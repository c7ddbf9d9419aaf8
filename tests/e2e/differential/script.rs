//! The little language in which cases are written.
//!
//! An image: `NAME docker|oci PLATFORM [version=V] [features=A,B] [layers=N] [seed=N] [newline] [compact]`.
//! A step: the words of a command. In both, `@` in front of a word is the case's own namespace in the
//! registry (`@/app:1`, `@:1`, `@-x/y:1`), and `{NAME}` is the digest of the image of that name.
//! `look LIST ENTRY` stands for every form of `inspect` on a local list; `pull LIST` for those on what
//! was pushed; `all LIST ENTRY` for both with a push between them.

use std::fmt;

use crate::support::{
    image::{Image, Loaded},
    registry::Registry,
};

/// Images, and commands on them.
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
    /// The commands, with `look` and `pull` written out.
    pub(super) fn commands(&self) -> Vec<Vec<String>> {
        self.steps
            .iter()
            .flat_map(|step| spelled_out(step))
            .collect()
    }

    /// The repositories that are named, as they stand behind `@`.
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

fn spelled_out(step: &str) -> Vec<Vec<String>> {
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
        .flat_map(|step| spelled_out(step))
        .collect(),
        ["pull", list] => vec![
            own(&["rm", list]),
            own(&["inspect", list]),
            own(&["inspect", "-v", list]),
        ],
        _ => vec![own(&words)],
    }
}

/// `repository[:tag][@digest]`, without a host, into the repository and the rest.
pub(super) fn split_name(name: &str) -> (&str, &str) {
    name.split_at(name.find([':', '@']).unwrap_or(name.len()))
}

/// An image of a case, built and held by a registry in process.
pub(super) struct Built {
    /// As it stands in the case, with `@`.
    pub(super) name: String,
    pub(super) loaded: Loaded,
}

/// Builds an image into the repository `parts` of `scratch`.
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
