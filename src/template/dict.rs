//! Methods that templates call on dicts that can change.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::arguments::arguments;
use super::limits;
use super::shared::{SharedDict, SharedList};

/// Keys of one dict.
const MAX_KEYS: usize = 10_000;

impl SharedDict {
    /// A new dict with the items of a mapping.
    pub fn new(mapping: &Value) -> Result<SharedDict, Error> {
        SharedDict::from_items(items_of(mapping)?)
    }

    fn from_items(items: Vec<(Value, Value)>) -> Result<SharedDict, Error> {
        let dict = SharedDict::empty();
        let items = items.into_iter().map(|(key, value)| Ok((key, SharedList::bind(value)?)));
        let items = items.collect::<Result<Vec<_>, Error>>()?;
        for (_, value) in &items {
            dict.check_insertion(value)?;
        }
        *dict.lock() = items;
        Ok(dict)
    }

    fn items(&self) -> Vec<(Value, Value)> {
        self.lock().clone()
    }

    fn get(&self, key: &Value) -> Option<Value> {
        self.lock().iter().find(|(other, _)| other == key).map(|(_, value)| value.clone())
    }

    fn set(&self, key: Value, value: Value) -> Result<(), Error> {
        let value = SharedList::bind(value)?;
        self.check_insertion(&value)?;
        let mut items = self.lock();
        let is_full = items.len() >= MAX_KEYS;
        match items.iter_mut().find(|(other, _)| *other == key) {
            Some(item) => item.1 = value,
            None if is_full => {
                return Err(limits::too_much(format_args!("a dict of over {MAX_KEYS} keys")));
            }
            None => items.push((key, value)),
        }
        Ok(())
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
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let args = &arguments(args)[..];
        args.iter().try_for_each(|value| limits::count(state, value))?;
        limits::count_bytes(state, self.lock().len())?;
        Ok(match (method, args) {
            ("update", [other]) => {
                for (key, value) in items_of(other)? {
                    self.set(key, value)?;
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
                    self.set(key.clone(), value.clone())?;
                    value
                }
            },
            ("copy", []) => Value::from_object(SharedDict::from_items(self.items())?),
            ("clear", []) => {
                self.lock().clear();
                Value::from(())
            }
            // The methods that change nothing are the same for every mapping.
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }
}
