//! The tasks of `kolla-run`, each told from beginning to end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::apply::{Applier, ApplyError};
use super::cli::StackArguments;
use super::desired::HostView;
use super::docker_run::docker_run;
use super::examine::{ExamineError, examine, managed};
use super::health::Waiter;
use super::inspect::{check, look_up};
use super::labels::StackOwner;
use super::opened::{OpenedStack, StackText, check_id, masking, unknown_stack};
use super::reached::{engine_error, pull_missing_image, reach};
use super::remove::{clean_up, delete};
use super::spec::LaunchAction;
use super::stack::Stack;
use super::state::StateDir;
use super::steps::plan;
use super::text::{self, columns, took};
use super::units::quoted_line;
use super::{labels, shipped};
use crate::engine::container::{ContainerEngine, ListedContainer};
use crate::engine::docker::{Docker, Endpoint};
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Fatal};
use crate::model::secret::Secrets;
use crate::report::counted;
use crate::session::engines::tell_engine;
use crate::session::environment::Environment;
use crate::session::reporters::tally;
use crate::session::stdio::{hide, output, output_by, tell};
use crate::session::threads::block_on;
use crate::util::interrupt;
use crate::util::nearest;

/// The engine, the state directory and the output of a run, which every task works with.
pub struct RunSession {
    /// The environment of the process.
    pub environment: Environment,
    /// Where the engine is.
    pub endpoint: Endpoint,
    /// Directory of the state of all stacks.
    pub state_root: PathBuf,
    /// Who looks after containers.
    pub managed_by: String,
}

impl RunSession {
    /// The engine, once it was reached.
    async fn reach(&self) -> Result<Docker, Fatal> {
        reach(&self.environment, self.endpoint.clone()).await
    }

    /// The same, with a word of what it is reached for.
    async fn engine(&self, doing: &str) -> Result<Docker, Fatal> {
        let engine = self.reach().await?;
        tell_engine(&engine, doing);
        Ok(engine)
    }

    fn view<'a>(&'a self, opened: &'a OpenedStack) -> HostView<'a> {
        HostView {
            owner: &opened.owner,
            variables: &self.environment.variables,
            files: &opened.stack.files,
            is_local: self.endpoint.is_local(),
        }
    }

    /// Reads a stack, and hides its passwords from then on. Nothing is written yet.
    fn open(&self, arguments: &StackArguments) -> Result<OpenedStack, Fatal> {
        let text = StackText::read(&arguments.file)?;
        let owner = StackOwner {
            managed_by: self.managed_by.clone(),
            config_id: arguments.config_id.clone().unwrap_or_else(|| text.name()),
        };
        let opened = OpenedStack::open(&text, owner, &arguments.parameters, &self.state_root, hide)?;
        check_step(&opened.stack, arguments.step)?;
        Ok(opened)
    }

    /// Brings a stack about; gives the exit code.
    pub fn apply(&self, arguments: &StackArguments, timeout: Duration) -> Result<u8, Fatal> {
        let begun = Instant::now();
        let mut opened = self.open(arguments)?;
        let _lock = opened.state.lock()?;
        // Another run may have made some while the lock was not ours.
        let kept = opened.state.kept_passwords()?;
        if opened.passwords.iter().any(|(name, password)| kept.get(name).is_some_and(|kept| kept != password))
        {
            opened = self.open(arguments)?;
        }
        let config_id = opened.owner.config_id.clone();
        block_on(async {
            let engine = self.engine(&format!("Applying {config_id}")).await?;
            pull_missing(&engine, &opened.stack, arguments.step).await?;
            // From here on there is something to be put in order.
            let orderly = interrupt::orderly();
            opened.state.keep_passwords(&opened.passwords)?;
            opened.state.write_files(&opened.stack.files)?;
            let waiter = Waiter { engine: &engine, patience: timeout, stop: orderly.stop() };
            let view = self.view(&opened);
            let tally = tally(&self.environment);
            let tell_above = |line: fmt::Arguments<'_>| tally.aside(|| tell(line));
            let applier = Applier { stack: &opened.stack, view, waiter, tell: &tell_above, tally: &tally };
            let applied = applier.apply(arguments.step).await;
            drop(tally);
            let applied = applied?;
            let time = took(begun.elapsed());
            let counts = applied.counts;
            if applied.interrupted {
                tell(format_args!(
                    "Interrupted: {config_id} is not complete; apply it again: {counts}{time}"
                ));
                return Ok(EXIT_INTERRUPTED);
            }
            if applied.failed.is_empty() {
                tell(format_args!("Applied {config_id}: {counts}{time}"));
                return Ok(0);
            }
            let failed = applied.failed.into_keys().collect::<Vec<_>>().join(", ");
            tell(format_args!("Failed to apply {config_id}: {failed} failed, {counts}{time}"));
            Ok(EXIT_FAILED)
        })
    }

