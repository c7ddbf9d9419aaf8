//! Missing, wrong and insufficient credentials: three different errors, and no secret in any output.

use std::{fs, os::unix::fs::PermissionsExt as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{
    Scene,
    image::Image,
    registry::{Accounts, Bearer, Builder, Class, Fault, Registry, Rule},
};

const CREATE: &str = "create HOST/team/app:1 HOST/team/app:a";

fn accounts() -> Accounts {
    Accounts::new("ci", "s3cr3t")
        .user("guest", "pa55word")
        .grant("ci", "team/*", "pull,push")
        .grant("guest", "team/*", "pull")
}

fn basic() -> Builder {
    Registry::builder().basic(accounts())
}

fn bearer() -> Builder {
    Registry::builder().bearer(Bearer::new(accounts()))
}

fn scene(registry: Builder) -> Scene {
    let scene = Scene::with(registry);
    Image::new("linux/amd64").load(scene.registry(), "team/app", "a");
    scene
}

/// Returns the outputs of a create without credentials, of a create with a wrong password, and of a push by a user who
/// may only pull.
fn failures(scene: &mut Scene) -> String {
    let mut outputs = vec![scene.run(CREATE)];
    scene.log_in("ci", "mistaken");
    outputs.push(scene.run(CREATE));
    scene.log_in("guest", "pa55word");
    scene.ok(CREATE);
    let before = scene.registry().snapshot();
    outputs.push(scene.run("push HOST/team/app:1"));
    assert_eq!(scene.registry().snapshot(), before);
    scene.log_in("ci", "s3cr3t");
    scene.ok("push HOST/team/app:1");
    let outputs: Vec<String> = outputs.iter().map(ToString::to_string).collect();
    outputs.join("\n")
}

#[test]
fn basic_credentials_fail_in_three_different_ways() {
    insta::assert_snapshot!(failures(&mut scene(basic())), @r#"
    exit code: 3
    ----- stderr -----
    error: failed to read HOST/team/app:a: not logged in: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required)
     hint: log in (`docker login HOST`), or set POLYARCH_REGISTRY=HOST, POLYARCH_USERNAME and POLYARCH_PASSWORD
     hint: run `polyarch auth REF` to see where credentials are searched for
     note: no credentials for HOST were found

    exit code: 3
    ----- stderr -----
    error: failed to read HOST/team/app:a: wrong credentials: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required)
     hint: check the password or token of "ci" from POLYARCH_USERNAME and POLYARCH_PASSWORD: HOST rejected it, so it may be wrong or expired
     hint: run `polyarch auth REF` to see where credentials are searched for

    exit code: 3
    ----- stderr -----
    error: failed to push HOST/team/app:1: not allowed: HOST answered 403 Forbidden (DENIED: requested access to the resource is denied)
     hint: check the permissions of the account: the credentials of "guest" from POLYARCH_USERNAME and POLYARCH_PASSWORD are valid, but they lack push access to team/app
     note: no tag was changed
    "#);
}

#[test]
fn bearer_credentials_fail_in_three_different_ways() {
    insta::assert_snapshot!(failures(&mut scene(bearer())), @r#"
    exit code: 3
    ----- stderr -----
    error: failed to read HOST/team/app:a: not logged in: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required)
     hint: log in (`docker login HOST`), or set POLYARCH_REGISTRY=HOST, POLYARCH_USERNAME and POLYARCH_PASSWORD
     hint: run `polyarch auth REF` to see where credentials are searched for
     note: no credentials for HOST were found

    exit code: 3
    ----- stderr -----
    error: failed to read HOST/team/app:a (getting a token from HOST): wrong credentials: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required: incorrect username or password)
     hint: check the password or token of "ci" from POLYARCH_USERNAME and POLYARCH_PASSWORD: HOST rejected it, so it may be wrong or expired
     hint: run `polyarch auth REF` to see where credentials are searched for

    exit code: 3
    ----- stderr -----
    error: failed to push HOST/team/app:1: not allowed: HOST answered 401 Unauthorized (UNAUTHORIZED: authentication required)
     hint: check the permissions of the account: the credentials of "guest" from POLYARCH_USERNAME and POLYARCH_PASSWORD are valid, but they lack push access to team/app
     note: no tag was changed
    "#);
}

