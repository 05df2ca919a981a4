//! What a run reads and what it writes, so that nothing of the one is written over by the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::outputs::report_files;
use super::prepare::Prepared;
use super::{Session, kept};
use crate::config::keys::DEFAULT;
use crate::config::layer::{Entry, Layers, SetAt};
use crate::config::load;
use crate::config::resolved::{Config, Export, Task};
use crate::config::source::SourceOrigin;
use crate::context::workdir;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::export::bake::BAKE_FILE;
use crate::export::pipeline::file_names;
use crate::model::secret::SecretOrigin;
use crate::util::location::locate;
use crate::util::places::{Overlap, Reading, UsedPlace, Writing, overlap};

/// Fails when anything that the run would write lies over what it reads, or over another thing that it writes. Nothing
/// has been written yet then.
pub fn check(session: &Session) -> Result<(), Fatal> {
    let written = written(session.config(), session.environment)?;
    if written.is_empty() {
        return Ok(());
    }
    match overlap(&read(session, &written)?, &written) {
        Some(overlap) => Err(refused(&overlap)),
        None => Ok(()),
    }
}

fn refused(overlap: &Overlap) -> Fatal {
    let Overlap { written, other, is_read } = overlap;
    let other_use = if *is_read { "reads" } else { "writes" };
    let message = format!(
        "{} and {} are in each other's way: the one writes {}, the other {other_use} {}",
        written.name,
        other.name,
        written.path.display(),
        other.path.display()
    );
    Fatal::message(message, EXIT_USAGE)
        .hinted("give one of them a place apart from the other; nothing has been written")
}

/// Everything that the run writes.
pub fn written(config: &Config, environment: &Environment) -> Result<Vec<(Writing, UsedPlace)>, Fatal> {
    let mut list = WrittenPlaces { layers: config.layers(), places: Vec::new() };
    let output = &config.output;
    match &config.task {
        Task::Build => {
            list.work_dir("work_dir", config.build.work_dir.as_deref())?;
            list.cache(config, environment)?;
            if let (Some(durations), Some(records)) =
                (kept::durations_file(environment), kept::records_dir(environment))
            {
                list.add(Writing::File, "the durations of builds", &durations)?;
                list.add(Writing::Ours, "the records of inputs", &records)?;
            }
            list.logs(output.logs_dir.as_deref())?;
        }
        Task::TemplateOnly => list.work_dir("work_dir", config.build.work_dir.as_deref())?,
        Task::SaveDependency(path) => list.file("save_dependency", path)?,
        Task::Lock(path) => {
            list.file("lock", path)?;
            list.cache(config, environment)?;
        }
        Task::Export(Export::Bake(dir)) => {
            list.work_dir("export_dir", Some(dir))?;
            list.file("export_dir", &dir.join(BAKE_FILE))?;
            list.cache(config, environment)?;
        }
        Task::Export(Export::Pipeline { system, dir, .. }) => {
            for name in file_names(*system) {
                list.file("export_dir", &dir.join(name))?;
            }
        }
        Task::VerifyRegistry => list.cache(config, environment)?,
        _ => {}
    }
    if matches!(config.task, Task::Build | Task::MergeSummaries(_)) {
        if let Some(path) = output.summary_json_file.as_ref().filter(|_| output.summary && output.json) {
            list.file("summary_json_file", path)?;
        }
        for file in report_files(output) {
            list.file(file.option, &file.path)?;
        }
    }
    Ok(list.places)
}

