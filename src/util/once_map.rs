//! What is worked out once, whoever asks first.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// Values that are computed once per key, whoever asks first; errors are not kept.
#[derive(Debug)]
pub(crate) struct Once<K, V> {
    cells: Mutex<HashMap<K, Arc<OnceCell<V>>>>,
}

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Once { cells: Mutex::default() }
    }
}

impl<K: Eq + Hash, V: Clone> Once<K, V> {
    pub(crate) async fn get<E>(&self, key: K, compute: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let cell = {
            let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_try_init(|| compute).await.cloned()
    }
}
