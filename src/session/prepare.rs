//! From configuration to a plan: the tree, rendering, the graph and the selection, for every platform.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::environment::Environment;
use super::tree::place::{beside, read};
use crate::config::layer::ValueError;
use crate::config::resolved::Config;
use crate::error::{EXIT_USAGE, Fatal};
use crate::graph::ImageGraph;
use crate::graph::select::{SelectError, SelectionDecision, select};
use crate::model::plan::{BuildPlan, Disposition, PlannedUnit};
use crate::model::platform::Platform;
use crate::template::catalog::{ImageTemplate, TemplateCatalog, TreeContent, TreeFile};
use crate::template::context::RenderContext;
use crate::template::overrides::MergedOverride;
use crate::template::render::{RenderedDockerfile, Renderer};
use crate::template::repos::Repositories;

/// The shipped tree's repositories.
const REPOS_YAML: &str = include_str!("../../docker/repos.yaml");

/// Everything that was decided before anything is built.
pub struct Prepared {
    /// The configuration, with the tree's own facts in it.
    pub config: Config,
    /// The image tree, with overlays on top.
    pub catalog: Arc<TemplateCatalog>,
    /// Every image of the tree.
    pub images: Vec<ImageTemplate>,
    /// Renderer that has rendered them.
    pub renderer: Renderer,
    /// Dockerfiles, for each platform in the order of the configuration.
    pub rendered: Vec<(Platform, Vec<RenderedDockerfile>)>,
    /// The graph of each platform, in the same order.
    graphs: Vec<ImageGraph>,
    /// Plan for every unit.
    pub plan: BuildPlan,
}

impl Prepared {
    /// The graph that lists and trees are made from: that of the first platform.
    pub fn graph(&self) -> &ImageGraph {
        &self.graphs[0]
    }

    /// Every image of the tree.
    pub fn image_names(&self) -> Vec<&str> {
        self.graph().nodes().iter().map(|node| node.name.as_str()).collect()
    }
}

/// Reads and renders the tree and decides about every image.
pub fn prepare(config: Config, environment: &Environment) -> Result<Prepared, Fatal> {
    let catalog = Arc::new(catalog(&config)?);
    let images = catalog.images()?;
    let renderer = Renderer {
        catalog: catalog.clone(),
        overrides: MergedOverride::load(&config.templates.overrides)?.map(Arc::new),
        repositories: Arc::new(repositories(&config)?),
        api: config.templates.api,
    };
    let build_date = build_date(environment);
    let mut rendered = Vec::new();
    let mut errors = Vec::new();
    for platform in &config.platforms {
        let context = RenderContext::new(&config, *platform, &environment.variables, &build_date)?;
        match renderer.render_all(&images, *platform, &context) {
            Ok(dockerfiles) => rendered.push((*platform, dockerfiles)),
            Err(broken) => errors.extend(broken),
        }
    }
    if !errors.is_empty() {
        return Err(errors.into());
    }
    let (graphs, plan) = plan(&config, &images, &rendered)?;
    nameable(&plan)?;
    Ok(Prepared { config, catalog, images, renderer, rendered, graphs, plan })
}

/// The day that older templates put on images, with the clock that their labels have.
pub fn build_date(environment: &Environment) -> String {
    environment.clock().strftime("%Y%m%d").to_string()
}

fn catalog(config: &Config) -> Result<TemplateCatalog, Fatal> {
    let templates = &config.templates;
    let mut catalog = match &templates.images_dir {
        Some(dir) => TemplateCatalog::from_dir(dir)?,
        None => TemplateCatalog::embedded(),
    };
    for dir in &templates.docker_dirs {
        catalog.overlay(dir)?;
    }
    for (name, path) in &templates.base_files {
        let content = TreeContent::File(path.clone());
        if !path.is_file() {
            let message =
                format!("{} is no readable file, and base/{name} was to be made of it", path.display());
            return Err(Fatal::message(message, EXIT_USAGE));
        }
        catalog.insert(format!("base/{name}"), TreeFile { mode: 0o644, content });
    }
    Ok(catalog)
}

