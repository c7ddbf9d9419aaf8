//! The names of operating systems and architectures, and their aliases.

/// The `GOOS` values of Go's toolchain (internal/syslist).
pub(super) const OPERATING_SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "wasi",
    "windows",
    "zos",
];

/// The `GOARCH` values of Go's toolchain (internal/syslist).
pub(super) const ARCHITECTURES: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

pub(super) fn normalised_os(os: &str) -> String {
    let os = os.to_ascii_lowercase();
    if os == "macos" {
        "darwin".to_owned()
    } else {
        os
    }
}

#[expect(clippy::match_same_arms, reason = "one line per family of processors")]
pub(super) fn normalised_architecture(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (
        architecture.to_ascii_lowercase(),
        variant.to_ascii_lowercase(),
    );
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("armv7" | "armv7l" | "armv7hf", _) => ("arm", "v7"),
        ("armv6" | "armv6l", _) => ("arm", "v6"),
        ("armv5" | "armv5l", _) | ("arm", "5") => ("arm", "v5"),
        ("armv8" | "armv8l", _) => ("arm64", ""),
        ("arm", "8") => ("arm", "v8"),
        ("powerpc64le" | "ppc64el", variant) => ("ppc64le", variant),
        ("mips64el", variant) => ("mips64le", variant),
        ("mipsel", variant) => ("mipsle", variant),
        ("loongarch64", variant) => ("loong64", variant),
        ("wasm32", variant) => ("wasm", variant),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

/// Returns the candidate with the smallest edit distance, if the distance is small enough for a typing error.
pub(crate) fn nearest(name: &str, candidates: &[&'static str]) -> Option<&'static str> {
    let allowed = 1 + name.len() / 3;
    candidates
        .iter()
        .map(|candidate| (edit_distance(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
