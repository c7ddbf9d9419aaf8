//! Random plans on the command line: a dry run writes nothing and prints the digest of the real run.

use proptest::{
    prelude::{Just, Strategy, any, prop_oneof},
    sample::{select, subsequence},
    test_runner::{Config, TestRunner},
};

use crate::support::{
    Registry, Scene,
    image::{Image, Index},
};

/// The tags in `from/app`: no two images for one platform.
const SOURCES: [&str; 6] = ["amd64", "arm64", "v7", "windows", "pair", "proven"];

#[derive(Debug, Clone)]
struct Case {
    sources: Vec<&'static str>,
    by_digest: bool,
    options: Vec<String>,
    /// The target repositories: the repository of the sources, other repositories, or both.
    targets: Vec<&'static str>,
}

fn fill(registry: &Registry) {
    let load = |platform: &str, tag: &str| {
        Image::new(platform).load(registry, "from/app", tag);
    };
    load("linux/amd64", "amd64");
    load("linux/arm64/v8", "arm64");
    load("linux/arm/v7", "v7");
    let windows = Image::new("windows/amd64").os_version("10.0.20348.1");
    windows.load(registry, "from/app", "windows");
    let pair = Index::docker().of(["linux/386", "linux/s390x"]);
    pair.load(registry, "from/app", "pair");
    let proven = Index::oci()
        .of(["linux/ppc64le", "linux/riscv64"])
        .attested();
    proven.load(registry, "from/app", "proven");
}

fn cases() -> impl Strategy<Value = Case> {
    let annotation = prop_oneof![
        Just("--annotation=org.a=x"),
        Just("--annotation=index:org.b=x y, z"),
        Just("--annotation=manifest-descriptor:org.c=<&>\u{e9}"),
        Just("--annotation=manifest:org.d=1"),
        Just("--labels-as-annotations=org.e=1"),
        Just("--attestations=drop"),
        Just("--append"),
    ];
    let annotations = proptest::collection::hash_set(annotation, 0..5);
    (
        subsequence(SOURCES.to_vec(), 1..=SOURCES.len()).prop_shuffle(),
        any::<bool>(),
        annotations,
        subsequence(vec!["from/app", "to/app", "to/other"], 1..=3),
        select(vec!["--no-verify", "--jobs=2"]),
    )
        .prop_map(|(sources, by_digest, options, targets, last)| {
            let options = options.into_iter().chain(["--media-type=oci", last]);
            Case {
                sources,
                by_digest,
                options: options.map(str::to_owned).collect(),
                targets,
            }
        })
}

fn check(case: &Case) {
    let scene = Scene::new();
    let registry = scene.registry();
    fill(registry);
    let sources = case.sources.iter().map(|tag| {
        let digest = registry.tag("from/app", tag).unwrap();
        if case.by_digest {
            format!("HOST/from/app@{digest}")
        } else {
            format!("HOST/from/app:{tag}")
        }
    });
    let mut words = vec!["publish".to_owned()];
    for repo in &case.targets {
        words.extend(["-t".to_owned(), format!("HOST/{repo}:1")]);
    }
    words.extend(case.options.iter().cloned());
    words.extend(sources);
    words.push("--dry-run".to_owned());
    let planned = scene.run_words(&words).ok().digest();
    assert!(registry.writes().is_empty(), "{case:?}");
    words.pop();
    assert_eq!(scene.run_words(&words).ok().digest(), planned, "{case:?}");
    for repo in &case.targets {
        assert_eq!(registry.tag(repo, "1").as_ref(), Some(&planned), "{case:?}");
    }
    assert_eq!(registry.problems(), Vec::<String>::new(), "{case:?}");
}

#[test]
fn dry_run_prints_the_digest_of_the_real_run() {
    let config = Config {
        cases: 32,
        failure_persistence: None,
        max_shrink_iters: 50,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    runner
        .run(&cases(), |case| {
            check(&case);
            Ok(())
        })
        .unwrap();
}
