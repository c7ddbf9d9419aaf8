//! Cloud registries without a login step: every source of credentials, with test servers in place of the cloud.

mod aws;
mod azure;
mod flows;
mod google;
mod hostile;
mod overlap;
mod refusals;
mod server;

use std::{net::SocketAddr, sync::Arc};

use self::server::CloudServer;
use crate::support::{
    image::Image,
    polyarch::Output,
    proxy::Proxy,
    registry::{Builder, Class, Recorded, Registry},
    scene::Scene,
};

/// Returns a scene without a registry.
fn home() -> Scene {
    Scene::of([])
}

/// Runs `polyarch auth`, and returns the source that it used and the whole output.
fn auth(scene: &Scene, arguments: &str) -> (String, Output) {
    let output = scene.run(&format!("auth {arguments}")).ok();
    let used = output
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("Used: "));
    (used.unwrap_or_default().to_owned(), output)
}

/// Returns the output line after the line of a source.
#[track_caller]
fn result_of(output: &Output, source: &str) -> String {
    let mut lines = output.stdout.lines();
    lines
        .find(|line| line.contains(source))
        .unwrap_or_else(|| panic!("{source}: {output}"));
    lines.next().unwrap_or_default().trim().to_owned()
}

/// Starts a proxy that connects requests for `host` to this server.
fn stand_in(scene: &mut Scene, host: &str, server: &CloudServer) {
    route(scene, [(host, server.address)]);
}

/// Starts a proxy that connects requests for each host to its address.
fn route<'a>(
    scene: &mut Scene,
    hosts: impl IntoIterator<Item = (&'a str, SocketAddr)>,
) -> Arc<Proxy> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let hosts = hosts.into_iter();
    let mapped = hosts.map(|(host, address)| (format!("{host}:443"), address));
    let proxy = Arc::new(runtime.block_on(Proxy::mapping_all(mapped)));
    scene.set("HTTPS_PROXY", &proxy.url());
    scene.trust();
    scene.keep((Arc::clone(&proxy), runtime));
    proxy
}

/// Returns a scene whose first registry is reached by the cloud host name `host` and has an image `app:a`. HOST is this
/// name.
fn behind(host: &str, registry: Builder) -> (Scene, Arc<Proxy>) {
    let mut scene = Scene::of([registry.tls().name(host)]);
    Image::new("linux/amd64").load(scene.registry(), "app", "a");
    let address = scene.registry().address();
    let proxy = route(&mut scene, [(host, address)]);
    scene.name("HOST", host);
    (scene, proxy)
}

/// Publishes an image of the first registry in the same registry, which must accept the credentials.
#[track_caller]
fn publishes(scene: &Scene) {
    scene.ok("publish -t HOST/app:1 HOST/app:a");
    assert_authorised(scene.registry());
}

/// Checks that the registry has the new tag, and that every successful request to the registry API had credentials.
#[track_caller]
fn assert_authorised(registry: &Registry) {
    assert!(registry.tag("app", "1").is_some());
    let is_open = |it: &Recorded| {
        it.class != Class::Token && !it.authorised() && it.status.is_some_and(|it| it.is_success())
    };
    assert_eq!(registry.count_where(is_open), 0);
}