    /// Tells what `apply` would do; gives the exit code: 1 when that is anything.
    pub fn diff(&self, arguments: &StackArguments, json: bool) -> Result<u8, Fatal> {
        let opened = self.open(arguments)?;
        block_on(async {
            let engine = self.engine(&format!("Comparing {}", opened.owner.config_id)).await?;
            let examined =
                examine(&engine, &opened.stack, self.view(&opened)).await.map_err(examine_error)?;
            let plan = plan(&opened.stack, &examined.existing, arguments.step);
            let text = match json {
                true => serde_json::to_string_pretty(&text::plan_json(&plan)).unwrap_or_default() + "\n",
                false => text::plan(&plan, &examined.missing_images),
            };
            output(&masking(&opened.passwords)?.hide(text))?;
            Ok(if plan.changes_nothing() { 0 } else { EXIT_FAILED })
        })
    }

    /// Prints the `docker run` line of a container.
    pub fn debug(&self, arguments: &StackArguments, name: &str) -> Result<u8, Fatal> {
        let opened = self.open(arguments)?;
        let container = opened.stack.container(name).ok_or_else(|| {
            let unknown = nearest::unknown_name("container", name, opened.stack.names());
            Fatal::message(format!("{}: {unknown}", arguments.file), EXIT_USAGE)
        })?;
        let spec = self.view(&opened).spec(container).map_err(|error| Fatal::new(&error, EXIT_USAGE))?;
        let line = match container.settings.action {
            LaunchAction::Exec => format!("docker exec {}\n", quoted_line(&spec.command)),
            LaunchAction::Run => docker_run("docker", name, &spec, container.settings.detach).shell(),
        };
        output(&masking(&opened.passwords)?.hide(line))
    }

