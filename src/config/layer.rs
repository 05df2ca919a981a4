//! Layers of configuration: every value as it was written, where it was written, and which one counts.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;
use std::path::PathBuf;
use std::str::FromStr;

use super::keys::{DEFAULT, PROFILES, UNBUILDABLE, distro_section};
use super::options::{CommandLineForm, OPTIONS, OptionSpec, OptionTable, ValueKind};
use super::value;
use crate::util::nearest;

/// The largest number that an option takes: more seconds than anybody waits.
const LARGEST: i64 = 1_000_000_000;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetAt {
    /// The program's own build.toml.
    BuiltIn,
    /// The image tree that is used, or Kolla's package beside it.
    Tree(PathBuf),
    /// Worked out from other values.
    Derived,
    /// A configuration file, with the line when the format tells it.
    File(PathBuf, Option<usize>),
    /// A variable of the environment.
    Environment(String),
    /// An option or argument of the command line.
    CommandLine,
}

impl SetAt {
    /// True for values that a user wrote, rather than the program or an image tree bringing them along.
    pub fn is_users(&self) -> bool {
        matches!(self, SetAt::File(..) | SetAt::Environment(_) | SetAt::CommandLine)
    }
}

impl fmt::Display for SetAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetAt::BuiltIn => f.write_str("built in"),
            SetAt::Derived => f.write_str("derived"),
            SetAt::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            SetAt::Tree(path) | SetAt::File(path, None) => write!(f, "{}", path.display()),
            SetAt::Environment(name) => write!(f, "variable {name}"),
            SetAt::CommandLine => f.write_str("command line"),
        }
    }
}

/// One value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Section; [`DEFAULT`] for options.
    pub section: String,
    /// Key in the section.
    pub key: String,
    /// The value as it was written, before interpolation.
    pub text: String,
    /// Where it was written.
    pub place: SetAt,
}

impl Entry {
    /// An entry of an option, in the section [`DEFAULT`].
    pub fn of_option(key: impl Into<String>, text: impl Into<String>, place: SetAt) -> Entry {
        Entry { section: DEFAULT.to_owned(), key: key.into(), text: text.into(), place }
    }
}

/// A value that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ValueError {
    /// Where it was written.
    pub place: SetAt,
    /// Section that it stands in.
    pub section: String,
    /// Key in the section.
    pub key: String,
    /// Reason why it can't be used.
    pub reason: String,
}

impl ValueError {
    /// An error about the value of an option that counts.
    pub fn of(layers: &Layers, key: &str, reason: impl fmt::Display) -> ValueError {
        let place = layers.entry(DEFAULT, key).map_or(SetAt::Derived, |entry| entry.place.clone());
        ValueError::at(place, key, reason)
    }

    /// An error about the value of an option that was given at a place.
    pub fn at(place: SetAt, key: &str, reason: impl fmt::Display) -> ValueError {
        ValueError { place, section: DEFAULT.to_owned(), key: key.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ValueError { place, section, key, reason } = self;
        match (place, OPTIONS.find(key)) {
            (SetAt::CommandLine, Some(option)) if option.form == CommandLineForm::Positional => {
                f.write_str(reason)
            }
            (SetAt::CommandLine, Some(option)) => write!(f, "--{}: {reason}", option.long()),
            _ => write!(f, "{place}: [{section}] {key}: {reason}"),
        }
    }
}

/// All that is wrong with the values of a configuration; never nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueErrors(pub Vec<ValueError>);

impl From<ValueError> for ValueErrors {
    fn from(error: ValueError) -> ValueErrors {
        ValueErrors(vec![error])
    }
}

/// Every entry of every layer, the least important first.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    options: OptionTable,
    entries: Vec<Entry>,
    /// Sections of the entries: there may be many images, and most have none.
    sections: BTreeSet<String>,
}

impl Layers {
    /// No layers yet, of a program that has these options.
    pub fn of(options: OptionTable) -> Layers {
        Layers { options, ..Layers::default() }
    }

    /// The options that the program has.
    pub fn options(&self) -> OptionTable {
        self.options
    }

    /// Adds a layer that counts more than all before it.
    pub fn push(&mut self, layer: impl IntoIterator<Item = Entry>) {
        self.insert(self.entries.len(), layer);
    }

