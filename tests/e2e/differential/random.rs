//! Random cases. A case depends only on the seed and its number.

use fastrand::Rng;

use super::script::{Case, split_name};

/// Platforms that `docker manifest annotate` accepts.
const PLATFORMS: [&str; 14] = [
    "linux/amd64",
    "linux/386",
    "linux/arm/v5",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm64/v8",
    "linux/arm64",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "linux/mips64le",
    "windows/amd64",
    "freebsd/amd64",
    "darwin/arm64",
];
const SEPARATORS: [&str; 6] = [".", "_", "__", "-", "--", "/"];

/// Returns the case with this number.
pub(super) fn case(seed: u64, number: u64) -> Case {
    let mut rng = Rng::with_seed(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let rng = &mut rng;
    let images = images(rng);
    let list = format!("{}:{}", repository(rng, &images), tag(rng, "list"));
    let mut sources: Vec<String> = images.iter().map(|image| source(rng, image)).collect();
    rng.shuffle(&mut sources);
    let later = if rng.u8(..4) == 0 {
        rng.usize(..sources.len())
    } else {
        0
    };
    let (first, amended) = sources.split_at(sources.len() - later);
    let mut steps = vec![format!("create {list} {}", first.join(" "))];
    steps.extend(annotations(rng, &list, first));
    if !amended.is_empty() {
        steps.push(format!("create {list} --amend {}", amended.join(" ")));
        steps.extend(annotations(rng, &list, &sources));
    }
    if rng.bool() {
        steps.push(format!(
            "look {list} {}",
            rng.choice(&sources).expect("a source")
        ));
    }
    steps.push(format!(
        "push {}{list}",
        rng.choice(["", "", "--purge "]).expect("one")
    ));
    steps.push(format!("pull {list}"));
    Case {
        name: format!("random case {number} of seed {seed}"),
        images,
        steps,
    }
}

/// Returns one to twelve images in one to three repositories: only Docker images, only OCI images, or both.
fn images(rng: &mut Rng) -> Vec<String> {
    let kinds: &[&str] = rng
        .choice([&["docker"][..], &["oci"], &["docker", "oci"]])
        .expect("one");
    let repositories: Vec<String> = (0..rng.usize(1..=3)).map(|_| path(rng)).collect();
    let mut images: Vec<String> = Vec::new();
    for number in 0..rng.usize(1..=12) {
        let repository = rng.choice(&repositories).expect("a repository").clone();
        let tag = tag(rng, &number.to_string());
        let kind = *rng.choice(kinds).expect("a kind");
        let platform = rng.choice(PLATFORMS).expect("a platform");
        let mut image = format!(
            "@{repository}:{tag} {kind} {platform} seed={} layers={}",
            rng.u16(..),
            rng.u8(..4)
        );
        if platform.starts_with("windows") {
            image += " version=10.0.";
            image += &rng.u16(..).to_string();
            image += rng
                .choice(["", " features=win32k", " features=win32k,b"])
                .expect("one");
        }
        image += rng.choice(["", "", " compact", " newline"]).expect("one");
        images.push(image);
    }
    images
}

fn name_of(image: &str) -> &str {
    image.split(' ').next().expect("a name")
}

/// Returns the repository of the first image, or another one.
fn repository(rng: &mut Rng, images: &[String]) -> String {
    if rng.u8(..3) > 0 {
        return split_name(&name_of(&images[0])[1..])
            .0
            .to_owned()
            .replacen("", "@", 1);
    }
    format!("@{}", path(rng))
}

/// Returns a reference to an image by tag, by digest, or by both.
fn source(rng: &mut Rng, image: &str) -> String {
    let name = name_of(image);
    let (repository, _) = split_name(&name[1..]);
    match rng.u8(..4) {
        0 => format!("@{repository}@{{{name}}}"),
        1 => format!("{name}@{{{name}}}"),
        _ => name.to_owned(),
    }
}

/// Returns the part of a repository name after the namespace of the case: up to four components, each after a
/// separator.
fn path(rng: &mut Rng) -> String {
    let mut path = String::new();
    for _ in 0..rng.u8(..5) {
        path += rng.choice(SEPARATORS).expect("one");
        for _ in 0..rng.u8(1..5) {
            path.push(rng.choice(*b"abcxyz0189").expect("one").into());
        }
    }
    path
}

/// Returns a tag that contains `unique`.
fn tag(rng: &mut Rng, unique: &str) -> String {
    let mut tag = rng
        .choice(["", "_", "V", "x.", "0-"])
        .expect("one")
        .to_owned();
    tag += unique;
    for _ in 0..rng.u8(..6) {
        tag.push(rng.choice(*b"abzABZ09._-").expect("one").into());
    }
    tag
}

fn annotations(rng: &mut Rng, list: &str, sources: &[String]) -> Vec<String> {
    (0..rng.u8(..4))
        .map(|_| {
            let source = rng.choice(sources).expect("a source");
            let mut words = vec![list.to_owned(), source.clone()];
            if rng.bool() {
                let platform: Vec<&str> = rng.choice(PLATFORMS).expect("one").split('/').collect();
                words.insert(0, format!("--os {} --arch {}", platform[0], platform[1]));
            }
            let more: [(u8, &str, &[&str]); 3] = [
                (2, "--variant", &["v6", "v7", "v8", "x"]),
                (3, "--os-version", &["10.0.1", "<1&2>", "a"]),
                (3, "--os-features", &["a", "a,b", "win32k,c", "b,b"]),
            ];
            for (one_in, flag, values) in more {
                if rng.u8(..one_in) == 0 {
                    let place = rng.usize(..=words.len());
                    words.insert(
                        place,
                        format!("{flag} {}", rng.choice(values).expect("one")),
                    );
                }
            }
            format!("annotate {}", words.join(" "))
        })
        .collect()
}
