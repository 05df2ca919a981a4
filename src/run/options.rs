//! Options of command lines, made and read in one way [pure].

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, ValueHint, value_parser};

/// An option with a value.
pub fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// An option with a directory as its value.
pub fn directory(name: &'static str, help: &'static str) -> Arg {
    option(name, "DIR", help).value_hint(ValueHint::DirPath).value_parser(value_parser!(PathBuf))
}

/// An option that is on or off.
pub fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// A value of an option that takes `NAME=VALUE`.
///
/// # Errors
/// It is not written so.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is not NAME=VALUE")?;
    Ok((name.to_string(), value.to_string()))
}

/// The pairs that an option was given.
pub fn pairs(matches: &ArgMatches, name: &str) -> impl Iterator<Item = (String, String)> {
    matches.get_many::<(String, String)>(name).into_iter().flatten().cloned()
}

/// The text that an option or argument was given.
pub fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one::<String>(name).cloned()
}

/// All texts that an option or argument was given.
pub fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).into_iter().flatten().cloned().collect()
}
