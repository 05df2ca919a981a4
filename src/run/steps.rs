//! Actions that bring a stack about: decided from what is held and what differs, before anything is done [pure].

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Attribute, Difference};
use super::spec::LaunchAction;
use super::stack::{Stack, StackContainer};
use crate::engine::container::{ContainerStatus, Health};

/// A container of the stack that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldContainer {
    /// The engine's id of it, which it keeps when it is renamed.
    pub id: String,
    /// Name that it has in the engine.
    pub name: String,
    /// Name in the stack.
    pub container_name: String,
    /// State that the engine reports.
    pub status: ContainerStatus,
    /// Health of it, where the engine asks for it.
    pub health: Option<Health>,
    /// Differences from the stack; empty for a container that the stack does not name.
    pub differences: Vec<Difference>,
}

/// Action on a container of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: it is as it is to be.
    Keep {
        /// True when it runs and is not known to be healthy.
        wait: bool,
    },
    /// Make the container, in place of another or because there is none.
    Make {
        /// Id of the one that goes.
        replaces: Option<String>,
        /// Why that one goes.
        why: Vec<Difference>,
    },
    /// Start the container, which is as it is to be but does not run.
    Start {
        /// The engine's id of it.
        id: String,
    },
    /// Run its command in another container, as in every run.
    Exec,
}

/// A container of the stack, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedContainer<'a> {
    /// Container as the stack describes it.
    pub container: &'a StackContainer,
    /// Action that is due.
    pub action: Action,
}

/// The containers of a step, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep<'a> {
    /// Number of the step; none in a stack without steps.
    pub step: Option<u32>,
    /// Containers and what is done about them.
    pub containers: Vec<PlannedContainer<'a>>,
}

/// Why a container is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalReason {
    /// The stack does not name it any more.
    NotInStack,
    /// There is another of the same name in the stack: a run was ended while it replaced one.
    Unfinished,
}

/// Everything that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackPlan<'a> {
    /// Containers that go, by their names in the engine.
    pub removals: Vec<(String, RemovalReason)>,
    /// Containers that get the name that they have in the stack, when it is free: both names.
    pub renames: Vec<(String, String)>,
    /// Steps, in their order.
    pub steps: Vec<PlannedStep<'a>>,
}

impl StackPlan<'_> {
    /// True when nothing is done but what is done every time.
    pub fn changes_nothing(&self) -> bool {
        let mut planned = self.steps.iter().flat_map(|step| &step.containers);
        self.removals.is_empty()
            && self.renames.is_empty()
            && planned.all(|planned| matches!(planned.action, Action::Keep { .. } | Action::Exec))
    }
}

/// Decides. With a `step` only its containers come about; what the stack does not name goes in any case.
pub fn plan<'a>(stack: &'a Stack, existing: &[HeldContainer], step: Option<u32>) -> StackPlan<'a> {
    let mut by_name: BTreeMap<&str, Vec<&HeldContainer>> = BTreeMap::new();
    for container in existing {
        by_name.entry(&container.container_name).or_default().push(container);
    }
    let named: BTreeSet<&str> = stack.names().collect();
    let (mut removals, mut renames) = (Vec::new(), Vec::new());
    let mut held: BTreeMap<&str, &HeldContainer> = BTreeMap::new();
    for (name, mut containers) in by_name {
        if !named.contains(name) {
            removals.extend(containers.iter().map(|it| (it.name.clone(), RemovalReason::NotInStack)));
            continue;
        }
        // The one that has the name was there before any that was to get it.
        containers.sort_by_key(|container| container.name != name);
        let (first, others) = containers.split_at(1);
        removals.extend(others.iter().map(|it| (it.name.clone(), RemovalReason::Unfinished)));
        if first[0].name != name {
            renames.push((first[0].name.clone(), name.to_string()));
        }
        held.insert(name, first[0]);
    }
    let mut steps: Vec<PlannedStep> = Vec::new();
    for container in stack.containers.iter().filter(|container| step.is_none() || container.step == step) {
        let action = action(container, held.get(container.name.as_str()).copied());
        let planned = PlannedContainer { container, action };
        match steps.last_mut().filter(|last| last.step == container.step) {
            Some(last) => last.containers.push(planned),
            None => steps.push(PlannedStep { step: container.step, containers: vec![planned] }),
        }
    }
    StackPlan { removals, renames, steps }
}

