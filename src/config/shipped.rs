//! The build.toml inside the program: its release's facts, and the defaults of options.

use super::build_toml::{self, BuildTomlError};
use super::keys::DEFAULT;
use super::layer::{Entry, Layers, SetAt};
use super::options::{OptionSpec, OptionTable, ValueKind};

const BUILD_TOML: &str = include_str!("../../build.toml");

/// Entries of the built-in build.toml. Switches that it does not mention are off.
pub fn entries(options: OptionTable) -> Result<Vec<Entry>, BuildTomlError> {
    let switches = options.iter().filter(|option| option.kind == ValueKind::Flag);
    let off = switches.map(|option| Entry::of_option(option.name, "false", SetAt::BuiltIn));
    Ok(off.chain(build_toml::parse(BUILD_TOML, None, options)?).collect())
}

/// Defaults of options, for documentation.
pub struct Defaults(Layers);

impl Defaults {
    /// Those of these options.
    pub fn of(options: OptionTable) -> Result<Defaults, BuildTomlError> {
        let mut layers = Layers::of(options);
        layers.push(entries(options)?);
        Ok(Defaults(layers))
    }

    /// The default that the build.toml gives an option; none for a switch that is off.
    pub fn shipped(&self, option: &OptionSpec) -> Option<&str> {
        let text = &self.0.entry(DEFAULT, option.name)?.text;
        match (option.kind, text.as_str()) {
            (ValueKind::Flag, "false") => None,
            (ValueKind::Flag, _) => Some("on"),
            (_, text) => Some(text),
        }
    }
}
