//! The YAML of a spec file: the keys of manifest-tool and polyarch, and error messages.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::{SourceError, shown};
use crate::spec::nearest;

/// One image to publish: manifest-tool's `types.YAMLInput`, and `sources`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) image: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) manifests: Option<Vec<Entry>>,
    pub(super) sources: Option<Vec<String>>,
    pub(super) annotations: Option<Pairs>,
}

/// An entry of `manifests`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) image: Option<String>,
    pub(super) platform: Option<PlatformText>,
    pub(super) annotations: Option<Pairs>,
}

/// A platform as a map of fields, or as `linux/arm/v7`.
#[derive(Debug)]
pub(super) enum PlatformText {
    Parts(Box<PlatformParts>),
    Text(String),
}

/// The fields of a platform: the OCI names `os.version` and `os.features`, manifest-tool's names for them without a
/// dot, and `features` of the Docker format, which manifest-tool v1 supports.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlatformParts {
    pub(super) architecture: Option<String>,
    pub(super) os: Option<String>,
    pub(super) variant: Option<String>,
    #[serde(rename = "os.version", alias = "osversion")]
    pub(super) os_version: Option<String>,
    #[serde(rename = "os.features", alias = "osfeatures")]
    pub(super) os_features: Option<Vec<String>>,
    pub(super) features: Option<Vec<String>>,
}

impl<'de> Deserialize<'de> for PlatformText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PlatformText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a platform: architecture and os, or a string such as linux/arm/v7")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(PlatformText::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let parts = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PlatformText::Parts(parts))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Annotations in their order.
#[derive(Debug, Default)]
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations: keys with strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key.trim().is_empty() {
                        return Err(A::Error::custom("annotation without a key"));
                    }
                    // A missing value is an empty string, as in manifest-tool.
                    let value: Option<String> = map.next_value()?;
                    pairs.push((key, value.unwrap_or_default()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Parses the documents of a file, except empty ones. The limits exceed every real spec file and bound the
/// expansion of aliases.
pub(super) fn parse(text: &str) -> Result<Vec<Document>, SourceError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 8,
        },
        budget: serde_saphyr::budget! {
            max_depth: 16,
            max_documents: 1_000,
            max_aliases: 2_000,
            max_anchors: 2_000,
            max_merge_keys: 2_000,
            max_recorded_anchor_bytes: 64 << 10,
        },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| explain(&error))
}

fn explain(error: &serde_saphyr::Error) -> SourceError {
    let serde_saphyr::Error::SerdeUnknownField {
        field, expected, ..
    } = error.without_snippet()
    else {
        let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        return SourceError::spec(shown(&message.replace(['\n', '\r'], " ")));
    };
    let line = error.location().map_or(0, |location| location.line());
    let field = shown(field);
    // `arch` means `architecture`, although the edit distance is large.
    let longer = expected.iter().find(|known| known.starts_with(&field));
    let advice = match longer.copied().or_else(|| nearest(&field, expected)) {
        Some(known) => format!("did you mean {known:?}?"),
        None => format!("known keys: {}", expected.join(", ")),
    };
    SourceError::spec(format!("unknown key {field:?} in line {line} ({advice})"))
}
