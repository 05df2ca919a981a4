//! Values that are worked out once per key, however many ask.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

/// Values by key, each worked out by who asks first while others wait. Errors are not kept: who asks next tries again.
#[derive(Debug)]
pub(crate) struct OnceMap<K, V> {
    cells: Mutex<HashMap<K, Arc<OnceCell<V>>>>,
}

impl<K, V> Default for OnceMap<K, V> {
    fn default() -> Self {
        OnceMap { cells: Mutex::default() }
    }
}

impl<K: Eq + Hash, V: Clone> OnceMap<K, V> {
    /// The value of a key, which `work` gives when nobody has it yet.
    pub(crate) async fn get<E>(&self, key: K, work: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let cell = self.lock().entry(key).or_default().clone();
        cell.get_or_try_init(|| work).await.cloned()
    }

    /// True once a key has its value.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.lock().get(key).is_some_and(|cell| cell.initialized())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<OnceCell<V>>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
