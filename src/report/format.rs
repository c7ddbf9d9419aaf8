//! Formats values for human readers.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::spec::{Annotations, MediaType};
use crate::text::clean;

/// The maximum number of characters of a value from a registry or file.
const MAX_WORD: usize = 200;

/// The maximum number of characters of an error message or notice.
pub(super) const MAX_MESSAGE: usize = 1000;

/// Returns a value from a registry or file as part of a line: without control characters, and cut after [`MAX_WORD`]
/// characters.
pub(super) fn shown(text: &(impl ToString + ?Sized)) -> String {
    clean(&text.to_string(), MAX_WORD)
}

/// Returns the common name of a media type.
pub(super) fn kind_of(media_type: &MediaType) -> Cow<'static, str> {
    match media_type.as_str() {
        MediaType::OCI_INDEX => "OCI image index".into(),
        MediaType::DOCKER_LIST => "Docker manifest list".into(),
        other => shown(other).into(),
    }
}

/// Returns the branch before an entry of a tree, and the prefix of the lines below it.
pub(super) fn branches(is_last: bool) -> (&'static str, &'static str) {
    if is_last {
        ("└── ", "    ")
    } else {
        ("├── ", "│   ")
    }
}

/// Appends the entries of a tree.
pub(super) fn leaves(out: &mut String, prefix: &str, lines: &[String]) {
    for (position, line) in lines.iter().enumerate() {
        let (branch, _) = branches(position + 1 == lines.len());
        let _ = writeln!(out, "{prefix}{branch}{line}");
    }
}

pub(super) fn annotation_lines(annotations: &Annotations) -> Vec<String> {
    annotations
        .iter()
        .map(|(key, value)| format!("{}={}", shown(key), shown(value)))
        .collect()
}

/// Formats a size in decimal units, as registries bill them: `1234567` as `1.2 MB`.
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

/// Formats a difference in size with its sign: `+1.2 MB`, `±0 B`.
pub(super) fn human_difference(bytes: i64) -> String {
    let sign = match bytes.signum() {
        1 => '+',
        -1 => '-',
        _ => '±',
    };
    format!("{sign}{}", human_size(bytes.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_units() {
        assert_eq!(human_size(999), "999 B");
        assert_eq!(human_size(1000), "1.0 kB");
        assert_eq!(human_size(1_234_567), "1.2 MB");
        assert_eq!(human_size(u64::MAX), "18446744.0 TB");
    }

    #[test]
    fn differences_have_a_sign() {
        assert_eq!(human_difference(1_234_567), "+1.2 MB");
        assert_eq!(human_difference(-999), "-999 B");
        assert_eq!(human_difference(0), "±0 B");
    }
}
