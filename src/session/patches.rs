//! Patches that would come into no image.

use std::collections::BTreeSet;
use std::path::Path;

use super::prepare::Prepared;
use crate::context::patches::{applies, idle, patch_files};
use crate::error::{EXIT_USAGE, Fatal};

/// Warnings about everything below `--patches-path` that no image is patched with; an error when a patch is missing.
pub fn warnings(prepared: &Prepared) -> Result<Vec<String>, Fatal> {
    let Some(dir) = &prepared.config.templates.patches_path else { return Ok(Vec::new()) };
    let api = prepared.config.templates.api;
    if !api.has_patches() {
        return Ok(vec![format!("{}: templates of Kolla {api} apply no patches", dir.display())]);
    }
    complete(prepared, dir)?;
    let mut warnings = idle(dir, &prepared.image_names()).map_err(|error| Fatal::new(&error, EXIT_USAGE))?;
    let mut told = BTreeSet::new();
    for dockerfile in prepared.rendered.iter().flat_map(|(_, files)| files) {
        let image = dockerfile.image.as_str();
        let series = dir.join(image).join("series");
        if is_built(prepared, image) && series.is_file() && !applies(&dockerfile.text) && told.insert(image) {
            warnings.push(format!(
                "{}: the Dockerfile of {image} never copies its patches; in a template override, \
                 macros.kolla_patch_sources() or COPY patches does, before a step that applies them",
                series.display()
            ));
        }
    }
    Ok(warnings)
}

/// Makes sure that the images to be built have every patch that their series name.
fn complete(prepared: &Prepared, dir: &Path) -> Result<(), Fatal> {
    let to_build = prepared.images.iter().filter(|image| is_built(prepared, &image.name));
    let mut missing = to_build.filter_map(|image| patch_files(Some(dir), &image.name).err());
    match missing.next() {
        None => Ok(()),
        Some(first) => Err(missing.fold(Fatal::new(&first, EXIT_USAGE), |fatal, next| fatal.caused_by(next))),
    }
}

fn is_built(prepared: &Prepared, image: &str) -> bool {
    prepared.plan.to_build().any(|unit| unit.image == image)
}