/// Everything that the run reads, of image trees as much as what is written there makes necessary.
fn read(session: &Session, written: &[(Writing, UsedPlace)]) -> Result<Vec<(Reading, UsedPlace)>, Fatal> {
    let config = session.config();
    let templates = &config.templates;
    let mut list = ReadPlaces { layers: config.layers(), places: Vec::new() };
    for path in load::files(session.line, &session.environment.variables)? {
        list.add(Reading::File, "the configuration", &path)?;
    }
    list.tree(&session.prepared, written)?;
    list.options("template_override", Reading::File, &templates.overrides)?;
    list.options("repos_yaml", Reading::File, &templates.repos_yaml)?;
    list.options("patches_path", Reading::Whole, &templates.patches_path)?;
    list.options("registry_ca", Reading::File, &config.build.registry_ca)?;
    for (option, (_, path)) in templates.base_files.iter().map(|file| (base_file_option(file.0), file)) {
        list.options(option, Reading::File, [path])?;
    }
    if let Some(package) = &templates.kolla_package {
        for part in ["common", "template"] {
            list.add(Reading::Whole, "Kolla's Python package", &package.join(part))?;
        }
    }
    for secret in &config.build.secrets {
        if let SecretOrigin::File(path) = &secret.origin {
            list.add(Reading::File, &format!("--secret id={}", secret.id), path)?;
        }
    }
    match &config.task {
        Task::MergeSummaries(paths) => {
            for path in paths {
                let reading = if path.is_dir() { Reading::Whole } else { Reading::File };
                list.options("merge_summaries", reading, [path])?;
            }
        }
        Task::Lock(_) => list.sources(session)?,
        Task::Build | Task::Export(Export::Bake(_)) | Task::Plan | Task::VerifyRegistry => {
            list.options("locked", Reading::File, &config.build.locked)?;
            list.sources(session)?;
        }
        _ => {}
    }
    Ok(list.places)
}

/// The option by which a file of the base image is replaced.
fn base_file_option(name: &str) -> &'static str {
    if name == "sources.list" { "apt_sources_list" } else { "apt_preferences" }
}

struct WrittenPlaces<'a> {
    layers: &'a Layers,
    places: Vec<(Writing, UsedPlace)>,
}

impl WrittenPlaces<'_> {
    fn add(&mut self, writing: Writing, name: &str, path: &Path) -> Result<(), Fatal> {
        self.places.push((writing, place(name, path)?));
        Ok(())
    }

    /// The file that an option names.
    fn file(&mut self, option: &str, path: &Path) -> Result<(), Fatal> {
        let is_stream = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        let writing = if is_stream { Writing::Stream } else { Writing::File };
        self.add(writing, &named(self.layers, option, path), path)
    }

    fn work_dir(&mut self, option: &str, dir: Option<&Path>) -> Result<(), Fatal> {
        let Some(dir) = dir else { return Ok(()) };
        let name = named(self.layers, option, dir);
        self.add(Writing::Ours, &name, &workdir::tree_in(dir))?;
        self.add(Writing::File, &name, &workdir::lock_in(dir))
    }

    fn cache(&mut self, config: &Config, environment: &Environment) -> Result<(), Fatal> {
        let Some(dir) = kept::sources_dir(config, environment) else { return Ok(()) };
        self.add(Writing::Ours, &named(self.layers, "source_cache", &dir), &dir)
    }

    /// The directory of logs, and what links in it lead to.
    fn logs(&mut self, dir: Option<&Path>) -> Result<(), Fatal> {
        let Some(dir) = dir else { return Ok(()) };
        self.add(Writing::Beside, &named(self.layers, "logs_dir", dir), dir)?;
        let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        for link in entries.filter(|path| path.is_symlink() && path.extension().is_some_and(|is| is == "log"))
        {
            // Links to the logs of images that have failed are ours, and are not written through.
            if fs::read_link(&link).is_ok_and(|to| to.components().count() > 1) {
                self.file("logs_dir", &link)?;
            }
        }
        Ok(())
    }
}

struct ReadPlaces<'a> {
    layers: &'a Layers,
    places: Vec<(Reading, UsedPlace)>,
}

