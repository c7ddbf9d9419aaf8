//! Deserialisation of lists and maps with limits, so that a hostile document does not fill the memory.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};

use super::Annotations;
use super::limits::{MAX_DESCRIPTOR_TEXT, MAX_OS_FEATURES};

pub(super) fn os_features<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    value.deserialize_option(List {
        max_items: MAX_OS_FEATURES,
    })
}

pub(super) fn urls<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    value.deserialize_option(List {
        max_items: usize::MAX,
    })
}

pub(super) fn annotations<'de, D: Deserializer<'de>>(value: D) -> Result<Annotations, D::Error> {
    value.deserialize_option(Map)
}

/// Counts the bytes of an entry.
#[derive(Default)]
struct Size(usize);

impl Size {
    fn add<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        // Empty strings take memory too.
        self.0 += text.len().max(1);
        if self.0 > MAX_DESCRIPTOR_TEXT {
            return Err(E::custom(format_args!(
                "more than {MAX_DESCRIPTOR_TEXT} bytes"
            )));
        }
        Ok(())
    }
}

struct List {
    max_items: usize,
}

impl<'de> Visitor<'de> for List {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
        value.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut size) = (Vec::new(), Size::default());
        while let Some(item) = list.next_element::<String>()? {
            size.add(&item)?;
            items.push(item);
            if items.len() > self.max_items {
                let message = format_args!("more than {} items", self.max_items);
                return Err(A::Error::custom(message));
            }
        }
        Ok(items)
    }
}

struct Map;

impl<'de> Visitor<'de> for Map {
    type Value = Annotations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Annotations::new())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Annotations::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
        value.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut annotations, mut size) = (Annotations::new(), Size::default());
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            size.add(&key)?;
            size.add(&value)?;
            annotations.insert(key, value);
        }
        Ok(annotations)
    }
}
