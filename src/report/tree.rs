//! The trees that `inspect` prints.

use std::fmt::Write as _;

use super::format::{annotation_lines, branches, human_size, leaves, shown};
use crate::spec::{Annotations, Descriptor, ImageManifest, Index, Manifest, attestation};
use crate::text::without_commands;

/// Renders an index: a line for each entry, attestations below their subject.
pub(super) fn tree_of_index(name: &str, manifest: &Manifest, index: &Index) -> String {
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
        let (branch, rest) = branches(last);
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
    without_commands(&out)
}

/// Renders an image: config, layers, annotations, and the annotations of its entry in a list.
pub(super) fn tree_of_image(
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
    without_commands(&out)
}

/// Renders the heading of a manifest that is neither an index nor an image.
pub(super) fn tree_of_other(name: &str, manifest: &Manifest) -> String {
    without_commands(&heading(name, manifest))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MediaType;
    use serde_json::json;

    /// Attacks on a runner or a terminal.
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
    fn a_hostile_index_contains_no_commands() {
        let digest = format!("sha256:{}", "0".repeat(64));
        // Commas and white space in these two fields are refused when the index is parsed.
        let without_separators = "x::set-output::y\u{1b}[2J\u{9b}H##[error]\u{202e}";
        let platform = json!({
            "os": without_separators, "architecture": without_separators, "variant": HOSTILE,
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
}
