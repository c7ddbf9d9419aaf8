//! Where content is stored.

use std::fmt;

use super::{LayoutPath, Repository};

/// A repository in a registry, or an OCI image layout on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Location {
    Repository(Repository),
    Layout(LayoutPath),
}

impl Location {
    /// Returns the repository, or `None` for a layout.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Repository(repository) => Some(repository),
            Self::Layout(_) => None,
        }
    }
}

impl From<Repository> for Location {
    fn from(repository: Repository) -> Self {
        Self::Repository(repository)
    }
}

impl From<LayoutPath> for Location {
    fn from(layout: LayoutPath) -> Self {
        Self::Layout(layout)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(repository) => repository.fmt(f),
            Self::Layout(layout) => layout.fmt(f),
        }
    }
}
