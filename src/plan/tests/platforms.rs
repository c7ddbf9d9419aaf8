//! Tests of the origin and the selection of platforms.

use crate::hint::Hint;
use crate::plan::fixture::*;
use crate::plan::{Options, PlanError, Source, Style};
use crate::spec::{Platform, attestation};

fn raw(architecture: &str, variant: &str) -> Platform {
    Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.to_owned(),
        ..Platform::default()
    }
}

#[test]
fn configs_are_normalised_in_buildx_style_only() {
    let mut node = image("a", "");
    node.config_platform = Some(Box::new(raw("arm64", "v8")));
    let sources = [source("a", node)];
    let of = |style| {
        planned(
            &sources,
            &Options {
                style,
                ..Options::default()
            },
        )
        .unwrap()
    };
    assert_eq!(platforms(&of(Style::Buildx)), ["linux/arm64"]);
    assert_eq!(platforms(&of(Style::Docker)), ["linux/arm64/v8"]);
}

#[test]
fn index_entries_keep_their_platform() {
    let mut child = image("a", "linux/arm64");
    child.descriptor.platform = Some(raw("aarch64", "8"));
    let sources = [
        source("l", index(vec![child])),
        source("b", image("b", "linux/amd64")),
    ];
    let plan = planned(&sources, &Options::default()).unwrap();
    assert_eq!(platforms(&plan), ["linux/aarch64/8", "linux/amd64"]);
}

#[test]
fn an_image_without_a_platform_is_refused() {
    let sources = [
        source("a", image("a", "linux/amd64")),
        source("b", image("b", "")),
    ];
    let error = planned(&sources, &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ghcr.io/o/b has no platform: neither its descriptor nor its config has an operating system and an architecture"
    );
    assert_eq!(
        error.hints(),
        [Hint::SetPlatform {
            source: "ghcr.io/o/b".to_owned()
        }]
    );
    let mut node = image("c", "");
    node.config_platform = Some(Box::new(unknown_platform()));
    let unknown = [source("c", node)];
    let error = planned(&unknown, &Options::default()).unwrap_err();
    assert!(
        error.to_string().ends_with("(found: \"unknown/unknown\")"),
        "{error}"
    );
    let docker = Options {
        style: Style::Docker,
        ..Options::default()
    };
    assert_eq!(
        planned(&sources, &docker).unwrap_err().to_string(),
        "manifest ghcr.io/o/b must have an OS and Architecture to be pushed to a registry"
    );
    assert_eq!(
        platforms(&planned(&unknown, &docker).unwrap()),
        ["unknown/unknown"]
    );
}

#[test]
fn set_platforms_override_others() {
    let set = |node, text| Source {
        set_platform: Some(platform(text)),
        ..source("a", node)
    };
    let child = image_entry("a", "linux/arm/v7");
    let proof = attestation_of(&child, "a");
    for node in [
        image("a", "linux/arm/v7"),
        image("a", ""),
        index(vec![child, proof]),
    ] {
        let plan = planned(&[set(node, "linux/arm/v6")], &Options::default()).unwrap();
        assert_eq!(platforms(&plan)[0], "linux/arm/v6");
        assert!(!plan.exact);
    }
    let same = set(
        index(vec![image_entry("a", "linux/arm/v6")]),
        "linux/arm/v6",
    );
    assert!(planned(&[same], &Options::default()).unwrap().exact);
    let two = index(vec![
        image_entry("a", "linux/amd64"),
        image_entry("b", "linux/arm64"),
    ]);
    assert_eq!(
        planned(&[set(two, "linux/arm64")], &Options::default())
            .unwrap_err()
            .to_string(),
        "cannot set one platform for ghcr.io/o/a: it is an index of 2 images"
    );
}

#[test]
fn index_entries_without_platform_are_kept() {
    let chart = entry(image("chart", ""), "");
    let mut artifact = entry(image("signature", ""), "");
    artifact.descriptor.artifact_type = Some("application/x.signature".to_owned());
    let mut odd = entry(image("odd", ""), "");
    odd.descriptor.platform = Some(unknown_platform());
    let list = index(vec![chart.clone(), artifact.clone(), odd.clone()]);
    let sources = [source("l", list), source("a", image("a", "linux/amd64"))];
    let plan = planned(&sources, &Options::default()).unwrap();
    assert_eq!(
        digests(&plan)[..3],
        [chart.digest(), artifact.digest(), odd.digest()]
    );
    assert_eq!(entries(&plan)[0].platform, None);
    assert_eq!(
        texts(&plan),
        [format!(
            "these images have no platform in the index, as in their source: {} from ghcr.io/o/l, {} from ghcr.io/o/l",
            chart.digest(),
            odd.digest()
        )]
    );
}

fn windows_and_linux() -> Source {
    let children = vec![
        image_entry("l", "linux/amd64"),
        image_entry("a", "linux/arm64"),
        image_entry("w1", "windows(10.0.17763)/amd64"),
        image_entry("w2", "windows(10.0.20348)/amd64"),
    ];
    let proof = attestation_of(&children[1], "a");
    source("all", index([children, vec![proof]].concat()))
}

fn asking(platforms: &[&str]) -> Options {
    Options {
        platforms: platforms.iter().map(|text| platform(text)).collect(),
        ..Options::default()
    }
}

#[test]
fn only_requested_platforms_are_kept() {
    let plan = planned(
        &[windows_and_linux()],
        &asking(&["windows/amd64", "linux/amd64"]),
    )
    .unwrap();
    assert_eq!(
        platforms(&plan),
        [
            "linux/amd64",
            "windows(10.0.17763)/amd64",
            "windows(10.0.20348)/amd64"
        ]
    );
    assert_eq!(
        texts(&plan),
        [
            "omitted, because the platforms are limited to windows/amd64, linux/amd64: linux/arm64 (ghcr.io/o/all)",
            "1 attestation is omitted with its subject",
        ]
    );
    let plan = planned(&[windows_and_linux()], &asking(&["linux/arm64"])).unwrap();
    assert_eq!(platforms(&plan), ["linux/arm64", "unknown/unknown"]);
    assert!(attestation::is_attestation(&entries(&plan)[1]));
}

#[test]
fn a_missing_platform_is_an_error_with_the_found_ones() {
    let options = asking(&["linux/amd64", "linux/arm/v7", "windows(10.0.1)/amd64"]);
    let error = planned(&[windows_and_linux()], &options).unwrap_err();
    assert!(matches!(error, PlanError::MissingPlatforms { .. }));
    assert_eq!(
        error.to_string(),
        "missing platform linux/arm/v7, windows(10.0.1)/amd64; found: linux/amd64, linux/arm64, \
         windows(10.0.17763)/amd64, windows(10.0.20348)/amd64"
    );
}

#[test]
fn requested_platforms_are_completed_from_the_config() {
    let mut child = image("a", "linux/arm/v7");
    child.descriptor.platform = None;
    let sources = [source("l", index(vec![child]))];
    assert!(planned(&sources, &Options::default()).unwrap().exact);
    let plan = planned(&sources, &asking(&["linux/arm/v7"])).unwrap();
    assert_eq!(platforms(&plan), ["linux/arm/v7"]);
}
