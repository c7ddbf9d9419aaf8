//! Draft files.

use polyarch::draft::{read, write};

/// Checks that an accepted draft file is complete and has the same content after it is written and read again.
pub fn draft(data: &[u8]) {
    let Ok(draft) = read(data) else { return };
    for entry in &draft.entries {
        assert!(entry.manifest.digest.matches(&entry.manifest.bytes));
        assert_eq!(entry.descriptor.digest, entry.manifest.digest);
    }
    let Ok(written) = write(&draft) else {
        panic!("a draft that was read can be written");
    };
    let Ok(again) = read(&written) else {
        panic!("a draft that was written can be read");
    };
    assert_eq!(again, draft);
}
