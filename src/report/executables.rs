//! The executables of an image that were compared with its platform.

use std::fmt;

use serde::Serialize;

use crate::binaries::Executable;

/// An executable that matches the platform of its image.
#[derive(Clone, Debug, Serialize)]
pub struct ExecutableResult {
    /// The path in the image, with all links resolved.
    pub path: String,
    /// The machine in its header: `x86-64`, `aarch64`. `None` for a script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

impl From<&Executable> for ExecutableResult {
    fn from(executable: &Executable) -> Self {
        Self {
            path: executable.path.clone(),
            machine: executable.format.map(|format| format.to_string()),
        }
    }
}

impl fmt::Display for ExecutableResult {
    /// Displays `/app is aarch64` or `/entry.sh is a script`. The path may contain control characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.machine {
            Some(machine) => write!(f, "{} is {machine}", self.path),
            None => write!(f, "{} is a script", self.path),
        }
    }
}