    /// Puts a layer below all others.
    pub fn push_below(&mut self, layer: impl IntoIterator<Item = Entry>) {
        self.insert(0, layer);
    }

    fn insert(&mut self, place: usize, layer: impl IntoIterator<Item = Entry>) {
        let layer: Vec<Entry> = layer.into_iter().collect();
        for entry in &layer {
            if !self.sections.contains(&entry.section) {
                self.sections.insert(entry.section.clone());
            }
        }
        self.entries.splice(place..place, layer);
    }

    fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(keep);
        self.sections = self.entries.iter().map(|entry| entry.section.clone()).collect();
    }

    /// Takes the facts of an image tree in place of those that the program brings along: all users, sources, distros
    /// and unbuildable images when the tree has any of the kind; of options and profiles those that it has.
    pub fn replace_built_in(&mut self, facts: Vec<Entry>) {
        let replaced: BTreeSet<_> = facts.iter().map(fact_kind).collect();
        let replaced: BTreeSet<_> = replaced.iter().map(|(kind, key)| (*kind, key.as_str())).collect();
        self.retain(|entry| {
            let (kind, key) = fact_kind(entry);
            entry.place != SetAt::BuiltIn || !replaced.contains(&(kind, key.as_str()))
        });
        self.push_below(facts);
    }

    /// Forgets every value of an option.
    pub fn remove_option(&mut self, key: &str) {
        self.retain(|entry| entry.section != DEFAULT || entry.key != key);
    }

    /// Every entry, the least important first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The names of all sections.
    pub fn sections(&self) -> &BTreeSet<String> {
        &self.sections
    }

    /// The names of the sections that begin so, and go on.
    pub fn sections_from<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.sections.range::<str, _>((Bound::Excluded(prefix), Bound::Unbounded));
        from.map(String::as_str).take_while(move |section| section.starts_with(prefix))
    }

    /// The entry that counts.
    pub fn entry(&self, section: &str, key: &str) -> Option<&Entry> {
        if !self.sections.contains(section) {
            return None;
        }
        self.entries.iter().rev().find(|entry| entry.section == section && entry.key == key)
    }

    /// A value's text after interpolation.
    pub fn text(&self, section: &str, key: &str) -> Result<Option<String>, ValueError> {
        self.entry(section, key).map(|entry| self.interpolate(entry)).transpose()
    }

    /// An option's text; an empty one counts as not given.
    pub fn option(&self, key: &str) -> Result<Option<String>, ValueError> {
        Ok(self.text(DEFAULT, key)?.filter(|text| !text.is_empty()))
    }

    /// The path that an option names.
    pub fn path(&self, key: &str) -> Result<Option<PathBuf>, ValueError> {
        Ok(self.option(key)?.map(PathBuf::from))
    }

    /// Every path that an option names that may be repeated.
    pub fn paths(&self, key: &str) -> Result<Vec<PathBuf>, ValueError> {
        Ok(self.many(key)?.into_iter().map(PathBuf::from).collect())
    }

    /// Every path that counts of an option of any kind.
    pub fn paths_of(&self, option: &OptionSpec) -> Result<Vec<PathBuf>, ValueError> {
        let values = self.counting(option)?.into_iter().map(|(_, text)| text);
        Ok(values.filter(|text| !text.is_empty()).map(PathBuf::from).collect())
    }

    /// An option's number, not below 0; 1 when it is nowhere given.
    pub fn number(&self, key: &str) -> Result<u64, ValueError> {
        Ok(u64::try_from(self.integer(DEFAULT, key)?.unwrap_or(1)).unwrap_or(0))
    }

    /// An option's whole number; none when nothing sets it.
    pub fn integer(&self, section: &str, key: &str) -> Result<Option<i64>, ValueError> {
        self.parsed(section, key, |text| {
            let number = value::integer(text)?;
            match self.options.find(key).map(|option| option.kind) {
                Some(ValueKind::Integer { min }) if section == DEFAULT && number < min => {
                    Err(format!("{number} is too small: at least {min}"))
                }
                Some(ValueKind::Integer { .. }) if section == DEFAULT && number > LARGEST => {
                    Err(format!("{number} is too large: at most {LARGEST}"))
                }
                _ => Ok(number),
            }
        })
    }

    /// Makes sure that an option's value is one of its kind.
    pub fn check(&self, option: &OptionSpec) -> Result<(), ValueError> {
        match option.kind {
            ValueKind::Flag => self.flag_in(DEFAULT, option.name).map(|_| ()),
            ValueKind::Integer { .. } => self.integer(DEFAULT, option.name).map(|_| ()),
            ValueKind::Choice(_) => self.choice(option.name).map(|_| ()),
            ValueKind::Dict => self.dict(DEFAULT, option.name).map(|_| ()),
            ValueKind::Many => self.many(option.name).map(|_| ()),
            ValueKind::List | ValueKind::Text | ValueKind::OptionalText { .. } => {
                self.text(DEFAULT, option.name).map(|_| ())
            }
        }
    }

    /// A switch; false when it is nowhere given.
    pub fn flag(&self, key: &str) -> Result<bool, ValueError> {
        Ok(self.flag_in(DEFAULT, key)?.unwrap_or(false))
    }

    /// A switch of any section.
    pub fn flag_in(&self, section: &str, key: &str) -> Result<Option<bool>, ValueError> {
        self.parsed(section, key, value::flag)
    }

    /// A word out of a few.
    pub fn choice(&self, key: &str) -> Result<Option<String>, ValueError> {
        self.parsed(DEFAULT, key, |text| match self.options.find(key).map(|option| option.kind) {
            Some(ValueKind::Choice(words)) if !words.contains(&text) => {
                let hint = nearest::hint(text, words.iter().copied());
                Err(format!("'{text}' is not one of {}{hint}", words.join(", ")))
            }
            _ => Ok(text.to_string()),
        })
    }

    /// A list, written with commas; empty when it is nowhere given.
    pub fn list(&self, section: &str, key: &str) -> Result<Vec<String>, ValueError> {
        Ok(value::list(&self.text(section, key)?.unwrap_or_default()))
    }

    /// Pairs, written `key:value,key:value`; none when they are nowhere given.
    pub fn dict(&self, section: &str, key: &str) -> Result<Vec<(String, String)>, ValueError> {
        Ok(self.parsed(section, key, value::dict)?.unwrap_or_default())
    }

    /// Every value of an option that may be repeated: those of files in order, then those of the command line.
    pub fn many(&self, key: &str) -> Result<Vec<String>, ValueError> {
        self.entries
            .iter()
            .filter(|entry| entry.section == DEFAULT && entry.key == key)
            .map(|entry| self.interpolate(entry))
            .collect()
    }

    /// The values of an option that count, with the entries they stand in: all when it may be repeated, else the last.
    pub fn counting(&self, option: &OptionSpec) -> Result<Vec<(&Entry, String)>, ValueError> {
        let given = self.entries.iter().filter(|entry| entry.section == DEFAULT && entry.key == option.name);
        let counting: Vec<&Entry> = match option.kind {
            ValueKind::Many => given.collect(),
            _ => self.entry(DEFAULT, option.name).into_iter().collect(),
        };
        counting.into_iter().map(|entry| Ok((entry, self.interpolate(entry)?))).collect()
    }

    /// Every value that an option of the section `DEFAULT` was given, each read as what it stands for.
    pub fn many_parsed<T: FromStr<Err = String>>(&self, key: &str) -> Result<Vec<T>, ValueError> {
        self.entries
            .iter()
            .filter(|entry| entry.section == DEFAULT && entry.key == key)
            .map(|entry| self.interpolate(entry)?.parse().map_err(|reason| value_error(entry, reason)))
            .collect()
    }

    fn parsed<T>(
        &self,
        section: &str,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ValueError> {
        let Some(entry) = self.entry(section, key) else { return Ok(None) };
        let text = self.interpolate(entry)?;
        parse(&text).map(Some).map_err(|mut reason| {
            if has_comment(entry) {
                reason.push_str("; a comment takes a line of its own");
            }
            value_error(entry, reason)
        })
    }
}

