//! Which outputs of a job go together by their names: `digest-amd64` and `digest-arm64`, `linux/amd64` and
//! `windows`, `image1` and `image2`. If one of them is a source, an empty one is a platform that is lost.

/// How names of platforms begin.
const PLATFORMS: [&str; 14] = [
    "linux", "windows", "amd64", "arm", "aarch64", "x86", "i386", "ppc64", "s390x", "riscv",
    "mips", "loong", "darwin", "freebsd",
];

/// Whether an output named `empty`, which has no value, was to be a source like the one named `source`: the two
/// differ in a platform or a number only, or `empty` is named by a platform alone.
pub(super) fn is_like(empty: &str, source: &str) -> bool {
    let stem = stem(empty);
    empty != source && (stem.is_empty() || stem == self::stem(source))
}

/// The words of a name that say neither a platform nor a number.
fn stem(name: &str) -> Vec<String> {
    words(name)
        .into_iter()
        .map(|word| {
            let word = word.to_ascii_lowercase();
            word.trim_end_matches(|c: char| c.is_ascii_digit())
                .to_owned()
        })
        .filter(|word| !word.is_empty() && word != "v" && !is_platform(word))
        .collect()
}

fn is_platform(word: &str) -> bool {
    // Digits at the end are gone: "amd64" is "amd" here.
    PLATFORMS.iter().any(|name| {
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
        word == name
            || (word.starts_with(name) && word[name.len()..].starts_with(is_part_of_platform))
    })
}

/// What comes behind the name of a platform without a separator: `armv7`, `arm64v8`, `linuxarm64`.
fn is_part_of_platform(c: char) -> bool {
    c.is_ascii_digit() || c == 'v'
}

/// `digest_linux-arm64`, `digestLinuxArm64`: digest, linux, arm64.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.push(c);
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_and_numbers_make_no_difference() {
        for (empty, source) in [
            ("linux-arm64", "linux-amd64"),
            ("linux/arm/v7", "linux/amd64"),
            ("image_armv7", "image_amd64"),
            ("imageArm64", "imageAmd64"),
            ("image2", "image1"),
            ("s390x", "ppc64le"),
            ("app-windows", "app-linux"),
            // Named by nothing but a platform.
            ("arm64", "digest"),
        ] {
            assert!(is_like(empty, source), "{empty} {source}");
        }
    }

    #[test]
    fn other_outputs_are_of_another_kind() {
        for (empty, source) in [
            ("notes", "digest-amd64"),
            ("cache-hit-arm64", "digest-arm64"),
            ("metadata", "image"),
            ("version", "linux-amd64"),
            ("army", "linux-amd64"),
            ("image", "image"),
        ] {
            assert!(!is_like(empty, source), "{empty} {source}");
        }
    }
}