fn repositories(config: &Config) -> Result<Repositories, Fatal> {
    let templates = &config.templates;
    let api = templates.api;
    let file = api.repositories_file(&config.base, &config.base_tag);
    let package = templates.kolla_package.as_deref();
    let found = templates.images_dir.as_deref().and_then(|tree| beside(tree, package, "template", file));
    let own = match &found {
        Some(path) => Some(read(path)?),
        None => None,
    };
    let default = match (&found, &own) {
        (Some(path), Some(text)) => (path.as_path(), text.as_str()),
        _ => (Path::new("docker/repos.yaml"), REPOS_YAML),
    };
    Ok(Repositories::load(api, default, templates.repos_yaml.as_deref())?)
}

fn plan(
    config: &Config,
    images: &[ImageTemplate],
    rendered: &[(Platform, Vec<RenderedDockerfile>)],
) -> Result<(Vec<ImageGraph>, BuildPlan), Fatal> {
    debug_assert!(rendered.iter().all(|(_, files)| files.len() == images.len()));
    let mut graphs = Vec::new();
    let mut units = Vec::new();
    let mut nothing: Option<SelectError> = None;
    for (platform, dockerfiles) in rendered {
        let graph = ImageGraph::new(dockerfiles, &config.build_args(), *platform, |image| {
            config.image_reference(image, *platform).to_string()
        })?;
        match select(&graph, &config.selection, &config.base, platform.arch) {
            Ok(decisions) => units.extend(planned(config, *platform, &graph, decisions)),
            // One platform that matches is enough, unless it is not to be built.
            Err(error @ SelectError::NothingMatched { .. })
                if config.selection.only_platform != Some(*platform) =>
            {
                nothing = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
        graphs.push(graph);
    }
    match nothing {
        Some(error) if units.is_empty() => Err(error.into()),
        _ => Ok((graphs, BuildPlan { units })),
    }
}

/// Makes sure that the images to be built can have their names.
fn nameable(plan: &BuildPlan) -> Result<(), Fatal> {
    let unnamed: BTreeSet<String> = plan
        .to_build()
        .filter(|unit| !unit.reference.is_valid())
        .map(|unit| format!("{}: no image can be called {}", unit.image, unit.reference))
        .collect();
    let mut unnamed = unnamed.into_iter();
    match unnamed.next() {
        None => Ok(()),
        Some(first) => {
            let fatal = unnamed.fold(Fatal::message(first, EXIT_USAGE), Fatal::caused_by);
            Err(fatal.hinted(
                "an image is called as its directory: lower-case letters and digits, with '.', '_' or '-' between them",
            ))
        }
    }
}

fn planned<'a>(
    config: &'a Config,
    platform: Platform,
    graph: &'a ImageGraph,
    decisions: Vec<SelectionDecision>,
) -> impl Iterator<Item = PlannedUnit> + 'a {
    let left_to_others = config.selection.only_platform.filter(|only| *only != platform);
    graph.nodes().iter().zip(decisions).map(move |(node, mut decision)| {
        if let Some(only) = left_to_others
            && decision.disposition == Disposition::Build
        {
            // Not skipped, for who merges reports must not take it for done.
            decision.disposition = Disposition::Unmatched;
            decision.reason = format!("this run builds for {only} alone (--only-platform)");
        }
        let reference = config.image_reference(&node.name, platform);
        PlannedUnit {
            image: node.name.clone(),
            platform,
            list: config.has_several_platforms().then(|| reference.with_tag(config.names.tag.as_str())),
            reference,
            parent: node.parent.clone(),
            named: node.named.clone(),
            disposition: decision.disposition,
            reason: decision.reason,
        }
    })
}

impl From<ValueError> for Box<Fatal> {
    fn from(error: ValueError) -> Box<Fatal> {
        Box::new(Fatal::from(error))
    }
}
