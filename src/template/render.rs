//! Rendering: every image of a tree for one platform.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::Value;
use rayon::prelude::*;

use super::catalog::{ImageTemplate, TEMPLATE_NAME, TemplateCatalog};
use super::context::RenderContext;
use super::environment::environment;
use super::error::TemplateError;
use super::limits;
use super::lookups::{ListLookup, Lookups, SetAgain};
use super::origin::{override_name, tree_name};
use super::overrides::MergedOverride;
use super::repos::Repositories;
use crate::dockerfile;
use crate::model::ids::ImageName;
use crate::model::platform::Platform;
use crate::model::template_api::TemplateApi;

/// An image's Dockerfile as the engine gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedDockerfile {
    /// Name of the image.
    pub image: ImageName,
    /// Directory of the image, relative to the tree.
    pub dir: String,
    /// Text of the Dockerfile.
    pub text: String,
    /// Uses of `customizable`: what overrides could change, and did.
    pub lookups: Vec<ListLookup>,
    /// Variables that the tree set after an override or another of its templates had set them.
    pub set_again: BTreeSet<String>,
}

/// Stack for reading, compiling and running templates as deep as limits let them go. It takes memory as it is used.
const STACK_BYTES: usize = 16 << 20;

/// Templates and overrides that the images of a run are rendered with.
#[derive(Clone)]
pub struct Renderer {
    /// Files of the tree.
    pub catalog: Arc<TemplateCatalog>,
    /// Overrides, merged into one template.
    pub overrides: Option<Arc<MergedOverride>>,
    /// Sections of the `repos.yaml` in use.
    pub repositories: Arc<Repositories>,
    /// The release that the templates are of.
    pub api: TemplateApi,
}

impl Renderer {
    /// Renders the images for one platform, in the order given.
    ///
    /// Every image is tried, unless one reaches a limit: the error names each one that failed, not only the first.
    pub fn render_all(
        &self,
        images: &[ImageTemplate],
        platform: Platform,
        context: &RenderContext,
    ) -> Result<Vec<RenderedDockerfile>, Vec<TemplateError>> {
        let env =
            environment(self.catalog.clone(), self.overrides.clone(), self.repositories.clone(), self.api);
        // What reached a limit in one image would do so in the others, and each takes its time.
        let gave_up = AtomicBool::new(false);
        let render = |image: &ImageTemplate| {
            if gave_up.load(Ordering::Relaxed) {
                return None;
            }
            let rendered = self.render(&env, image, context).map_err(|error| {
                gave_up.fetch_or(limits::is_limit(&error), Ordering::Relaxed);
                TemplateError::new(&image.name, platform, &error, &self.catalog, self.overrides.as_deref())
            });
            Some(rendered.map(|(text, lookups, set_again)| RenderedDockerfile {
                image: image.name.clone(),
                dir: image.dir.clone(),
                text,
                lookups,
                set_again,
            }))
        };
        let results: Vec<Result<RenderedDockerfile, TemplateError>> =
            match rayon::ThreadPoolBuilder::new().stack_size(STACK_BYTES).build() {
                Ok(pool) => pool.install(|| images.par_iter().filter_map(render).collect()),
                // No more threads: this one does it alone.
                Err(_) => images.iter().filter_map(render).collect(),
            };
        let (rendered, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        if failed.is_empty() {
            Ok(rendered.into_iter().filter_map(Result::ok).collect())
        } else {
            Err(failed.into_iter().filter_map(Result::err).collect())
        }
    }

    fn render(
        &self,
        env: &minijinja::Environment<'_>,
        image: &ImageTemplate,
        context: &RenderContext,
    ) -> Result<(String, Vec<ListLookup>, BTreeSet<String>), minijinja::Error> {
        let parent = tree_name(&format!("{}/{TEMPLATE_NAME}", image.dir));
        let template = match &self.overrides {
            Some(merged) => {
                // Kolla parses the image's own template first: a syntax error there is told as its own.
                env.get_template(&parent)?;
                env.get_template(&override_name(merged))?
            }
            None => env.get_template(&parent)?,
        };
        let mut rendered = template.render_captured(Value::from(context.for_image(&image.name, &parent)))?;
        let (lookups, set_again) = rendered.with_state_mut(|state| {
            let lookups = state.get_extension_mut::<Lookups>().map(std::mem::take).unwrap_or_default();
            let set_again = state.get_extension_mut::<SetAgain>().map(std::mem::take).unwrap_or_default();
            (lookups.0, set_again.0)
        });
        let text = dockerfile::declare_args_after_from(rendered.output(), &context.pip_args);
        Ok((text, lookups, set_again))
    }
}

#[cfg(test)]
mod properties;
