//! Properties of plans of arbitrary sources and options.

use std::collections::HashSet;

use jsonschema::{Retrieve, Uri, Validator};
use proptest::prelude::*;
use serde_json::Value;

use crate::plan::fixture::*;
use crate::plan::{
    Attestations, MediaTypeChoice, Node, OnDuplicate, Options, Plan, Source, Style, Target, plan,
};
use crate::spec::{Descriptor, Digest, Manifest, MediaType, attestation};

const PLATFORMS: &[&str] = &[
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v6",
    "linux/arm/v7",
    "windows(10.0.17763)/amd64",
    "windows(10.0.20348+win32k)/amd64",
];

fn any_platform() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PLATFORMS)
}

fn any_image() -> impl Strategy<Value = Node> {
    // Only a few names, so that digests are repeated.
    (0..8_u8, any_platform(), any::<bool>()).prop_map(|(name, platform, docker)| {
        let name = format!("{name} {platform}");
        if docker {
            docker_image(&name, platform)
        } else {
            image(&name, platform)
        }
    })
}

fn any_entry() -> impl Strategy<Value = Vec<Node>> {
    (any_image(), 0..6_u8).prop_map(|(image, kind)| {
        let platform = image.config_platform.clone().unwrap().to_string();
        let image = entry(image, &platform);
        match kind {
            0 => vec![entry(image, "")],
            1 | 2 => {
                let proof = attestation_of(&image, "p");
                vec![image, proof]
            }
            3 => vec![attestation_of(&image, "lost")],
            _ => vec![image],
        }
    })
}

fn any_index() -> impl Strategy<Value = Node> {
    let flat = prop::collection::vec(any_entry(), 0..4)
        .prop_map(|entries| index(entries.into_iter().flatten().collect()));
    flat.prop_recursive(2, 16, 3, |inner| {
        (prop::collection::vec(inner, 1..3), any_entry()).prop_map(|(mut children, entry)| {
            children.extend(entry);
            index_with(children, |index| {
                index.annotations.insert("k".to_owned(), "v".to_owned());
            })
        })
    })
}

fn any_source() -> impl Strategy<Value = Source> {
    let root = prop_oneof![2 => any_image(), 3 => any_index()];
    (prop::sample::select(vec!["a", "b", "c"]), root).prop_map(|(name, root)| source(name, root))
}

fn any_sources() -> impl Strategy<Value = Vec<Source>> {
    prop_oneof![9 => prop::collection::vec(any_source(), 1..5), 1 => Just(Vec::new())]
}

fn any_options() -> impl Strategy<Value = Options> {
    prop_oneof![1 => Just(Options::default()), 4 => chosen_options()]
}

fn chosen_options() -> impl Strategy<Value = Options> {
    let rule = prop::sample::select(vec![
        "a=1",
        "index:b=2",
        "manifest:c=3",
        "manifest-descriptor:d=<4>",
        "manifest-descriptor[linux/amd64]:e=5",
    ]);
    (
        prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(any_platform(), 1..2)],
        prop::collection::vec(rule, 0..3),
        prop::option::weighted(0.2, any_source()),
        prop::sample::select(vec![
            MediaTypeChoice::Auto,
            MediaTypeChoice::Auto,
            MediaTypeChoice::Auto,
            MediaTypeChoice::Oci,
            MediaTypeChoice::Oci,
            MediaTypeChoice::Docker,
        ]),
        any::<bool>(),
        prop::sample::select(vec![
            OnDuplicate::Error,
            OnDuplicate::Replace,
            OnDuplicate::Keep,
            OnDuplicate::Warn,
        ]),
        any::<bool>(),
    )
        .prop_map(
            |(platforms, rules, append, media_type, drops, on_duplicate, docker)| Options {
                platforms: platforms.into_iter().map(platform).collect(),
                annotations: rules
                    .into_iter()
                    .map(|rule| rule.parse().unwrap())
                    .collect(),
                append,
                media_type,
                attestations: if drops {
                    Attestations::Drop
                } else {
                    Attestations::Keep
                },
                on_duplicate,
                style: if docker { Style::Docker } else { Style::Buildx },
                ..Options::default()
            },
        )
}

fn targets() -> [Target; 2] {
    [
        target("ghcr.io/o/a", &["1"]),
        target("docker.io/o/x", &["1", "2"]),
    ]
}

/// The schemas of the OCI image specification, from files instead of their URIs.
struct Schemas;

