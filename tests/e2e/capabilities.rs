//! The capabilities of polyarch with each registry program, as the table in `docs/registries.md`.
//! `POLYARCH_BLESS=1` writes the table instead of comparing it.

use std::{fmt::Write as _, path::Path};

use bytes::Bytes;
use serde_json::json;

use crate::{
    distribution::{Distribution, Software},
    program::home,
    support::{
        Scene, digest,
        image::{Image, Index, media, referrer},
        registry::Registry,
    },
};

const BEGIN: &str = "<!-- capabilities: written by the run, with POLYARCH_BLESS=1 cargo test --features e2e --test e2e -- capabilities:: -->\n";
const END: &str = "<!-- /capabilities -->\n";

const REGISTRIES: [(Software, &str); 9] = [
    (Software::Debian, "distribution 2.8"),
    (Software::Distribution3, "distribution 3"),
    (Software::Crane, "crane"),
    (Software::Cue, "CUE"),
    (Software::Olareg, "olareg"),
    (Software::OlaregWithoutReferrers, "olareg, no referrers API"),
    (Software::OlaregBasic, "olareg, Basic"),
    (Software::OlaregToken, "olareg, tokens"),
    (Software::OlaregLimited, "olareg, 20 requests/s"),
];

/// The probes in the order of the run. Later probes use the tags of earlier ones.
const CAPABILITIES: [(&str, Probe); 15] = [
    ("copy an image", Probe::Copy),
    ("publish within a repository", Probe::Publish),
    ("publish to another repository", Probe::PublishElsewhere),
    ("copy an index with attestations", Probe::Attestations),
    ("`create`, `annotate`, `push`", Probe::DropIn),
    ("run again without changes", Probe::Again),
    ("`--append`", Probe::Append),
    ("`--if-exists keep`, `refuse`", Probe::IfExists),
    ("`--wait` for a missing image", Probe::Wait),
    ("refuse an index with a missing image", Probe::MissingChild),
    ("`check --level binaries`", Probe::Check),
    ("copy to an OCI archive and back", Probe::Archive),
    ("copy referrers", Probe::Referrers),
    ("copy a layer with a sha512 digest", Probe::Sha512),
    ("copy a cache of BuildKit", Probe::Cache),
];

#[derive(Clone, Copy)]
enum Probe {
    Copy,
    Publish,
    PublishElsewhere,
    Attestations,
    DropIn,
    Again,
    Append,
    IfExists,
    Wait,
    MissingChild,
    Check,
    Archive,
    Referrers,
    Sha512,
    Cache,
}

/// A registry, and a registry in the test process with the content of the probes.
struct Setting {
    _registry: Distribution,
    images: Registry,
    /// The digest of the referrer of `app:amd64`.
    note: String,
    home: Scene,
}

/// A failure as the table shows it: the exit code and the cause.
type Refusal = String;

impl Setting {
    async fn of(software: Software) -> Self {
        let images = Registry::builder().lax().start().await;
        let mut note = String::new();
        for platform in ["amd64", "arm64"] {
            let image = Image::new(&format!("linux/{platform}")).layers(&[10, 300_000]);
            let loaded = image.load(&images, "app", platform);
            if platform == "amd64" {
                note = referrer(&images, "app", &loaded, "text/note").digest;
            }
        }
        let pair = Index::oci().of(["linux/386", "linux/riscv64"]).attested();
        pair.load(&images, "app", "pair");
        load_sha512(&images);
        load_cache(&images);
        let registry = Distribution::start_of(software).await;
        let mut home = home();
        home.name("REGISTRY", registry.host());
        home.name("IMAGES", images.host());
        home.set("POLYARCH_PROGRESS", "none");
        if let Some((user, password)) = software.account() {
            home.log_in_to(registry.host(), user, password);
        }
        Self {
            images,
            note,
            home,
            _registry: registry,
        }
    }

    async fn run(&self, line: &str) -> Result<String, Refusal> {
        let output = self.home.run_line(line).await;
        if output.code == 0 {
            return Ok(output.stdout);
        }
        let error = output.error().lines().next().unwrap_or_default().to_owned();
        let cause = error.rsplit_once("REGISTRY answered ");
        let cause = cause.map_or(error.clone(), |(_, cause)| cause.to_owned());
        Err(format!("exit {}: {}", output.code, without_digests(&cause)))
    }

