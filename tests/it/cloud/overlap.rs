//! The calls of a cloud overlap with other work, and are as few as possible.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::{
    assert_authorised,
    aws::{HOST, ROLE, aws, set_keys},
    behind, publishes, route,
    server::CloudServer,
};
use crate::support::{
    image::Image,
    registry::{Accounts, Builder, Class, Fault, Recorded, Registry, Rule},
};

const SAME_REGION: &str = "210987654321.dkr.ecr.eu-west-1.amazonaws.com";
const OTHER_REGION: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

fn ecr() -> Builder {
    Registry::builder().basic(Accounts::new("AWS", "swordfish-AKIDENV"))
}

#[test]
fn the_connection_opens_during_the_call() {
    let (mut scene, proxy) = behind(HOST, ecr());
    let is_open = move || {
        let mut passed = proxy.passed().into_iter();
        passed.any(|it| it.target == format!("{HOST}:443"))
    };
    let is_open = Arc::new(is_open);
    let server = CloudServer::start(move |path, request| {
        let is_open = Arc::clone(&is_open);
        aws(path, request).when(move || is_open())
    });
    scene.set("AWS_ENDPOINT_URL", &server.url());
    set_keys(&mut scene);
    publishes(&scene);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn sources_elsewhere_are_read_during_the_call() {
    let (mut scene, _) = behind(HOST, ecr());
    let (is_read, is_called) = (Flag::default(), Flag::default());
    let (read, called) = (is_read.clone(), is_called.clone());
    let rule = Rule::on(Class::ManifestGet).and(move |_| read.raise());
    let rule = rule.then(Fault::until(move |_| called.is_raised()));
    let source = scene.add(Registry::builder().rule(rule));
    Image::new("linux/amd64").load(source, "app", "a");
    let server = CloudServer::start(move |path, request| {
        is_called.raise();
        let is_read = is_read.clone();
        aws(path, request).when(move || is_read.is_raised())
    });
    scene.set("AWS_ENDPOINT_URL", &server.url());
    set_keys(&mut scene);
    scene.ok("publish -t HOST/app:1 OTHER/app:a");
    assert_authorised(scene.registry());
    assert_eq!(server.seen().len(), 1);
    let is_authorised = |it: &Recorded| it.authorised();
    assert_eq!(scene.other().count_where(is_authorised), 0);
}

#[test]
fn regions_are_called_at_once_and_each_once() {
    let (mut scene, _) = behind(HOST, ecr());
    for host in [SAME_REGION, OTHER_REGION] {
        scene.add(ecr().tls().name(host));
    }
    let addresses: Vec<_> = scene.registries.iter().map(Registry::address).collect();
    let hosts = [HOST, SAME_REGION, OTHER_REGION];
    route(&mut scene, hosts.into_iter().zip(addresses));
    let count = Arc::new(AtomicUsize::new(0));
    let server = CloudServer::start(move |path, request| {
        count.fetch_add(1, Ordering::SeqCst);
        let count = Arc::clone(&count);
        aws(path, request).when(move || count.load(Ordering::SeqCst) == 2)
    });
    scene.set("AWS_ENDPOINT_URL", &server.url());
    set_keys(&mut scene);
    let targets = hosts.map(|host| format!("-t {host}/app:1")).join(" ");
    scene.ok(&format!("publish {targets} HOST/app:a"));
    for registry in &scene.registries {
        assert_authorised(registry);
    }
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn an_id_token_costs_three_calls() {
    let (mut scene, _) = behind(
        HOST,
        Registry::builder().basic(Accounts::new("AWS", "swordfish-ASIAROLE")),
    );
    let server = CloudServer::start(aws);
    scene.set("AWS_ENDPOINT_URL", &server.url());
    scene.set("AWS_ROLE_ARN", ROLE);
    let url = format!("{}/oidc?api-version=2.0", server.url());
    scene.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url);
    scene.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "tok-request");
    publishes(&scene);
    let seen = server.seen();
    let calls = seen.iter().map(|it| match it.header("x-amz-target") {
        "" => format!("{} {}{}", it.method, it.path(), it.field("Action")),
        target => format!("{} {target}", it.method),
    });
    let calls: Vec<String> = calls.collect();
    assert_eq!(
        calls,
        [
            "GET /oidc",
            "POST /AssumeRoleWithWebIdentity",
            "POST AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
        ]
    );
}

/// Whether something has happened.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    /// Always returns true.
    fn raise(&self) -> bool {
        self.0.store(true, Ordering::SeqCst);
        true
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