impl Retrieve for Schemas {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let text = match uri.as_str().rsplit('/').next() {
            Some("defs.json") => include_str!("../../../tests/schema/defs.json"),
            Some("defs-descriptor.json") => {
                include_str!("../../../tests/schema/defs-descriptor.json")
            }
            Some("content-descriptor.json") => {
                include_str!("../../../tests/schema/content-descriptor.json")
            }
            _ => return Err(format!("no schema {uri}").into()),
        };
        Ok(serde_json::from_str(text)?)
    }
}

fn index_schema() -> Validator {
    let schema = include_str!("../../../tests/schema/image-index-schema.json");
    jsonschema::options()
        .with_retriever(Schemas)
        .build(&serde_json::from_str(schema).unwrap())
        .unwrap()
}

#[test]
fn the_schema_refuses_an_invalid_index() {
    let schema = index_schema();
    let mut index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": MediaType::OCI_MANIFEST, "digest": Digest::sha256(b""), "size": 0,
        "platform": {"architecture": "amd64", "os": "linux"},
    }]});
    assert!(schema.is_valid(&index));
    index["manifests"][0]["digest"] = "sha256".into();
    assert!(!schema.is_valid(&index));
    index["manifests"][0]["digest"] = "sha256:00".into();
    index["manifests"][0]["platform"]["os"].take();
    assert!(!schema.is_valid(&index));
}

/// Checks the properties of every plan.
fn check(plan: &Plan, options: &Options, schema: &Validator) {
    let index = &plan.index;
    assert_eq!(index.digest, Digest::sha256(&index.bytes));
    let read = Manifest::parse(index.bytes.clone(), &MediaType::default()).unwrap();
    assert_eq!(&read, index);
    let json: Value = serde_json::from_slice(&index.bytes).unwrap();
    assert!(schema.is_valid(&json), "{json:#}");
    let images: Vec<_> = plan
        .entries
        .iter()
        .filter(|entry| !entry.is_attestation())
        .collect();
    assert!(!images.is_empty());
    for entry in &plan.entries {
        let manifest = entry.manifest.as_ref().unwrap();
        assert!(manifest.digest.matches(&manifest.bytes));
        assert_eq!(entry.descriptor.digest, manifest.digest);
        assert_eq!(entry.descriptor.size, manifest.bytes.len() as u64);
    }
    if !options.platforms.is_empty() {
        for image in &images {
            let platform = image.descriptor.platform.as_ref();
            assert!(
                platform.is_none_or(|it| options.platforms.iter().any(|asked| it.satisfies(asked)))
            );
        }
        let platforms = images
            .iter()
            .filter_map(|image| image.descriptor.platform.as_ref());
        let has = |asked: &_| platforms.clone().any(|it| it.satisfies(asked));
        assert!(options.platforms.iter().all(has));
    }
    if !plan.exact {
        let there: HashSet<_> = plan
            .entries
            .iter()
            .map(|entry| &entry.descriptor.digest)
            .collect();
        let subjects = plan.entries.iter().filter(|entry| entry.is_attestation());
        assert!(
            subjects
                .map(|entry| entry.subject.as_ref().unwrap())
                .all(|it| there.contains(it))
        );
        let planned: Vec<&Descriptor> =
            plan.entries.iter().map(|entry| &entry.descriptor).collect();
        assert!(planned.into_iter().eq(entries(plan)));
    }
    if options.attestations == Attestations::Drop {
        assert!(!entries(plan).iter().any(attestation::is_attestation));
    }
}

/// Checks that each target has everything that the index needs after the transfers, and that no existing content is
/// transferred.
fn check_transfers(plan: &Plan, sources: &[&Source]) {
    for target in &plan.targets {
        assert!(target.manifests.is_sorted_by_key(|transfer| transfer.stage));
        let mut there = HashSet::new();
        for source in sources
            .iter()
            .filter(|source| source.location.includes(&target.location))
        {
            digests_of(&source.root, &mut there);
        }
        let before: HashSet<_> = plan
            .entries
            .iter()
            .map(|entry| &entry.descriptor.digest)
            .collect();
        let before: HashSet<_> = before.intersection(&there).copied().collect();
        for transfer in &target.manifests {
            assert!(!before.contains(&transfer.manifest.digest), "was there");
            assert_ne!(transfer.from, target.location);
        }
        let manifests = target.manifests.iter().map(|it| &it.manifest.digest);
        let blobs = target.blobs.iter().map(|it| &it.blob.digest);
        let moved: Vec<_> = manifests.chain(blobs).collect();
        let count = moved.len();
        let moved: HashSet<_> = moved.into_iter().collect();
        assert_eq!(moved.len(), count, "each once");
        let is_there = |digest| moved.contains(digest) || there.contains(digest);
        for entry in &plan.entries {
            assert!(is_there(&entry.descriptor.digest));
            let image = entry
                .manifest
                .as_ref()
                .and_then(|manifest| manifest.image())
                .unwrap();
            assert!(image.blobs().into_iter().all(|blob| is_there(&blob.digest)));
        }
        let index = plan.index.index().unwrap();
        assert!(index.manifests.iter().all(|entry| is_there(&entry.digest)));
    }
}