    async fn probe(&self, probe: Probe) -> Result<(), Refusal> {
        match probe {
            Probe::Copy => {
                for tag in ["amd64", "arm64"] {
                    let line = format!("copy IMAGES/app:{tag} REGISTRY/team/app:{tag}");
                    self.run(&line).await?;
                }
                self.run("check REGISTRY/team/app:amd64").await.map(drop)
            }
            Probe::Publish => self.publish("team/app").await,
            Probe::PublishElsewhere => self.publish("mirror/deep/app").await,
            Probe::Attestations => {
                self.run("copy IMAGES/app:pair REGISTRY/team/app:pair")
                    .await?;
                let tree = self.run("inspect --tree REGISTRY/team/app:pair").await?;
                assert!(tree.contains("attestation"), "{tree}");
                Ok(())
            }
            Probe::DropIn => {
                let list = "REGISTRY/team/app:list";
                let (amd64, arm64) = ("REGISTRY/team/app:amd64", "REGISTRY/team/app:arm64");
                self.run(&format!("create {list} {amd64} {arm64}")).await?;
                let annotate = format!("annotate --variant v8 {list} {arm64}");
                self.run(&annotate).await?;
                self.run(&format!("push --purge {list}")).await.map(drop)
            }
            Probe::Again => {
                let line = "publish --output json -t REGISTRY/team/app:1 REGISTRY/team/app:latest";
                let result = self.run(line).await?;
                assert!(result.contains(r#""status": "already""#), "{result}");
                Ok(())
            }
            Probe::Append => {
                let target = "REGISTRY/team/app:appended";
                self.run(&format!("publish -t {target} REGISTRY/team/app:amd64"))
                    .await?;
                self.run(&format!(
                    "publish --append -t {target} REGISTRY/team/app:arm64"
                ))
                .await?;
                let tree = self.run(&format!("inspect --tree {target}")).await?;
                assert!(tree.contains("amd64") && tree.contains("arm64"), "{tree}");
                Ok(())
            }
            Probe::IfExists => {
                let line = "publish -t REGISTRY/team/app:1 REGISTRY/team/app:amd64 --if-exists";
                let kept = self.run(&format!("{line} keep")).await?;
                assert!(kept.contains("kept"), "{kept}");
                let refused = self.home.run_line(&format!("{line} refuse")).await;
                refused.exits(5);
                Ok(())
            }
            Probe::Wait => {
                let line = "publish --wait 1s -t REGISTRY/team/app:1 REGISTRY/team/app:later";
                let output = self.home.run_line(line).await.exits(4);
                assert!(output.stderr.contains("waiting "), "{output}");
                let publish =
                    "publish --wait 1m -t REGISTRY/team/app:waited REGISTRY/team/app:later";
                let copy = "copy IMAGES/app:amd64 REGISTRY/team/app:later";
                let (published, copied) = tokio::join!(self.run(publish), self.run(copy));
                published.and(copied).map(drop)
            }
            Probe::Check => {
                let line = "check --level binaries REGISTRY/team/app:latest";
                self.run(line).await.map(drop)
            }
            Probe::Archive => {
                self.run("copy REGISTRY/team/app:latest oci-archive:archive.tar:1")
                    .await?;
                self.run("copy oci-archive:archive.tar:1 REGISTRY/archived/app:1")
                    .await?;
                self.run("check --level blobs REGISTRY/archived/app:1")
                    .await
                    .map(drop)
            }
            Probe::MissingChild => {
                let digest = digest::sha256(b"a missing image");
                let missing = format!(
                    r#"{{"mediaType":"{}","digest":"{digest}","size":15,"platform":{{"os":"linux","architecture":"arm64"}}}}"#,
                    media::OCI_MANIFEST
                );
                let line = format!("publish -t REGISTRY/team/app:wrong {missing}");
                let output = self.home.run_line(&line).await.exits(4);
                assert!(output.stderr.contains("no tag was changed"), "{output}");
                Ok(())
            }
            Probe::Referrers => {
                let there = "REGISTRY/notes/app:amd64";
                self.run(&format!("copy --referrers IMAGES/app:amd64 {there}"))
                    .await?;
                self.run(&format!("copy --referrers {there} IMAGES/back:amd64"))
                    .await?;
                let is_back = self.images.manifest("back", &self.note).is_some();
                is_back.then_some(()).ok_or_else(|| "not listed".to_owned())
            }
            Probe::Sha512 => self.copy_and_check("sha512").await,
            Probe::Cache => self.copy_and_check("cache").await,
        }
    }

    async fn publish(&self, repository: &str) -> Result<(), Refusal> {
        let line = format!(
            "publish -t REGISTRY/{repository}:1,REGISTRY/{repository}:latest \
             REGISTRY/team/app:amd64 REGISTRY/team/app:arm64"
        );
        self.run(&line).await?;
        let check = format!("check REGISTRY/{repository}:latest");
        self.run(&check).await.map(drop)
    }

    async fn copy_and_check(&self, tag: &str) -> Result<(), Refusal> {
        let there = format!("REGISTRY/special/app:{tag}");
        self.run(&format!("copy IMAGES/app:{tag} {there}")).await?;
        self.run(&format!("check {there}")).await.map(drop)
    }
}

/// Stores an image whose layer has a sha512 digest.
fn load_sha512(images: &Registry) {
    let layer = Bytes::from_static(b"a layer");
    let config = Bytes::from_static(
        br#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#,
    );
    let name = digest::sha512(&layer);
    images.put_blob_as("app", &name, layer.clone());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {
            "mediaType": media::OCI_CONFIG,
            "digest": images.put_blob("app", config.clone()),
            "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": name,
            "size": layer.len(),
        }],
    });
    images.put_manifest(
        "app",
        Some("sha512"),
        media::OCI_MANIFEST,
        manifest.to_string(),
    );
}

