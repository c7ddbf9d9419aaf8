//! The results of all images of one run.

use std::ops::Deref;

use serde::{Serialize, Serializer};

use super::result::{ErrorResult, IndexResult, NoticeResult, Status, TagResult, TargetResult};
use crate::plan::Target;

/// The version of the JSON that `docs/result.schema.json` describes.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// The results of one run. Dereferences to the results of the images for which an index was planned, in their order.
#[derive(Clone, Debug, Default)]
pub struct Results {
    indexes: Vec<IndexResult>,
    /// Each with its position among all images of the run.
    unplanned: Vec<(usize, UnplannedResult)>,
    are_several: bool,
}

/// An image that failed before an index was planned.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnplannedResult {
    status: Status,
    targets: Vec<TargetResult>,
    notices: Vec<NoticeResult>,
}

/// One image of a run.
#[derive(Serialize)]
#[serde(untagged)]
enum ImageResult<'a> {
    Index(&'a IndexResult),
    Unplanned(&'a UnplannedResult),
}

impl Results {
    /// Creates empty results. If `are_several` is set, every report is a list or an object with a field for each image,
    /// even if there is only one image.
    pub fn new(are_several: bool) -> Self {
        Self {
            are_several,
            ..Self::default()
        }
    }

    /// Adds the next image.
    pub fn push(&mut self, result: IndexResult) {
        self.indexes.push(result);
    }

    /// Adds the next image, for which no index was planned.
    pub fn push_unplanned(&mut self, result: UnplannedResult) {
        let position = self.indexes.len() + self.unplanned.len();
        self.unplanned.push((position, result));
    }

    /// Returns whether the reports are lists, even if there is only one image.
    pub fn are_several(&self) -> bool {
        self.are_several
    }

    /// Returns whether there is no result at all.
    pub fn are_none(&self) -> bool {
        self.indexes.is_empty() && self.unplanned.is_empty()
    }

    /// Returns the first index that was published, or would be published in a real run.
    pub fn first_good(&self) -> Option<&IndexResult> {
        self.indexes.iter().find(|result| result.status.has_index())
    }

    /// Adds a notice about the whole run to the first image, unless an image already has it.
    pub fn notice(&mut self, severity: &'static str, text: &str) {
        let mut known = self.indexes.iter().flat_map(|result| &result.notices);
        if known.any(|notice| notice.severity == severity && notice.text == text) {
            return;
        }
        if let Some(first) = self.indexes.first_mut() {
            first.notices.push(NoticeResult {
                severity,
                text: text.to_owned(),
            });
        }
    }

    /// Returns all images, in the order of the command.
    fn images(&self) -> Vec<ImageResult<'_>> {
        let mut images: Vec<_> = self.indexes.iter().map(ImageResult::Index).collect();
        for (position, result) in &self.unplanned {
            images.insert(*position, ImageResult::Unplanned(result));
        }
        images
    }
}

impl Deref for Results {
    type Target = [IndexResult];

    fn deref(&self) -> &[IndexResult] {
        &self.indexes
    }
}

impl From<Vec<IndexResult>> for Results {
    fn from(indexes: Vec<IndexResult>) -> Self {
        Self {
            are_several: indexes.len() > 1,
            indexes,
            unplanned: Vec::new(),
        }
    }
}

/// Serialises one image as an object, and several as `{"results": […]}`. The first field is `schemaVersion`.
impl Serialize for Results {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Versioned<T> {
            schema_version: u32,
            #[serde(flatten)]
            result: T,
        }
        #[derive(Serialize)]
        struct Several<'a> {
            results: Vec<ImageResult<'a>>,
        }
        fn versioned<T>(result: T) -> Versioned<T> {
            Versioned {
                schema_version: SCHEMA_VERSION,
                result,
            }
        }
        let results = self.images();
        match &results[..] {
            [result] if !self.are_several => versioned(result).serialize(serializer),
            _ => versioned(Several { results }).serialize(serializer),
        }
    }
}

impl UnplannedResult {
    /// Creates the result of an image for `targets` that failed with `error`.
    pub fn new(targets: &[Target], error: &ErrorResult) -> Self {
        let failed = |target: &Target| TargetResult {
            name: target.location.to_string(),
            is_layout: target.location.repository().is_none(),
            status: Status::Failed,
            tags: target
                .tags
                .iter()
                .map(|tag| TagResult::new(&target.location, tag, Status::Failed))
                .collect(),
            operations: Vec::new(),
            error: Some(error.clone()),
        };
        Self {
            status: Status::Failed,
            targets: targets.iter().map(failed).collect(),
            notices: Vec::new(),
        }
    }
}