impl ReadPlaces<'_> {
    fn add(&mut self, reading: Reading, name: &str, path: &Path) -> Result<(), Fatal> {
        self.places.push((reading, place(name, path)?));
        Ok(())
    }

    fn options<'p>(
        &mut self,
        option: &str,
        reading: Reading,
        paths: impl IntoIterator<Item = &'p PathBuf>,
    ) -> Result<(), Fatal> {
        for path in paths {
            self.add(reading, &named(self.layers, option, path), path)?;
        }
        Ok(())
    }

    /// The image tree: its directories, those of its images, its templates, and what its links lead to.
    fn tree(&mut self, prepared: &Prepared, written: &[(Writing, UsedPlace)]) -> Result<(), Fatal> {
        let templates = &prepared.config.templates;
        self.options("images_dir", Reading::Part, &templates.images_dir)?;
        self.options("docker_dir", Reading::Part, &templates.docker_dirs)?;
        let roots = templates.images_dir.iter().map(|dir| ("images_dir", dir));
        let roots: Vec<_> =
            roots.chain(templates.docker_dirs.iter().map(|dir| ("docker_dir", dir))).collect();
        for (option, root) in roots {
            let name = named(self.layers, option, root);
            for link in prepared.catalog.links_in(root) {
                let reading = if link.is_dir() { Reading::Whole } else { Reading::File };
                self.add(reading, &name, link)?;
            }
            let location = place(&name, root)?.location;
            // There may be ten thousand images.
            if !written.iter().any(|(_, place)| place.location.is_in(&location)) {
                continue;
            }
            let image_dirs: BTreeSet<PathBuf> = prepared
                .images
                .iter()
                .map(|image| root.join(&image.dir))
                .filter(|dir| dir.is_dir())
                .collect();
            for dir in image_dirs {
                self.add(Reading::Whole, &name, &dir)?;
            }
            for path in prepared.catalog.templates_in(root) {
                self.add(Reading::File, &name, path)?;
            }
            self.add(Reading::File, &name, &root.join("repos.yaml"))?;
        }
        Ok(())
    }

    /// What on this machine images are made from.
    fn sources(&mut self, session: &Session) -> Result<(), Fatal> {
        // Those that the program and trees bring along are not on this machine; what users write is looked at.
        let may_be_local =
            |entry: &Entry| entry.text == "local" || !matches!(entry.place, SetAt::BuiltIn | SetAt::Tree(_));
        if !self.layers.entries().iter().any(|entry| entry.key == "type" && may_be_local(entry)) {
            return Ok(());
        }
        for recipe in session.recipes()?.values() {
            for source in recipe.sources() {
                if let SourceOrigin::Local(path) = &source.origin {
                    let reading = if path.is_dir() { Reading::Part } else { Reading::File };
                    self.add(reading, &format!("the source [{}]", source.section), path)?;
                }
            }
        }
        Ok(())
    }
}

fn place(name: &str, path: &Path) -> Result<UsedPlace, Fatal> {
    let location = locate(path).map_err(|error| {
        Fatal::message(
            format!("{name}: cannot find out where {} leads: {error}", path.display()),
            EXIT_FAILED,
        )
    })?;
    Ok(UsedPlace { name: name.to_string(), path: path.to_path_buf(), location })
}

/// An option as the user gave it, by the value that it has or that is below it.
fn named(layers: &Layers, option: &str, path: &Path) -> String {
    let Some(spec) = layers.options().find(option) else { return path.display().to_string() };
    let entries =
        layers.entries().iter().rev().filter(|entry| entry.section == DEFAULT && entry.key == option);
    let is_it = |text: &str| Path::new(text) == path;
    let mut entries = entries.collect::<Vec<_>>().into_iter();
    let found = entries.clone().find(|entry| is_it(&entry.text)).or_else(|| entries.next());
    match found {
        Some(entry) => match &entry.place {
            SetAt::CommandLine if entry.text.is_empty() => format!("--{}", spec.long()),
            SetAt::CommandLine => format!("--{} {}", spec.long(), entry.text),
            place => format!("{option} = {} ({place})", entry.text),
        },
        None => format!("--{} (by default {})", spec.long(), path.display()),
    }
}
