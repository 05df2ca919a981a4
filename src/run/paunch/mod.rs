//! `kolla-run paunch`: as TripleO's paunch does it, with its options, its files and its decisions.

mod apply;
pub mod cli;
mod config;
mod debug;
mod decide;
mod listing;
mod load;
mod log;
mod settings;

use std::path::Path;

use self::apply::{AppliedConfig, PaunchRunner};
use self::cli::{ConfigArguments, DebugAction, DebugChanges, PaunchRequest, PaunchRuntime, PaunchTask};
use self::listing::ListOptions;
use self::log::PaunchLog;
use super::reached::{self, PODMAN_SOCKET, engine_error, reach};
use crate::engine::container::ContainerEngine;
use crate::engine::docker::{Docker, Endpoint};
use crate::error::{EXIT_FAILED, Fatal};
use crate::session::environment::Environment;
use crate::session::stdio::output;
use crate::session::threads::block_on;
use crate::util::{input, interrupt};

/// Socket of a user's Podman, below the directory of the session.
const USER_SOCKET: &str = "podman/podman.sock";

/// A word on the kernel's command line that takes processors away from whoever does not ask for them.
const ISOLATED: &str = "isolcpus";

/// A request, and where it is carried out.
struct PaunchSession<'a> {
    request: &'a PaunchRequest,
    environment: &'a Environment,
    host: Option<&'a str>,
    endpoint: Endpoint,
    log: PaunchLog,
}

/// Does what is asked for; gives the exit code. `host` is an engine in place of the one of the environment.
pub fn run(request: &PaunchRequest, host: Option<&str>, environment: &Environment) -> Result<u8, Fatal> {
    let log = PaunchLog::open(request.log_file.as_deref(), request.quiet)?;
    let endpoint = endpoint(request.runtime, host, environment)?;
    let session = PaunchSession { request, environment, host, endpoint, log };
    match &request.task {
        PaunchTask::Apply { config, cleanup, healthcheck_disabled, log_path } => {
            session.check_log_path(log_path.as_deref())?;
            session.apply(config, *cleanup, *healthcheck_disabled)
        }
        PaunchTask::Cleanup { config_ids } => {
            session.with_runner(async |runner| runner.clean_up(config_ids).await.map(|()| 0))
        }
        PaunchTask::Delete { config_ids } => {
            session.with_runner(async |runner| runner.delete(config_ids).await.map(|()| 0))
        }
        PaunchTask::List(options) => session.list(options),
        PaunchTask::Debug { config, container, action, changes } => {
            session.debug(config, container, *action, changes)
        }
    }
}

fn endpoint(
    runtime: PaunchRuntime,
    host: Option<&str>,
    environment: &Environment,
) -> Result<Endpoint, Fatal> {
    let variable = |name: &str| environment.variables.get(name).filter(|value| !value.is_empty());
    match (host, runtime) {
        (Some(_), _) | (None, PaunchRuntime::Docker) => reached::endpoint(host, environment),
        (None, PaunchRuntime::Podman) => match (variable("CONTAINER_HOST"), variable("XDG_RUNTIME_DIR")) {
            (Some(host), _) => reached::endpoint(Some(host), environment),
            (None, Some(directory)) if !Path::new(PODMAN_SOCKET).exists() => {
                Ok(Endpoint::Unix(Path::new(directory).join(USER_SOCKET)))
            }
            (None, _) => Ok(Endpoint::Unix(PODMAN_SOCKET.into())),
        },
    }
}

