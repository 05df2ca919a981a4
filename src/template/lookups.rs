//! Names that `customizable` was asked for while an image was rendered. Overrides are checked and explained with it.

use std::collections::BTreeSet;

/// One use of `customizable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListLookup {
    /// Beginning of the variables' names, before `_append`, `_remove` and `_override`: the image's name and the kind.
    pub list: String,
    /// Effect of the use.
    pub effect: Effect,
}

/// Effect of a use of `customizable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the list has no value on this platform.
    Undefined,
    /// Nothing: no variable is set for it.
    Unchanged,
    /// The list was replaced.
    Replaced {
        /// The variables that are set too and don't count any more.
        ignored: Vec<String>,
        /// True when a text took the list's place: what uses it takes it letter by letter.
        by_text: bool,
    },
    /// Items were added or removed.
    Edited {
        /// Items that were added.
        appended: Vec<String>,
        /// Items that were removed.
        removed: Vec<String>,
        /// Items that should have been removed and are not in the list.
        missing: Vec<String>,
        /// Items of the list before any was removed.
        held: Vec<String>,
        /// The variables that hold a text: its letters are what was added or removed.
        letters: Vec<String>,
    },
}

/// The uses during one rendering, in order.
#[derive(Debug, Default)]
pub(super) struct Lookups(pub(super) Vec<ListLookup>);

/// Names that the tree's templates have set again after an override or another template of the tree had set them.
#[derive(Debug, Default)]
pub(super) struct SetAgain(pub(super) BTreeSet<String>);
