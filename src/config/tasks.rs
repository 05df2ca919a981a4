//! Tasks that a run does instead of building [pure].

use std::path::PathBuf;

use super::keys::DEFAULT;
use super::layer::{Layers, SetAt, ValueError, value_error};
use super::options::{OptionOrigin, OptionRole, OptionSpec, ValueKind};
use super::resolved::{
    ComparedBuilds, Export, NotesFormat, PipelineExport, RamdiskExport, RegistryRetention, ReleaseNotes,
    Retag, Task,
};
use super::task_kind::TaskKind;
use crate::model::ci_system::CiSystem;
use crate::model::compression::Compression;
use crate::model::reference::Reference;
use crate::model::reference::parts::Tag;

/// What can be exported.
const FORMATS: &str = "bake, matrix=github, matrix=gitlab, matrix=zuul, ramdisk=IMAGE";

/// The task that was asked for, and the option that asks for it. Of several that Kolla has, the first in the order of
/// the table counts, as there; all others exclude each other.
pub fn task(layers: &Layers) -> Result<(Task, Option<&'static OptionSpec>), ValueError> {
    let mut asked = Vec::new();
    for option in layers.options().iter() {
        if let OptionRole::Task(kind) = option.role
            && is_asked(layers, option)?
        {
            asked.push((option, kind));
        }
    }
    let ours = asked.iter().find(|(option, _)| option.origin == OptionOrigin::Ours);
    let others = |one: TaskKind| asked.iter().find(|(_, kind)| *kind != one);
    if let Some((one, (other, _))) = ours.and_then(|(option, kind)| Some((option, others(*kind)?))) {
        return Err(conflict(layers, one, other));
    }
    dry_run(layers)?;
    match asked.first() {
        Some((option, kind)) => Ok((read(layers, option, *kind)?, Some(option))),
        None => Ok((Task::Build, None)),
    }
}

/// Options of the command line that say how something is done that is not asked for.
pub fn without_effect(layers: &Layers) -> Result<Vec<String>, ValueError> {
    let mut told = Vec::new();
    for option in layers.options().iter() {
        let OptionRole::OfTask(tasks) = option.role else { continue };
        let given = layers.entry(DEFAULT, option.name);
        if given.is_some_and(|entry| entry.place == SetAt::CommandLine) {
            let is_one =
                |task: &&OptionSpec| matches!(task.role, OptionRole::Task(kind) if tasks.contains(&kind));
            let tasks: Vec<&OptionSpec> = layers.options().iter().filter(is_one).collect();
            let mut asked = false;
            for task in &tasks {
                asked |= is_asked(layers, task)?;
            }
            if !asked {
                let tasks: Vec<String> = tasks.iter().map(|task| format!("--{}", task.long())).collect();
                told.push(format!("--{} means nothing without {}", option.long(), tasks.join(" or ")));
            }
        }
    }
    Ok(told)
}

fn is_asked(layers: &Layers, option: &OptionSpec) -> Result<bool, ValueError> {
    match option.kind {
        ValueKind::Flag => layers.flag(option.name),
        ValueKind::Many => Ok(layers.many(option.name)?.iter().any(|value| !value.is_empty())),
        _ => Ok(layers.option(option.name)?.is_some()),
    }
}

fn conflict(layers: &Layers, one: &OptionSpec, other: &OptionSpec) -> ValueError {
    let place = |option: &OptionSpec| layers.entry(DEFAULT, option.name).map(|entry| &entry.place);
    let from_file = |option: &OptionSpec| place(option).filter(|place| **place != SetAt::CommandLine);
    // The error stands where one of them is written; the other one is told with its place.
    let (one, other) = if from_file(one).is_some() { (other, one) } else { (one, other) };
    let mut reason = format!("it can't be done together with --{}", other.long());
    if let Some(place) = from_file(other) {
        reason.push_str(&format!(" ({place})"));
    }
    reason.push_str(": each is done instead of building; ask for one");
    if other.kind == ValueKind::Flag && from_file(other).is_some() {
        reason.push_str(&format!("; --no{} turns off what the file asks for", other.long()));
    }
    let place = place(one).cloned().unwrap_or(SetAt::CommandLine);
    ValueError::at(place, one.name, reason)
}

fn dry_run(layers: &Layers) -> Result<(), ValueError> {
    match layers.entry(DEFAULT, "dry_run") {
        // Whoever asks for it does not want to see images built.
        Some(entry)
            if layers.flag("dry_run")? && !layers.flag("prune")? && !layers.flag("prune_registry")? =>
        {
            let reason = "it goes with --prune and --prune-registry alone; --plan tells what would be built";
            Err(value_error(entry, reason))
        }
        _ => Ok(()),
    }
}

