//! The origin of a credential, for messages.

use std::fmt;
use std::path::PathBuf;

/// A document with credentials: a file, or an environment variable with the same JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    File(PathBuf),
    /// The name of a variable.
    Variable(String),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// Where a credential comes from. Its `Display` fits after "credentials from".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Environment variables, by name.
    Variables(Vec<String>),
    /// An entry in `auths` of a document.
    Entry {
        location: Location,
        /// The key of the entry, as it is written in the document.
        key: String,
    },
    Helper {
        /// The program, such as `docker-credential-ecr-login`.
        program: String,
        /// The name that was passed to it.
        server: String,
        /// The document that names the helper.
        location: Location,
    },
    /// A source of a cloud, by its name.
    Cloud(String),
    Anonymous,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variables(names) => f.write_str(&names.join(" and ")),
            Self::Entry { location, key } => write!(f, "{location} (key {key})"),
            Self::Helper {
                program,
                server,
                location,
            } => write!(f, "{program} (for {server}, named in {location})"),
            Self::Cloud(name) => f.write_str(name),
            Self::Anonymous => f.write_str("no source (anonymous access)"),
        }
    }
}
