//! Files for other tools: `--metadata-file`, `--digest-file`, `--index-file`, `--dotenv`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::json::safe;
use super::result::{IndexResult, Status};
use super::results::Results;

/// The maximum length of a dotenv value: GitLab refuses files over 5 KB. Only the path of a layout can be longer.
const MAX_VALUE: usize = 1000;

#[derive(Clone, Debug, Default)]
pub struct Files {
    /// JSON with the keys of buildx.
    pub metadata: Option<PathBuf>,
    /// The digest without a line break, as skopeo and buildah write it; one line for each of several indexes.
    pub digest: Option<PathBuf>,
    /// The exact bytes of the index.
    pub index: Option<PathBuf>,
    /// Variables for later jobs, in the format of GitLab.
    pub dotenv: Option<PathBuf>,
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}")]
pub struct FileError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl Files {
    /// Overwrites the files. Skips indexes that failed and indexes whose tags were all kept. If no other index remains,
    /// writes no file. With several indexes, `index` and `dotenv` describe the first.
    pub fn write(&self, results: &Results) -> Result<(), FileError> {
        let good: Vec<&IndexResult> = results
            .iter()
            .filter(|result| result.status.has_index())
            .collect();
        let Some(first) = good.first() else {
            return Ok(());
        };
        write(
            self.metadata.as_deref(),
            metadata(&good, results.are_several()).as_bytes(),
        )?;
        let digests: Vec<String> = good
            .iter()
            .map(|result| result.digest.to_string())
            .collect();
        write(self.digest.as_deref(), digests.join("\n").as_bytes())?;
        write(self.index.as_deref(), &first.bytes)?;
        write(self.dotenv.as_deref(), dotenv(first).as_bytes())
    }
}

/// Writes without renaming: the path may be a pipe or `/dev/stdout`.
fn write(path: Option<&Path>, content: &[u8]) -> Result<(), FileError> {
    let Some(path) = path else { return Ok(()) };
    fs::write(path, content).map_err(|source| FileError {
        path: path.to_owned(),
        source,
    })
}

/// Returns the metadata of one image as `docker buildx build --metadata-file` writes it. Several images become an
/// object with a field for each, as `docker buildx bake` writes it. `image.name` contains all references, joined with
/// commas.
fn metadata(results: &[&IndexResult], are_several: bool) -> String {
    let value = match results {
        [result] if !are_several => metadata_of(result),
        results => Value::Object(
            results
                .iter()
                .map(|result| (name(result), metadata_of(result)))
                .collect(),
        ),
    };
    safe(serde_json::to_string_pretty(&value))
}

fn metadata_of(result: &IndexResult) -> Value {
    let names: Vec<&str> = references(result).collect();
    let mut object = Map::new();
    object.insert(
        "containerimage.descriptor".to_owned(),
        json!({
            "mediaType": result.media_type,
            "digest": result.digest,
            "size": result.size,
        }),
    );
    object.insert("containerimage.digest".to_owned(), json!(result.digest));
    object.insert("image.name".to_owned(), names.join(",").into());
    Value::Object(object)
}

/// Returns the tags that were pushed, or would be pushed in a real run. For a target without tags, returns its name.
fn references(result: &IndexResult) -> impl Iterator<Item = &str> {
    let is_good = Status::has_index;
    result
        .targets
        .iter()
        .filter(move |target| is_good(target.status))
        .flat_map(move |target| {
            let tags = target.tags.iter().filter(move |tag| is_good(tag.status));
            let untagged = target.tags.is_empty().then_some(target.name.as_str());
            tags.map(|tag| tag.reference.as_str()).chain(untagged)
        })
}

fn name(result: &IndexResult) -> String {
    let first = references(result).next();
    first.map_or_else(|| result.digest.to_string(), str::to_owned)
}

