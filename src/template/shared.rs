//! Lists and dicts as Python has them: one object, shared by every name that it is bound to.
//!
//! `customizable` changes a list in place and later uses must see it, while MiniJinja's own sequences never change. What
//! they can do stands in [`super::list`] and [`super::dict`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::limits::{MAX_NESTING, too_much};

/// Items that can change.
pub struct Shared<T> {
    items: Mutex<T>,
    /// How deep it is inside of others, at least.
    depth: AtomicUsize,
}

/// A list that can change.
pub type SharedList = Shared<Vec<Value>>;

/// A dict that can change, in order of insertion. Templates' dicts are small: a search through all keys is quick enough.
pub type SharedDict = Shared<Vec<(Value, Value)>>;

impl<T: Default> Shared<T> {
    pub(super) fn empty() -> Shared<T> {
        Shared { items: Mutex::default(), depth: AtomicUsize::default() }
    }
}

impl<T> Shared<T> {
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a value that would become part of itself, or lists within lists without end: printing, comparing and
    /// dropping them would go as deep as they do.
    pub(super) fn check_insertion(&self, value: &Value) -> Result<(), Error> {
        check_nesting(&self.depth, value, self.depth.load(Ordering::Relaxed) + 1)
    }
}

fn check_nesting(container: &AtomicUsize, value: &Value, depth: usize) -> Result<(), Error> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return Ok(());
    }
    if depth > MAX_NESTING {
        return Err(too_much(format_args!("{MAX_NESTING} lists within each other")));
    }
    let list = value.downcast_object_ref::<SharedList>().map(|list| &list.depth);
    if let Some(held) = list.or(value.downcast_object_ref::<SharedDict>().map(|dict| &dict.depth)) {
        if std::ptr::eq(held, container) {
            return Err(Error::new(ErrorKind::InvalidOperation, "a list or dict can't be put into itself"));
        }
        held.fetch_max(depth, Ordering::Relaxed);
    }
    for item in value.try_iter()? {
        let item = if value.kind() == ValueKind::Map { value.get_item(&item)? } else { item };
        check_nesting(container, &item, depth + 1)?;
    }
    Ok(())
}
