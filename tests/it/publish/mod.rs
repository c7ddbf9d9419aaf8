//! `publish` and `copy`: the binary in an isolated home, with registries in the test process.

mod binaries;
mod checks;
mod content;
mod copying;
mod execution;
mod failures;
mod load;
mod outputs;
mod races;
mod random;
mod releases;
mod selection;
mod several;
mod signals;
mod slow;
mod source_forms;
mod terminal;
mod two_registries;

use crate::support::{Scene, image::Image};

/// Returns a scene with an image for each of these architectures in `team/app`, tagged with the architecture. Progress
/// is not shown, since the order of its lines varies.
fn scene(architectures: &[&str]) -> Scene {
    let mut scene = Scene::new();
    load(&scene, architectures);
    scene.set("POLYARCH_PROGRESS", "none");
    scene
}

/// Stores an image for each of these architectures in `team/app` of the first registry.
fn load(scene: &Scene, architectures: &[&str]) {
    for architecture in architectures {
        let image = Image::new(&format!("linux/{architecture}"));
        image.load(scene.registry(), "team/app", *architecture);
    }
}
