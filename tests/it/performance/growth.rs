//! How the cost grows with the size of the job: linearly in requests, hardly in tokens, never beyond `--jobs` at
//! once.

use crate::support::{
    image::Image,
    job::{self, Login},
    registry::{Class, Scheme},
    scene::Scene,
};

/// A spec file for `images` images of two platforms and two tags each, all of them loaded.
fn spec(scene: &Scene, images: usize) {
    use std::fmt::Write as _;
    let host = scene.registry().host();
    let mut text = String::new();
    for number in 0..images {
        let repo = format!("team/app-{number}");
        let _ = write!(
            text,
            "---\nimage: {host}/{repo}:1\ntags: [latest]\nmanifests:\n"
        );
        for architecture in ["amd64", "arm64"] {
            let image = Image::new(&format!("linux/{architecture}")).seed(number as u64);
            image.load(scene.registry(), &repo, architecture);
            let _ = writeln!(text, "  - image: {host}/{repo}:{architecture}");
        }
    }
    std::fs::write(scene.path("spec.yaml"), text).expect("a file");
}

#[test]
fn two_hundred_images_need_few_and_small_tokens() {
    let scene = job::scene(Scheme::TlsHttp2, Login::Bearer);
    let words = scene.line("publish --no-verify --jobs 8 --file spec.yaml");
    spec(&scene, 200);
    scene.job(&words);
    let registry = scene.registry();
    let tokens = registry.count(Class::Token);
    assert!((2..=8).contains(&tokens), "{tokens} tokens");
    for request in registry.requests() {
        let address = request.path.len() + request.query.len();
        assert!(address < 4 << 10, "{} bytes: {}", address, request.path);
        let header = request.header("authorization").len();
        assert!(header < 8 << 10, "{header} bytes of authorization");
    }
    // Manifests, configs, tags, and the first requests before there was a token.
    let refused = registry.count_where(|it| it.status.is_some_and(|status| status == 401));
    assert!(refused <= 2 * 16, "{refused} refused");
    assert_eq!(
        registry.requests().len() - tokens - refused,
        200 * (2 + 2 + 2)
    );
    assert!(registry.most_at_once() <= 8 + 1);
    assert_eq!(registry.problems(), Vec::<String>::new());
}

#[test]
fn requests_grow_with_the_number_of_images() {
    let scene = job::scene(Scheme::Http, Login::None);
    let words = scene.line("publish --no-verify --file spec.yaml");
    for images in [1, 10, 40] {
        spec(&scene, images);
        let cost = scene.cost_of(|scene| scene.job(&words));
        assert_eq!(cost.requests, images * 6);
    }
}