fn action(container: &StackContainer, held: Option<&HeldContainer>) -> Action {
    if container.settings.action == LaunchAction::Exec {
        return Action::Exec;
    }
    let Some(held) = held else { return Action::Make { replaces: None, why: Vec::new() } };
    let is_state = |difference: &Difference| {
        matches!(difference, Difference::Property { attribute: Attribute::ContainerState, .. })
    };
    let can_start = matches!(held.status, ContainerStatus::Created | ContainerStatus::Exited);
    match held.differences.as_slice() {
        [] => Action::Keep { wait: matches!(held.health, Some(Health::Starting | Health::Unhealthy)) },
        // One that does one thing does it from the beginning.
        [only] if is_state(only) && container.settings.detach && can_start => {
            Action::Start { id: held.id.clone() }
        }
        why => Action::Make { replaces: Some(held.id.clone()), why: why.to_vec() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::testing::stack;

    const STACK: &str = "
docker_config:
  step_1:
    once: {image: x, detach: false}
    server: {image: x}
  step_2:
    told: {action: exec, command: server ls}
";

    fn held(
        name: &str,
        container_name: &str,
        status: ContainerStatus,
        differences: &[Difference],
    ) -> HeldContainer {
        HeldContainer {
            id: name.to_string(),
            name: name.to_string(),
            container_name: container_name.to_string(),
            status,
            health: None,
            differences: differences.to_vec(),
        }
    }

    fn state() -> Difference {
        let text = String::new;
        Difference::Property { attribute: Attribute::ContainerState, current: text(), desired: text() }
    }

    fn actions(plan: &StackPlan) -> Vec<(String, Action)> {
        let planned = plan.steps.iter().flat_map(|step| &step.containers);
        planned.map(|planned| (planned.container.name.clone(), planned.action.clone())).collect()
    }

    #[test]
    fn what_is_missing_is_made_and_what_is_right_is_kept() {
        let stack = stack(STACK);
        let nothing = plan(&stack, &[], None);
        let make = Action::Make { replaces: None, why: Vec::new() };
        let expected = [("once", make.clone()), ("server", make.clone()), ("told", Action::Exec)];
        assert_eq!(actions(&nothing), expected.map(|(name, action)| (name.to_string(), action)));
        assert_eq!(nothing.steps.iter().map(|step| step.step).collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert!(!nothing.changes_nothing());
        let all = [
            held("once", "once", ContainerStatus::Exited, &[]),
            held("server", "server", ContainerStatus::Running, &[]),
        ];
        let kept = plan(&stack, &all, None);
        assert!(kept.changes_nothing(), "{kept:?}");
        assert_eq!(actions(&plan(&stack, &[], Some(2))).len(), 1);
    }

    #[test]
    fn one_that_does_not_run_is_started_and_one_that_has_failed_is_made_anew() {
        let stack = stack(STACK);
        for (name, status, differences, expected) in [
            ("server", ContainerStatus::Exited, vec![state()], Action::Start { id: "server".to_string() }),
            ("server", ContainerStatus::Created, vec![state()], Action::Start { id: "server".to_string() }),
            ("server", ContainerStatus::Paused, vec![state()], again("server", &[state()])),
            ("server", ContainerStatus::Restarting, vec![state()], again("server", &[state()])),
            ("once", ContainerStatus::Exited, vec![state()], again("once", &[state()])),
            ("once", ContainerStatus::Created, vec![state()], again("once", &[state()])),
            (
                "server",
                ContainerStatus::Exited,
                vec![state(), Difference::Setting("user".to_string())],
                again("server", &[state(), Difference::Setting("user".to_string())]),
            ),
        ] {
            let existing = [held(name, name, status, &differences)];
            let plan = plan(&stack, &existing, None);
            let found = actions(&plan).into_iter().find(|(of, _)| of == name).expect("planned").1;
            assert_eq!(found, expected, "{name} {status}");
        }
    }

    fn again(name: &str, why: &[Difference]) -> Action {
        Action::Make { replaces: Some(name.to_string()), why: why.to_vec() }
    }

    #[test]
    fn what_a_killed_run_has_left_is_put_in_order() {
        let stack = stack(STACK);
        let existing = [
            held("server-0000beef", "server", ContainerStatus::Created, &[state()]),
            held("server", "server", ContainerStatus::Running, &[]),
            held("gone", "gone", ContainerStatus::Running, &[]),
            held("once-12345678", "once", ContainerStatus::Exited, &[]),
        ];
        // Whatever step is asked for.
        for step in [None, Some(2)] {
            let plan = plan(&stack, &existing, step);
            let removals = [
                ("gone".to_string(), RemovalReason::NotInStack),
                ("server-0000beef".to_string(), RemovalReason::Unfinished),
            ];
            assert_eq!(plan.removals, removals);
            assert_eq!(plan.renames, [("once-12345678".to_string(), "once".to_string())]);
            assert!(!plan.changes_nothing());
        }
    }
}