#[test]
fn search_for_credentials_is_shown_without_secrets() {
    let mut scene = scene(basic());
    insta::assert_snapshot!(scene.ok("auth HOST/team/app"), @"
    Credentials for HOST/team/app (pull, push), in the order of the search:

       1. POLYARCH_* and PLUGIN_* variables
            - nothing for this registry
       2. REGISTRY_AUTH_FILE
            - not set
       3. DOCKER_AUTH_CONFIG
            - not set
       4. HOME/.docker/buildx/config
            - nothing for this registry
       5. HOME/.docker/config.json
            - no such file
       6. $XDG_RUNTIME_DIR/containers/auth.json
            - XDG_RUNTIME_DIR is not set
       7. HOME/.config/containers/auth.json
            - no such file
       8. GITHUB_TOKEN (for ghcr.io)
            - not for this registry
       9. CI_REGISTRY_USER, CI_REGISTRY_PASSWORD, CI_JOB_TOKEN (for CI_REGISTRY)
            - not for this registry
       10. DOCKERHUB_USERNAME, DOCKERHUB_TOKEN (for docker.io)
            - not for this registry
       11. DOCKER_USERNAME, DOCKER_PASSWORD (for docker.io)
            - not for this registry
    => 12. anonymous access
            always possible

    Used: anonymous access
    ");
    scene.log_in("ci", "s3cr3t");
    insta::assert_snapshot!(scene.ok("auth HOST/team/app"), @r#"
    Credentials for HOST/team/app (pull, push), in the order of the search:

    => 1. POLYARCH_* and PLUGIN_* variables
            password of "ci", from POLYARCH_USERNAME and POLYARCH_PASSWORD
       2. REGISTRY_AUTH_FILE
            - not set
       3. DOCKER_AUTH_CONFIG
            - not set
       4. HOME/.docker/buildx/config
            - nothing for this registry
       5. HOME/.docker/config.json
            - no such file
       6. $XDG_RUNTIME_DIR/containers/auth.json
            - XDG_RUNTIME_DIR is not set
       7. HOME/.config/containers/auth.json
            - no such file
       8. GITHUB_TOKEN (for ghcr.io)
            - not for this registry
       9. CI_REGISTRY_USER, CI_REGISTRY_PASSWORD, CI_JOB_TOKEN (for CI_REGISTRY)
            - not for this registry
       10. DOCKERHUB_USERNAME, DOCKERHUB_TOKEN (for docker.io)
            - not for this registry
       11. DOCKER_USERNAME, DOCKER_PASSWORD (for docker.io)
            - not for this registry
       12. anonymous access
            always possible

    Used: POLYARCH_* and PLUGIN_* variables
    "#);
    insta::assert_snapshot!(scene.ok("auth --format json --for pull HOST/team/app"), @r#"
    {
      "registry": "HOST",
      "repository": "team/app",
      "actions": [
        "pull"
      ],
      "steps": [
        {
          "step": 1,
          "place": "POLYARCH_* and PLUGIN_* variables",
          "used": true,
          "result": "found",
          "kind": "password",
          "username": "ci",
          "origin": "POLYARCH_USERNAME and POLYARCH_PASSWORD"
        },
        {
          "step": 2,
          "place": "REGISTRY_AUTH_FILE",
          "used": false,
          "result": "nothing",
          "reason": "not set"
        },
        {
          "step": 3,
          "place": "DOCKER_AUTH_CONFIG",
          "used": false,
          "result": "nothing",
          "reason": "not set"
        },
        {
          "step": 4,
          "place": "HOME/.docker/buildx/config",
          "used": false,
          "result": "nothing",
          "reason": "nothing for this registry"
        },
        {
          "step": 5,
          "place": "HOME/.docker/config.json",
          "used": false,
          "result": "nothing",
          "reason": "no such file"
        },
        {
          "step": 6,
          "place": "$XDG_RUNTIME_DIR/containers/auth.json",
          "used": false,
          "result": "nothing",
          "reason": "XDG_RUNTIME_DIR is not set"
        },
        {
          "step": 7,
          "place": "HOME/.config/containers/auth.json",
          "used": false,
          "result": "nothing",
          "reason": "no such file"
        },
        {
          "step": 8,
          "place": "GITHUB_TOKEN (for ghcr.io)",
          "used": false,
          "result": "nothing",
          "reason": "not for this registry"
        },
        {
          "step": 9,
          "place": "CI_REGISTRY_USER, CI_REGISTRY_PASSWORD, CI_JOB_TOKEN (for CI_REGISTRY)",
          "used": false,
          "result": "nothing",
          "reason": "not for this registry"
        },
        {
          "step": 10,
          "place": "DOCKERHUB_USERNAME, DOCKERHUB_TOKEN (for docker.io)",
          "used": false,
          "result": "nothing",
          "reason": "not for this registry"
        },
        {
          "step": 11,
          "place": "DOCKER_USERNAME, DOCKER_PASSWORD (for docker.io)",
          "used": false,
          "result": "nothing",
          "reason": "not for this registry"
        },
        {
          "step": 12,
          "place": "anonymous access",
          "used": false,
          "result": "found",
          "kind": "anonymous",
          "username": null,
          "origin": "no source (anonymous access)"
        }
      ]
    }
    "#);
}

#[test]
fn auth_accepts_a_bare_host() {
    let scene = scene(basic());
    let text = scene.ok("auth HOST");
    assert!(
        text.starts_with("Credentials for HOST (pull, push), in the order of the search:\n"),
        "{text}"
    );
}

#[test]
fn debug_output_shows_requests_and_no_secret() {
    for registry in [basic(), bearer()] {
        let mut scene = scene(registry);
        scene.log_in("ci", "s3cr3t");
        for (line, request) in [
            (CREATE, "debug: GET http://HOST/v2/team/app/manifests/"),
            (
                "push HOST/team/app:1",
                "debug: PUT http://HOST/v2/team/app/manifests/1",
            ),
            ("inspect -v HOST/team/app:1", ""),
            ("auth HOST/team/app", ""),
        ] {
            let output = scene.run(&format!("--debug {line}")).ok();
            assert!(output.stderr.contains(request), "{output}");
            let all = output.to_string();
            // "ci:s3cr3t" in base64, too.
            for secret in ["s3cr3t", "Y2k6czNjcjN0"] {
                assert!(!all.contains(secret), "{line}: {all}");
            }
            for token in scene.registry().issued_tokens() {
                assert!(!all.contains(&token), "{line}: {all}");
            }
        }
    }
}

/// `support::secrets` uses this variable in every run.
#[test]
fn debug_output_can_be_requested_by_a_variable() {
    let mut scene = scene(basic());
    scene.log_in("ci", "s3cr3t");
    scene.set("POLYARCH_DEBUG", "true");
    let output = scene.run(CREATE).ok();
    assert!(
        output.stderr.contains("debug: GET http://HOST/v2/"),
        "{output}"
    );
}

/// Checks every form of output, with all debug output, for runs that succeed and runs that fail.
#[test]
fn no_output_of_any_kind_shows_a_secret() {
    for registry in [basic(), bearer()] {
        let mut scene = scene(registry);
        scene.set("GITHUB_OUTPUT", "HOME/output");
        scene.set("GITHUB_STEP_SUMMARY", "HOME/summary");
        let mut files = vec!["output", "summary"];
        for password in ["s3cr3t", "m1staken"] {
            scene.log_in("ci", password);
            for progress in ["plain", "json", "none", "tty"] {
                for output in ["text", "json"] {
                    let output = scene.run(&format!(
                        "--debug publish -t HOST/team/app:2 HOST/team/app:a --progress {progress} --output {output} \
                         --metadata-file HOME/metadata --dotenv HOME/dotenv"
                    ));
                    let succeeds = password == "s3cr3t";
                    assert_eq!(output.code == 0, succeeds, "{output}");
                    let mut all = output.to_string();
                    for file in &files {
                        all += &std::fs::read_to_string(scene.path(file)).unwrap_or_default();
                    }
                    let base64 = ["Y2k6czNjcjN0", "Y2k6bTFzdGFrZW4"];
                    for secret in [password].iter().chain(&base64) {
                        assert!(!all.contains(secret), "{secret}: {all}");
                    }
                    for token in scene.registry().issued_tokens() {
                        assert!(!all.contains(&token), "{all}");
                    }
                }
            }
            files = vec!["output", "summary", "metadata", "dotenv"];
        }
    }
}

/// Returns the forms in which a registry can repeat the password of `ci`: alone, with the user, and both in base64.
fn forms(password: &str) -> [String; 4] {
    let pair = format!("ci:{password}");
    let [alone, both] = [password, &pair].map(|text| STANDARD.encode(text));
    [password.to_owned(), pair, alone, both]
}

/// Each source of a password that is not a variable, and a registry that repeats the password in its error.
#[test]
fn passwords_from_files_and_helpers_are_masked_in_actions() {
    const PASSWORD: &str = "correct horse";
    let [_, pair, _, both] = forms(PASSWORD);
    let config = format!(r#"{{"auths":{{"HOST":{{"auth":"{both}"}}}}}}"#);
    for source in ["a password file", "config.json", "a helper"] {
        let accounts = Accounts::new("ci", PASSWORD).grant("ci", "team/*", "pull,push");
        let mut scene = scene(Registry::builder().basic(accounts));
        match source {
            "a password file" => {
                scene.write("password", PASSWORD);
                scene.log_in("ci", "");
                scene.unset("POLYARCH_PASSWORD");
                let path = scene.path("password");
                scene.set("POLYARCH_PASSWORD_FILE", &path.to_string_lossy());
            }
            "config.json" => scene.write(".docker/config.json", &config),
            _ => {
                let answer = format!(r#"{{"Username":"ci","Secret":"{PASSWORD}"}}"#);
                let script = format!("#!/bin/sh\necho '{answer}'\n");
                scene.write("docker-credential-vault", script);
                let helper = scene.path("docker-credential-vault");
                fs::set_permissions(helper, fs::Permissions::from_mode(0o755)).expect("a mode");
                scene.set("PATH", &format!("{}:/bin", scene.home().display()));
                scene.write(".docker/config.json", r#"{"credsStore":"vault"}"#);
            }
        }
        let texts = [PASSWORD, &pair, &both].join(" / ");
        let body = format!(r#"{{"errors":[{{"code":"DENIED","message":"{texts}"}}]}}"#);
        let json = [("content-type", "application/json")];
        let reply = Fault::reply(403, &json, body);
        scene
            .registry()
            .rule(Rule::on(Class::ManifestPut).forever().then(reply));
        scene.set("GITHUB_ACTIONS", "true");
        for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
            scene.write(name, "");
            let path = scene.path(name);
            scene.set(name, &path.to_string_lossy());
        }
        let publish = ["publish", "-t", "HOST/team/app:1", "HOST/team/app:a"];
        let output = scene.polyarch().unwatched().args(publish).run().exits(3);
        let log = format!("{}{}", output.stdout, output.stderr);
        assert!(log.contains("DENIED: ***"), "{source}: {log}");
        let (masks, rest): (Vec<&str>, Vec<&str>) = log
            .lines()
            .partition(|line| line.starts_with("::add-mask::"));
        let files = ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"].map(|name| scene.read(name));
        let shown = [rest.join("\n"), files.join("\n")].join("\n");
        for form in forms(PASSWORD) {
            assert!(
                masks.contains(&&*format!("::add-mask::{form}")),
                "{source}: {log}"
            );
            assert!(!shown.contains(&form), "{source}: {shown}");
        }
        let (last_mask, error) = (log.rfind("::add-mask::"), log.find("::error"));
        assert!(last_mask < error, "{source}: {log}");
    }
}