/// Stores an index whose entries are blobs.
fn load_cache(images: &Registry) {
    let entries = [
        (
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "another layer",
        ),
        ("application/vnd.buildkit.cacheconfig.v0", "{}"),
    ];
    let entries = entries.map(|(media_type, content)| {
        let digest = images.put_blob("app", Bytes::from_static(content.as_bytes()));
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "manifests": entries,
    });
    images.put_manifest("app", Some("cache"), media::OCI_INDEX, index.to_string());
}

/// Removes the hex digits of digests, which are not relevant in the table.
fn without_digests(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split(' ') {
        let is_hex = |c: char| c.is_ascii_hexdigit();
        match word.find("sha256:").or_else(|| word.find("sha512:")) {
            Some(at) => {
                let rest = word[at + 7..].trim_start_matches(is_hex);
                words.push(format!("{}…{rest}", &word[..at + 7]));
            }
            None => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_shows_what_works_at_each_registry() {
    let mut columns = Vec::new();
    for (software, _) in REGISTRIES {
        let setting = Setting::of(software).await;
        let mut column = Vec::new();
        for (_, probe) in CAPABILITIES {
            column.push(setting.probe(probe).await);
        }
        columns.push(column);
    }
    let table = table(&columns);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/registries.md");
    let text = std::fs::read_to_string(&path).expect("docs/registries.md");
    let (before, rest) = text.split_once(BEGIN).expect("the marker of the beginning");
    let (now, after) = rest.split_once(END).expect("the marker of the end");
    if std::env::var_os("POLYARCH_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("a file");
        return;
    }
    assert!(
        now == table,
        "docs/registries.md differs from the outcomes; POLYARCH_BLESS=1 updates it:\n{table}"
    );
}

/// Returns the table: one row for each capability, one column for each registry, and the refusals as notes below.
fn table(columns: &[Vec<Result<(), Refusal>>]) -> String {
    let mut notes: Vec<&str> = Vec::new();
    let names = REGISTRIES.map(|(_, name)| name).join(" | ");
    let mut text = format!(
        "\n| capability | {names} |\n| --- |{}\n",
        " --- |".repeat(columns.len())
    );
    for (row, (capability, _)) in CAPABILITIES.iter().enumerate() {
        let _ = write!(text, "| {capability} |");
        for column in columns {
            match &column[row] {
                Ok(()) => text.push_str(" ✓ |"),
                Err(refusal) => {
                    let known = notes.iter().position(|note| note == refusal);
                    let number = known.unwrap_or_else(|| {
                        notes.push(refusal);
                        notes.len() - 1
                    });
                    let _ = write!(text, " refused ({}) |", number + 1);
                }
            }
        }
        text.push('\n');
    }
    text.push('\n');
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(text, "{}. {note}", number + 1);
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    text
}
