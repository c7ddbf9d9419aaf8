//! Unusual environments: variables that are misspelled or not text, few file descriptors, contradictions.

use std::os::unix::ffi::OsStringExt as _;

use crate::support::{Scene, image::Image, polyarch::BINARY, registry::Accounts};

fn scene() -> Scene {
    let mut scene = Scene::new();
    for platform in ["amd64", "arm64"] {
        let image = Image::new(&format!("linux/{platform}"));
        image.load(scene.registry(), "app", platform);
    }
    scene.set("POLYARCH_PROGRESS", "none");
    scene
}

#[test]
fn variables_without_effect_are_named() {
    let mut scene = scene();
    for name in ["POLYARCH_DRYRUN", "POLYARCH_FOO", "PLUGIN_IFEXISTS"] {
        scene.set(name, "true");
    }
    for name in ["POLYARCH_DIGEST", "POLYARCH_ID_TOKEN_AWS", "POLYARCH_X_USR"] {
        scene.set(name, "known");
    }
    let output = scene.run("publish -t HOST/app:1 HOST/app:amd64").ok();
    insta::assert_snapshot!(output.stderr, @"
    warning: PLUGIN_IFEXISTS has no effect; use PLUGIN_IF_EXISTS
    warning: POLYARCH_DRYRUN has no effect; use POLYARCH_DRY_RUN
    warning: POLYARCH_FOO has no effect: there is no such option
    ");
}

#[test]
fn values_that_are_not_utf_8_are_refused_by_name() {
    let scene = scene();
    for name in ["POLYARCH_PASSWORD", "PLUGIN_USERNAME", "DOCKER_AUTH_CONFIG"] {
        let value = std::ffi::OsString::from_vec(b"p\xe4ss".to_vec());
        let output = std::process::Command::new(BINARY)
            .args(["ls"])
            .env_clear()
            .env("HOME", scene.home())
            .env(name, value)
            .output()
            .expect("a run");
        assert_eq!(output.status.code(), Some(2), "{name}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr, format!("error: cannot read {name}: not UTF-8\n"));
    }
}

#[test]
fn a_password_file_that_is_not_utf_8_is_named() {
    let mut scene =
        Scene::with(crate::support::Registry::builder().basic(Accounts::new("ci", "pw")));
    std::fs::write(scene.path("password"), b"p\xe4ss").expect("a file");
    scene.set("POLYARCH_REGISTRY", "HOST");
    scene.set("POLYARCH_USERNAME", "ci");
    scene.set("POLYARCH_PASSWORD_FILE", "HOME/password");
    insta::assert_snapshot!(scene.run("inspect HOST/app:1").exits(3).error(), @"
    error: failed to find the credentials for HOST: cannot read HOME/password: invalid data
     hint: run `polyarch auth REF` to see where credentials are searched for
    ");
}

#[test]
fn positional_sources_replace_those_of_the_variable() {
    let mut scene = scene();
    scene.set("POLYARCH_SOURCE", "HOST/app:none");
    scene.run("publish -t HOST/app:1 HOST/app:amd64").ok();
    scene.run("publish -t HOST/app:2").exits(4);
}

#[test]
fn annotations_with_two_values_are_refused() {
    let mut scene = scene();
    let publish = "publish -t HOST/app:1 HOST/app:amd64 HOST/app:arm64";
    scene.ok("create HOST/app:list HOST/app:amd64");
    let twice = "--annotation k=1 --annotation k=2";
    let mut transcript = scene.transcript([
        &format!("{publish} {twice}")[..],
        &format!("{publish} --annotation k=1 --annotation index:k=2"),
        &format!("annotate {twice} HOST/app:list"),
    ]);
    scene.write(
        "spec.yml",
        "image: HOST/app:1\nannotations: {k: 1, k: 2}\nmanifests: [{image: HOST/app:amd64}]\n",
    );
    transcript.push_str(&scene.transcript(["publish -f spec.yml"]));
    scene.set("POLYARCH_ANNOTATION", "k=1\nk=2");
    transcript.push_str(&scene.transcript([publish]));
    insta::assert_snapshot!(transcript, @r#"
    $ polyarch publish -t HOST/app:1 HOST/app:amd64 HOST/app:arm64 --annotation k=1 --annotation k=2
    exit code: 2
    ----- stderr -----
    error: annotation "k" is set twice: to "1" and to "2"

    $ polyarch publish -t HOST/app:1 HOST/app:amd64 HOST/app:arm64 --annotation k=1 --annotation index:k=2
    exit code: 2
    ----- stderr -----
    error: annotation "k" is set twice: to "1" and to "2"

    $ polyarch annotate --annotation k=1 --annotation k=2 HOST/app:list
    exit code: 2
    ----- stderr -----
    error: annotation "k" is set twice: to "1" and to "2"

    $ polyarch publish -f spec.yml
    exit code: 2
    ----- stderr -----
    error: spec.yml: duplicate mapping key: k not allowed here at line 2, column 21

    $ polyarch publish -t HOST/app:1 HOST/app:amd64 HOST/app:arm64
    exit code: 2
    ----- stderr -----
    error: annotation "k" is set twice: to "1" and to "2"
    "#);
    assert!(scene.registry().tag("app", "1").is_none());
}

#[test]
fn passwords_are_masked_in_each_form() {
    let mut scene = scene();
    scene.log_in("ci", "correct horse");
    scene.set("GITHUB_ACTIONS", "true");
    let output = scene.polyarch().unwatched().args(["ls"]).run().ok();
    insta::assert_snapshot!(output.stderr, @"
    ::add-mask::correct horse
    ::add-mask::Y29ycmVjdCBob3JzZQ==
    ::add-mask::ci:correct horse
    ::add-mask::Y2k6Y29ycmVjdCBob3JzZQ==
    ");
}

#[test]
fn errors_of_a_token_server_are_shown_with_port_and_text() {
    use crate::support::registry::{Bearer, Class, Fault, Registry, Rule};
    for body in [
        r#"{"errors":[{"code":"DENIED","message":"no","detail":{"reason":"suspended"}}]}"#,
        r#"{"error":"invalid_grant","error_description":"the token has expired"}"#,
        r#"{"details":"incorrect username or password"}"#,
    ] {
        let mut scene =
            Scene::with(Registry::builder().bearer(Bearer::new(Accounts::new("ci", "pw"))));
        scene.log_in("ci", "secret-of-ci");
        let reply = Fault::reply(
            401,
            &[("content-type", "application/json")],
            body.to_owned(),
        );
        scene
            .registry()
            .rule(Rule::on(Class::Token).forever().then(reply));
        let output = scene.run("inspect HOST/app:1").exits(3);
        let error = output.error().lines().next().unwrap_or_default();
        let text = match body {
            text if text.contains("DENIED") => "DENIED: no; reason: suspended",
            text if text.contains("invalid_grant") => "invalid_grant: the token has expired",
            _ => "incorrect username or password",
        };
        let expected = format!("HOST answered 401 Unauthorized ({text})");
        assert!(error.ends_with(&expected), "{error}");
    }
}