    /// Lists the containers of every stack.
    pub fn list(&self, json: bool) -> Result<u8, Fatal> {
        block_on(async {
            let engine = self.engine("Listing").await?;
            let containers = managed(&engine, &self.managed_by).await.map_err(engine_error)?;
            let mut listed = look_up(&engine, &containers).await.map_err(engine_error)?;
            listed.sort_by_key(|it| it.row());
            if json {
                let rows: Vec<_> = listed.iter().map(|it| it.json()).collect();
                return output(&(serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n"));
            }
            let heading = ["CONFIG_ID", "NAME", "STATUS", "HEALTH", "IMAGE"].map(String::from).to_vec();
            let rows: Vec<_> = std::iter::once(heading).chain(listed.iter().map(|it| it.row())).collect();
            output(&columns(&rows))
        })
    }

    /// Asks containers for their health and their files; gives the exit code: 1 when something is wrong.
    pub fn check(&self, config_ids: &[String]) -> Result<u8, Fatal> {
        block_on(async {
            let engine = self.engine("Checking").await?;
            let mut containers = managed(&engine, &self.managed_by).await.map_err(engine_error)?;
            let asked = |id: &String| config_ids.is_empty() || config_ids.contains(id);
            containers.retain(|container| container.labels.get(labels::CONFIG_ID).is_some_and(asked));
            if containers.is_empty() {
                return Err(Fatal::message("there are no containers to check", EXIT_FAILED)
                    .hinted("kolla-run list lists those that there are"));
            }
            let (mut rows, mut wrong) = (Vec::new(), 0);
            for container in look_up(&engine, &containers).await.map_err(engine_error)? {
                let Some(result) = check(&engine, &container.facts).await.map_err(engine_error)? else {
                    continue;
                };
                wrong += usize::from(!result.faults.is_empty());
                let verdict = if result.faults.is_empty() { "ok" } else { "wrong" };
                let words = result.words.into_iter().chain(result.faults).collect::<Vec<_>>().join("; ");
                rows.push(vec![result.name, verdict.to_string(), words]);
            }
            output(&self.hidden(&columns(&rows), &ids_of(&containers))?)?;
            tell(format_args!("{} checked, {wrong} wrong", rows.len()));
            Ok(if wrong == 0 { 0 } else { EXIT_FAILED })
        })
    }

    /// Prints the last lines of containers.
    pub fn logs(&self, names: &[String], tail: usize, follow: bool) -> Result<u8, Fatal> {
        block_on(async {
            let engine = self.reach().await?;
            let containers = managed(&engine, &self.managed_by).await.map_err(engine_error)?;
            let secrets = self.secrets(&ids_of(&containers))?;
            let mut found_all = Vec::new();
            for name in names {
                let is_it = |label: Option<&String>| label == Some(name);
                let found = containers
                    .iter()
                    .find(|it| it.name == *name || is_it(it.labels.get(labels::CONTAINER_NAME)));
                let Some(container) = found else {
                    let known = containers.iter().map(|it| it.name.as_str());
                    let unknown = nearest::unknown_name("container", name, known);
                    return Err(Fatal::message(unknown, EXIT_USAGE).hinted("kolla-run list lists them"));
                };
                found_all.push((name, container));
            }
            if follow {
                // Until each has ended, or nobody reads any more.
                let print = |name: &str, line: &str| {
                    let (text, mut is_read) = (secrets.hide(format!("{name}: {line}\n")), false);
                    let printed = output_by(|out| {
                        out.write_all(text.as_bytes()).and_then(|()| out.flush()).inspect(|()| is_read = true)
                    });
                    printed.map_err(|fatal| tell(&fatal)).is_ok() && is_read
                };
                let all = found_all.iter().map(async |(name, container)| {
                    engine.follow_log(&container.id, tail, &|line| print(name, line)).await
                });
                return try_join_all(all).await.map(|_| 0).map_err(engine_error);
            }
            for (name, container) in found_all {
                let log = engine.container_log(&container.id, tail).await.map_err(engine_error)?;
                let log: String = log.lines().map(|line| format!("{name}: {line}\n")).collect();
                output(&secrets.hide(log))?;
            }
            Ok(0)
        })
    }

    /// Removes the containers and networks of stacks, and their volumes if asked to.
    pub fn delete(&self, config_ids: &[String], with_volumes: bool) -> Result<u8, Fatal> {
        block_on(async {
            let engine = self.engine("Deleting").await?;
            for config_id in config_ids {
                check_id(config_id)?;
                let state = StateDir::new(&self.state_root, config_id);
                let lock = state.lock()?;
                let owner = StackOwner { managed_by: self.managed_by.clone(), config_id: config_id.clone() };
                let count =
                    delete(&engine, &owner, with_volumes, &|line| tell(line)).await.map_err(engine_error)?;
                // What the volumes hold knows the passwords.
                if with_volumes || state.is_empty() {
                    state.remove()?;
                }
                drop(lock);
                tell(format_args!("Deleted {config_id}: {} removed", counted(count, "container")));
            }
            Ok(0)
        })
    }

    /// Removes the stacks that are not named.
    pub fn cleanup(&self, config_ids: &[String]) -> Result<u8, Fatal> {
        block_on(async {
            let engine = self.engine("Cleaning up").await?;
            let count = clean_up(&engine, &self.managed_by, config_ids, &|line| tell(line))
                .await
                .map_err(engine_error)?;
            tell(format_args!("Cleaned up: {} removed", counted(count, "container")));
            Ok(0)
        })
    }

    /// A text without the passwords of these stacks.
    fn hidden(&self, text: &str, config_ids: &[String]) -> Result<String, Fatal> {
        Ok(self.secrets(config_ids)?.hide(text.to_string()))
    }

    /// Everything that hides the passwords of these stacks.
    fn secrets(&self, config_ids: &[String]) -> Result<Secrets, Fatal> {
        let mut passwords = BTreeMap::new();
        for id in config_ids.iter().filter(|id| check_id(id).is_ok()) {
            let kept = StateDir::new(&self.state_root, id).kept_passwords()?;
            passwords.extend(kept.into_iter().map(|(name, password)| (format!("{id}/{name}"), password)));
        }
        masking(&passwords)
    }
}

/// Lists the stacks inside the program, or prints one.
pub fn stacks(name: Option<&str>) -> Result<u8, Fatal> {
    match name {
        None => output(&shipped::names().map(|name| format!("{name}\n")).collect::<String>()),
        Some(name) => output(shipped::stack(name).ok_or_else(|| unknown_stack(name))?),
    }
}

fn ids_of(containers: &[ListedContainer]) -> Vec<String> {
    let ids = containers.iter().filter_map(|container| container.labels.get(labels::CONFIG_ID).cloned());
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}

fn check_step(stack: &Stack, step: Option<u32>) -> Result<(), Fatal> {
    let mut steps: Vec<u32> = stack.containers.iter().filter_map(|container| container.step).collect();
    steps.dedup();
    match step {
        Some(step) if !steps.contains(&step) => {
            let steps: Vec<String> = steps.iter().map(u32::to_string).collect();
            let there =
                if steps.is_empty() { "no steps".to_string() } else { format!("steps {}", steps.join(", ")) };
            Err(Fatal::message(format!("there is no step {step}: the stack has {there}"), EXIT_USAGE))
        }
        _ => Ok(()),
    }
}

/// Pulls the images of a step, or of all, that the engine does not have.
async fn pull_missing(engine: &Docker, stack: &Stack, step: Option<u32>) -> Result<(), Fatal> {
    let of_step = stack.containers.iter().filter(|container| step.is_none() || container.step == step);
    let mut images: Vec<&str> = of_step
        .filter(|container| container.settings.action == LaunchAction::Run)
        .map(|container| container.settings.spec.image.as_str())
        .collect();
    images.sort_unstable();
    images.dedup();
    for image in images {
        pull_missing_image(engine, image).await?.map_err(|error| {
            let users: Vec<&str> =
                stack.containers.iter().filter(|it| it.settings.spec.image == image).map(|it| it.name.as_str()).collect();
            Fatal::message(format!("failed to pull {image}, the image of {}", users.join(", ")), EXIT_FAILED)
                .caused_by(error.message)
                .hinted("build it with kolla-build, or name another tag or namespace (--set tag=..., --set namespace=...)")
        })?;
    }
    Ok(())
}

fn examine_error(error: ExamineError) -> Fatal {
    match error {
        ExamineError::Engine(error) => engine_error(error),
        ExamineError::EnvFile(error) => Fatal::new(&error, EXIT_USAGE),
    }
}

impl From<ApplyError> for Fatal {
    fn from(error: ApplyError) -> Fatal {
        match error {
            ApplyError::Examine(error) => examine_error(error),
            ApplyError::Engine(error) => engine_error(error),
            ApplyError::State(error) => error.into(),
        }
    }
}
