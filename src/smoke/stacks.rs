//! Images tested as containers of a stack: it is brought about, looked at, restarted, and taken away again [I/O].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use tokio::sync::watch;

use super::images::TestError;
use super::placement::StackPlaces;
use crate::engine::EngineError;
use crate::engine::container::ContainerEngine;
use crate::model::ids::ImageName;
use crate::model::smoke::SmokeCheck;
use crate::report::tally::Tally;
use crate::run::apply::{Applied, Applier, ApplyError, GRACE};
use crate::run::desired::HostView;
use crate::run::examine::{ExamineError, examine, owned};
use crate::run::health::{NotUp, Waiter};
use crate::run::inspect::check;
use crate::run::opened::OpenedStack;
use crate::run::remove::delete;
use crate::run::spec::LaunchAction;
use crate::run::stack::StackContainer;
use crate::run::text::reasons;
use crate::session::stdio::TellLine;

/// So many of the last lines of a container at fault are told.
const LAST_LINES: usize = 20;

/// Someone who tests the images of a stack.
pub struct StackTester<'a> {
    /// Engine that runs the containers.
    pub engine: &'a dyn ContainerEngine,
    /// The stack: the containers that are needed, with the images that are tested.
    pub opened: &'a OpenedStack,
    /// Variables of the environment, which containers may ask for.
    pub variables: &'a BTreeMap<String, String>,
    /// The longest wait for a container.
    pub patience: Duration,
    /// True once the run is to stop.
    pub stop: watch::Receiver<bool>,
    /// Tells people a line; one about a container begins with its name.
    pub tell: TellLine<'a>,
}

/// Findings about the images of a stack, and why the stack could not be taken away, if it could not.
pub struct StackTested {
    /// Checks of each image, or why there are none.
    pub found: Result<BTreeMap<ImageName, Vec<SmokeCheck>>, TestError>,
    /// Containers, volumes or files that are left.
    pub left: Result<(), TestError>,
}

impl From<ApplyError> for TestError {
    fn from(error: ApplyError) -> TestError {
        match error {
            ApplyError::Examine(error) => error.into(),
            ApplyError::Engine(error) => error.into(),
            ApplyError::State(error) => error.into(),
        }
    }
}

impl From<ExamineError> for TestError {
    fn from(error: ExamineError) -> TestError {
        match error {
            ExamineError::Engine(error) => error.into(),
            ExamineError::EnvFile(error) => TestError::Stack(error.to_string()),
        }
    }
}

