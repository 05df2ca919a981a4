//! Options that only BuildKit can do [pure].

use super::layer::{DEFAULT, Layers, ValueError, value_error};
use crate::secret::SecretSpec;

const NEEDS_BUILDKIT: &str = "only Docker's BuildKit can do this: use --buildkit, with --engine docker";

/// The secrets, in the order given; refused when `buildkit` is not what builds.
pub fn secrets(layers: &Layers, buildkit: bool) -> Result<Vec<SecretSpec>, ValueError> {
    let mut specs: Vec<SecretSpec> = Vec::new();
    let entries = layers.entries().iter().filter(|entry| entry.section == DEFAULT && entry.key == "secret");
    for (entry, text) in entries.zip(layers.many("secret")?) {
        if !buildkit {
            return Err(value_error(entry, NEEDS_BUILDKIT.to_string()));
        }
        let spec: SecretSpec = text.parse().map_err(|error| value_error(entry, format!("{error}")))?;
        if specs.iter().any(|known| known.id == spec.id) {
            return Err(value_error(entry, format!("there is a secret '{}' already", spec.id)));
        }
        specs.push(spec);
    }
    Ok(specs)
}
