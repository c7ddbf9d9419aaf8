//! Runs a case with both tools and returns every difference.
//!
//! Pushed bytes differ in one case on purpose: a list of Docker and OCI images. Docker uses the type of the first
//! entry, and polyarch uses the type of the OCI index. The type in Docker's list is replaced before the comparison.

use std::{collections::BTreeMap, path::Path};

use crate::{
    distribution::{Distribution, Served},
    support::{digest, image::media, polyarch::Output, registry::Registry},
};

use super::{
    run::{Tool, Worker},
    script::{Built, Case, build},
};

/// Parts of Docker's messages that scripts search for. polyarch must print them, too.
const KEPT: [&str; 8] = [
    "invalid reference format: repository name",
    "invalid reference format",
    "cannot specify 64-byte hexadecimal strings",
    "refusing to amend an existing manifest list with no --amend flag",
    "must have an OS and Architecture to be pushed to a registry",
    "does not exist in",
    "No such manifest: ",
    "no such manifest: ",
];

/// Runs a case with the Docker CLI at `docker` and with polyarch, and returns every difference. `number` must be unique
/// in the registry.
pub(super) async fn differences(
    case: &Case,
    docker: &Path,
    registry: &Distribution,
    number: usize,
) -> Vec<String> {
    let scratch = Registry::plain().await;
    let images: Vec<Built> = case
        .images
        .iter()
        .map(|text| build(text, &scratch))
        .collect();
    let docker = Worker::new(Tool::Docker(docker), registry, number);
    let polyarch = Worker::new(Tool::Polyarch, registry, number);
    for worker in [&docker, &polyarch] {
        worker.load(&images, &scratch).await;
    }
    let mut differences = Vec::new();
    let mut pushed = Vec::new();
    for step in case.commands() {
        let (one, other) = (docker.words(&step, &images), polyarch.words(&step, &images));
        let (mut one, other) = (docker.run(&one).await, polyarch.run(&other).await);
        if step[0] == "push" && one.code == 0 && other.code == 0 {
            let list = step.iter().find_map(|word| word.strip_prefix('@'));
            let (repository, _) = super::script::split_name(list.expect("a list"));
            let digests = [last_line(&one), last_line(&other)];
            let as_pushed = registry
                .manifest(&docker.repository(repository), &digests[0])
                .await;
            if let Some(list) = as_pushed.map(of_one_type) {
                one.stdout = one.stdout.replace(&digests[0], &list.digest);
            }
            pushed.push((repository.to_owned(), digests));
        }
        differences.extend(compare_outputs(&step, &one, &other));
    }
    for (repository, digests) in pushed {
        let [one, other] = digests;
        let one = registry
            .manifest(&docker.repository(&repository), &one)
            .await;
        let other = registry
            .manifest(&polyarch.repository(&repository), &other)
            .await;
        differences.extend(compare_served(
            &format!("by digest in {repository}"),
            one,
            other.as_ref(),
        ));
    }
    for repository in case.repositories() {
        let one = holdings(registry, &docker.repository(&repository)).await;
        let other = holdings(registry, &polyarch.repository(&repository)).await;
        for tag in one
            .keys()
            .chain(other.keys().filter(|tag| !one.contains_key(*tag)))
        {
            let place = format!("tag {tag} in {repository}");
            differences.extend(compare_served(
                &place,
                one.get(tag).cloned(),
                other.get(tag),
            ));
        }
    }
    differences
}

fn last_line(output: &Output) -> String {
    output.stdout.lines().last().unwrap_or_default().to_owned()
}

async fn holdings(registry: &Distribution, repository: &str) -> BTreeMap<String, Served> {
    let mut holdings = BTreeMap::new();
    for tag in registry.tags(repository).await {
        if let Some(manifest) = registry.manifest(repository, &tag).await {
            holdings.insert(tag, manifest);
        }
    }
    holdings
}

fn compare_outputs(step: &[String], docker: &Output, polyarch: &Output) -> Option<String> {
    let report = |what: &str| {
        Some(format!(
            "--- {what}: {}\ndocker ok={}\n{}{}\npolyarch ok={}\n{}{}",
            step.join(" "),
            docker.code == 0,
            docker.stdout,
            docker.stderr,
            polyarch.code == 0,
            polyarch.stdout,
            polyarch.stderr
        ))
    };
    if (docker.code == 0) != (polyarch.code == 0) {
        return report("exit status");
    }
    if docker.stdout != polyarch.stdout && with_type_of_mixed(&docker.stdout) != polyarch.stdout {
        return report("standard output");
    }
    if polyarch.stderr.contains("panicked") {
        return report("panic");
    }
    let lost =
        |words: &&&str| docker.stderr.contains(**words) && !polyarch.stderr.contains(**words);
    match KEPT.iter().find(lost) {
        Some(words) if docker.code != 0 => report(&format!("lost the words {words:?}")),
        _ => None,
    }
}

fn compare_served(
    place: &str,
    docker: Option<Served>,
    polyarch: Option<&Served>,
) -> Option<String> {
    let docker = docker.map(of_one_type);
    if docker.as_ref() == polyarch {
        return None;
    }
    Some(format!(
        "--- {place}:\ndocker {docker:#?}\npolyarch {polyarch:#?}"
    ))
}

fn of_one_type(served: Served) -> Served {
    let text = String::from_utf8_lossy(&served.body);
    let replaced = with_type_of_mixed(&text);
    if replaced == text {
        return served;
    }
    Served {
        media_type: media::OCI_INDEX.to_owned(),
        digest: digest::sha256(replaced.as_bytes()),
        body: replaced.into(),
    }
}

/// Replaces the type of a list that contains Docker and OCI images by the type of an OCI index. Returns any other text
/// unchanged.
fn with_type_of_mixed(list: &str) -> String {
    let is_list = list.contains("\"manifests\": [");
    let child = |kind: &str| list.contains(&format!("         \"mediaType\": \"{kind}\""));
    if is_list && child(media::DOCKER_MANIFEST) && child(media::OCI_MANIFEST) {
        list.replacen(media::DOCKER_LIST, media::OCI_INDEX, 1)
    } else {
        list.to_owned()
    }
}
