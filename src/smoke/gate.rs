//! The gate of a build: every image that is up to date is tested before it is pushed [I/O].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, watch};

use super::files::CheckSet;
use super::images::{ImageTester, TestError};
use super::placement::{StackPlaces, choose, name_in_tree, needed, part};
use super::stacks::{StackTested, StackTester};
use super::{ID_PREFIX, MANAGER};
use crate::engine::EngineError;
use crate::engine::container::ContainerEngine;
use crate::model::event::UnitId;
use crate::model::ids::ImageName;
use crate::model::plan::PlannedUnit;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::secret::Secrets;
use crate::model::smoke::{SmokeCheck, SmokeResult};
use crate::run::opened::OpenedStack;
use crate::run::spec::LaunchAction;
use crate::schedule::gate::{Gate, GateNews};

/// A stack that images can be tested in.
pub struct CandidateStack {
    /// Name that people know it by.
    pub name: String,
    /// All of it.
    pub opened: OpenedStack,
    /// Passwords of the stack, which no log may show.
    pub secrets: Secrets,
}

/// Everything that images are tested by and with.
pub struct SmokeGate {
    /// Engine that has them.
    pub engine: Arc<dyn ContainerEngine>,
    /// The engine's own platform; images of others can't be started.
    pub platform: Platform,
    /// Stacks that images may have a place in.
    pub stacks: Vec<CandidateStack>,
    /// Checks of single images.
    pub checks: CheckSet,
    /// References of all images of the tree, by name.
    pub references: BTreeMap<ImageName, Reference>,
    /// Text that names of this run's images begin with.
    pub prefix: String,
    /// Variables of the environment, which containers may ask for.
    pub variables: BTreeMap<String, String>,
    /// The longest wait for a container.
    pub patience: Duration,
    /// Images looked at at once.
    pub threads: usize,
    /// True once the run is to stop.
    pub stop: watch::Receiver<bool>,
}

type News = mpsc::UnboundedSender<GateNews>;

/// Somebody who has stopped listening need not be told.
fn send(news: &News, piece: GateNews) {
    let _ = news.send(piece);
}

impl Gate for SmokeGate {
    fn takes(&self, unit: &PlannedUnit) -> bool {
        unit.platform == self.platform
    }

    fn test<'a>(&'a self, units: Vec<PlannedUnit>, news: News) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let units: BTreeMap<ImageName, PlannedUnit> =
                units.into_iter().map(|unit| (unit.image.clone(), unit)).collect();
            let places: Vec<(StackPlaces, usize)> =
                self.stacks.iter().map(|stack| self.places(stack)).collect();
            let chosen = choose(&places, &units.keys().cloned().collect());
            let in_stacks: BTreeSet<&ImageName> = chosen.iter().flat_map(|(_, images)| images).collect();
            let alone: Vec<&PlannedUnit> =
                units.values().filter(|unit| !in_stacks.contains(&unit.image)).collect();
            self.tell_untested(&alone, &news);
            let alone: Vec<PlannedUnit> = alone.into_iter().cloned().collect();
            let tests = stream::iter(alone).map(|unit| self.alone(unit, &news));
            tests.buffer_unordered(self.threads).collect::<Vec<()>>().await;
            for (at, images) in &chosen {
                if *self.stop.borrow() {
                    return;
                }
                let of_images = images.iter().filter_map(|image| units.get(image)).collect();
                self.in_stack(&self.stacks[*at], &places[*at].0, of_images, &news).await;
            }
        })
    }
}

impl SmokeGate {
    /// Places of a stack, and how many containers it has.
    fn places(&self, stack: &CandidateStack) -> (StackPlaces, usize) {
        let of_stack = &stack.opened.stack;
        (super::placement::places(of_stack, &self.prefix), of_stack.containers.len())
    }