fn read(layers: &Layers, option: &OptionSpec, kind: TaskKind) -> Result<Task, ValueError> {
    let text = || layers.option(option.name).map(Option::unwrap_or_default);
    let path = || text().map(PathBuf::from);
    Ok(match kind {
        TaskKind::TemplateOnly => Task::TemplateOnly,
        TaskKind::SaveDependency => Task::SaveDependency(path()?),
        TaskKind::ListImages => Task::ListImages,
        TaskKind::ListDependencies => Task::ListDependencies,
        TaskKind::ListBlocks => Task::ListBlocks,
        TaskKind::Explain => Task::Explain(text()?),
        TaskKind::Lock => Task::Lock(path()?),
        TaskKind::VerifyRegistry => Task::VerifyRegistry,
        TaskKind::ManifestLists => Task::ManifestLists,
        TaskKind::Retag => Task::Retag(retag(layers, option)?),
        TaskKind::ReleaseNotes => Task::ReleaseNotes(release_notes(layers, option)?),
        TaskKind::Export => Task::Export(export(layers, option)?),
        TaskKind::MergeSummaries => {
            Task::MergeSummaries(layers.many(option.name)?.into_iter().map(PathBuf::from).collect())
        }
        TaskKind::Plan => Task::Plan,
        TaskKind::PruneRegistry => Task::PruneRegistry(registry_retention(layers, option)?),
        TaskKind::CompareBuilds => Task::CompareBuilds(compared_builds(layers, option)?),
        TaskKind::Prune => {
            let days = layers.integer(DEFAULT, "prune_package_cache")?;
            Task::Prune {
                tags: layers.option("prune_tags")?,
                package_cache_days: days.and_then(|days| u64::try_from(days).ok()),
                dry_run: layers.flag("dry_run")?,
            }
        }
    })
}

fn release_notes(layers: &Layers, option: &OptionSpec) -> Result<ReleaseNotes, ValueError> {
    Ok(ReleaseNotes {
        old: layers.path(option.name)?.unwrap_or_default(),
        format: match layers.choice("notes_format")?.as_deref() {
            Some("json") => NotesFormat::Json,
            Some("markdown") => NotesFormat::Markdown,
            _ => NotesFormat::Text,
        },
    })
}

fn retag(layers: &Layers, option: &OptionSpec) -> Result<Retag, ValueError> {
    let text = layers.option(option.name)?.unwrap_or_default();
    let (from, to) = text.split_once(':').unwrap_or((&text, ""));
    let tags = from.parse::<Tag>().and_then(|from| Ok(Retag { from, to: to.parse()? }));
    tags.map_err(|reason| {
        let reason = format!("'{text}' is not two tags with a colon between them (FROM:TO): {reason}");
        ValueError::of(layers, option.name, reason)
    })
}

fn registry_retention(layers: &Layers, option: &OptionSpec) -> Result<RegistryRetention, ValueError> {
    let number =
        |key: &str| layers.integer(DEFAULT, key).map(|number| number.and_then(|it| u32::try_from(it).ok()));
    let tags = layers.option("prune_tags")?.filter(|tags| !tags.is_empty()).ok_or_else(|| {
        ValueError::of(layers, option.name, "it needs --prune-tags REGEX: which tags may go".to_string())
    })?;
    Ok(RegistryRetention {
        tags,
        days: number("older_than")?,
        newest: number("keep_newest")?.and_then(|newest| usize::try_from(newest).ok()).unwrap_or(0),
        releases: layers.paths("keep_release")?,
        dry_run: layers.flag("dry_run")?,
    })
}

fn compared_builds(layers: &Layers, option: &OptionSpec) -> Result<ComparedBuilds, ValueError> {
    let images = layers.list(DEFAULT, option.name)?;
    let wrong = |reason: String| ValueError::of(layers, option.name, reason);
    for image in &images {
        image.parse::<Reference>().map_err(|error| wrong(error.to_string()))?;
    }
    let (a, b) = match &images[..] {
        [both] => (both.clone(), both.clone()),
        [a, b] => (a.clone(), b.clone()),
        _ => return Err(wrong(format!("it names {} images, not two (A,B)", images.len()))),
    };
    Ok(ComparedBuilds { a, b, times: layers.flag("compare_times")? })
}

fn export(layers: &Layers, option: &OptionSpec) -> Result<Export, ValueError> {
    let dir = PathBuf::from(layers.option("export_dir")?.unwrap_or_default());
    let images_per_job = layers.integer(DEFAULT, "images_per_job")?.unwrap_or(1).max(1) as usize;
    // What is no tag was refused with its meaning.
    let promote = layers.option("promote")?.and_then(|tag| tag.parse().ok());
    let pipeline = |system, dir| Export::Pipeline(PipelineExport { system, images_per_job, promote, dir });
    Ok(match layers.option(option.name)?.as_deref() {
        Some("bake") => Export::Bake(dir),
        Some("matrix=github") => pipeline(CiSystem::Github, dir),
        Some("matrix=gitlab") => pipeline(CiSystem::Gitlab, dir),
        Some("matrix=zuul") => pipeline(CiSystem::Zuul, dir),
        Some(word) => match word.strip_prefix("ramdisk=").filter(|image| !image.is_empty()) {
            Some(image) => Export::Ramdisk(ramdisk(layers, image, dir)?),
            None => {
                return Err(ValueError::of(layers, option.name, format!("'{word}' is not one of {FORMATS}")));
            }
        },
        None => {
            return Err(ValueError::of(layers, option.name, format!("it has no value: one of {FORMATS}")));
        }
    })
}