impl StackTester<'_> {
    /// Tests the images that have these places. Whatever comes of it, nothing of the stack is left.
    pub async fn test(&self, places: &StackPlaces) -> StackTested {
        let lock = match self.opened.state.lock() {
            Ok(lock) => lock,
            Err(error) => return StackTested { found: Err(error.into()), left: Ok(()) },
        };
        let found = self.found(places).await;
        let left = match self.clean().await {
            // What is left in volumes knows the passwords.
            Ok(()) => self.opened.state.remove().map_err(TestError::from),
            left => left,
        };
        drop(lock);
        StackTested { found, left }
    }

    async fn found(&self, places: &StackPlaces) -> Result<BTreeMap<ImageName, Vec<SmokeCheck>>, TestError> {
        // A run that was killed may have left it.
        self.clean().await?;
        self.refuse_taken_names().await?;
        let OpenedStack { state, passwords, stack, .. } = self.opened;
        state.keep_passwords(passwords)?;
        state.write_files(&stack.files)?;
        let (view, waiter, tally) = (self.view(), self.waiter(), Tally::hidden());
        let applier = Applier { stack, view, waiter, tell: self.tell, tally: &tally };
        let applied = applier.apply(None).await?;
        if applied.interrupted {
            return Err(TestError::Interrupted);
        }
        let differences: BTreeMap<String, String> = examine(self.engine, stack, self.view())
            .await?
            .existing
            .into_iter()
            .map(|held| (held.container_name, reasons(&held.differences)))
            .collect();
        let mut found = BTreeMap::new();
        for (image, names) in places {
            let mut checks = Vec::new();
            for container in names.iter().filter_map(|name| stack.container(name)) {
                match self.not_up(container, &applied, differences.contains_key(&container.name)) {
                    Some(fault) => {
                        checks.push(SmokeCheck::new(format!("{} comes up", container.name), Some(fault)))
                    }
                    None => checks.extend(self.container(container, &differences).await?),
                }
            }
            found.insert(image.clone(), checks);
        }
        Ok(found)
    }

    /// Why a container did not come up, if it did not.
    fn not_up(&self, container: &StackContainer, applied: &Applied, exists: bool) -> Option<String> {
        let failed = &applied.failed;
        if let Some(reason) = failed.get(&container.name) {
            return Some(reason.clone());
        }
        let first = self.opened.stack.names().find(|name| failed.contains_key(*name));
        first
            .filter(|_| !exists)
            .map(|first| format!("it was not started, because {first}, which comes before it, failed"))
    }

    /// Looks at a container that is up, before and after a restart.
    async fn container(
        &self,
        container: &StackContainer,
        differences: &BTreeMap<String, String>,
    ) -> Result<Vec<SmokeCheck>, TestError> {
        let name = &container.name;
        let difference = differences.get(name).filter(|reasons| !reasons.is_empty());
        let mut checks = vec![SmokeCheck::new(format!("{name} is as its stack says"), difference.cloned())];
        if container.settings.detach {
            checks.push(SmokeCheck::new(format!("{name} is up"), self.fault(name).await?));
        }
        // One that goes with its end can't be started again.
        if container.settings.detach && !container.settings.remove {
            let again = match self.restart(container).await? {
                None => self.fault(name).await?,
                fault => fault,
            };
            checks.push(SmokeCheck::new(format!("{name} is up again after a restart"), again));
        }
        if checks.iter().any(|check| check.fault.is_some()) {
            let log = self.engine.container_log(name, LAST_LINES).await.unwrap_or_default();
            log.lines().for_each(|line| (self.tell)(format_args!("{name}: {line}")));
        }
        Ok(checks)
    }

    /// Fault of the health or the files of a container, if there is one.
    async fn fault(&self, name: &str) -> Result<Option<String>, TestError> {
        let Some(facts) = self.engine.container(name).await? else {
            return Ok(Some("it is gone".to_string()));
        };
        let result = check(self.engine, &facts).await?;
        let faults = result.map(|result| result.faults).unwrap_or_default();
        Ok((!faults.is_empty()).then(|| faults.join("; ")))
    }

    /// Stops a container and starts it again; gives why it is not up then, if it is not.
    async fn restart(&self, container: &StackContainer) -> Result<Option<String>, TestError> {
        let (name, spec) = (&container.name, &container.settings.spec);
        self.engine.stop(name, spec.stop_grace.unwrap_or(GRACE)).await?;
        match self.engine.start(name).await {
            Err(EngineError::Refused { message, .. }) => return Ok(Some(message)),
            started => started?,
        }
        match self.waiter().until_up(name, spec.healthcheck.as_ref()).await {
            Ok(()) => Ok(None),
            Err(NotUp::Interrupted) => Err(TestError::Interrupted),
            Err(NotUp::Engine(error)) => Err(error.into()),
            Err(not_up) => Ok(Some(not_up.to_string())),
        }
    }

    /// Fails when a container that is needed would not get its name: commands of the stack would reach another one.
    async fn refuse_taken_names(&self) -> Result<(), TestError> {
        let containers = self.opened.stack.containers.iter();
        for container in containers.filter(|it| it.settings.action == LaunchAction::Run) {
            let name = &container.name;
            if self.engine.container(name).await?.is_some() {
                return Err(TestError::Stack(format!(
                    "there is another container called {name}, which has to go before (kolla-run list)"
                )));
            }
        }
        Ok(())
    }

    /// Takes away everything that the stack has.
    async fn clean(&self) -> Result<(), TestError> {
        let owner = &self.opened.owner;
        let quiet = |_: fmt::Arguments<'_>| {};
        delete(self.engine, owner, true, &quiet).await?;
        let left: BTreeSet<String> = owned(self.engine, owner).await?.into_iter().map(|it| it.name).collect();
        if !left.is_empty() {
            let left = left.into_iter().collect::<Vec<_>>().join(", ");
            return Err(TestError::Stack(format!("the engine still has {left}")));
        }
        Ok(())
    }

    fn waiter(&self) -> Waiter<'_> {
        Waiter { engine: self.engine, patience: self.patience, stop: self.stop.clone() }
    }

    fn view(&self) -> HostView<'_> {
        let OpenedStack { owner, stack, .. } = self.opened;
        HostView { owner, variables: self.variables, files: &stack.files, is_local: true }
    }
}
