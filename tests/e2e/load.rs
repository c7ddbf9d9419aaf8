//! Two hundred runs at once against Debian's `docker-registry`.

use std::{collections::BTreeSet, time::Instant};

use futures_util::future::join_all;

use crate::{
    distribution::Distribution,
    program::home,
    support::{digest, image::Image, registry::Registry},
};

/// The runs publish the same images in four repositories, so many of them copy the same content at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_runs_at_once_all_succeed() {
    let target = Distribution::start().await;
    let source = Registry::plain().await;
    let home = home();
    for platform in ["amd64", "arm64"] {
        let image = Image::new(&format!("linux/{platform}")).layers(&[10, 50_000]);
        image.load(&source, "team/app", platform);
    }
    let began = Instant::now();
    let runs = (0..200).map(|number| {
        let line = format!(
            "publish -t {}/load/app{}:t{number} {} {}",
            target.host(),
            number % 4,
            source.reference("team/app", "amd64"),
            source.reference("team/app", "arm64"),
        );
        let home = &home;
        async move { home.run_line(&line).await }
    });
    let all = join_all(runs).await;
    let failed: Vec<&str> = all
        .iter()
        .filter(|output| output.code != 0)
        .map(|output| output.stderr.as_str())
        .collect();
    println!("200 runs in {:?}", began.elapsed());
    assert!(
        failed.is_empty(),
        "{} failed: {}",
        failed.len(),
        failed.join("\n")
    );
    let output: Vec<&str> = all.iter().map(|output| output.stdout.as_str()).collect();
    let mut digests = BTreeSet::new();
    for (number, output) in output.iter().enumerate() {
        let digest = output.lines().last().expect("a digest");
        let repo = format!("load/app{}", number % 4);
        let index = target.manifest(&repo, &format!("t{number}")).await;
        let index = index.expect("the index");
        assert_eq!(digest::sha256(&index.body), digest);
        digests.insert(digest);
    }
    assert_eq!(digests.len(), 1, "all runs make the same index");
    for number in 0..4 {
        let repo = format!("load/app{number}");
        assert_eq!(target.tags(&repo).await.len(), 50);
        for platform in ["amd64", "arm64"] {
            let image = source.document("team/app", platform).expect("an image");
            let image_digest = source.tag("team/app", platform).expect("its digest");
            let found = target.manifest(&repo, &image_digest).await;
            assert_eq!(
                digest::sha256(&found.expect("the image").body),
                image_digest
            );
            let layers = image["layers"].as_array().expect("layers");
            for blob in layers.iter().chain([&image["config"]]) {
                let wanted = blob["digest"].as_str().expect("a digest");
                let content = target.blob(&repo, wanted).await.expect("the blob");
                assert_eq!(digest::sha256(&content), wanted);
            }
        }
    }
}