fn digests_of<'a>(node: &'a Node, digests: &mut HashSet<&'a Digest>) {
    digests.insert(node.digest());
    let image = node.manifest.as_ref().and_then(|manifest| manifest.image());
    digests.extend(
        image
            .into_iter()
            .flat_map(|image| image.blobs())
            .map(|blob| &blob.digest),
    );
    for child in &node.children {
        digests_of(child, digests);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sources_give_a_valid_index_or_an_error(sources in any_sources(), options in any_options()) {
        thread_local!(static SCHEMA: Validator = index_schema());
        match plan(&sources, &targets(), &options) {
            Ok(plan) => {
                SCHEMA.with(|schema| check(&plan, &options, schema));
                let all: Vec<_> = options.append.iter().chain(&sources).collect();
                check_transfers(&plan, &all);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn the_same_arguments_give_the_same_plan(sources in any_sources(), options in any_options()) {
        let first = plan(&sources, &targets(), &options).map(|plan| format!("{plan:?}"));
        let second = plan(&sources, &targets(), &options).map(|plan| format!("{plan:?}"));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn planning_a_planned_index_changes_nothing(sources in any_sources(), options in any_options()) {
        if let Ok(first) = planned(&sources, &options) && !first.exact {
            let again = source("again", published(&first));
            let exact = planned(std::slice::from_ref(&again), &Options::default()).unwrap();
            prop_assert!(exact.exact);
            prop_assert_eq!(&exact.index, &first.index);
            // Flattens the index twice. The style of Docker repeats an image for each source.
            if options.style == Style::Buildx {
                let keep = Options { on_duplicate: OnDuplicate::Keep, ..Options::default() };
                let twice = planned(&[again.clone(), again], &keep).unwrap();
                prop_assert_eq!(entries(&twice), entries(&first));
            }
        }
    }

    #[test]
    fn the_depth_of_nesting_makes_no_difference(roots in prop::collection::vec(any_index(), 2..4)) {
        let keep = Options { on_duplicate: OnDuplicate::Keep, ..Options::default() };
        let apart: Vec<_> = roots.iter().map(|root| source("a", root.clone())).collect();
        let flat: Vec<_> = roots.iter().flat_map(|root| flattened(root, "a")).collect();
        // A single index would be copied unchanged.
        prop_assume!(flat.len() > 1);
        if let (Ok(nested), Ok(flat)) = (planned(&apart, &keep), planned(&flat, &keep)) {
            prop_assert_eq!(digests(&nested), digests(&flat));
        }
    }

    #[test]
    fn an_index_alone_is_copied(root in any_index()) {
        if let Ok(plan) = plan(&[source("a", root.clone())], &targets(), &Options::default()) {
            prop_assert!(plan.exact);
            prop_assert_eq!(&plan.index.bytes, &root.manifest.as_ref().unwrap().bytes);
            check_transfers(&plan, &[&source("a", root)]);
        }
    }

    #[test]
    fn order_is_kept(sources in any_sources()) {
        let options = Options { on_duplicate: OnDuplicate::Keep, ..Options::default() };
        if let Ok(plan) = planned(&sources, &options) {
            let mut order = Vec::new();
            for source in &sources {
                leaves(&source.root, &mut order);
            }
            let mut seen = HashSet::new();
            order.retain(|digest| seen.insert(*digest));
            let mut seen = HashSet::new();
            let mut planned: Vec<_> = plan.entries.iter().map(|entry| &entry.descriptor.digest).collect();
            planned.retain(|digest| seen.insert(*digest));
            order.retain(|digest| seen.contains(digest));
            prop_assert_eq!(planned, order);
        }
    }
}

/// Returns sources without nested indexes: one for each run of images in the same index.
fn flattened(root: &Node, name: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut run = Vec::new();
    for child in &root.children {
        if child.is_index() {
            if !run.is_empty() {
                sources.push(source(name, index(std::mem::take(&mut run))));
            }
            sources.extend(flattened(child, name));
        } else {
            run.push(child.clone());
        }
    }
    if !run.is_empty() {
        sources.push(source(name, index(run)));
    }
    sources
}

fn leaves<'a>(node: &'a Node, order: &mut Vec<&'a Digest>) {
    if node.is_index() {
        for child in &node.children {
            leaves(child, order);
        }
    } else {
        order.push(node.digest());
    }
}
