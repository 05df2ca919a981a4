//! How images are tested before they are pushed [pure].

use std::time::Duration;

use crate::config::keys::DEFAULT;
use crate::config::layer::{Layers, SetAt, ValueError, value_error};
use crate::config::options::OptionSpec;
use crate::config::resolved::SmokeOptions;

/// Value of `--smoke` alone: every stack inside the program.
pub const ANY_STACK: &str = "any";

/// `--smoke`, unless something else than building is asked for, by this option; refused on the command line then.
pub(super) fn smoke(
    layers: &Layers,
    asked_by: Option<&OptionSpec>,
) -> Result<Option<SmokeOptions>, ValueError> {
    let on_command_line = |key| {
        layers.entry(DEFAULT, key).filter(|entry| entry.place == SetAt::CommandLine && !entry.text.is_empty())
    };
    let stack = layers.option("smoke")?;
    if let (Some(task), Some(entry)) = (asked_by, on_command_line("smoke")) {
        let reason = format!("it tests images that were built, and --{} builds none", task.long());
        return Err(value_error(entry, reason));
    }
    match (stack, on_command_line("smoke_dir")) {
        (None, Some(entry)) => Err(value_error(entry, "it goes with --smoke")),
        (Some(stack), _) if asked_by.is_none() => Ok(Some(SmokeOptions {
            stack: (stack != ANY_STACK).then_some(stack),
            dirs: layers.paths("smoke_dir")?,
            timeout: Duration::from_secs(layers.number("smoke_timeout")?),
        })),
        _ => Ok(None),
    }
}
