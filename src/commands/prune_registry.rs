//! `--prune-registry`: takes old images out of the registry.
//!
//! All is read before anything goes: what can't be read completely might name what would go.

use std::collections::BTreeSet;
use std::fmt;

use fancy_regex::Regex;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::release;
use crate::config::resolved::{PlanFormat, RegistryRetention};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::model::ids::{Digest, ImageName};
use crate::model::plan::BuildPlan;
use crate::model::reference::Reference;
use crate::registry::Registries;
use crate::registry::error::{Problem, RegistryError};
use crate::registry::manifest::{Content, Manifest};
use crate::registry::retention::{HeldManifests, RepositoryPrune, RetentionRules, decide, in_question};
use crate::report::counted;
use crate::session::Session;
use crate::session::stdio::{output, tell, tell_pause};
use crate::session::threads::block_on;
use crate::util::at_once;
use crate::util::retry::retry;

const HOURS_A_DAY: i64 = 24;

/// What goes of an image's repository.
#[derive(Serialize)]
struct Repository {
    image: ImageName,
    /// Name of the repository, without a tag.
    #[serde(rename = "repository", serialize_with = "as_text")]
    name: Reference,
    #[serde(flatten)]
    prune: RepositoryPrune,
}

fn as_text<S: serde::Serializer>(reference: &Reference, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reference)
}

/// The registry, and how often it is asked.
struct CleanedRegistry {
    registries: Registries,
    retries: u32,
    at_once: usize,
}

/// Shows what goes, and then deletes it; gives the exit code.
pub fn prune_registry(session: &Session, retention: &RegistryRetention) -> Result<u8, Fatal> {
    let config = session.config();
    let plan = &session.prepared.plan;
    let rules = rules(plan, retention)?;
    let images = images(plan)?;
    let registry = CleanedRegistry {
        registries: session.registries_alone(),
        retries: config.build.retries,
        at_once: config.build.push_threads.max(at_once::QUESTIONS),
    };
    block_on(async {
        let repositories = registry.decide(&images, &rules).await?;
        output(&match config.output.plan_format {
            PlanFormat::Json => serde_json::to_string_pretty(&repositories).unwrap_or_default() + "\n",
            PlanFormat::Text => ShownRepositories(&repositories).to_string(),
        })?;
        if retention.dry_run {
            tell("Nothing was deleted (--dry-run)");
            return Ok(0);
        }
        registry.delete(&repositories, &rules).await
    })
}

fn rules(plan: &BuildPlan, retention: &RegistryRetention) -> Result<RetentionRules, Fatal> {
    let tags = Regex::new(&retention.tags).map_err(|error| Fatal::new(&error, EXIT_USAGE))?;
    // Of every image, whatever was asked for now.
    let references = plan.units.iter().flat_map(|unit| [&unit.reference, unit.public_reference()]);
    let needed = references.map(|reference| reference.tag_or_latest().to_string()).collect();
    let before = retention.days.map(|days| {
        // Options have numbers that days have hours for.
        let age = SignedDuration::from_hours(i64::from(days) * HOURS_A_DAY);
        // Nothing is older than the first time there is.
        Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN)
    });
    let mut released = BTreeSet::new();
    for path in &retention.releases {
        released.extend(release::read(path)?.digests().cloned());
    }
    Ok(RetentionRules { tags, needed, before, newest: retention.newest, released })
}

/// Images that are asked for, each with its repository.
fn images(plan: &BuildPlan) -> Result<Vec<(ImageName, Reference)>, Fatal> {
    let mut seen = BTreeSet::new();
    let mut images = Vec::new();
    // Those of several platforms are in one repository.
    for unit in plan.to_build().filter(|unit| seen.insert(&unit.image)) {
        if unit.reference.registry.is_none() {
            return Err(Fatal::message("--prune-registry needs a registry", EXIT_USAGE)
                .hinted("name it with --registry"));
        }
        images.push((unit.image.clone(), unit.reference.bare()));
    }
    Ok(images)
}

impl CleanedRegistry {
    /// Reads all repositories and decides about what is in them; fails when one can't be read completely.
    async fn decide(
        &self,
        images: &[(ImageName, Reference)],
        rules: &RetentionRules,
    ) -> Result<Vec<Repository>, Fatal> {
        let (mut repositories, mut failed) = (Vec::new(), Vec::new());
        for (image, name) in images {
            match self.read(name, rules).await {
                Ok(held) => {
                    let prune = decide(&held, rules);
                    repositories.push(Repository { image: image.clone(), name: name.clone(), prune });
                }
                Err(error) => failed.push(format!("{image}: {error}")),
            }
        }
        if failed.is_empty() {
            return Ok(repositories);
        }
        let message = format!("nothing is deleted, for {} can't be read", counted_repositories(failed.len()));
        Err(failed.into_iter().fold(Fatal::message(message, EXIT_FAILED), Fatal::caused_by))
    }