fn ramdisk(layers: &Layers, image: &str, dir: PathBuf) -> Result<RamdiskExport, ValueError> {
    let compression = match layers.option("ramdisk_compression")?.as_deref() {
        Some("gzip") => Compression::Gzip,
        Some("xz") => Compression::Xz,
        // Other words were refused with its kind.
        _ => Compression::Zstd,
    };
    let overlays = layers.paths("ramdisk_overlay")?;
    Ok(RamdiskExport { image: image.into(), compression, overlays, dir })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::layer::Entry;
    use crate::config::options::OPTIONS;

    fn value_of(option: &OptionSpec) -> &'static str {
        match (option.name, option.kind) {
            ("retag", _) => "a:b",
            ("compare_builds", _) => "a,b",
            ("export", _) => "bake",
            (_, ValueKind::Choice(words)) => words[0],
            (_, ValueKind::Flag) => "true",
            _ => "x",
        }
    }

    fn layers(given: &[&OptionSpec], place: &SetAt) -> Layers {
        let mut layers = Layers::default();
        layers.push(given.iter().map(|option| Entry {
            section: DEFAULT.to_string(),
            key: option.name.to_string(),
            text: value_of(option).to_string(),
            place: place.clone(),
        }));
        // A task that is refused without it.
        layers.push_below([Entry::of_option("prune_tags", "x", SetAt::BuiltIn)]);
        layers
    }

    fn task_alone(layers: &Layers) -> Result<Task, ValueError> {
        task(layers).map(|(task, _)| task)
    }

    fn tasks() -> Vec<&'static OptionSpec> {
        OPTIONS.iter().filter(|option| matches!(option.role, OptionRole::Task(_))).collect()
    }

    #[test]
    fn every_task_of_the_table_is_read() {
        assert_eq!(task(&Layers::default()).expect("no task").0, Task::Build);
        for option in tasks() {
            let (found, asked_by) = task(&layers(&[option], &SetAt::CommandLine)).expect(option.name);
            assert_eq!(asked_by.map(|it| it.name), Some(option.name));
            assert_ne!(found, Task::Build, "{}", option.name);
        }
    }

    #[test]
    fn two_tasks_exclude_each_other_unless_kolla_has_both() {
        for one in tasks() {
            for other in tasks().into_iter().filter(|other| other.name != one.name) {
                let found = task_alone(&layers(&[one, other], &SetAt::CommandLine));
                if one.origin == OptionOrigin::Kolla && other.origin == OptionOrigin::Kolla {
                    let first = tasks().into_iter().find(|it| [one.name, other.name].contains(&it.name));
                    let first = first.expect("one of them comes first");
                    assert_eq!(found, task_alone(&layers(&[first], &SetAt::CommandLine)));
                } else {
                    let told = found.expect_err(one.name).to_string();
                    for option in [one, other] {
                        assert!(told.contains(&format!("--{}", option.long())), "{told}");
                    }
                }
            }
        }
    }

    #[test]
    fn kollas_own_have_its_order() {
        let kollas: Vec<&str> =
            tasks().iter().filter(|it| it.origin == OptionOrigin::Kolla).map(|it| it.name).collect();
        assert_eq!(kollas, ["template_only", "save_dependency", "list_images", "list_dependencies"]);
    }

    #[test]
    fn what_a_file_asks_for_is_told_with_its_place() {
        let [list_images, plan] = ["list_images", "plan"].map(|name| OPTIONS.find(name).expect(name));
        let file = SetAt::File(Path::new("k.conf").to_path_buf(), Some(3));
        let mut both = layers(&[list_images], &file);
        both.push(layers(&[plan], &SetAt::CommandLine).entries().to_vec());
        assert_eq!(
            task(&both).expect_err("two tasks").to_string(),
            "--plan: it can't be done together with --list-images (k.conf:3): each is done instead of building; ask for \
             one; --nolist-images turns off what the file asks for"
        );
    }

    #[test]
    fn what_a_task_would_need_is_told_on_the_command_line_alone() {
        let [format, prune] = ["plan_format", "prune"].map(|name| OPTIONS.find(name).expect(name));
        let told = |given: &[&OptionSpec], place| {
            without_effect(&layers(given, place)).expect("values of their kinds")
        };
        assert_eq!(
            told(&[format], &SetAt::CommandLine),
            ["--plan-format means nothing without --plan or --prune or --prune-registry or --compare-builds"]
        );
        assert_eq!(told(&[format, prune], &SetAt::CommandLine), [""; 0]);
        assert_eq!(told(&[format], &SetAt::File("k.conf".into(), Some(1))), [""; 0]);
    }
}
