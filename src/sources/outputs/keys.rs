//! Similar names of job outputs: `digest-amd64` and `digest-arm64`, `linux/amd64` and `windows`, `image1` and `image2`.
//! If one of them is a source and another is empty, a platform would be lost.

/// The beginnings of platform names.
const PLATFORMS: [&str; 14] = [
    "linux", "windows", "amd64", "arm", "aarch64", "x86", "i386", "ppc64", "s390x", "riscv",
    "mips", "loong", "darwin", "freebsd",
];

/// Returns whether the output `empty` should be a source like the output `source`: their names differ only in a
/// platform or number, or the name `empty` is only a platform.
pub(super) fn is_similar(empty: &str, source: &str) -> bool {
    let stem = stem(empty);
    empty != source && (stem.is_empty() || stem == self::stem(source))
}

/// Returns the words of a name that are neither a platform nor a number.
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
    // `word` has no trailing digits: "amd64" is "amd" here.
    PLATFORMS.iter().any(|name| {
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
        word == name
            || (word.starts_with(name) && word[name.len()..].starts_with(is_part_of_platform))
    })
}

/// Returns whether a character may follow a platform name without a separator: `armv7`, `arm64v8`.
fn is_part_of_platform(c: char) -> bool {
    c.is_ascii_digit() || c == 'v'
}

/// Splits `digest_linux-arm64` and `digestLinuxArm64` into digest, linux, arm64.
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
    fn platforms_and_numbers_are_ignored() {
        for (empty, source) in [
            ("linux-arm64", "linux-amd64"),
            ("linux/arm/v7", "linux/amd64"),
            ("image_armv7", "image_amd64"),
            ("imageArm64", "imageAmd64"),
            ("image2", "image1"),
            ("s390x", "ppc64le"),
            ("app-windows", "app-linux"),
            ("arm64", "digest"),
        ] {
            assert!(is_similar(empty, source), "{empty} {source}");
        }
    }

    #[test]
    fn other_words_are_compared() {
        for (empty, source) in [
            ("notes", "digest-amd64"),
            ("cache-hit-arm64", "digest-arm64"),
            ("metadata", "image"),
            ("version", "linux-amd64"),
            ("army", "linux-amd64"),
            ("image", "image"),
        ] {
            assert!(!is_similar(empty, source), "{empty} {source}");
        }
    }
}
