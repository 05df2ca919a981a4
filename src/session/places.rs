//! The places that a run reads and those that it writes, so that nothing of the one is written over by the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::prepare::Prepared;
use super::{Session, kept};
use crate::config::keys::DEFAULT;
use crate::config::kolla_package::PACKAGE_PARTS;
use crate::config::layer::{Entry, Layers, SetAt};
use crate::config::load;
use crate::config::options::{InputPath, OptionSpec, OutputPath};
use crate::config::resolved::{Config, Export, PipelineExport, SummaryOutput, Task};
use crate::config::source::SourceOrigin;
use crate::context::workdir;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::export::bake::BAKE_FILE;
use crate::export::pipeline::file_names;
use crate::export::ramdisk::files::RamdiskFiles;
use crate::model::secret::SecretOrigin;
use crate::util::input;
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
    for option in config.layers().options().iter() {
        if let Some(output) = option.output() {
            list.output(option, output, config, environment)?;
        }
    }
    if config.task == Task::Build
        && let (Some(durations), Some(records)) =
            (kept::durations_file(environment), kept::records_dir(environment))
    {
        list.add(Writing::File, "the durations of builds", &durations)?;
        list.add(Writing::Ours, "the records of inputs", &records)?;
    }
    if config.build.smoke.is_some()
        && let Some(state) = &environment.state_dir
    {
        list.add(Writing::Ours, "the state of stacks", state)?;
    }
    Ok(list.places)
}

/// Everything that the run reads, of image trees as much as what is written there makes necessary.
fn read(session: &Session, written: &[(Writing, UsedPlace)]) -> Result<Vec<(Reading, UsedPlace)>, Fatal> {
    let config = session.config();
    let mut list = ReadPlaces { layers: config.layers(), places: Vec::new() };
    for path in load::files(session.line, &session.environment.variables)? {
        list.add(Reading::File, "the configuration", &path)?;
    }
    for option in config.layers().options().iter() {
        if let Some(input) = option.input() {
            list.input(option, input, session, written)?;
        }
    }
    for secret in config.build.builder.secrets() {
        if let SecretOrigin::File(path) = &secret.origin {
            list.add(Reading::File, &format!("--secret id={}", secret.id), path)?;
        }
    }
    let stack = config.build.smoke.as_ref().and_then(|smoke| smoke.stack.as_ref());
    if let Some(file) = stack.filter(|stack| input::is_path(stack)) {
        list.add(Reading::File, &format!("--smoke {file}"), Path::new(file))?;
    }
    if reads_lock_file(&config.task) || matches!(config.task, Task::Lock(_)) {
        list.sources(session)?;
    }
    Ok(list.places)
}

/// True for tasks that take images for what a lock file says of them.
fn reads_lock_file(task: &Task) -> bool {
    matches!(task, Task::Build | Task::Export(Export::Bake(_)) | Task::Plan | Task::VerifyRegistry)
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

    /// The place that an option names, when this run writes it.
    fn output(
        &mut self,
        option: &OptionSpec,
        output: OutputPath,
        config: &Config,
        environment: &Environment,
    ) -> Result<(), Fatal> {
        let task = &config.task;
        let path = match (output, self.layers.path(option.name)?) {
            (OutputPath::SourceCache, _) => kept::sources_dir(config, environment),
            (_, path) => path,
        };
        let Some(path) = path else { return Ok(()) };
        match output {
            OutputPath::WorkDir if matches!(task, Task::Build | Task::TemplateOnly) => {
                self.work_dir(option, &path)
            }
            OutputPath::SourceCache if fetches_sources(task) => {
                self.add(Writing::Ours, &named(self.layers, option, &path), &path)
            }
            OutputPath::Documents if *task == Task::Build => {
                self.add(Writing::Beside, &named(self.layers, option, &path), &path)
            }
            OutputPath::Logs if *task == Task::Build => self.logs(option, &path),
            OutputPath::OfTask if config.asked_by.is_some_and(|asked_by| asked_by.name == option.name) => {
                self.file(option, &path)
            }
            OutputPath::Export => match task {
                Task::Export(Export::Bake(_)) => {
                    self.work_dir(option, &path)?;
                    self.file(option, &path.join(BAKE_FILE))
                }
                Task::Export(Export::Pipeline(PipelineExport { system, .. })) => {
                    file_names(*system).iter().try_for_each(|name| self.file(option, &path.join(name)))
                }
                Task::Export(Export::Ramdisk(ramdisk)) => config.platforms.iter().try_for_each(|platform| {
                    let files = RamdiskFiles::of(&ramdisk.image, *platform);
                    files.names().iter().try_for_each(|name| self.file(option, &path.join(name)))
                }),
                _ => Ok(()),
            },
            OutputPath::Summary
                if tells_of_runs(task)
                    && matches!(config.output.summary, SummaryOutput::ConsoleAndJson(_)) =>
            {
                self.file(option, &path)
            }
            OutputPath::Report(_) if tells_of_runs(task) => self.file(option, &path),
            _ => Ok(()),
        }
    }

    /// The file that an option names.
    fn file(&mut self, option: &OptionSpec, path: &Path) -> Result<(), Fatal> {
        let is_stream = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        let writing = if is_stream { Writing::Stream } else { Writing::File };
        self.add(writing, &named(self.layers, option, path), path)
    }

    fn work_dir(&mut self, option: &OptionSpec, dir: &Path) -> Result<(), Fatal> {
        let name = named(self.layers, option, dir);
        self.add(Writing::Ours, &name, &workdir::tree_in(dir))?;
        self.add(Writing::File, &name, &workdir::lock_in(dir))
    }

    /// The directory of logs, and what links in it lead to.
    fn logs(&mut self, option: &OptionSpec, dir: &Path) -> Result<(), Fatal> {
        self.add(Writing::Beside, &named(self.layers, option, dir), dir)?;
        let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        for link in entries.filter(|path| path.is_symlink() && path.extension().is_some_and(|is| is == "log"))
        {
            // Links to the logs of images that have failed are ours, and are not written through.
            if fs::read_link(&link).is_ok_and(|to| to.components().count() > 1) {
                self.file(option, &link)?;
            }
        }
        Ok(())
    }
}

