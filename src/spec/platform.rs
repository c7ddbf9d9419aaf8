//! Platforms: their JSON form, their text form, and comparison.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::limits::{MAX_OS_FEATURES, MAX_PLATFORM_FIELD};
use super::platform_names::{
    ARCHITECTURES, OPERATING_SYSTEMS, nearest, normalised_architecture, normalised_os,
};
use crate::text::{Printable, is_printable};

/// The platform of an image, from a descriptor or an image config.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md>.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `GOARCH`: `amd64`, `arm64`, `arm`.
    #[serde(default)]
    pub architecture: String,
    /// `GOOS`: `linux`, `windows`.
    #[serde(default)]
    pub os: String,
    /// The version of the operating system. Set in Windows images.
    #[serde(
        default,
        rename = "os.version",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// Required features of the operating system, such as `win32k`.
    #[serde(
        default,
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::bounded::os_features"
    )]
    pub os_features: Vec<String>,
    /// The variant of the architecture: `v7`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Unknown fields, passed on unchanged.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Why a text is not a valid platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    #[error(
        "invalid platform {0:?}: expected os/arch[/variant], for example linux/amd64 or linux/arm/v7"
    )]
    Format(String),
    #[error("unknown operating system {name:?}{}", did_you_mean(*nearest))]
    Os {
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("unknown architecture {name:?}{}", did_you_mean(*nearest))]
    Architecture {
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("invalid platform: {0} is longer than {MAX_PLATFORM_FIELD} bytes")]
    TooLong(&'static str),
    #[error("invalid platform: more than {MAX_OS_FEATURES} os.features")]
    TooManyFeatures,
    #[error("invalid platform: {field} {value:?} contains a comma or white space")]
    Separator { field: &'static str, value: String },
}

fn did_you_mean(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
}

impl Platform {
    /// Returns whether the operating system or the architecture is missing or is `unknown`, the placeholder in
    /// attestations.
    pub fn is_unknown(&self) -> bool {
        let unknown = |text: &str| text.is_empty() || text == "unknown";
        unknown(&self.os) || unknown(&self.architecture)
    }

    /// Returns whether the platform is usable in an index: it has an operating system and an architecture, and no
    /// control characters.
    pub fn is_complete(&self) -> bool {
        let texts = [
            &self.os,
            &self.architecture,
            &self.os_version,
            &self.variant,
        ];
        !self.os.is_empty()
            && !self.architecture.is_empty()
            && texts
                .into_iter()
                .chain(&self.os_features)
                .all(|text| text.chars().all(is_printable))
    }

    /// Checks the limits on names and features.
    pub fn check_limits(&self) -> Result<(), PlatformError> {
        let fields = [
            ("os", &self.os),
            ("architecture", &self.architecture),
            ("variant", &self.variant),
            ("os.version", &self.os_version),
        ];
        let features = self.os_features.iter().map(|text| ("os.features", text));
        for (field, text) in fields.into_iter().chain(features) {
            if text.len() > MAX_PLATFORM_FIELD {
                return Err(PlatformError::TooLong(field));
            }
        }
        for (field, text) in &fields[..2] {
            if text.contains(|c: char| c == ',' || c.is_whitespace()) {
                let value = (*text).clone();
                return Err(PlatformError::Separator { field, value });
            }
        }
        if self.os_features.len() > MAX_OS_FEATURES {
            return Err(PlatformError::TooManyFeatures);
        }
        Ok(())
    }

    /// Sets missing fields from the config of the image, as buildx does: the variant together with the architecture,
    /// version and features together with the operating system. A platform that has both is not changed.
    #[must_use]
    pub fn completed_by(mut self, config: &Self) -> Self {
        if !self.os.is_empty() && !self.architecture.is_empty() {
            return self;
        }
        if self.architecture.is_empty() {
            self.architecture.clone_from(&config.architecture);
        }
        if self.variant.is_empty() && self.architecture == config.architecture {
            self.variant.clone_from(&config.variant);
        }
        if self.os.is_empty() {
            self.os.clone_from(&config.os);
        }
        if self.os == config.os && self.os_version.is_empty() && self.os_features.is_empty() {
            self.os_version.clone_from(&config.os_version);
            self.os_features.clone_from(&config.os_features);
        }
        self
    }

    /// Returns the canonical form for comparison, as containerd defines it
    /// (<https://github.com/containerd/platforms/blob/main/database.go>): `x86_64` is `amd64`, `aarch64` and `arm64/v8`
    /// are `arm64`, `arm` without variant is `arm/v7`, `macos` is `darwin`.
    #[must_use]
    pub fn normalised(&self) -> Self {
        let mut platform = self.clone();
        platform.os = normalised_os(&self.os);
        let (architecture, variant) = normalised_architecture(&self.architecture, &self.variant);
        platform.architecture = architecture;
        platform.variant = variant;
        platform
    }

    /// Returns whether an image of this platform satisfies a request for `wanted`: the normalised names are equal, and
    /// so are version and features if `wanted` has them.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let (have, want) = (self.normalised(), wanted.normalised());
        have.os == want.os
            && have.architecture == want.architecture
            && have.variant == want.variant
            && (want.os_version.is_empty() || have.os_version == want.os_version)
            && (want.os_features.is_empty() || have.sorted_features() == want.sorted_features())
    }

    /// Returns a key from all fields, normalised. Two entries of an index with equal keys conflict.
    pub fn key(&self) -> String {
        let mut normal = self.normalised();
        normal.os_features = normal.sorted_features();
        normal.to_string()
    }

    fn sorted_features(&self) -> Vec<String> {
        let mut features = self.os_features.clone();
        features.sort();
        features.dedup();
        features
    }

    /// Returns the canonical name of an operating system. The error for an unknown name suggests the nearest.
    pub fn known_os(name: &str) -> Result<String, PlatformError> {
        let os = normalised_os(name);
        if OPERATING_SYSTEMS.contains(&os.as_str()) {
            Ok(os)
        } else {
            Err(PlatformError::Os {
                name: name.to_owned(),
                nearest: nearest(&os, OPERATING_SYSTEMS),
            })
        }
    }

    /// Returns the canonical name of an architecture, and the variant that an alias implies (`armhf` is `arm/v7`). The
    /// error for an unknown name suggests the nearest.
    pub fn known_architecture(name: &str) -> Result<(String, String), PlatformError> {
        if ARCHITECTURES.contains(&name) {
            return Ok((name.to_owned(), String::new()));
        }
        let (architecture, variant) = normalised_architecture(name, "");
        if ARCHITECTURES.contains(&architecture.as_str()) {
            Ok((architecture, variant))
        } else {
            Err(PlatformError::Architecture {
                name: name.to_owned(),
                nearest: nearest(&architecture, ARCHITECTURES),
            })
        }
    }
}

