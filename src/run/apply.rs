//! Bringing a stack about: the plan, carried out against an engine [I/O].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::desired::HostView;
use super::examine::{ExamineError, Examined, examine};
use super::health::{NotUp, Waiter};
use super::spec::LaunchAction;
use super::stack::{Stack, StackContainer};
use super::state::{StateError, suffix};
use super::steps::{Action, PlannedContainer, PlannedStep, RemovalReason, StackPlan, plan};
use super::text::{LAST_LINES, RunCounts, indented, last_lines, made, step_line, took};
use crate::engine::EngineError;
use crate::engine::container::{ContainerSpec, VolumeSource};
use crate::report::tally::Tally;
use crate::session::stdio::TellLine;
use crate::util::transient::{FULL_DISK_HINT, tells_of_full_disk};

/// Time that a container has to end by itself when its stack says nothing.
pub const GRACE: Duration = Duration::from_secs(10);

/// Networks that every engine has, or that are another container's.
pub const BUILT_IN_NETWORKS: [&str; 6] = ["host", "none", "bridge", "default", "slirp4netns", "pasta"];

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The stack could not be compared with what there is.
    #[error(transparent)]
    Examine(#[from] ExamineError),
    /// The engine did not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No name could be made.
    #[error(transparent)]
    State(#[from] StateError),
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Applied {
    /// Number of containers that each action was done to.
    pub counts: RunCounts,
    /// Names of the containers that failed, and why.
    pub failed: BTreeMap<String, String>,
    /// True when it was to stop before its end.
    pub interrupted: bool,
}

/// Someone who brings a stack about.
pub struct Applier<'a> {
    /// Stack that is brought about.
    pub stack: &'a Stack,
    /// Facts of this machine that stacks refer to.
    pub view: HostView<'a>,
    /// Engine, and how long it is waited for.
    pub waiter: Waiter<'a>,
    /// Tells people a line.
    pub tell: TellLine<'a>,
    /// Shows how many containers are as they are to be, and which one is seen to.
    pub tally: &'a Tally,
}

/// Why one container is not as it is to be; the others go on.
enum ContainerFailure {
    /// For this reason, with the end of its log.
    Told(String, String),
    /// The run is to stop.
    Interrupted,
    /// The run can't go on.
    Fatal(ApplyError),
}

impl From<EngineError> for ContainerFailure {
    fn from(error: EngineError) -> ContainerFailure {
        match error {
            // What it says of one container is no reason to leave the others.
            EngineError::Refused { message, .. } => ContainerFailure::Told(message, String::new()),
            error => ContainerFailure::Fatal(error.into()),
        }
    }
}

impl Applier<'_> {
    /// Compares, and does what is to be done; with a step only that.
    pub async fn apply(&self, step: Option<u32>) -> Result<Applied, ApplyError> {
        let examined = examine(self.waiter.engine, self.stack, self.view).await?;
        let plan = plan(self.stack, &examined.existing, step);
        let mut applied = Applied::default();
        self.tally.begin(plan.steps.iter().map(|step| step.containers.len()).sum());
        self.tidy(&plan, &mut applied).await?;
        for (number, step) in plan.steps.iter().enumerate() {
            if !applied.failed.is_empty() || applied.interrupted {
                break;
            }
            if let Some(line) = step_line(step.step, number + 1, plan.steps.len()) {
                (self.tell)(format_args!("{line}"));
            }
            self.step(step, &examined, &mut applied).await?;
        }
        Ok(applied)
    }

    /// Removes what the stack does not name, and gives the others their names.
    async fn tidy(&self, plan: &StackPlan<'_>, applied: &mut Applied) -> Result<(), ApplyError> {
        let engine = self.waiter.engine;
        for (name, reason) in &plan.removals {
            engine.stop(name, GRACE).await?;
            engine.remove(name).await?;
            let why = match reason {
                RemovalReason::NotInStack => "the stack does not name it",
                RemovalReason::Unfinished => "an earlier run was ended before it was done with it",
            };
            (self.tell)(format_args!("{name}: removed: {why}"));
            applied.counts.removed += 1;
        }
        for (from, to) in &plan.renames {
            if engine.container(to).await?.is_none() {
                engine.rename(from, to).await?;
                (self.tell)(format_args!("{to}: renamed, it was {from}"));
            }
        }
        Ok(())
    }

    async fn step(
        &self,
        step: &PlannedStep<'_>,
        examined: &Examined,
        applied: &mut Applied,
    ) -> Result<(), ApplyError> {
        let mut started = Vec::new();
        for planned in &step.containers {
            if *self.waiter.stop.borrow() {
                applied.interrupted = true;
                return Ok(());
            }
            self.tally.doing(&planned.container.name);
            let done = self.bring_about(planned, examined, applied).await;
            match self.settle(planned.container, done, applied)? {
                Some(true) => started.push(planned.container),
                _ => self.tally.one_done(),
            }
        }
        for container in started {
            let begun = Instant::now();
            self.tally.doing(format_args!("waiting for {}", container.name));
            let up = self.wait_for(container).await;
            self.tally.one_done();
            if self.settle(container, up, applied)?.is_some() {
                let word = if container.settings.spec.healthcheck.is_some() { "healthy" } else { "running" };
                (self.tell)(format_args!("{}: {word}{}", container.name, took(begun.elapsed())));
            }
        }
        Ok(())
    }

    /// Tells of a failure; gives the result of what has succeeded.
    fn settle<T>(
        &self,
        container: &StackContainer,
        done: Result<T, ContainerFailure>,
        applied: &mut Applied,
    ) -> Result<Option<T>, ApplyError> {
        match done {
            Ok(done) => return Ok(Some(done)),
            Err(ContainerFailure::Fatal(error)) => return Err(error),
            Err(ContainerFailure::Interrupted) => applied.interrupted = true,
            Err(ContainerFailure::Told(reason, log)) => {
                let is_full = tells_of_full_disk(reason.lines().chain(log.lines()));
                let log = match log.trim_end() {
                    "" => String::new(),
                    log => format!("; the end of its log:\n{}", indented(log)),
                };
                (self.tell)(format_args!("{}: failed: {reason}{log}", container.name));
                if is_full {
                    (self.tell)(format_args!("  hint: {FULL_DISK_HINT}"));
                }
                applied.failed.insert(container.name.clone(), reason);
            }
        }
        Ok(None)
    }

    /// Does what is to be done about a container; true when it is to be waited for.
    async fn bring_about(
        &self,
        planned: &PlannedContainer<'_>,
        examined: &Examined,
        applied: &mut Applied,
    ) -> Result<bool, ContainerFailure> {
        let container = planned.container;
        if !matches!(planned.action, Action::Keep { .. }) {
            self.wait_for_needed(container, applied).await?;
        }
        match &planned.action {
            Action::Keep { wait } => {
                applied.counts.unchanged += 1;
                return Ok(*wait);
            }
            Action::Exec => {
                self.exec(container).await?;
                applied.counts.ran += 1;
                return Ok(false);
            }
            Action::Start { id } => {
                self.waiter.engine.start(id).await?;
                (self.tell)(format_args!("{}: started, it did not run", container.name));
                applied.counts.started += 1;
            }
            Action::Make { replaces, why } => {
                let spec = &examined.specs[&container.name];
                let name = self.make(container, spec, replaces.as_deref()).await?;
                (self.tell)(format_args!("{}", made(&container.name, &name, why, replaces.is_some())));
                match replaces {
                    Some(_) => applied.counts.remade += 1,
                    None => applied.counts.made += 1,
                }
                if !container.settings.detach {
                    self.see_it_end(container, &name).await?;
                }
            }
        }
        Ok(container.settings.detach)
    }

    async fn wait_for_needed(
        &self,
        container: &StackContainer,
        applied: &Applied,
    ) -> Result<(), ContainerFailure> {
        for needed in self.stack.needed_by(container) {
            if applied.failed.contains_key(&needed.name) {
                return Err(ContainerFailure::Told(
                    format!("{}, which it needs, has failed", needed.name),
                    String::new(),
                ));
            }
            if needed.settings.detach {
                self.wait_for(needed).await.map_err(|failure| match failure {
                    ContainerFailure::Told(reason, log) => ContainerFailure::Told(
                        format!("{}, which it needs, is not up: {reason}", needed.name),
                        log,
                    ),
                    other => other,
                })?;
            }
        }
        Ok(())
    }

    /// Makes a container and starts it; gives its name. Another one is there until this one could be made.
    async fn make(
        &self,
        container: &StackContainer,
        spec: &ContainerSpec,
        replaces: Option<&str>,
    ) -> Result<String, ContainerFailure> {
        let engine = self.waiter.engine;
        if let [first, ..] = self.view.missing(spec).as_slice() {
            return Err(ContainerFailure::Told(
                format!("{first}, which it mounts, is not there"),
                String::new(),
            ));
        }
        self.ensure_volumes_and_network(spec).await?;
        let wanted = container.name.as_str();
        let is_free = match engine.container(wanted).await? {
            Some(other) => replaces == Some(other.id.as_str()),
            None => true,
        };
        let for_now = match (is_free, replaces) {
            (true, None) => wanted.to_string(),
            _ => {
                let suffix = suffix().map_err(|error| ContainerFailure::Fatal(error.into()))?;
                format!("{wanted}-{suffix}")
            }
        };
        engine.create(&for_now, spec).await?;
        if let Some(old) = replaces {
            let grace = container.settings.spec.stop_grace.unwrap_or(GRACE);
            engine.stop(old, grace).await?;
            engine.remove(old).await?;
        }
        let name = if is_free { wanted.to_string() } else { for_now.clone() };
        if name != for_now {
            engine.rename(&for_now, &name).await?;
        }
        if let Err(error) = engine.start(&name).await {
            // It would only look as if it were something.
            engine.remove(&name).await?;
            return Err(error.into());
        }
        Ok(name)
    }

    async fn ensure_volumes_and_network(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let (engine, labels) = (self.waiter.engine, self.view.owner.labels());
        for volume in &spec.volumes {
            if let VolumeSource::Named(name) = &volume.source
                && engine.ensure_volume(name, &labels).await?
            {
                (self.tell)(format_args!("volume {name}: made"));
            }
        }
        if let Some(network) = &spec.namespaces.network
            && !BUILT_IN_NETWORKS.contains(&network.as_str())
            && !network.contains(':')
            && engine.ensure_network(network, &labels).await?
        {
            (self.tell)(format_args!("network {network}: made"));
        }
        Ok(())
    }

    /// Waits for a container that does one thing, and looks at its exit code.
    async fn see_it_end(&self, container: &StackContainer, name: &str) -> Result<(), ContainerFailure> {
        let (engine, settings, begun) = (self.waiter.engine, &container.settings, Instant::now());
        let ended = self.waiter.until_end(name).await;
        let code = match ended {
            Ok(code) => code,
            Err(NotUp::Interrupted) => {
                // What it has half done it does again from the beginning.
                engine.stop(name, Duration::from_secs(1)).await?;
                engine.remove(name).await?;
                return Err(ContainerFailure::Interrupted);
            }
            Err(NotUp::Engine(error)) => return Err(error.into()),
            Err(not_up) => {
                let log = self.log_of(name).await;
                engine.stop(name, GRACE).await?;
                return Err(ContainerFailure::Told(not_up.to_string(), log));
            }
        };
        let log = if settings.exit_codes.contains(&code) { None } else { Some(self.log_of(name).await) };
        if settings.remove {
            engine.remove(name).await?;
        }
        match log {
            None => {
                (self.tell)(format_args!(
                    "{}: ended with exit code {code}{}",
                    container.name,
                    took(begun.elapsed())
                ));
                Ok(())
            }
            Some(log) => Err(ContainerFailure::Told(wrong_code(code, &settings.exit_codes), log)),
        }
    }

    /// Runs a command in another container.
    async fn exec(&self, container: &StackContainer) -> Result<(), ContainerFailure> {
        let (settings, begun) = (&container.settings, Instant::now());
        let Some((target, command)) = settings.spec.command.split_first() else { return Ok(()) };
        let done = self.waiter.engine.execute(target, command, settings.spec.user.as_deref()).await?;
        if !settings.exit_codes.contains(&done.code) {
            let log = last_lines(&done.output);
            return Err(ContainerFailure::Told(wrong_code(done.code, &settings.exit_codes), log));
        }
        let (name, code, took) = (&container.name, done.code, took(begun.elapsed()));
        (self.tell)(format_args!("{name}: ran in {target} with exit code {code}{took}"));
        Ok(())
    }

    /// Waits until a container is up.
    async fn wait_for(&self, container: &StackContainer) -> Result<(), ContainerFailure> {
        let name = match self.name_of(container).await? {
            Some(name) => name,
            None if container.settings.action == LaunchAction::Exec => return Ok(()),
            None => return Err(ContainerFailure::Told("it is not there".to_string(), String::new())),
        };
        match self.waiter.until_up(&name, container.settings.spec.healthcheck.as_ref()).await {
            Ok(()) => Ok(()),
            Err(NotUp::Interrupted) => Err(ContainerFailure::Interrupted),
            Err(NotUp::Engine(error)) => Err(error.into()),
            Err(not_up) => Err(ContainerFailure::Told(not_up.to_string(), self.log_of(&name).await)),
        }
    }

    /// Name that a container of the stack has in the engine.
    async fn name_of(&self, container: &StackContainer) -> Result<Option<String>, EngineError> {
        let found = super::examine::owned(self.waiter.engine, self.view.owner).await?;
        let of_stack: BTreeMap<&str, &str> = found
            .iter()
            .filter_map(|it| Some((it.labels.get(super::labels::CONTAINER_NAME)?.as_str(), it.name.as_str())))
            .collect();
        Ok(of_stack.get(container.name.as_str()).map(ToString::to_string))
    }

    /// The end of a container's log; empty when the engine does not give it.
    async fn log_of(&self, name: &str) -> String {
        self.waiter.engine.container_log(name, LAST_LINES).await.unwrap_or_default()
    }
}

fn wrong_code(code: i64, allowed: &[i64]) -> String {
    let allowed: Vec<String> = allowed.iter().map(i64::to_string).collect();
    format!("exit code {code} (allowed: {})", allowed.join(", "))
}
