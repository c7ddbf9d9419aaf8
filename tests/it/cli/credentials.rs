//! No credentials, wrong ones, and good ones without permission: three different errors, each of which helps.
//! And no secret anywhere.

use super::bench::Bench;
use crate::support::{
    image::Image,
    registry::{Accounts, Bearer, Builder, Registry},
};

const CREATE: &str = "create HOST/team/app:1 HOST/team/app:a";

fn accounts() -> Accounts {
    Accounts::new("ci", "s3cr3t")
        .user("guest", "pa55word")
        .grant("ci", "team/*", "pull,push")
        .grant("guest", "team/*", "pull")
}

/// Both ways in which registries ask.
fn doors() -> [Builder; 2] {
    let bearer = Bearer::new(accounts());
    [
        Registry::builder().basic(accounts()),
        Registry::builder().bearer(bearer),
    ]
}

fn bench(door: Builder) -> Bench {
    let bench = Bench::with(door);
    Image::new("linux/amd64").load(&bench.registry, "team/app", "a");
    bench
}

#[test]
fn missing_wrong_and_weak_credentials_read_differently() {
    for door in doors() {
        let mut bench = bench(door);
        let missing = bench.fails(3, CREATE);
        for words in [
            "no credentials for HOST were found",
            "docker login HOST",
            "POLYARCH_USERNAME",
            "polyarch auth",
        ] {
            assert!(missing.contains(words), "{words}: {missing}");
        }

        bench.log_in("ci", "mistaken");
        let wrong = bench.fails(3, CREATE);
        for words in [
            "did not accept the credentials",
            "POLYARCH_USERNAME and POLYARCH_PASSWORD",
            "not expired?",
        ] {
            assert!(wrong.contains(words), "{words}: {wrong}");
        }
        assert!(!wrong.contains("mistaken"), "{wrong}");

        bench.log_in("guest", "pa55word");
        assert_eq!(bench.ok(CREATE), "Created manifest list HOST/team/app:1\n");
        let before = bench.registry.snapshot();
        let weak = bench.fails(3, "push HOST/team/app:1");
        for words in [
            "valid, but they lack",
            "\"guest\"",
            "team/app",
            "no tag was changed",
        ] {
            assert!(weak.contains(words), "{words}: {weak}");
        }
        assert_eq!(bench.registry.snapshot(), before);

        bench.log_in("ci", "s3cr3t");
        bench.ok("push HOST/team/app:1");
    }
}

#[test]
fn the_search_is_told_and_the_secret_is_not() {
    let [door, _] = doors();
    let mut bench = bench(door);
    let text = bench.ok("auth HOST/team/app");
    assert!(text.contains("Used: anonymous access"), "{text}");
    bench.log_in("ci", "s3cr3t");
    let text = bench.ok("auth HOST/team/app");
    assert!(
        text.starts_with(
            "Credentials for HOST/team/app (pull, push), in the order of the search:\n"
        )
    );
    assert!(
        text.contains("=> 1. POLYARCH_* and PLUGIN_* variables\n        password of \"ci\""),
        "{text}"
    );
    assert!(
        text.ends_with("Used: POLYARCH_* and PLUGIN_* variables\n"),
        "{text}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&bench.ok("auth --format json --for pull HOST/team/app"))
            .expect("JSON");
    assert_eq!(json["actions"], serde_json::json!(["pull"]));
    assert_eq!(json["steps"][0]["used"], true);
}

#[test]
fn debugging_shows_requests_and_no_secret() {
    for door in doors() {
        let mut bench = bench(door);
        bench.log_in("ci", "s3cr3t");
        for line in [
            CREATE,
            "push HOST/team/app:1",
            "inspect -v HOST/team/app:1",
            "auth HOST/team/app",
        ] {
            let said = bench.run(&format!("--debug {line}"));
            assert_eq!(said.code, 0, "{}", said.stderr);
            let asked = said
                .stderr
                .contains("debug: GET http://HOST/v2/team/app/manifests/")
                || said
                    .stderr
                    .contains("debug: PUT http://HOST/v2/team/app/manifests/1");
            assert!(
                asked || line.starts_with("auth") || line.starts_with("inspect"),
                "{}",
                said.stderr
            );
            let all = said.stdout + &said.stderr;
            // "ci:s3cr3t" in base64, too.
            for secret in ["s3cr3t", "Y2k6czNjcjN0"] {
                assert!(!all.contains(secret), "{line}: {all}");
            }
            for token in bench.registry.issued_tokens() {
                assert!(!all.contains(&token), "{line}: {all}");
            }
        }
    }
}

/// What every run of these tests is searched at: see `support::secrets`.
#[test]
fn a_variable_is_as_good_as_the_option() {
    let [door, _] = doors();
    let mut bench = bench(door);
    bench.log_in("ci", "s3cr3t");
    bench.set("POLYARCH_DEBUG", "true");
    let said = bench.run(CREATE);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains("debug: GET http://HOST/v2/"),
        "{}",
        said.stderr
    );
}

/// Every way of being told something, at its loudest, whether the run succeeds or not.
#[test]
fn no_output_of_any_kind_shows_a_secret() {
    for door in doors() {
        let mut bench = bench(door);
        bench.set("GITHUB_OUTPUT", &bench.path("output").display().to_string());
        bench.set(
            "GITHUB_STEP_SUMMARY",
            &bench.path("summary").display().to_string(),
        );
        let mut kept = vec!["output", "summary"];
        for password in ["s3cr3t", "m1staken"] {
            bench.log_in("ci", password);
            for progress in ["plain", "json", "none", "tty"] {
                for output in ["text", "json"] {
                    let said = bench.run(&format!(
                        "--debug publish -t HOST/team/app:2 HOST/team/app:a --progress {progress} --output {output} \
                         --metadata-file HOME/metadata --dotenv HOME/dotenv"
                    ));
                    let succeeds = password == "s3cr3t";
                    assert_eq!(said.code == 0, succeeds, "{}", said.stderr);
                    let mut all = said.stdout + &said.stderr;
                    for file in &kept {
                        all += &std::fs::read_to_string(bench.path(file)).unwrap_or_default();
                    }
                    let base64 = ["Y2k6czNjcjN0", "Y2k6bTFzdGFrZW4"];
                    for secret in [password].iter().chain(&base64) {
                        assert!(!all.contains(secret), "{secret}: {all}");
                    }
                    for token in bench.registry.issued_tokens() {
                        assert!(!all.contains(&token), "{all}");
                    }
                }
            }
            kept = vec!["output", "summary", "metadata", "dotenv"];
        }
    }
}