/// Displays `os/arch[/variant]`, with version and features in containerd's form:
/// `windows(10.0.17763+win32k)/amd64`.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.os).fmt(f)?;
        if !self.os_version.is_empty() || !self.os_features.is_empty() {
            write!(f, "({}", Printable(&self.os_version))?;
            for feature in &self.os_features {
                write!(f, "+{}", Printable(feature))?;
            }
            f.write_str(")")?;
        }
        write!(f, "/{}", Printable(&self.architecture))?;
        if !self.variant.is_empty() {
            write!(f, "/{}", Printable(&self.variant))?;
        }
        Ok(())
    }
}

/// Parses the displayed form. Names are normalised, unknown ones are errors.
impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || PlatformError::Format(text.chars().take(100).collect());
        if !text.chars().all(is_printable) {
            return Err(invalid());
        }
        // A version may contain a slash, but no closing bracket.
        let (os, options, rest) = if let Some((os, tail)) = text.split_once('(') {
            let (options, rest) = tail.split_once(")/").ok_or_else(invalid)?;
            (os, options, rest)
        } else {
            let (os, rest) = text.split_once('/').ok_or_else(invalid)?;
            (os, "", rest)
        };
        let (architecture, variant) = match rest.split_once('/') {
            Some((_, "")) => return Err(invalid()),
            Some((architecture, variant)) => (architecture, variant),
            None => (rest, ""),
        };
        let is_word = |word: &str| {
            word.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if os.is_empty()
            || architecture.is_empty()
            || ![os, architecture, variant].iter().all(|word| is_word(word))
        {
            return Err(invalid());
        }
        let mut options = options.split('+');
        let os_version = options.next().unwrap_or_default().to_owned();
        let (architecture, implied) = Self::known_architecture(architecture)?;
        let variant = if variant.is_empty() {
            implied
        } else {
            variant.to_owned()
        };
        let platform = Self {
            architecture,
            os: Self::known_os(os)?,
            os_version,
            os_features: options.map(str::to_owned).collect(),
            variant,
            extra: Map::new(),
        };
        platform.check_limits()?;
        Ok(platform.normalised())
    }
}

#[cfg(test)]
mod tests;