impl PaunchSession<'_> {
    async fn engine(&self) -> Result<Docker, Fatal> {
        let engine = reach(self.environment, self.endpoint.clone()).await;
        engine.map_err(|error| match (self.request.runtime, self.host) {
            (PaunchRuntime::Podman, None) => error.hinted("Docker is meant by --default-runtime docker"),
            _ => error,
        })
    }

    fn with_runner<T>(
        &self,
        work: impl AsyncFnOnce(&PaunchRunner<'_>) -> Result<T, Fatal>,
    ) -> Result<T, Fatal> {
        block_on(async {
            let engine = self.engine().await?;
            let orderly = interrupt::orderly();
            let own_cpus = own_cpus();
            let runner = PaunchRunner {
                engine: &engine,
                managed_by: &self.request.managed_by,
                variables: &self.environment.variables,
                is_local: self.endpoint.is_local(),
                own_cpus: own_cpus.as_deref(),
                log: &self.log,
                stop: orderly.stop(),
            };
            work(&runner).await
        })
    }

    fn check_log_path(&self, path: Option<&Path>) -> Result<(), Fatal> {
        match path.filter(|_| self.request.runtime == PaunchRuntime::Podman) {
            Some(path) if !path.is_absolute() => {
                let message = format!("--container-log-path {} is not absolute", path.display());
                Err(Fatal::message(message, EXIT_FAILED))
            }
            Some(_) => {
                self.log.fault(format_args!(
                    "warning: --container-log-path: containers log to Podman's own place"
                ));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn apply(
        &self,
        arguments: &ConfigArguments,
        cleanup: bool,
        healthcheck_disabled: bool,
    ) -> Result<u8, Fatal> {
        let mut containers = load::load(&arguments.file, None)?;
        settings::sort(&mut containers, |(_, settings)| settings);
        let config = AppliedConfig {
            config_id: &arguments.config_id,
            labels: &arguments.labels,
            containers: &containers,
            cleanup,
            // Docker asks in any case.
            healthcheck_disabled: healthcheck_disabled && self.request.runtime == PaunchRuntime::Podman,
        };
        self.with_runner(async |runner| runner.apply(&config).await)
    }

    fn list(&self, options: &ListOptions) -> Result<u8, Fatal> {
        self.with_runner(async |runner| {
            let held = runner.containers().await?;
            let mut rows = Vec::new();
            for config_id in decide::config_ids(&decide::owned(&held, runner.managed_by, None)) {
                for container in decide::owned(&held, runner.managed_by, Some(&config_id)) {
                    let facts = runner.engine.container(&container.id).await.map_err(engine_error)?;
                    rows.extend(facts.as_ref().map(listing::row));
                }
            }
            let text = listing::list(rows, options).map_err(|error| Fatal::message(error, EXIT_FAILED))?;
            output(&text)
        })
    }

    fn debug(
        &self,
        arguments: &ConfigArguments,
        name: &str,
        action: DebugAction,
        changes: &DebugChanges,
    ) -> Result<u8, Fatal> {
        let found = load::load(&arguments.file, Some(name))?;
        let settings = debug::changed(found.into_iter().next().unwrap_or_default().1, changes)?;
        match action {
            DebugAction::DumpJson => output(&debug::dump_json(name, settings)),
            DebugAction::DumpYaml => output(&debug::dump_yaml(name, settings)),
            DebugAction::PrintCmd => self.with_runner(async |runner| {
                let line = debug::run_line(runner, self.request.runtime, arguments, name, &settings).await?;
                output(&line.0.shell())
            }),
            DebugAction::Run => {
                let line = self.with_runner(async |runner| {
                    let (line, spec) =
                        debug::run_line(runner, self.request.runtime, arguments, name, &settings).await?;
                    match runner.missing_volume(&spec).await? {
                        None => Ok(line),
                        Some(missing) => Err(Fatal::message(
                            format!("container {name}: {missing}, which it mounts, is not there"),
                            EXIT_FAILED,
                        )),
                    }
                })?;
                let variable = match self.request.runtime {
                    PaunchRuntime::Docker => "DOCKER_HOST",
                    PaunchRuntime::Podman => "CONTAINER_HOST",
                };
                let error = debug::run_on_terminal(&line, self.host.map(|host| (variable, host)));
                let program = self.request.runtime.program();
                Err(Fatal::message(format!("cannot run {program}: {error}"), EXIT_FAILED))
            }
        }
    }
}

/// Processors of containers that name none: those of this process, where the kernel keeps some for others.
fn own_cpus() -> Option<String> {
    let kernel = input::read_to_string(Path::new("/proc/cmdline")).ok()?;
    if !kernel.contains(ISOLATED) {
        return None;
    }
    let status = input::read_to_string(Path::new("/proc/self/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(settings::each_cpu)
}
