//! Edits an entry of a draft, or the draft itself.

use super::plan::{find, names};
use crate::draft::{Drafts, Entry};
use crate::ops::OpsError;
use crate::spec::{Annotations, Platform, Reference};

/// The changes to an entry, or to the list itself.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    pub os: Option<String>,
    pub arch: Option<String>,
    pub variant: Option<String>,
    pub os_version: Option<String>,
    /// Features to add.
    pub os_features: Vec<String>,
    /// Annotations to set; an empty value removes one.
    pub annotations: Vec<(String, String)>,
    /// Accepts unknown names of operating systems and architectures.
    pub force: bool,
}

impl Edit {
    pub fn changes_platform(&self) -> bool {
        self.os.is_some()
            || self.arch.is_some()
            || self.variant.is_some()
            || self.os_version.is_some()
            || !self.os_features.is_empty()
    }
}

/// Changes the entry `image` of a draft, or the draft itself if `image` is `None`.
pub fn annotate(
    list: &Reference,
    image: Option<&Reference>,
    edit: &Edit,
    drafts: &Drafts,
) -> Result<(), OpsError> {
    drafts.update(list, |draft| {
        let mut draft = draft.ok_or_else(|| OpsError::NoDraft { list: list.clone() })?;
        let before = draft.clone();
        match image {
            Some(image) => {
                let position = find(&draft, image)?.ok_or_else(|| OpsError::NoEntry {
                    names: names(&draft.entries),
                })?;
                let entry = &mut draft.entries[position];
                let had_platform = entry.descriptor.platform.is_some();
                edit_platform(entry, edit)?;
                let platform = &mut entry.descriptor.platform;
                platform.take_if(|platform| !had_platform && *platform == Platform::default());
                apply(&mut entry.descriptor.annotations, &edit.annotations);
            }
            None => apply(&mut draft.annotations, &edit.annotations),
        }
        if draft != before {
            draft.mark_changed();
        }
        Ok::<_, OpsError>(Some(draft))
    })?;
    Ok(())
}

/// Sets annotations. An empty value removes the annotation.
fn apply(annotations: &mut Annotations, changes: &[(String, String)]) {
    for (key, value) in changes {
        if value.is_empty() {
            annotations.remove(key);
        } else {
            annotations.insert(key.clone(), value.clone());
        }
    }
}

/// Sets the fields of the platform. As with Docker, an empty `os` or `arch` changes nothing, but an empty `variant` or
/// `os_version` clears the field.
fn edit_platform(entry: &mut Entry, edit: &Edit) -> Result<(), OpsError> {
    if !edit.changes_platform() {
        return Ok(());
    }
    let platform = entry
        .descriptor
        .platform
        .get_or_insert_with(Platform::default);
    if let Some(os) = edit.os.as_deref().filter(|os| !os.is_empty()) {
        platform.os = if edit.force {
            os.to_owned()
        } else {
            Platform::known_os(os).map_err(OpsError::UnknownPlatform)?
        };
    }
    if let Some(arch) = edit.arch.as_deref().filter(|arch| !arch.is_empty()) {
        let (architecture, variant) = if edit.force {
            (arch.to_owned(), String::new())
        } else {
            Platform::known_architecture(arch).map_err(OpsError::UnknownPlatform)?
        };
        platform.architecture = architecture;
        if !variant.is_empty() {
            platform.variant = variant;
        }
    }
    if let Some(variant) = &edit.variant {
        platform.variant.clone_from(variant);
    }
    if let Some(version) = &edit.os_version {
        platform.os_version.clone_from(version);
    }
    for feature in &edit.os_features {
        if !platform.os_features.contains(feature) {
            platform.os_features.push(feature.clone());
        }
    }
    platform.check_limits().map_err(OpsError::UnknownPlatform)
}
