//! From configuration to a plan: the tree, rendering, the graph and the selection, for every platform.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::layer::{Entry, Layers, Place, ValueError};
use crate::config::options::SOURCE_KEYS;
use crate::config::resolve::Config;
use crate::error::{EXIT_USAGE, Fatal};
use crate::graph::ImageGraph;
use crate::graph::select::{Decision, SelectError, select};
use crate::plan::{BuildPlan, PlannedUnit};
use crate::platform::Platform;
use crate::template::catalog::{Content, ImageTemplate, TemplateCatalog, TreeFile};
use crate::template::context::RenderContext;
use crate::template::overrides::MergedOverride;
use crate::template::render::{RenderedDockerfile, Renderer};
use crate::template::repos::Repositories;

/// The shipped tree's repositories.
const REPOS_YAML: &str = include_str!("../../docker/repos.yaml");

/// Everything that was decided before anything is built.
pub struct Prepared {
    /// The configuration.
    pub config: Config,
    /// The tree.
    pub catalog: Arc<TemplateCatalog>,
    /// Every image of the tree.
    pub images: Vec<ImageTemplate>,
    /// What they were rendered with.
    pub renderer: Renderer,
    /// What was rendered, for each platform in the order of the configuration.
    pub rendered: Vec<(Platform, Vec<RenderedDockerfile>)>,
    /// The graph of each platform, in the same order.
    graphs: Vec<ImageGraph>,
    /// What happens to every unit.
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
pub fn prepare(config: Config, env: &BTreeMap<String, String>) -> Result<Prepared, Fatal> {
    let catalog = Arc::new(catalog(&config)?);
    let images = catalog.images()?;
    let renderer = Renderer {
        catalog: catalog.clone(),
        overrides: MergedOverride::load(&config.templates.overrides)?.map(Arc::new),
        repositories: Arc::new(repositories(&config)?),
    };
    let mut rendered = Vec::new();
    let mut errors = Vec::new();
    for platform in &config.platforms {
        let context = RenderContext::new(&config, *platform, env)?;
        match renderer.render_all(&images, *platform, &context) {
            Ok(dockerfiles) => rendered.push((*platform, dockerfiles)),
            Err(broken) => errors.extend(broken),
        }
    }
    if !errors.is_empty() {
        return Err(errors.into());
    }
    let (graphs, plan) = plan(&config, &images, &rendered)?;
    Ok(Prepared { config, catalog, images, renderer, rendered, graphs, plan })
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
        let content = Content::File(path.clone());
        if !path.is_file() {
            let message =
                format!("{} is no readable file, and base/{name} was to be made of it", path.display());
            return Err(Fatal::message(message, EXIT_USAGE));
        }
        catalog.insert(format!("base/{name}"), TreeFile { mode: 0o644, content });
    }
    Ok(catalog)
}

/// A file that Kolla keeps beside its tree: in the tree itself, or in a directory next to it.
fn beside(images_dir: &Path, sibling: &str, name: &str) -> Option<PathBuf> {
    let next_to = images_dir.parent().unwrap_or(Path::new("..")).join(sibling).join(name);
    [images_dir.join(name), next_to].into_iter().find(|path| path.is_file())
}

fn repositories(config: &Config) -> Result<Repositories, Fatal> {
    let templates = &config.templates;
    let found = templates.images_dir.as_deref().and_then(|dir| beside(dir, "template", "repos.yaml"));
    let own = match &found {
        Some(path) => Some(read(path)?),
        None => None,
    };
    let default = match (&found, &own) {
        (Some(path), Some(text)) => (path.as_path(), text.as_str()),
        _ => (Path::new("docker/repos.yaml"), REPOS_YAML),
    };
    Ok(Repositories::load(default, templates.repos_yaml.as_deref())?)
}

fn read(path: &Path) -> Result<String, Fatal> {
    std::fs::read_to_string(path)
        .map_err(|error| Fatal::message(format!("failed to read {}: {error}", path.display()), EXIT_USAGE))
}

/// Takes the sources that a foreign tree keeps beside itself in place of ours.
pub fn add_tree_sources(layers: &mut Layers) -> Result<(), Fatal> {
    let Some(images_dir) = layers.option("images_dir")? else { return Ok(()) };
    let Some(path) = beside(Path::new(&images_dir), "common", "sources.yaml") else { return Ok(()) };
    let invalid =
        |error: serde_yaml::Error| Fatal::message(format!("{}: {error}", path.display()), EXIT_USAGE);
    let sections: BTreeMap<String, BTreeMap<String, serde_yaml::Value>> =
        serde_yaml::from_str(&read(&path)?).map_err(invalid)?;
    let mut entries = Vec::new();
    for (section, values) in sections {
        for (key, value) in values.into_iter().filter(|(key, _)| SOURCE_KEYS.contains(&key.as_str())) {
            let text = source_text(&value).ok_or_else(|| {
                let message =
                    format!("{}: {section}: {key} is neither a value nor a mapping", path.display());
                Fatal::message(message, EXIT_USAGE)
            })?;
            entries.push(Entry { section: section.clone(), key, text, place: Place::BuiltIn });
        }
    }
    layers.remove_built_in_sources();
    layers.push_below(entries);
    Ok(())
}

/// A YAML value as a configuration file would write it.
fn source_text(value: &serde_yaml::Value) -> Option<String> {
    match value {
        serde_yaml::Value::Mapping(pairs) => {
            let pairs =
                pairs.iter().map(|(key, value)| Some(format!("{}:{}", key.as_str()?, source_text(value)?)));
            Some(pairs.collect::<Option<Vec<_>>>()?.join(","))
        }
        serde_yaml::Value::String(text) => Some(text.clone()),
        serde_yaml::Value::Bool(flag) => Some(flag.to_string()),
        serde_yaml::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
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
        let graph = ImageGraph::new(dockerfiles, |image| config.image_reference(image))?;
        match select(&graph, &config.selection, &config.base, platform.arch) {
            Ok(decisions) => units.extend(planned(config, *platform, &graph, decisions)),
            // One platform that matches is enough.
            Err(error @ SelectError::NothingMatched { .. }) => nothing = Some(error),
            Err(error) => return Err(error.into()),
        }
        graphs.push(graph);
    }
    match nothing {
        Some(error) if units.is_empty() => Err(error.into()),
        _ => Ok((graphs, BuildPlan { units })),
    }
}

fn planned<'a>(
    config: &'a Config,
    platform: Platform,
    graph: &'a ImageGraph,
    decisions: Vec<Decision>,
) -> impl Iterator<Item = PlannedUnit> + 'a {
    graph.nodes().iter().zip(decisions).map(move |(node, decision)| PlannedUnit {
        image: node.name.clone(),
        platform,
        reference: config.image_reference(&node.name),
        parent: node.parent.clone(),
        disposition: decision.disposition,
        reason: decision.reason,
    })
}

/// Directories of the images by name.
pub fn image_dirs(rendered: &[RenderedDockerfile]) -> HashMap<&str, &str> {
    rendered.iter().map(|file| (file.image.as_str(), file.dir.as_str())).collect()
}

impl From<ValueError> for Box<Fatal> {
    fn from(error: ValueError) -> Box<Fatal> {
        Box::new(Fatal::from(error))
    }
}
