//! Results that are computed once, even if several tasks need them at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::sync::Mutex;

pub(super) struct Memo<K, V> {
    cells: Mutex<HashMap<K, Arc<OnceCell<V>>>>,
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    pub(super) fn new() -> Self {
        Self {
            cells: Mutex::new(HashMap::new()),
        }
    }

    /// Returns the stored result for `key`, or computes it with `work`. `work` runs at most once for a key unless it is
    /// cancelled.
    pub(super) async fn once<F>(&self, key: K, work: F) -> V
    where
        F: Future<Output = V>,
    {
        let cell = {
            let mut cells = self.cells.lock();
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_init(|| work).await.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_once_for_a_key() {
        let memo = Memo::new();
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let work = || async { asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) };
        let (first, second) = tokio::join!(memo.once("a", work()), memo.once("a", work()));
        assert_eq!((first, second), (0, 0));
        assert_eq!(memo.once("b", work()).await, 1);
    }
}