    fn tester(&self) -> ImageTester<'_> {
        ImageTester { engine: self.engine.as_ref(), patience: self.patience, stop: self.stop.clone() }
    }

    /// Tells of images that nothing is known of.
    fn tell_untested(&self, alone: &[&PlannedUnit], news: &News) {
        let unknown: Vec<&str> = alone
            .iter()
            .filter(|unit| self.checks.of(&unit.image).is_empty())
            .map(|unit| unit.image.as_str())
            .collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            let text = format!(
                "not tested: {unknown}: no stack has a place for it, and no check asks anything of it"
            );
            send(news, GateNews::Warning(text));
        }
    }

    /// Tests an image by itself.
    async fn alone(&self, unit: PlannedUnit, news: &News) {
        if *self.stop.borrow() {
            return;
        }
        send(news, GateNews::Started(unit.id()));
        // The registry may have it, and the engine not.
        if let Some(error) = self.pull_missing(&unit.reference.to_string()).await {
            send(news, GateNews::Said(unit.id(), error.to_string()));
        }
        if let Ok(checks) =
            self.tester().test(&unit.reference.to_string(), &self.checks.of(&unit.image)).await
        {
            send(news, GateNews::Ended(unit.id(), SmokeResult { stack: None, checks }));
        }
    }

    /// Tests images as containers of a stack, which is brought about once for all of them.
    async fn in_stack(
        &self,
        candidate: &CandidateStack,
        places: &StackPlaces,
        units: Vec<&PlannedUnit>,
        news: &News,
    ) {
        for unit in &units {
            send(news, GateNews::Started(unit.id()));
        }
        let asked: Vec<_> =
            units.iter().map(|unit| (unit.image.clone(), unit.reference.to_string())).collect();
        let tests = stream::iter(asked).map(async |(image, reference)| {
            let checks = self.checks.of(&image);
            (image, self.tester().test(&reference, &checks).await)
        });
        let own: BTreeMap<ImageName, Result<Vec<SmokeCheck>, TestError>> =
            tests.buffer_unordered(self.threads).collect().await;
        let wanted: StackPlaces = units
            .iter()
            .filter_map(|unit| Some((unit.image.clone(), places.get(&unit.image)?.clone())))
            .collect();
        let opened = self.part_of(&candidate.opened, &wanted);
        self.pull_images(&candidate.name, &opened, news).await;
        let of_container = |name: &str| self.unit_of(&opened, name, &units);
        let tell = |line: fmt::Arguments<'_>| {
            let text = candidate.secrets.hide(line.to_string());
            let name = text.split(':').next().unwrap_or_default();
            if let Some(unit) = of_container(name) {
                text.lines().for_each(|line| send(news, GateNews::Said(unit.clone(), line.to_string())));
            }
        };
        let tester = StackTester {
            engine: self.engine.as_ref(),
            opened: &opened,
            variables: &self.variables,
            patience: self.patience,
            stop: self.stop.clone(),
            tell: &tell,
        };
        let StackTested { found, left } = tester.test(&wanted).await;
        if let Err(error) = left {
            let id = &opened.owner.config_id;
            let text = format!(
                "failed to take away what {id} has: {error}; kolla-run delete {id} --managed-by {MANAGER} --volumes does it"
            );
            send(news, GateNews::Warning(text));
        }
        for unit in units {
            let of_stack = match &found {
                Ok(found) => found.get(&unit.image).cloned().unwrap_or_default(),
                Err(TestError::Interrupted) => continue,
                Err(error) => {
                    vec![SmokeCheck::new(format!("stack {}", candidate.name), Some(error.to_string()))]
                }
            };
            let Some(Ok(own)) = own.get(&unit.image) else { continue };
            let hide = |check: SmokeCheck| SmokeCheck {
                fault: check.fault.map(|fault| candidate.secrets.hide(fault)),
                ..check
            };
            let checks = own.iter().cloned().chain(of_stack).map(hide).collect();
            let result = SmokeResult { stack: Some(candidate.name.clone()), checks };
            send(news, GateNews::Ended(unit.id(), result));
        }
    }

    /// The containers of a stack that these places need, with the images of this run.
    fn part_of(&self, opened: &OpenedStack, places: &StackPlaces) -> OpenedStack {
        let needed = needed(&opened.stack, places.values().flatten().map(String::as_str));
        let reference = |image: &str| {
            let reference = self.references.get(&name_in_tree(image, &self.prefix))?;
            Some(reference.to_string())
        };
        let stack = part(opened.stack.clone(), &needed, &opened.owner.config_id, &reference);
        OpenedStack { stack, ..opened.clone() }
    }

    /// Pulls what the stack needs and the engine does not have. What can't be pulled keeps its containers from coming up.
    async fn pull_images(&self, name: &str, opened: &OpenedStack, news: &News) {
        let runs = opened.stack.containers.iter().filter(|it| it.settings.action == LaunchAction::Run);
        let images: BTreeSet<&str> = runs.map(|it| it.settings.spec.image.as_str()).collect();
        for image in images {
            if let Some(error) = self.pull_missing(image).await {
                let text = format!(
                    "{image}, which the stack {name} needs, is not here, and can't be pulled: {error}; build it in the same run"
                );
                send(news, GateNews::Warning(text));
            }
        }
    }

    /// Pulls an image that the engine does not have; gives the error, if there is one.
    async fn pull_missing(&self, image: &str) -> Option<EngineError> {
        if !matches!(self.engine.image_defaults(image).await, Ok(None)) {
            return None;
        }
        let reference = image.parse::<Reference>().ok()?.tagged();
        self.engine.pull(&reference, self.platform, &|_| {}).await.err()
    }

    /// The unit whose image a container is made from, among those that are tested.
    fn unit_of(&self, opened: &OpenedStack, container: &str, units: &[&PlannedUnit]) -> Option<UnitId> {
        let spec = &opened.stack.container(container)?.settings.spec;
        let image = name_in_tree(&spec.image, &self.prefix);
        units.iter().find(|unit| unit.image == image).map(|unit| unit.id())
    }
}

/// Id that a stack's state and labels have in tests.
pub fn test_id(stack: &str) -> String {
    format!("{ID_PREFIX}{stack}")
}
