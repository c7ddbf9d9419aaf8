//! What became of all images of one run: those that came to an index, and those that failed before there was one.

use std::ops::Deref;

use serde::{Serialize, Serializer};

use super::result::{ErrorResult, IndexResult, NoticeResult, Status, TagResult, TargetResult};
use crate::execute::Change;
use crate::plan::Target;

/// The results of one run. As a slice: those that came to an index, in their order.
#[derive(Clone, Debug, Default)]
pub struct Results {
    indexes: Vec<IndexResult>,
    /// With the place of each among all images of the run.
    unplanned: Vec<(usize, UnplannedResult)>,
    are_several: bool,
}

/// An image that came to no index: a source is missing, or the plan was refused.
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
    /// Nothing yet. `are_several`: the command names several images, however many of them come to an index.
    pub fn new(are_several: bool) -> Self {
        Self {
            are_several,
            ..Self::default()
        }
    }

    /// The next image came to an index.
    pub fn push(&mut self, result: IndexResult) {
        self.indexes.push(result);
    }

    /// The next image did not.
    pub fn push_unplanned(&mut self, result: UnplannedResult) {
        let place = self.indexes.len() + self.unplanned.len();
        self.unplanned.push((place, result));
    }

    /// Whether the command names several images: then every report is a list, or an object by name.
    pub fn are_several(&self) -> bool {
        self.are_several
    }

    /// Whether there is nothing to tell of any image.
    pub fn are_none(&self) -> bool {
        self.indexes.is_empty() && self.unplanned.is_empty()
    }

    /// Something that a person should know of the whole run: told with the first image, unless one tells it already.
    pub fn notice(&mut self, severity: &'static str, text: &str) {
        let told = self.indexes.iter().flat_map(|result| &result.notices);
        let mut told = told.filter(|notice| notice.severity == severity);
        if told.any(|notice| notice.text == text) {
            return;
        }
        if let Some(first) = self.indexes.first_mut() {
            first.notices.push(NoticeResult {
                severity,
                text: text.to_owned(),
            });
        }
    }

    /// All images, in the order of the command.
    fn images(&self) -> Vec<ImageResult<'_>> {
        let mut images: Vec<_> = self.indexes.iter().map(ImageResult::Index).collect();
        for (place, result) in &self.unplanned {
            images.insert(*place, ImageResult::Unplanned(result));
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

/// One image as an object, several as `{"results": […]}`.
impl Serialize for Results {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Several<'a> {
            results: Vec<ImageResult<'a>>,
        }
        let results = self.images();
        match &results[..] {
            [result] if !self.are_several => result.serialize(serializer),
            _ => Several { results }.serialize(serializer),
        }
    }
}

impl UnplannedResult {
    /// An image that was meant for `targets`, and why it came to nothing.
    pub fn new(targets: &[Target], error: &ErrorResult) -> Self {
        let failed = |target: &Target| TargetResult {
            name: target.location.to_string(),
            is_layout: target.location.repository().is_none(),
            status: Status::Failed,
            tags: target
                .tags
                .iter()
                .map(|tag| TagResult {
                    reference: format!("{}:{tag}", target.location),
                    status: Status::Failed,
                    error: None,
                    change: Change::None,
                })
                .collect(),
            error: Some(error.clone()),
        };
        Self {
            status: Status::Failed,
            targets: targets.iter().map(failed).collect(),
            notices: Vec::new(),
        }
    }
}
