//! Fuzz targets of this room: see [`crate::fuzzing`].

#![expect(clippy::missing_panics_doc, reason = "a panic is how a target tells")]

use super::file::{read, write};

/// A draft file: what is taken for a draft is whole, and is the same when it is written and read again.
pub fn draft(data: &[u8]) {
    let Ok(draft) = read(data) else { return };
    for entry in &draft.entries {
        assert!(entry.manifest.digest.matches(&entry.manifest.bytes));
        assert_eq!(entry.descriptor.digest, entry.manifest.digest);
    }
    let Ok(written) = write(&draft) else {
        panic!("what was read can be written");
    };
    let Ok(again) = read(&written) else {
        panic!("what was written can be read");
    };
    assert_eq!(again, draft);
}
