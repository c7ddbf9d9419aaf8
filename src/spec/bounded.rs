//! Deserialisation of lists and maps with limits, so that a hostile document does not fill the memory.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Annotations;
use super::json::null_is_default;
use super::limits::{MAX_DESCRIPTOR_TEXT, MAX_OS_FEATURES};

pub(super) fn os_features<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    null_is_default(value).map(|List::<MAX_OS_FEATURES>(items)| items)
}

pub(super) fn urls<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    null_is_default(value).map(|List::<{ usize::MAX }>(items)| items)
}

pub(super) fn annotations<'de, D: Deserializer<'de>>(value: D) -> Result<Annotations, D::Error> {
    null_is_default(value).map(|Map(annotations)| annotations)
}

/// Counts the bytes of an entry.
#[derive(Default)]
struct Size(usize);

impl Size {
    fn add<E: Error>(&mut self, text: &str) -> Result<(), E> {
        // Empty strings take memory too.
        self.0 += text.len().max(1);
        if self.0 > MAX_DESCRIPTOR_TEXT {
            let message = format_args!("more than {MAX_DESCRIPTOR_TEXT} bytes");
            return Err(E::custom(message));
        }
        Ok(())
    }
}

/// At most `MAX` strings.
#[derive(Default)]
struct List<const MAX: usize>(Vec<String>);

#[derive(Default)]
struct Map(Annotations);

impl<'de, const MAX: usize> Deserialize<'de> for List<MAX> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_seq(Self::default())
    }
}

impl<'de, const MAX: usize> Visitor<'de> for List<MAX> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        let mut size = Size::default();
        while let Some(item) = list.next_element::<String>()? {
            size.add(&item)?;
            self.0.push(item);
            if self.0.len() > MAX {
                return Err(A::Error::custom(format_args!("more than {MAX} items")));
            }
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Map {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Map {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let mut size = Size::default();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            size.add(&key)?;
            size.add(&value)?;
            self.0.insert(key, value);
        }
        Ok(self)
    }
}