/// Returns the dotenv report: one line per variable, no quotes around values. `POLYARCH_IMAGE` and `POLYARCH_REF` are
/// present only if the image can be pulled.
/// <https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv>
pub fn dotenv(result: &IndexResult) -> String {
    let image = result.published_repositories().next();
    let variables = [
        ("POLYARCH_DIGEST", Some(result.digest.to_string())),
        (
            "POLYARCH_IMAGE",
            image.map(|name| format!("{name}@{}", result.digest)),
        ),
        (
            "POLYARCH_REF",
            result.published_tags().next().map(str::to_owned),
        ),
    ];
    let is_plain = |value: &String| {
        let is_quote = |c| matches!(c, '"' | '\'' | '\\' | '`' | '$' | '#');
        value.len() <= MAX_VALUE
            && !value
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || is_quote(c))
    };
    variables
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(is_plain)?)))
        .fold(String::new(), |mut all, (name, value)| {
            let _ = writeln!(all, "{name}={value}");
            all
        })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{dry_run, failed, hostile, partial, published};
    use super::*;

    fn written(results: &[IndexResult]) -> [Option<String>; 4] {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let files = Files {
            metadata: Some(at("metadata")),
            digest: Some(at("digest")),
            index: Some(at("index")),
            dotenv: Some(at("dotenv")),
        };
        files.write(&results.to_vec().into()).unwrap();
        ["metadata", "digest", "index", "dotenv"].map(|name| fs::read_to_string(at(name)).ok())
    }

    #[test]
    fn the_metadata_has_the_keys_of_buildx() {
        let result = published();
        let [metadata, digest, index, dotenv] = written(std::slice::from_ref(&result));
        let metadata: Value = serde_json::from_str(&metadata.unwrap()).unwrap();
        assert_eq!(
            metadata,
            json!({
                "containerimage.descriptor": {
                    "mediaType": "application/vnd.oci.image.index.v1+json",
                    "digest": result.digest,
                    "size": 25,
                },
                "containerimage.digest": result.digest,
                "image.name": "ghcr.io/o/app:1.2,ghcr.io/o/app:latest,docker.io/o/app:1.2",
            })
        );
        assert_eq!(digest.unwrap(), result.digest.to_string());
        assert_eq!(index.unwrap().as_bytes(), &result.bytes[..]);
        assert_eq!(
            dotenv.unwrap(),
            format!(
                "POLYARCH_DIGEST={0}\nPOLYARCH_IMAGE=ghcr.io/o/app@{0}\nPOLYARCH_REF=ghcr.io/o/app:1.2\n",
                result.digest
            )
        );
    }

    #[test]
    fn several_images_are_listed_by_name() {
        let mut other = dry_run();
        other.targets[0].tags[0].reference = "quay.io/o/other:3".to_owned();
        let [metadata, digest, ..] = written(&[partial(), failed(), other]);
        let metadata: Value = serde_json::from_str(&metadata.unwrap()).unwrap();
        let names: Vec<&String> = metadata.as_object().unwrap().keys().collect();
        assert_eq!(names, ["ghcr.io/o/app:1.2", "quay.io/o/other:3"]);
        assert_eq!(
            metadata["ghcr.io/o/app:1.2"]["image.name"],
            "ghcr.io/o/app:1.2"
        );
        assert_eq!(digest.unwrap().lines().count(), 2);
    }

    #[test]
    fn unpublished_images_are_skipped() {
        assert_eq!(written(&[failed()]), [None, None, None, None]);
        let [.., dotenv] = written(&[dry_run()]);
        assert_eq!(
            dotenv.unwrap(),
            format!("POLYARCH_DIGEST={}\n", dry_run().digest)
        );
    }

    #[test]
    fn a_value_cannot_add_a_dotenv_line() {
        let [.., dotenv] = written(&[hostile()]);
        assert_eq!(
            dotenv.unwrap(),
            format!("POLYARCH_DIGEST={}\n", hostile().digest)
        );
    }

    #[test]
    fn an_error_names_the_file() {
        let files = Files {
            digest: Some("/nowhere/at/all".into()),
            ..Files::default()
        };
        let error = files.write(&vec![published()].into()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot write /nowhere/at/all")
        );
    }
}
