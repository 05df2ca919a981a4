//! Overrides, checked and explained.

use fancy_regex::Regex;

use crate::dockerfile;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::lint::check::{OverrideWarning, REPLACES_ALL, check, replaces_all};
use crate::lint::explain::{Explained, diff};
use crate::lint::outline::outline;
use crate::lint::tree::TreeOutline;
use crate::lint::{blocks, tree::TreeError};
use crate::session::environment::Environment;
use crate::session::prepare::{Prepared, build_date};
use crate::template::context::RenderContext;
use crate::template::overrides::MergedOverride;
use crate::template::render::{RenderedDockerfile, Renderer};
use crate::util::nearest;

/// Warnings about everything in the overrides that has no effect; an error instead when they are to be taken strictly.
pub fn warnings(prepared: &Prepared) -> Result<Vec<String>, Fatal> {
    let Some(merged) = &prepared.renderer.overrides else { return Ok(Vec::new()) };
    let tree = tree(prepared)?;
    let rendered: Vec<&[RenderedDockerfile]> =
        prepared.rendered.iter().map(|(_, files)| files.as_slice()).collect();
    let outlined = outline(merged.source());
    if replaces_all(merged, &outlined) {
        refuse_without_from(merged, &rendered)?;
    }
    let found = check(merged, &outlined, &tree, &rendered);
    let (elsewhere, mistakes): (Vec<OverrideWarning>, Vec<OverrideWarning>) =
        found.into_iter().partition(|finding| finding.elsewhere);
    if prepared.config.templates.strict_overrides && !mistakes.is_empty() {
        let count = match mistakes.len() {
            1 => "something in the template overrides has".to_string(),
            many => format!("{many} things in the template overrides have"),
        };
        let fatal =
            Fatal::message(format!("{count} no effect, which --strict-overrides forbids"), EXIT_FAILED);
        return Err(mistakes.iter().fold(fatal, |fatal, finding| fatal.caused_by(finding)));
    }
    // One override file often serves several distros: what another one uses is only told to those who ask for more.
    let told = mistakes.iter().chain(elsewhere.iter().filter(|_| prepared.config.output.debug));
    Ok(told.map(OverrideWarning::to_string).collect())
}

/// Something that is no template, such as an empty file, takes the place of every Dockerfile in Kolla, and every build
/// fails.
fn refuse_without_from(merged: &MergedOverride, rendered: &[&[RenderedDockerfile]]) -> Result<(), Fatal> {
    let mut files = rendered.iter().copied().flatten();
    let Some(file) = files.find(|file| !dockerfile::has_from(&file.text)) else { return Ok(()) };
    let name = merged.locate(1).map_or(merged.name().to_string(), |(path, _)| path.display().to_string());
    let message = format!("{name}: {REPLACES_ALL}");
    let cause = format!("what it makes of image {} has no FROM", file.image);
    Err(Fatal::message(message, EXIT_USAGE).caused_by(cause))
}

/// The blocks and customisable lists of the images whose names a regex is found in, or of all.
pub fn list_blocks(prepared: &Prepared) -> Result<String, Fatal> {
    let regexes = prepared.config.selection.regexes.iter().map(|regex| Regex::new(regex));
    let regexes = regexes.collect::<Result<Vec<_>, _>>().map_err(|error| Fatal::new(&error, EXIT_USAGE))?;
    let wanted = |image: &str| {
        regexes.is_empty() || regexes.iter().any(|regex| regex.is_match(image).unwrap_or(false))
    };
    Ok(blocks::blocks(&tree(prepared)?, &prepared.catalog, &wanted))
}

/// Where the blocks and lists of an image come from, and its Dockerfile with the overrides compared with the one
/// without.
pub fn explain(prepared: &Prepared, image: &str, environment: &Environment) -> Result<String, Fatal> {
    let Some(template) = prepared.images.iter().find(|template| template.name == image) else {
        let hint = nearest::hint(image, prepared.images.iter().map(|template| template.name.as_str()));
        return Err(Fatal::message(format!("there is no image '{image}'{hint}"), EXIT_USAGE));
    };
    let tree = tree(prepared)?;
    let merged = prepared.renderer.overrides.as_deref();
    let outlined = merged.map(|merged| (merged, outline(merged.source())));
    let explained = Explained {
        image,
        catalog: &prepared.catalog,
        tree: &tree,
        overrides: outlined.as_ref().map(|(merged, outline)| (*merged, outline)),
    };
    let own = tree.template(image).unwrap_or_default();
    let mut out =
        format!("image {image}, from {}\n\n{}", prepared.catalog.display_path(own), explained.blocks());
    let plain = Renderer { overrides: None, ..prepared.renderer.clone() };
    for (platform, rendered) in &prepared.rendered {
        let Some(with) = rendered.iter().find(|file| file.image == image) else { continue };
        out.push_str(&format!("\n{platform}, {}: {}", prepared.config.base, explained.lists(&with.lookups)));
        if merged.is_none() {
            continue;
        }
        let context = RenderContext::new(
            &prepared.config,
            *platform,
            &environment.variables,
            &build_date(environment),
        )?;
        let without = plain.render_all(std::slice::from_ref(template), *platform, &context)?;
        let changes =
            without.first().map(|without| diff(without, with)).filter(|changes| !changes.is_empty());
        out.push('\n');
        out.push_str(&changes.unwrap_or_else(|| "The overrides change nothing in this image.\n".to_string()));
    }
    Ok(out)
}

fn tree(prepared: &Prepared) -> Result<TreeOutline, Fatal> {
    Ok(TreeOutline::read(&prepared.catalog, &prepared.images)?)
}

impl From<TreeError> for Fatal {
    fn from(error: TreeError) -> Fatal {
        Fatal::new(&error, EXIT_USAGE)
    }
}
