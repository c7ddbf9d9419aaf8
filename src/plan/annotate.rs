//! Applies annotation rules at their levels.

use crate::spec::{AnnotationLevel, AnnotationRule, Annotations, Platform};
use crate::text::listed;

use super::entry::{Entry, is_for, platforms_of};
use super::error::PlanError;
use super::input::ManifestAnnotations;
use super::notice::Notice;

/// Rules by level, in their order.
#[derive(Default)]
pub(super) struct Routed<'a> {
    index: Vec<&'a AnnotationRule>,
    entries: Vec<(Option<&'a Platform>, &'a AnnotationRule)>,
    /// The annotations of the descriptor of the index in a layout.
    pub(super) index_descriptor: Annotations,
}

/// Sorts rules by level.
pub(super) fn route<'a>(
    rules: &'a [AnnotationRule],
    policy: ManifestAnnotations,
    notices: &mut Vec<Notice>,
) -> Result<Routed<'a>, PlanError> {
    let mut routed = Routed::default();
    let mut for_manifests = Vec::new();
    for rule in rules {
        let names_index = rule.levels.contains(&AnnotationLevel::Index);
        if rule.levels.is_empty() || names_index {
            routed.index.push(rule);
        }
        for level in &rule.levels {
            match level {
                AnnotationLevel::Index => {}
                AnnotationLevel::ManifestDescriptor(platform) => {
                    routed.entries.push((platform.as_ref(), rule));
                }
                AnnotationLevel::IndexDescriptor => {
                    let value = rule.value.clone();
                    routed.index_descriptor.insert(rule.key.clone(), value);
                }
                AnnotationLevel::Manifest(platform) => {
                    for_manifests.push(rule.key.as_str());
                    match (policy, platform) {
                        (ManifestAnnotations::Error, _) => {
                            let key = rule.key.clone();
                            return Err(PlanError::ManifestAnnotation { key });
                        }
                        (ManifestAnnotations::Index, Some(_)) => {
                            routed.entries.push((platform.as_ref(), rule));
                        }
                        (ManifestAnnotations::Index, None) if !names_index => {
                            routed.index.push(rule);
                        }
                        (ManifestAnnotations::Index | ManifestAnnotations::Ignore, _) => {}
                    }
                }
            }
        }
    }
    if !for_manifests.is_empty() {
        let effect = match policy {
            ManifestAnnotations::Index => {
                "are set on the index or, if they name a platform, on its entries"
            }
            ManifestAnnotations::Ignore | ManifestAnnotations::Error => "are omitted",
        };
        notices.push(Notice::new(format!(
            "annotations for image manifests {effect} (a pushed image cannot be changed): {}",
            listed(for_manifests)
        )));
    }
    Ok(routed)
}

impl Routed<'_> {
    /// Returns the first rule that changes the index or an entry.
    pub(super) fn first(&self) -> Option<&AnnotationRule> {
        let of_entry = || self.entries.first().map(|(_, rule)| *rule);
        self.index.first().copied().or_else(of_entry)
    }

    /// Returns whether a rule sets this annotation of the index.
    pub(super) fn sets_on_index(&self, key: &str) -> bool {
        self.index.iter().any(|rule| rule.key == key)
    }

    /// Applies the rules. A rule for all entries includes attestations, as in buildx.
    pub(super) fn apply(
        &self,
        index: &mut Annotations,
        entries: &mut [Entry<'_>],
    ) -> Result<(), PlanError> {
        for rule in &self.index {
            index.insert(rule.key.clone(), rule.value.clone());
        }
        for (platform, rule) in &self.entries {
            apply_to_entries(*platform, rule, entries)?;
        }
        Ok(())
    }
}

fn apply_to_entries(
    platform: Option<&Platform>,
    rule: &AnnotationRule,
    entries: &mut [Entry<'_>],
) -> Result<(), PlanError> {
    let machine = platform.map(Platform::normalised);
    let mut is_known = false;
    for entry in entries.iter_mut() {
        let matches = match (platform, &machine) {
            (Some(platform), Some(machine)) => is_for(entry, platform, machine),
            _ => true,
        };
        if matches {
            is_known = true;
            let annotations = &mut entry.descriptor.annotations;
            annotations.insert(rule.key.clone(), rule.value.clone());
        }
    }
    match platform {
        Some(platform) if !is_known => Err(PlanError::AnnotationWithoutEntry {
            key: rule.key.clone(),
            platform: Box::new(platform.clone()),
            found: platforms_of(entries),
        }),
        _ => Ok(()),
    }
}
