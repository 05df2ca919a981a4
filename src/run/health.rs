//! Waiting until a container is up, or has ended [I/O].

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::engine::EngineError;
use crate::engine::container::{ContainerEngine, ContainerFacts, ContainerStatus, Health, Healthcheck};

/// Time between two looks, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Time that a container without a healthcheck has to run for.
const SETTLED: Duration = Duration::from_secs(1);

/// So many new starts while it is waited for mean that it will not stay up.
const MOST_RESTARTS: i64 = 3;

/// Why a container is not up.
#[derive(Debug, thiserror::Error)]
pub enum NotUp {
    /// The container has ended.
    #[error("it has ended with exit code {0}")]
    Ended(i64),
    /// The container ends again and again.
    #[error("it does not stay up: it was started {0} times, and its last exit code is {1}")]
    KeepsRestarting(i64, i64),
    /// The container's healthcheck fails for too long.
    #[error("it has not become healthy within {} s{}", .0.as_secs_f32(), last_word(.1))]
    Unhealthy(Duration, String),
    /// The container does not end in time.
    #[error("it has not ended within {} s", .0.as_secs_f32())]
    EndlessRun(Duration),
    /// Somebody has removed it.
    #[error("it was removed by somebody else")]
    Gone,
    /// The run is to stop.
    #[error("interrupted")]
    Interrupted,
    /// The engine did not answer the question.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn last_word(output: &str) -> String {
    match output.trim().lines().last() {
        Some(line) => format!("; its healthcheck says: {line}"),
        None => String::new(),
    }
}

/// Who waits, and for how long.
pub struct Waiter<'a> {
    /// Engine that runs the containers.
    pub engine: &'a dyn ContainerEngine,
    /// The longest wait for one of them.
    pub patience: Duration,
    /// True once the run is to stop.
    pub stop: watch::Receiver<bool>,
}

impl Waiter<'_> {
    /// Waits until a container is healthy. Engines look seldom, or (Podman without systemd) never, so its check is run here
    /// too. One without a check has to stay up for a moment.
    pub async fn until_up(&self, name: &str, check: Option<&Healthcheck>) -> Result<(), NotUp> {
        let check = check.filter(|check| !check.is_none());
        let (begun, mut pauses) = (Instant::now(), Pauses::new());
        let restarts = self.look(name).await?.restarts;
        loop {
            let facts = self.look(name).await?;
            let again = facts.restarts - restarts;
            match facts.status {
                ContainerStatus::Exited | ContainerStatus::Dead => return Err(NotUp::Ended(facts.exit_code)),
                _ if again >= MOST_RESTARTS => {
                    return Err(NotUp::KeepsRestarting(again + 1, facts.exit_code));
                }
                _ => {}
            }
            let mut words = String::new();
            let is_up = match check {
                None => facts.status == ContainerStatus::Running && begun.elapsed() >= SETTLED,
                Some(_) if facts.health == Some(Health::Healthy) => true,
                Some(check) if facts.status == ContainerStatus::Running => {
                    let (healthy, output) = self.ask(&facts, check).await?;
                    words = output;
                    healthy
                }
                Some(_) => false,
            };
            if is_up {
                return Ok(());
            }
            if begun.elapsed() >= self.patience {
                return Err(NotUp::Unhealthy(self.patience, words));
            }
            self.pause(&mut pauses).await?;
        }
    }

    /// Waits until a container has ended; gives its exit code.
    pub async fn until_end(&self, name: &str) -> Result<i64, NotUp> {
        let (begun, mut pauses) = (Instant::now(), Pauses::new());
        loop {
            let facts = self.look(name).await?;
            if matches!(facts.status, ContainerStatus::Exited | ContainerStatus::Dead) {
                return Ok(facts.exit_code);
            }
            if begun.elapsed() >= self.patience {
                return Err(NotUp::EndlessRun(self.patience));
            }
            self.pause(&mut pauses).await?;
        }
    }

    async fn look(&self, name: &str) -> Result<ContainerFacts, NotUp> {
        self.engine.container(name).await?.ok_or(NotUp::Gone)
    }

    /// Runs the check; gives whether it succeeded, and what it said.
    async fn ask(&self, facts: &ContainerFacts, check: &Healthcheck) -> Result<(bool, String), NotUp> {
        let mut stop = self.stop.clone();
        tokio::select! {
            asked = ask_health(self.engine, facts, check) => Ok(asked?),
            _ = stop.wait_for(|stopped| *stopped) => Err(NotUp::Interrupted),
        }
    }

    async fn pause(&self, pauses: &mut Pauses) -> Result<(), NotUp> {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep(pauses.next()) => Ok(()),
            _ = stop.wait_for(|stopped| *stopped) => Err(NotUp::Interrupted),
        }
    }
}

/// Runs a container's healthcheck; gives whether it succeeded, and what it said.
pub async fn ask_health(
    engine: &dyn ContainerEngine,
    facts: &ContainerFacts,
    check: &Healthcheck,
) -> Result<(bool, String), EngineError> {
    let command = check.command();
    match timeout(check.timeout.max(SETTLED), engine.execute(&facts.name, &command, None)).await {
        Ok(Ok(done)) => Ok((done.code == 0, done.output)),
        // It may just be starting again, or may not have what the check calls yet.
        Ok(Err(EngineError::Refused { message, .. })) => Ok((false, message)),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok((false, "it gives no answer".to_string())),
    }
}

/// Pauses between two looks at a container, each longer than the one before.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Pauses {
        Pauses(FIRST_PAUSE)
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 3 / 2).min(LONGEST_PAUSE);
        pause
    }
}
