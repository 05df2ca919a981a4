//! `kolla-run`: containers of a stack, brought into the state that it describes.

pub mod apply;
pub mod cli;
pub mod compare;
pub mod desired;
pub mod docker_run;
pub mod examine;
pub mod fields;
pub mod health;
pub mod inspect;
pub mod labels;
mod module_tasks;
pub mod opened;
mod options;
pub mod paunch;
mod placeholders;
pub mod puppet;
pub mod python;
mod reached;
pub mod remove;
pub mod shipped;
pub mod spec;
pub mod stack;
pub mod state;
pub mod steps;
mod tasks;
#[cfg(test)]
mod testing;
pub mod text;
pub mod units;
pub mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use self::cli::{RunRequest, RunTask};
use self::module_tasks::{as_module, install_modules};
use self::reached::endpoint;
use self::tasks::{RunSession, stacks};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::session::environment::Environment;
use crate::session::stdio::{output, output_failed, tell, written};
use crate::session::threads;
use crate::util::interrupt;

/// Runs the program; gives its exit code. `variables` are the environment of the process, read nowhere else.
pub fn run(args: impl IntoIterator<Item = OsString>, variables: BTreeMap<String, String>) -> u8 {
    let code = match try_run(args, variables) {
        Ok(code) => code,
        Err(fatal) => {
            tell(&fatal);
            fatal.exit_code
        }
    };
    interrupt::end();
    code
}

fn try_run(
    args: impl IntoIterator<Item = OsString>,
    variables: BTreeMap<String, String>,
) -> Result<u8, Fatal> {
    let args: Vec<OsString> = args.into_iter().collect();
    let called = called(&args);
    if called == Some(paunch::cli::PROGRAM) {
        return match paunch::cli::parse(args) {
            Ok((request, host)) => {
                threads::start()?;
                paunch::run(&request, host.as_deref(), &Environment::read(variables)?)
            }
            Err(error) => shown(error.print(), error.exit_code()),
        };
    }
    let request = match cli::parse(as_module(called, &args).unwrap_or(args)) {
        Ok(request) => request,
        Err(error) => return shown(error.print(), error.exit_code()),
    };
    match &request.task {
        RunTask::Completion(shell) => return output(&cli::completion(*shell)),
        RunTask::Manual => return output(&cli::manual().map_err(|error| output_failed(&error))?),
        RunTask::Stacks { name } => return stacks(name.as_deref()),
        RunTask::InstallModules { directory, no_systemd } => {
            return install_modules(directory, *no_systemd);
        }
        _ => {}
    }
    threads::start()?;
    let environment = Environment::read(variables)?;
    let host = request.host.as_deref();
    match &request.task {
        RunTask::Module { module, file, mode } => {
            return module_tasks::module(module, file, *mode, host, &environment);
        }
        RunTask::Action { action, file, mode } => {
            return module_tasks::action(action, file, *mode, host, &environment);
        }
        RunTask::Paunch(paunch) => return paunch::run(paunch, host, &environment),
        _ => {}
    }
    let session = session(&request, environment)?;
    match &request.task {
        RunTask::Apply { stack, timeout } => session.apply(stack, *timeout),
        RunTask::Diff { stack, json } => session.diff(stack, *json),
        RunTask::Debug { stack, container } => session.debug(stack, container),
        RunTask::List { json } => session.list(*json),
        RunTask::Check { config_ids } => session.check(config_ids),
        RunTask::Logs { containers, tail, follow } => session.logs(containers, *tail, *follow),
        RunTask::Delete { config_ids, volumes } => session.delete(config_ids, *volumes),
        RunTask::Cleanup { config_ids } => session.cleanup(config_ids),
        RunTask::Puppet(puppet) => puppet::run(puppet, &session),
        RunTask::Completion(_)
        | RunTask::Manual
        | RunTask::Stacks { .. }
        | RunTask::InstallModules { .. }
        | RunTask::Module { .. }
        | RunTask::Action { .. }
        | RunTask::Paunch(_) => Ok(0),
    }
}

/// Name that the program was called by.
fn called(args: &[OsString]) -> Option<&str> {
    Path::new(args.first()?).file_name()?.to_str()
}

/// The end of a run that has only printed what is to be said of its command line: help and version come this way too.
fn shown(printed: io::Result<()>, exit_code: i32) -> Result<u8, Fatal> {
    written(printed)?;
    Ok(u8::try_from(exit_code).unwrap_or(EXIT_FAILED))
}

fn session(request: &RunRequest, environment: Environment) -> Result<RunSession, Fatal> {
    let endpoint = endpoint(request.host.as_deref(), &environment)?;
    let state_root = match (&request.state_dir, &environment.state_dir) {
        (Some(named), _) => std::path::absolute(named).ok(),
        (None, usual) => usual.clone(),
    };
    let state_root = state_root.ok_or_else(|| {
        Fatal::message("there is no directory for the state of stacks: HOME is not set", EXIT_USAGE)
            .hinted("name one with --state-dir")
    })?;
    Ok(RunSession { environment, endpoint, state_root, managed_by: request.managed_by.clone() })
}
