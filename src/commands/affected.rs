//! Leaving out images whose inputs are what they were at a git revision.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::config::layer::{Entry, Layers, SetAt};
use crate::config::options::OptionRole;
use crate::config::resolve::resolve;
use crate::config::resolved::{Config, Selection};
use crate::context::digest::digest_entries;
use crate::context::workdir::{ContextFile, write_tree};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::freshness::answer::{Expected, Freshness, StaleReason};
use crate::freshness::evaluate::evaluate_by_record;
use crate::freshness::evidence::ParentState;
use crate::freshness::key::KeyInputs;
use crate::freshness::record::InputRecord;
use crate::model::event::UnitId;
use crate::model::plan::{Disposition, PlannedUnit};
use crate::session::Session;
use crate::session::contexts::{TreeScope, platform_dir, tree_files};
use crate::session::engines::patience;
use crate::session::prepare::{Prepared, prepare};
use crate::session::tree::add_tree_facts;
use crate::sources::revision::{Revision, RevisionError};
use crate::util::scratch::{self, Scratch};

/// Leaves images out of the plan that are what they were at the revision, and so is all that they are built on.
/// `layers` is the configuration as it was read, without what the tree brings along.
pub fn narrow(session: &mut Session, mut layers: Layers, revision: &str) -> Result<(), Fatal> {
    let prepared = &session.prepared;
    if prepared.config.templates.images_dir.is_none() {
        let message = "--affected-since compares trees in git checkouts, and the shipped tree is in none";
        return Err(Fatal::message(message, EXIT_USAGE).hinted("--images-dir DIR names a tree in a checkout"));
    }
    // Copies are in no checkout whose tags could tell it, and a new version alone changes no image.
    layers.push([pinned("kolla_version", &prepared.config.templates.kolla_version)]);
    let mut copies = Revision::new(revision, patience(&prepared.config))?;
    let then = match config_then(layers, &mut copies)? {
        Some(config) => {
            let prepared = prepare(config, session.environment)
                .map_err(|error| error.during(format!("failed to render the image tree of {revision}")))?;
            records(&prepared)?
        }
        None => InputRecords::new(),
    };
    let now = records(prepared)?;
    let mut affected: HashSet<UnitId> = HashSet::new();
    session.change_plan(|plan| {
        for unit in &mut plan.units {
            let is_asked_for = unit.disposition == Disposition::Build;
            match difference(unit, &now, &then, &affected) {
                Some(difference) => {
                    affected.insert(unit.id());
                    if is_asked_for {
                        unit.reason = format!("{difference} since {revision}");
                    }
                }
                None if is_asked_for => {
                    unit.disposition = Disposition::Skipped;
                    unit.reason = format!("nothing that it is made from changed since {revision}");
                }
                None => {}
            }
        }
    });
    Ok(())
}

/// The part of a unit that is not as it was then; none when everything is.
fn difference(
    unit: &PlannedUnit,
    now: &InputRecords,
    then: &InputRecords,
    affected: &HashSet<UnitId>,
) -> Option<String> {
    let id = unit.id();
    let now = now.get(&id)?;
    let Some(then) = then.get(&id) else { return Some("it is new".to_string()) };
    let state = |parent: UnitId| ParentState {
        expected: if affected.contains(&parent) { Expected::Built } else { Expected::Unchanged },
        name: format!("parent {}", parent.image),
        ids: Vec::new(),
    };
    let parents: Vec<ParentState> = unit.needs().map(state).collect();
    match evaluate_by_record(now, then, &parents) {
        Freshness::Stale(StaleReason::Inputs(differences)) => Some(match differences.as_slice() {
            [first, more @ ..] if !more.is_empty() => format!("{first} and {} more differ", more.len()),
            differences => format!("{} differs", differences.join("")),
        }),
        Freshness::Stale(StaleReason::ParentBuilt(parent)) => Some(format!("its {parent} changed")),
        Freshness::Stale(reason) => Some(reason.to_string()),
        Freshness::Fresh(_) | Freshness::Unknown(_) => None,
    }
}

/// The same configuration with every path leading to what was there; none when there was no image tree.
fn config_then(mut layers: Layers, copies: &mut Revision) -> Result<Option<Config>, Fatal> {
    let mut moved = Vec::new();
    for option in layers.options().of_role(OptionRole::ImageInput) {
        for path in layers.paths_of(option)? {
            if let Some(copy) = copies.copy_of(&path)? {
                moved.push(pinned(option.name, &copy.display().to_string()));
            }
        }
        layers.remove_option(option.name);
    }
    layers.push(moved);
    if layers.option("images_dir")?.is_none() {
        return Ok(None);
    }
    // What there is to warn of was told about the tree of today.
    add_tree_facts(&mut layers)?;
    // Whatever this run asks for, everything there was can be compared.
    let mut config = resolve(layers)?;
    config.selection = Selection::default();
    Ok(Some(config))
}

/// An option's value that counts whatever else is given.
fn pinned(key: &str, value: &str) -> Entry {
    Entry::of_option(key, value.replace('$', "$$"), SetAt::CommandLine)
}

/// Inputs of every image of a tree, but for its parents.
type InputRecords = HashMap<UnitId, InputRecord>;

fn records(prepared: &Prepared) -> Result<InputRecords, Fatal> {
    let mut files = tree_files(prepared, TreeScope::AllContexts)?;
    for file in &mut files {
        file.mode = git_mode(file);
    }
    let dir = Scratch::new("affected").map_err(|error| unreadable(&scratch::parent(), &error))?;
    write_tree(dir.path(), &files)?;
    let mut records = InputRecords::new();
    for (platform, rendered) in &prepared.rendered {
        let tree = dir.path().join(platform_dir(prepared, *platform));
        for file in rendered {
            let digest = digest_entries(&tree.join(&file.dir), &[Path::new("Dockerfile")])
                .map_err(|error| unreadable(Path::new(&file.dir), &error))?;
            let sources = prepared.config.sources(&file.image, *platform)?;
            let inputs = KeyInputs {
                dockerfile: file.text.clone(),
                context: digest.into_iter().collect(),
                // As they are configured: nobody is asked what they are.
                sources: sources
                    .iter()
                    .map(|source| (source.section.clone(), format!("{source:?}")))
                    .collect(),
                ..KeyInputs::default()
            };
            let id = UnitId { image: file.image.clone(), platform: *platform };
            records.insert(id, InputRecord::new(&inputs));
        }
    }
    Ok(records)
}

/// Of a file's mode git keeps one bit.
fn git_mode(file: &ContextFile) -> u32 {
    if file.mode & 0o100 == 0 { 0o644 } else { 0o755 }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fatal {
    Fatal::of_file("read", path, error, EXIT_FAILED)
}

impl From<RevisionError> for Fatal {
    fn from(error: RevisionError) -> Fatal {
        let code = match &error {
            RevisionError::NoCheckout { .. } | RevisionError::Unknown { .. } => EXIT_USAGE,
            RevisionError::Git { .. } | RevisionError::Io { .. } => EXIT_FAILED,
        };
        Fatal::new(&error, code)
    }
}
