//! Methods that templates call on lists that can change.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::arguments::arguments;
use super::limits::{self, MAX_ITEMS};
use super::order::check_order;
use super::shared::SharedList;

impl SharedList {
    /// Makes a list of these items.
    pub fn new(items: Vec<Value>) -> Result<SharedList, Error> {
        let list = SharedList::empty();
        list.extend(items)?;
        Ok(list)
    }

    /// The list behind a value, when it is one of these.
    pub fn of(value: &Value) -> Option<Arc<SharedList>> {
        value.downcast_object::<SharedList>()
    }

    /// Turns sequences and lazy concatenations into shared lists; everything else stays what it is.
    pub fn bind(value: Value) -> Result<Value, Error> {
        limits::check_text(&value)?;
        let is_list = match value.kind() {
            ValueKind::Seq => SharedList::of(&value).is_none() && !value.is_tuple(),
            ValueKind::Iterable => true,
            _ => false,
        };
        if !is_list {
            return Ok(value);
        }
        Ok(Value::from_object(SharedList::new(limits::items(&value)?)?))
    }

    /// The items at this moment.
    pub fn items(&self) -> Vec<Value> {
        self.lock().clone()
    }

    /// Adds items at the end.
    pub fn extend(&self, items: Vec<Value>) -> Result<(), Error> {
        let items = items.into_iter().map(SharedList::bind).collect::<Result<Vec<Value>, Error>>()?;
        // Checked first: the items may hold this very list.
        for item in &items {
            self.check_insertion(item)?;
        }
        let mut held = self.lock();
        if held.len() + items.len() > MAX_ITEMS {
            return Err(limits::too_much(format_args!("a list of over {MAX_ITEMS} items")));
        }
        held.extend(items);
        Ok(())
    }

    /// Removes the first item equal to this one; false when there is none.
    pub fn remove_first(&self, item: &Value) -> bool {
        let mut items = self.lock();
        match items.iter().position(|other| other == item) {
            Some(index) => {
                items.remove(index);
                true
            }
            None => false,
        }
    }
}

/// The items that Python's `list.extend` would take from a value: strings give their characters.
pub fn python_items(value: &Value) -> Result<Vec<Value>, Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "none has no items"));
    }
    match value.as_str() {
        Some(text) => Ok(text.chars().map(|c| Value::from(c.to_string())).collect()),
        None => limits::items(value),
    }
}

impl fmt::Debug for SharedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.items()).finish()
    }
}

impl Object for SharedList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let items = self.lock();
        let index = key.as_i64()?;
        let index = if index < 0 { index.checked_add(items.len() as i64)? } else { index };
        items.get(usize::try_from(index).ok()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Value::from(self.items()), f)
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
        let none = Value::from(());
        match (method, args) {
            ("append", [item]) => self.extend(vec![item.clone()])?,
            ("extend", [items]) => self.extend(python_items(items)?)?,
            ("insert", [index, item]) => {
                let item = SharedList::bind(item.clone())?;
                self.check_insertion(&item)?;
                let mut items = self.lock();
                if items.len() >= MAX_ITEMS {
                    return Err(limits::too_much(format_args!("a list of over {MAX_ITEMS} items")));
                }
                let len = items.len() as i64;
                let index = i64::try_from(index.clone())?;
                let index = if index < 0 { (index + len).max(0) } else { index.min(len) };
                items.insert(index as usize, item);
            }
            ("remove", [item]) => {
                if !self.remove_first(item) {
                    return Err(Error::new(ErrorKind::InvalidOperation, format!("{item} is not in list")));
                }
            }
            ("reverse", []) => self.lock().reverse(),
            ("clear", []) => self.lock().clear(),
            ("copy", []) => return Ok(Value::from_object(SharedList::new(self.items())?)),
            ("count", [item]) => {
                return Ok(Value::from(self.lock().iter().filter(|other| *other == item).count()));
            }
            ("index", [item]) => {
                return self.lock().iter().position(|other| other == item).map(Value::from).ok_or_else(
                    || Error::new(ErrorKind::InvalidOperation, format!("{item} is not in list")),
                );
            }
            ("pop", args) if args.len() < 2 => {
                let mut items = self.lock();
                let index = args.first().cloned().map_or(Ok(-1), i64::try_from)?;
                let index = if index < 0 { index + items.len() as i64 } else { index };
                return match usize::try_from(index) {
                    Ok(index) if index < items.len() => Ok(items.remove(index)),
                    _ => {
                        Err(Error::new(ErrorKind::InvalidOperation, "pop from a list that has no such item"))
                    }
                };
            }
            ("sort", []) => {
                let mut items = self.lock();
                items.windows(2).try_for_each(|pair| check_order(&pair[0], &pair[1], "<"))?;
                items.sort();
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(none)
    }
}
