//! Where the tags point before anything is written: a tag that is right already is left alone, so that a
//! second run moves nothing and immutable tags are no obstacle. Read beside the sources, at no cost in time.

use std::collections::HashMap;

use futures_util::future::join_all;

use crate::plan::Target;
use crate::registry::Access;
use crate::spec::{Digest, Location, Tag};
use crate::store::ManifestName;
use crate::stores::Stores;

/// What the tags of the targets point at now, as far as could be found out.
#[derive(Debug, Default)]
pub struct Survey(HashMap<(Location, Tag), Digest>);

impl Survey {
    /// What a tag points at, if that is known.
    pub fn points_at(&self, place: &Location, tag: &Tag) -> Option<&Digest> {
        self.0.get(&(place.clone(), tag.clone()))
    }
}

/// Looks at every tag of every target. What cannot be looked at counts as unknown: the push that follows says
/// what is wrong with more right to do so.
pub async fn survey(stores: &Stores, targets: &[Target]) -> Survey {
    let looks = targets.iter().flat_map(|target| {
        let exists = Stores::may_exist(&target.location);
        let tags = target.tags.iter().filter(move |_| exists);
        tags.map(|tag| async {
            let store = stores.open(&target.location, Access::Push).await.ok()?;
            let name = ManifestName::Tag(tag.clone());
            let found = store.describe(&name).await.ok()?;
            Some(((target.location.clone(), tag.clone()), found.digest))
        })
    });
    Survey(join_all(looks).await.into_iter().flatten().collect())
}
