//! Values of Python that are known without running it [pure].

/// Value that a name is bound to at the top level of a module.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// The constant `None`: nothing, as a default or an argument.
    None,
    /// One of `True` and `False`.
    Bool(bool),
    /// A decimal number with an optional sign.
    Integer(i64),
    /// A string, its escapes decoded and its parts joined.
    Text(String),
    /// A list, tuple or set.
    List(Vec<Constant>),
    /// A dict, in the order written.
    Dict(Vec<(Constant, Constant)>),
    /// `name(..., key=...)`: its arguments in order, then the named ones.
    Call(Vec<Constant>, Vec<(String, Constant)>),
    /// An expression that is no literal.
    Unknown,
}

impl Constant {
    /// The text of a string; none for anything else.
    pub fn text(&self) -> Option<&str> {
        match self {
            Constant::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list, tuple or set; none of anything else.
    pub fn items(&self) -> &[Constant] {
        match self {
            Constant::List(items) => items,
            _ => &[],
        }
    }

    /// The entries of a dict whose keys are strings.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Constant)> {
        let entries = match self {
            Constant::Dict(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().filter_map(|(key, value)| Some((key.text()?, value)))
    }

    /// A value of a dict.
    pub fn get(&self, key: &str) -> Option<&Constant> {
        self.entries().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The values in it, one level down.
    fn parts(&self) -> Box<dyn Iterator<Item = &Constant> + '_> {
        match self {
            Constant::List(items) => Box::new(items.iter()),
            Constant::Dict(entries) => Box::new(entries.iter().flat_map(|(key, value)| [key, value])),
            Constant::Call(arguments, named) => {
                Box::new(arguments.iter().chain(named.iter().map(|(_, value)| value)))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Cost of a copy, in values and bytes of text, and how deep values lie in it.
    pub(super) fn extent(&self) -> Extent {
        let own = match self {
            Constant::Text(text) => 1 + text.len(),
            Constant::Call(_, named) => 1 + named.iter().map(|(name, _)| name.len()).sum::<usize>(),
            _ => 1,
        };
        self.parts().map(Constant::extent).fold(Extent { cost: own, depth: 1 }, |whole, part| Extent {
            cost: whole.cost + part.cost,
            depth: whole.depth.max(part.depth + 1),
        })
    }
}

/// How large a value is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub cost: usize,
    pub depth: usize,
}
