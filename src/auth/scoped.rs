//! The files of docker/login-action (input `scope`) and buildx for single repositories and actions:
//! `<base>/<registry>[/<repository>][@<action>[,<action>...]]/config.json`.
//!
//! <https://docs.docker.com/build/building/registry-auth/>

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::file::FileError;
use super::{KeychainError, Scope};
use crate::spec::RegistryHost;

/// The maximum number of directory entries that are read.
const MAX_ENTRIES: usize = 10_000;

/// Returns the files for a registry and scope, in buildx's order: the files of the repository before the files of the registry,
/// and files with more actions before files with fewer. A file with actions is used only if `scope` has all of them.
pub(super) async fn files(
    base: &Path,
    host: &RegistryHost,
    scope: &Scope,
) -> Result<Vec<PathBuf>, KeychainError> {
    let mut found = Vec::new();
    for directory in list(base).await? {
        if directory.name.parse().ok().as_ref() != Some(host) {
            continue;
        }
        // buildx and docker/login-action name Docker Hub `registry-1.docker.io`.
        let is_usual = directory.name.eq_ignore_ascii_case(host.endpoint());
        found.push((false, is_usual, directory.clone()));
        if directory.actions.is_none() {
            let of_repository = of_repository(&directory.path, scope.repository()).await?;
            found.extend(
                of_repository
                    .into_iter()
                    .map(|directory| (true, is_usual, directory)),
            );
        }
    }
    found.retain(|(_, _, directory)| directory.serves(scope));
    found.sort_by_key(|(of_repository, is_usual, directory)| {
        let actions = directory.actions.as_ref().map_or(0, BTreeSet::len);
        (Reverse(*of_repository), Reverse(actions), !is_usual)
    });
    let mut files = Vec::new();
    for (_, _, directory) in found {
        let file = directory.path.join("config.json");
        // A file whose existence is unknown is kept: reading it reports the cause.
        if tokio::fs::try_exists(&file).await.unwrap_or(true) {
            files.push(file);
        }
    }
    Ok(files)
}

/// Returns the directories of a repository below the directory of its registry.
async fn of_repository(registry: &Path, repository: &str) -> Result<Vec<Directory>, KeychainError> {
    let plain =
        |component: &str| !matches!(component, "" | "." | "..") && !component.contains('\\');
    if !repository.split('/').all(plain) {
        return Ok(Vec::new());
    }
    let (parent, last) = match repository.rsplit_once('/') {
        Some((parents, last)) => (registry.join(parents), last),
        None => (registry.to_owned(), repository),
    };
    let mut directories = list(&parent).await?;
    directories.retain(|directory| directory.name == last);
    Ok(directories)
}

/// A directory `name[@action,...]`.
#[derive(Debug, Clone)]
struct Directory {
    path: PathBuf,
    name: String,
    /// `None` for any action.
    actions: Option<BTreeSet<String>>,
}

impl Directory {
    fn new(parent: &Path, file_name: &str) -> Self {
        let (name, actions) = file_name.split_once('@').unwrap_or((file_name, ""));
        let actions: BTreeSet<String> = actions
            .split(',')
            .map(str::trim)
            .filter(|action| !action.is_empty())
            .map(str::to_owned)
            .collect();
        Self {
            path: parent.join(file_name),
            name: name.to_owned(),
            actions: (!actions.is_empty()).then_some(actions),
        }
    }

    fn serves(&self, scope: &Scope) -> bool {
        self.actions
            .iter()
            .flatten()
            .all(|action| scope.allows(action))
    }
}

/// Returns the entries of a directory, sorted by name. Empty if the directory does not exist.
async fn list(path: &Path) -> Result<Vec<Directory>, KeychainError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let unreadable = |error| FileError::unreadable(path, error);
    let mut entries = match tokio::fs::read_dir(path).await {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error).into()),
    };
    let mut found = Vec::new();
    while found.len() < MAX_ENTRIES
        && let Some(entry) = entries.next_entry().await.map_err(unreadable)?
    {
        if let Some(name) = entry.file_name().to_str() {
            found.push(Directory::new(path, name));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(present: &[&str], host: &str, scope: &Scope) -> Vec<String> {
        let base = tempfile::tempdir().expect("a directory");
        for name in present {
            let directory = base.path().join(name);
            std::fs::create_dir_all(&directory).expect("created");
            std::fs::write(directory.join("config.json"), "{}").expect("written");
        }
        files(base.path(), &host.parse().expect("a host"), scope)
            .await
            .expect("readable")
            .into_iter()
            .map(|path| {
                let path = path.strip_prefix(base.path()).expect("below the base");
                path.display().to_string()
            })
            .collect()
    }

    const PRESENT: [&str; 10] = [
        "ghcr.io",
        "ghcr.io@push",
        "ghcr.io@pull,push",
        "ghcr.io/team/app",
        "ghcr.io/team/app@pull",
        "ghcr.io/team/app@push, pull",
        "ghcr.io/team/application",
        "ghcr.io.example/team/app",
        "ghcr.io:5000/team/app",
        "ghcr.io/team@pull",
    ];

    #[tokio::test]
    async fn a_push_finds_the_repository_first_and_the_most_actions_first() {
        assert_eq!(
            found(&PRESENT, "ghcr.io", &Scope::push("team/app")).await,
            [
                "ghcr.io/team/app@push, pull/config.json",
                "ghcr.io/team/app@pull/config.json",
                "ghcr.io/team/app/config.json",
                "ghcr.io@pull,push/config.json",
                "ghcr.io@push/config.json",
                "ghcr.io/config.json",
            ]
        );
    }

    #[tokio::test]
    async fn a_pull_does_not_find_the_files_for_pushes() {
        assert_eq!(
            found(&PRESENT, "ghcr.io", &Scope::pull("team/app")).await,
            [
                "ghcr.io/team/app@pull/config.json",
                "ghcr.io/team/app/config.json",
                "ghcr.io/config.json",
            ]
        );
    }

    #[tokio::test]
    async fn docker_hub_is_called_registry_1() {
        let present = ["registry-1.docker.io/library/nginx", "docker.io@pull"];
        assert_eq!(
            found(&present, "docker.io", &Scope::pull("library/nginx")).await,
            [
                "registry-1.docker.io/library/nginx/config.json",
                "docker.io@pull/config.json",
            ]
        );
    }

    #[tokio::test]
    async fn a_hostile_repository_name_finds_no_files() {
        let present = ["ghcr.io", "ghcr.io/a", "quay.io/a"];
        for repository in ["../quay.io/a", "..", "a/../a", "/a", ""] {
            let files = found(&present, "ghcr.io", &Scope::pull(repository)).await;
            assert_eq!(files, ["ghcr.io/config.json"], "{repository}");
        }
    }

    #[tokio::test]
    async fn no_directory_is_no_error() {
        let scope = Scope::pull("a");
        assert!(found(&[], "ghcr.io", &scope).await.is_empty());
        let nowhere = Path::new("/nonexistent/polyarch");
        let host: RegistryHost = "ghcr.io".parse().expect("a host");
        assert!(
            files(nowhere, &host, &scope)
                .await
                .expect("no error")
                .is_empty()
        );
    }
}
