//! Limits on the size of lists.

use super::error::SourceError;
use crate::spec::limits::MAX_INDEX_ENTRIES;

/// The maximum size of an argument, variable or spec file in bytes.
pub(super) const MAX_TEXT: usize = 4 << 20;
/// The maximum number of sources, targets or rules in one list.
pub const MAX_ITEMS: usize = MAX_INDEX_ENTRIES;

pub(super) fn check_size(text: &str) -> Result<(), SourceError> {
    if text.len() > MAX_TEXT {
        return Err(SourceError::TooLarge {
            what: "the list".to_owned(),
            limit: MAX_TEXT,
        });
    }
    Ok(())
}

pub(super) fn check_count(count: usize) -> Result<(), SourceError> {
    if count > MAX_ITEMS {
        return Err(SourceError::TooMany { limit: MAX_ITEMS });
    }
    Ok(())
}
