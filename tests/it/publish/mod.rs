//! `publish` and `copy`: the binary in a home of its own, against registries in process.

mod binaries;
mod checks;
mod content;
mod copying;
mod execution;
mod failures;
mod load;
mod outputs;
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

/// A scene with an image for each of these architectures in `team/app`, tagged with the architecture. Progress is
/// not shown, since its lines come in any order.
fn scene(architectures: &[&str]) -> Scene {
    let mut scene = Scene::new();
    load(&scene, architectures);
    scene.set("POLYARCH_PROGRESS", "none");
    scene
}

/// Puts an image for each of these architectures into `team/app` of the first registry.
fn load(scene: &Scene, architectures: &[&str]) {
    for architecture in architectures {
        let image = Image::new(&format!("linux/{architecture}"));
        image.load(scene.registry(), "team/app", *architecture);
    }
}
