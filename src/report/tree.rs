//! What is there, as a tree for people.

use std::fmt::Write as _;

use super::github::neutral;
use crate::spec::{Annotations, Descriptor, ImageManifest, Index, Manifest, attestation};

/// The most characters that are shown of a word of somebody else's.
const LONGEST: usize = 200;

/// The tree of an index: a line for each entry, attestations below the image they are about.
pub fn tree_of_index(name: &str, manifest: &Manifest, index: &Index) -> String {
    let mut out = heading(name, manifest);
    let is_child = |entry: &Descriptor| {
        attestation::is_attestation(entry)
            && attestation::subject(entry)
                .is_some_and(|subject| index.manifests.iter().any(|image| image.digest == subject))
    };
    let tops: Vec<&Descriptor> = index
        .manifests
        .iter()
        .filter(|entry| !is_child(entry))
        .collect();
    let has_annotations = !index.annotations.is_empty();
    for (position, entry) in tops.iter().enumerate() {
        let last = position + 1 == tops.len() && !has_annotations;
        let (branch, rest) = if last {
            ("└── ", "    ")
        } else {
            ("├── ", "│   ")
        };
        let _ = writeln!(out, "{branch}{}", entry_line(entry));
        let attached: Vec<&Descriptor> = index
            .manifests
            .iter()
            .filter(|other| {
                is_child(other) && attestation::subject(other).as_ref() == Some(&entry.digest)
            })
            .collect();
        let mut below: Vec<String> = annotation_lines(&entry.annotations);
        below.extend(
            attached
                .iter()
                .map(|other| format!("attestation  {}", facts(other))),
        );
        leaves(&mut out, rest, &below);
    }
    if has_annotations {
        out.push_str("└── annotations\n");
        leaves(&mut out, "    ", &annotation_lines(&index.annotations));
    }
    lines_for_people(&out)
}

/// The tree of an image: its config and layers, and what a list says about it.
pub fn tree_of_image(
    name: &str,
    manifest: &Manifest,
    image: &ImageManifest,
    in_list: &Annotations,
) -> String {
    let mut out = heading(name, manifest);
    let mut below = vec![format!("config  {}", facts(&image.config))];
    below.extend(
        image
            .layers
            .iter()
            .map(|layer| format!("layer   {}", facts(layer))),
    );
    below.extend(annotation_lines(&image.annotations));
    if !in_list.is_empty() {
        below.push("annotations in the list".to_owned());
    }
    leaves(&mut out, "", &below);
    leaves(&mut out, "    ", &annotation_lines(in_list));
    lines_for_people(&out)
}

/// What there is to say about a manifest that is neither.
pub fn tree_of_other(name: &str, manifest: &Manifest) -> String {
    lines_for_people(&heading(name, manifest))
}

fn heading(name: &str, manifest: &Manifest) -> String {
    format!(
        "{}\n{} {} {}\n",
        shown(name),
        manifest.digest,
        shown(&manifest.media_type),
        human_size(manifest.bytes.len() as u64)
    )
}

pub(super) fn leaves(out: &mut String, prefix: &str, lines: &[String]) {
    for (position, line) in lines.iter().enumerate() {
        let branch = if position + 1 == lines.len() {
            "└── "
        } else {
            "├── "
        };
        let _ = writeln!(out, "{prefix}{branch}{line}");
    }
}

fn entry_line(entry: &Descriptor) -> String {
    let what = match (&entry.platform, &entry.artifact_type) {
        (Some(platform), _) => shown(platform),
        (None, Some(artifact_type)) => shown(artifact_type),
        (None, None) => shown(&entry.media_type),
    };
    format!("{what:<16} {}", facts(entry))
}

fn facts(descriptor: &Descriptor) -> String {
    format!("{}  {}", descriptor.digest, human_size(descriptor.size))
}

pub(super) fn annotation_lines(annotations: &Annotations) -> Vec<String> {
    annotations
        .iter()
        .map(|(key, value)| format!("{}={}", shown(key), shown(value)))
        .collect()
}

/// What a registry or a file said, as part of a line: without control characters, and not too long.
pub(super) fn shown(text: &(impl ToString + ?Sized)) -> String {
    crate::text::clean(&text.to_string(), LONGEST)
}

/// A text that a CI runner may read, too: no line of it is a command.
pub(super) fn lines_for_people(text: &str) -> String {
    text.lines()
        .fold(String::new(), |all, line| all + &neutral(line) + "\n")
}

/// `1234567` as `1.2 MB`: decimal units, as registries bill them.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut divisor = 1_u64;
    while unit + 1 < UNITS.len() && bytes >= divisor * 1000 {
        unit += 1;
        divisor *= 1000;
    }
    if unit == 0 {
        return format!("{bytes} B");
    }
    let tenths = u128::from(bytes) * 10 / u128::from(divisor);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MediaType;
    use serde_json::json;

    /// What an index could say to the runner or the terminal of somebody who looks at it.
    const HOSTILE: &str =
        "x\n::set-output name=digest::sha256:evil\r\u{1b}[2J\u{9b}H##[error]\u{202e}";

    fn is_harmless(tree: &str, lines: usize) -> bool {
        tree.lines().count() == lines
            && !tree.contains("##[")
            && !tree
                .chars()
                .any(|c| c != '\n' && (c.is_control() || c == '\u{202e}'))
            && !tree.lines().any(|line| line.trim_start().starts_with("::"))
    }

    #[test]
    fn an_index_cannot_command_who_looks_at_it() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let platform = json!({
            "os": HOSTILE, "architecture": HOSTILE, "variant": HOSTILE,
            "os.version": HOSTILE, "os.features": [HOSTILE],
        });
        let annotations = json!({HOSTILE: HOSTILE});
        let index = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_INDEX,
            "manifests": [
                {"mediaType": HOSTILE, "size": 1, "digest": digest, "platform": platform, "annotations": annotations},
                {"mediaType": HOSTILE, "size": 1, "digest": digest, "artifactType": HOSTILE},
                {"mediaType": HOSTILE, "size": 1, "digest": digest},
            ],
            "annotations": annotations,
        });
        let media_type = MediaType::new(MediaType::OCI_INDEX);
        let manifest = Manifest::parse(index.to_string().into(), &media_type).unwrap();
        let tree = tree_of_index(HOSTILE, &manifest, manifest.index().unwrap());
        assert!(is_harmless(&tree, 8), "{tree}");
        assert!(tree.contains("set-output name=digest"), "shown: {tree}");
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(human_size(999), "999 B");
        assert_eq!(human_size(1000), "1.0 kB");
        assert_eq!(human_size(1_234_567), "1.2 MB");
        assert_eq!(human_size(u64::MAX), "18446744.0 TB");
    }
}
