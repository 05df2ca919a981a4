//! Dicts as Python has them: one object, shared by every name that it is bound to, in order of insertion.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// A dict that can change. Templates' dicts are small: a search through all keys is quick enough.
pub struct SharedDict(Mutex<Vec<(Value, Value)>>);

impl SharedDict {
    /// A new dict with the items of a mapping.
    pub fn new(mapping: &Value) -> Result<SharedDict, Error> {
        Ok(SharedDict(Mutex::new(items_of(mapping)?)))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Value, Value)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn items(&self) -> Vec<(Value, Value)> {
        self.lock().clone()
    }

    fn get(&self, key: &Value) -> Option<Value> {
        self.lock().iter().find(|(other, _)| other == key).map(|(_, value)| value.clone())
    }

    fn set(&self, key: Value, value: Value) {
        let mut items = self.lock();
        match items.iter_mut().find(|(other, _)| *other == key) {
            Some(item) => item.1 = value,
            None => items.push((key, value)),
        }
    }
}

fn items_of(mapping: &Value) -> Result<Vec<(Value, Value)>, Error> {
    if mapping.kind() != ValueKind::Map {
        let message = format!("a {} is no mapping", mapping.kind());
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    mapping.try_iter()?.map(|key| Ok((key.clone(), mapping.get_item(&key)?))).collect()
}

impl fmt::Debug for SharedDict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.items()).finish()
    }
}

impl Object for SharedDict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items().into_iter().map(|(key, _)| key).collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Value::from_pairs(self.items()), f)
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        Ok(match (method, args) {
            ("update", [other]) => {
                for (key, value) in items_of(other)? {
                    self.set(key, value);
                }
                Value::from(())
            }
            ("pop", [key, default @ ..]) if default.len() < 2 => {
                let mut items = self.lock();
                match items.iter().position(|(other, _)| other == key) {
                    Some(index) => items.remove(index).1,
                    None => default.first().cloned().ok_or_else(|| {
                        Error::new(ErrorKind::InvalidOperation, format!("{key} is not in the dict"))
                    })?,
                }
            }
            ("setdefault", [key, default @ ..]) if default.len() < 2 => match self.get(key) {
                Some(value) => value,
                None => {
                    let value = default.first().cloned().unwrap_or(Value::from(()));
                    self.set(key.clone(), value.clone());
                    value
                }
            },
            ("copy", []) => Value::from_object(SharedDict(Mutex::new(self.items()))),
            ("clear", []) => {
                self.lock().clear();
                Value::from(())
            }
            // The methods that change nothing are the same for every mapping.
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }
}