    /// All that decides about a repository.
    async fn read(
        &self,
        repository: &Reference,
        rules: &RetentionRules,
    ) -> Result<HeldManifests, RegistryError> {
        let tags = self.ask(|| self.registries.tags(repository)).await?.unwrap_or_default();
        let mut held = HeldManifests::new();
        let mut lists = Vec::new();
        let read = stream::iter(&tags).map(async |tag| {
            let named = repository.with_tag(tag);
            Ok::<_, RegistryError>((tag, self.ask(|| self.registries.manifest(&named)).await?))
        });
        let mut read = read.buffered(self.at_once);
        // Without a manifest it has gone meanwhile.
        while let Some((tag, manifest)) = read.try_next().await? {
            let Some(manifest) = manifest else { continue };
            let entry = held.entry(manifest.digest.clone()).or_default();
            entry.tags.insert(tag.clone());
            entry.parts = self.parts(repository, &manifest)?;
            lists.extend(entry.parts.iter().cloned());
        }
        drop(read);
        self.read_parts(repository, lists, &mut held).await?;
        let in_question = in_question(&held, rules);
        if rules.ask_age() {
            self.read_ages(repository, &in_question, &mut held).await?;
        }
        self.read_attached(repository, in_question, &mut held).await?;
        Ok(held)
    }

    /// Reads what lists name, and what the lists among these name.
    async fn read_parts(
        &self,
        repository: &Reference,
        mut waiting: Vec<Digest>,
        held: &mut HeldManifests,
    ) -> Result<(), RegistryError> {
        while let Some(digest) = waiting.pop() {
            if held.contains_key(&digest) {
                continue;
            }
            let named = repository.at(&digest);
            // A registry need not hold everything that a list names.
            let Some(manifest) = self.ask(|| self.registries.manifest(&named)).await? else { continue };
            let parts = self.parts(repository, &manifest)?;
            waiting.extend(parts.iter().cloned());
            held.entry(digest).or_default().parts = parts;
        }
        Ok(())
    }

    /// Reads what is attached to manifests, and what is attached to that.
    async fn read_attached(
        &self,
        repository: &Reference,
        in_question: BTreeSet<Digest>,
        held: &mut HeldManifests,
    ) -> Result<(), RegistryError> {
        let (mut asked, mut waiting) = (BTreeSet::new(), in_question);
        while !waiting.is_empty() {
            asked.extend(waiting.iter().cloned());
            let read = stream::iter(std::mem::take(&mut waiting)).map(async |digest| {
                let attached = self.ask(|| self.registries.referrers(repository, &digest)).await?;
                let attached: Vec<Digest> = attached.into_iter().map(|referrer| referrer.digest).collect();
                Ok::<_, RegistryError>((digest, attached))
            });
            let found: Vec<_> = read.buffered(self.at_once).try_collect().await?;
            for (digest, attached) in found.into_iter().filter(|(_, attached)| !attached.is_empty()) {
                self.read_parts(repository, attached.clone(), held).await?;
                waiting.extend(attached.iter().filter(|digest| !asked.contains(*digest)).cloned());
                held.entry(digest).or_default().attached = attached;
            }
        }
        Ok(())
    }

    /// Reads when images were made.
    async fn read_ages(
        &self,
        repository: &Reference,
        digests: &BTreeSet<Digest>,
        held: &mut HeldManifests,
    ) -> Result<(), RegistryError> {
        let read = stream::iter(digests).map(async |digest| {
            let named = repository.at(digest);
            let manifest = self.ask(|| self.registries.manifest(&named)).await?;
            let Some(Ok(Content::Image { config, .. })) = manifest.map(|it| it.content()) else {
                return Ok((digest, None));
            };
            let made = self.ask(|| self.registries.made(repository, &config)).await?;
            Ok::<_, RegistryError>((digest, made))
        });
        let ages: Vec<_> = read.buffered(self.at_once).try_collect().await?;
        for (digest, made) in ages {
            if let Some(manifest) = held.get_mut(digest) {
                manifest.made = made;
            }
        }
        Ok(())
    }