/// True for tasks that fetch sources.
fn fetches_sources(task: &Task) -> bool {
    matches!(task, Task::Build | Task::Lock(_) | Task::Export(Export::Bake(_)) | Task::VerifyRegistry)
}

/// True for tasks that end in a summary and reports.
fn tells_of_runs(task: &Task) -> bool {
    matches!(task, Task::Build | Task::MergeSummaries(_))
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

    /// The place that an option names, when this run reads it.
    fn input(
        &mut self,
        option: &OptionSpec,
        input: InputPath,
        session: &Session,
        written: &[(Writing, UsedPlace)],
    ) -> Result<(), Fatal> {
        let task = &session.config().task;
        for path in self.layers.paths_of(option)? {
            let name = named(self.layers, option, &path);
            match input {
                InputPath::File => self.add(Reading::File, &name, &path)?,
                InputPath::Dir => self.add(Reading::Whole, &name, &path)?,
                InputPath::ImageTree => self.tree(&name, &path, &session.prepared, written)?,
                InputPath::KollaPackage => {
                    for part in PACKAGE_PARTS {
                        self.add(Reading::Whole, "Kolla's Python package", &path.join(part))?;
                    }
                }
                InputPath::LockFile if reads_lock_file(task) => self.add(Reading::File, &name, &path)?,
                InputPath::Reports if matches!(task, Task::MergeSummaries(_)) => {
                    let reading = if path.is_dir() { Reading::Whole } else { Reading::File };
                    self.add(reading, &name, &path)?;
                }
                InputPath::LockFile | InputPath::Reports => {}
            }
        }
        Ok(())
    }

    /// An image tree: its directory, those of its images, its templates, and what its links lead to.
    fn tree(
        &mut self,
        name: &str,
        root: &Path,
        prepared: &Prepared,
        written: &[(Writing, UsedPlace)],
    ) -> Result<(), Fatal> {
        self.add(Reading::Part, name, root)?;
        for link in prepared.catalog.links_in(root) {
            let reading = if link.is_dir() { Reading::Whole } else { Reading::File };
            self.add(reading, name, link)?;
        }
        let location = place(name, root)?.location;
        // There may be ten thousand images.
        if !written.iter().any(|(_, place)| place.location.is_in(&location)) {
            return Ok(());
        }
        let image_dirs: BTreeSet<PathBuf> =
            prepared.images.iter().map(|image| root.join(&image.dir)).filter(|dir| dir.is_dir()).collect();
        for dir in image_dirs {
            self.add(Reading::Whole, name, &dir)?;
        }
        for path in prepared.catalog.templates_in(root) {
            self.add(Reading::File, name, path)?;
        }
        self.add(Reading::File, name, &root.join("repos.yaml"))
    }

    /// Files and directories of this machine that images are made from.
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
fn named(layers: &Layers, option: &OptionSpec, path: &Path) -> String {
    let entries =
        layers.entries().iter().rev().filter(|entry| entry.section == DEFAULT && entry.key == option.name);
    let is_it = |text: &str| Path::new(text) == path;
    let mut entries = entries.collect::<Vec<_>>().into_iter();
    let found = entries.clone().find(|entry| is_it(&entry.text)).or_else(|| entries.next());
    match found {
        Some(entry) => match &entry.place {
            SetAt::CommandLine if entry.text.is_empty() => format!("--{}", option.long()),
            SetAt::CommandLine => format!("--{} {}", option.long(), entry.text),
            place => format!("{} = {} ({place})", option.name, entry.text),
        },
        None => format!("--{} (by default {})", option.long(), path.display()),
    }
}