/// Facts that are replaced together: their kind, and the key of those that stand alone.
fn fact_kind(entry: &Entry) -> (&'static str, String) {
    match entry.section.as_str() {
        DEFAULT => (DEFAULT, entry.key.clone()),
        PROFILES => (PROFILES, entry.key.clone()),
        UNBUILDABLE => (UNBUILDABLE, String::new()),
        section if section.starts_with(&distro_section("")) => ("distros", String::new()),
        section if section.ends_with("-user") => ("users", String::new()),
        _ => ("sources", String::new()),
    }
}

/// True when a value in a file seems to end in a comment, which oslo.config takes for a part of it.
pub fn has_comment(entry: &Entry) -> bool {
    let is_comment = |(at, _): (usize, &str)| entry.text[..at].ends_with([' ', '\t', '\n']);
    matches!(entry.place, SetAt::File(..)) && entry.text.match_indices('#').any(is_comment)
}

/// An error about an entry.
pub fn value_error(entry: &Entry, reason: impl fmt::Display) -> ValueError {
    let Entry { place, section, key, .. } = entry.clone();
    ValueError { place, section, key, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(entries: &[(&str, &str, &str)]) -> Layers {
        let mut layers = Layers::default();
        layers.push(entries.iter().map(|(section, key, text)| Entry {
            section: section.to_string(),
            key: key.to_string(),
            text: text.to_string(),
            place: SetAt::CommandLine,
        }));
        layers
    }

    #[test]
    fn the_last_scalar_wins_and_multi_values_gather() {
        let layers = layers(&[
            (DEFAULT, "tag", "a"),
            (DEFAULT, "tag", "b"),
            (DEFAULT, "profile", "x"),
            (DEFAULT, "profile", "y"),
        ]);
        assert_eq!(layers.option("tag"), Ok(Some("b".to_string())));
        assert_eq!(layers.many("profile"), Ok(vec!["x".to_string(), "y".to_string()]));
    }

    #[test]
    fn references_look_in_their_section_first() {
        let layers = layers(&[
            (DEFAULT, "tag", "T"),
            (DEFAULT, "version", "wrong"),
            ("etcd", "version", "3"),
            ("etcd", "location", "$$x/${version}/$tag/${etcd.version}/$registry/$1/${1}/\\$y/${ a}/${a-b}/$"),
        ]);
        assert_eq!(
            layers.text("etcd", "location"),
            Ok(Some("$x/3/T/3//$1/${1}/$y/${ a}/${a-b}/$".to_string()))
        );
    }

    #[test]
    fn references_to_typed_values_are_as_in_python() {
        let layers = layers(&[
            (DEFAULT, "push", "on"),
            (DEFAULT, "docker_dir", "a"),
            (DEFAULT, "docker_dir", "b"),
            (DEFAULT, "tag", "$push $docker_dir $threads"),
        ]);
        assert_eq!(layers.option("tag"), Ok(Some("True ['a', 'b'] ".to_string())));
    }

    #[test]
    fn circles_and_unknown_names_are_errors() {
        let layers = layers(&[
            (DEFAULT, "tag", "$namespace"),
            (DEFAULT, "namespace", "$tag"),
            (DEFAULT, "registry", "$nope"),
            (DEFAULT, "maintainer", "$base.x"),
            (DEFAULT, "docker_dir", "$docker_dir"),
        ]);
        assert!(layers.many("docker_dir").expect_err("circle").reason.contains("circle"));
        let dotted = layers.option("maintainer").expect_err("unknown").reason;
        assert!(dotted.ends_with("write ${base}"), "{dotted}");
        assert!(layers.option("tag").expect_err("circle").reason.contains("circle"));
        assert!(layers.option("registry").expect_err("unknown").reason.contains("$nope"));
    }

    #[test]
    fn typed_values() {
        let layers = layers(&[
            (DEFAULT, "push", "Yes"),
            (DEFAULT, "threads", "0"),
            (DEFAULT, "base", "suse"),
            (DEFAULT, "build_args", "A:1,B:x:y"),
            (DEFAULT, "allowed_to_fail", "a, b,"),
        ]);
        assert_eq!(layers.flag("push"), Ok(true));
        assert_eq!(layers.flag("pull"), Ok(false));
        assert_eq!(
            layers.integer(DEFAULT, "threads").expect_err("too small").reason,
            "0 is too small: at least 1"
        );
        assert_eq!(
            layers.choice("base").expect_err("unknown").to_string(),
            "--base: 'suse' is not one of centos, debian, rhel, rocky, ubuntu"
        );
        let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
        assert_eq!(layers.dict(DEFAULT, "build_args"), Ok(vec![pair("A", "1"), pair("B", "x:y")]));
        assert_eq!(layers.list(DEFAULT, "allowed_to_fail"), Ok(vec!["a".to_string(), "b".to_string()]));
    }
}
