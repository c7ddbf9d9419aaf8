//! Removes a draft.

use crate::draft::Drafts;
use crate::ops::OpsError;
use crate::spec::Reference;

/// Removes the draft of a list, even if it is damaged.
pub fn remove(list: &Reference, drafts: &Drafts) -> Result<(), OpsError> {
    if drafts.remove(list)? {
        return Ok(());
    }
    Err(OpsError::NothingToRemove { list: list.clone() })
}