    fn parts(&self, repository: &Reference, manifest: &Manifest) -> Result<Vec<Digest>, RegistryError> {
        let registry = repository.registry.clone().unwrap_or_default();
        match manifest.content() {
            Ok(Content::Image { .. }) => Ok(Vec::new()),
            Ok(Content::Index(entries)) => Ok(entries.into_iter().map(|entry| entry.digest).collect()),
            Err(reason) => Err(RegistryError { registry, problem: Problem::Garbage(reason) }),
        }
    }

    async fn ask<T, Asked: Future<Output = Result<T, RegistryError>>>(
        &self,
        ask: impl Fn() -> Asked,
    ) -> Result<T, RegistryError> {
        retry(self.retries, RegistryError::again, tell_pause, ask).await
    }

    /// Deletes what was decided on; one that can't be deleted keeps no other. Gives the exit code.
    async fn delete(&self, repositories: &[Repository], rules: &RetentionRules) -> Result<u8, Fatal> {
        let (mut gone, mut errors) = (0, 0);
        for Repository { image, name, prune } in repositories.iter().filter(|it| !it.prune.remove.is_empty())
        {
            // Others may have given what goes a tag since, which would go with it.
            let still: BTreeSet<Digest> = match self.read(name, rules).await {
                Ok(held) => decide(&held, rules).remove.into_iter().map(|going| going.digest).collect(),
                Err(error) => {
                    tell(format_args!(
                        "error: nothing of {image} is deleted, for it can't be read again: {error}"
                    ));
                    errors += 1;
                    continue;
                }
            };
            for going in &prune.remove {
                if !still.contains(&going.digest) {
                    tell(format_args!("kept {image} ({}), as its tags have changed", going.digest));
                    continue;
                }
                match self.ask(|| self.registries.delete(name, &going.digest)).await {
                    Ok(_) => gone += 1,
                    Err(error) if is_switched_off(&error) => return Err(switched_off(&error, gone)),
                    Err(error) => {
                        tell(format_args!("error: failed to delete {image} ({}): {error}", going.digest));
                        errors += 1;
                    }
                }
            }
        }
        tell(format_args!("Deleted {}", counted(gone, "manifest")));
        if gone > 0 {
            tell(
                "The registry frees their space when it collects garbage (registry garbage-collect, for one)",
            );
        }
        Ok(if errors > 0 { EXIT_FAILED } else { 0 })
    }
}

/// True for the answer of a registry that lets nobody delete.
fn is_switched_off(error: &RegistryError) -> bool {
    matches!(error.problem, Problem::Refused { status: 405, .. })
}

fn switched_off(error: &RegistryError, gone: usize) -> Fatal {
    let message = format!("the registry lets nobody delete; gone before: {}", counted(gone, "manifest"));
    Fatal::message(message, EXIT_FAILED).caused_by(error).hinted(
        "Docker's registry does with REGISTRY_STORAGE_DELETE_ENABLED=true in its environment, or storage: delete: enabled: \
         true in its config.yml; others have retention of their own",
    )
}

fn counted_repositories(count: usize) -> String {
    if count == 1 { "a repository".to_string() } else { format!("{count} repositories") }
}

/// What goes and what stays, for people.
struct ShownRepositories<'a>(&'a [Repository]);

impl fmt::Display for ShownRepositories<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |tags: &BTreeSet<String>| match tags.is_empty() {
            true => "no tag".to_string(),
            false => tags.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        };
        for Repository { image, prune, .. } in self.0 {
            for going in &prune.remove {
                let made = going.made.as_deref().and_then(|made| made.split('T').next());
                let with = going.with.as_ref().map(|digest| format!("  with {}", short(digest)));
                let made = made.map(|made| format!("  made on {made}")).unwrap_or_default();
                let (digest, with) = (short(&going.digest), with.unwrap_or_default());
                writeln!(f, "delete  {digest}  {image}  {}{made}{with}", joined(&going.tags))?;
            }
            for kept in &prune.keep {
                let (digest, tags) = (short(&kept.digest), joined(&kept.tags));
                writeln!(f, "keep    {digest}  {image}  {tags}  {}", kept.reason)?;
            }
        }
        let sum = |count: fn(&RepositoryPrune) -> usize| self.0.iter().map(|it| count(&it.prune)).sum();
        let going: usize = sum(|prune| prune.remove.len());
        let other: usize = sum(|prune| prune.other_tags);
        writeln!(
            f,
            "{} to delete in {}; {} left that --prune-tags does not name or that images have now",
            counted(going, "manifest"),
            counted_repositories(self.0.len()),
            counted(other, "tag")
        )
    }
}

fn short(digest: &Digest) -> &str {
    let digits = digest.as_str().trim_start_matches("sha256:");
    digits.get(..12).unwrap_or(digits)
}
