//! The tasks of `kolla-run` that answer as Ansible's modules do [I/O].

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Map, Value};

use super::reached::{PODMAN_SOCKET, credentials, endpoint};
use crate::engine::docker::{DockerHost, Endpoint};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::run::worker::failed::ModuleFailure;
use crate::run::worker::module::{CallMode, MODULES, ModuleCall, arguments_in, library_file};
use crate::session::environment::Environment;
use crate::session::stdio::{output, tell};
use crate::session::threads::block_on;
use crate::util::{input, interrupt, write};

/// The words of a command line for a program that was called by the name of a module; none for any other name.
pub fn as_module(called: Option<&str>, args: &[OsString]) -> Option<Vec<OsString>> {
    let module = MODULES.into_iter().find(|module| called == Some(module))?;
    let words = ["kolla-run", "module", module].map(OsString::from);
    Some(words.into_iter().chain(args.iter().skip(1).cloned()).collect())
}

/// Answers a call of a module whose arguments are in a file; gives the exit code.
pub fn module(
    module: &str,
    file: &Path,
    mode: CallMode,
    host: Option<&str>,
    environment: &Environment,
) -> Result<u8, Fatal> {
    let arguments = read(file).and_then(|text| arguments_in(&text));
    answer(module, arguments, mode, host, environment)
}

/// Does an action of `kolla_container` with the arguments in a file; gives the exit code.
pub fn action(
    action: &str,
    file: &Path,
    mode: CallMode,
    host: Option<&str>,
    environment: &Environment,
) -> Result<u8, Fatal> {
    let arguments = read(file).and_then(|text| arguments_in(&text)).map(|mut arguments| {
        arguments.insert("action".to_string(), Value::from(action));
        arguments
    });
    answer(MODULES[0], arguments, mode, host, environment)
}

fn read(file: &Path) -> Result<String, ModuleFailure> {
    input::read_to_string(file).map_err(|error| {
        ModuleFailure::new(format!("cannot read the arguments in {}: {error}", file.display()))
    })
}

fn answer(
    module: &str,
    arguments: Result<Map<String, Value>, ModuleFailure>,
    mode: CallMode,
    host: Option<&str>,
    environment: &Environment,
) -> Result<u8, Fatal> {
    let answered = arguments.and_then(|arguments| {
        let mode = mode.told_by(&arguments);
        let call = ModuleCall::read(module, &arguments, mode)?;
        call_engine(&call, mode, host, environment)
    });
    let answer = answered.unwrap_or_else(ModuleFailure::answer);
    let has_failed = answer.get("failed").is_some_and(|failed| failed == true);
    output(&(Value::from(answer).to_string() + "\n"))?;
    Ok(if has_failed { EXIT_FAILED } else { 0 })
}

fn call_engine(
    call: &ModuleCall,
    mode: CallMode,
    host: Option<&str>,
    environment: &Environment,
) -> Result<Map<String, Value>, ModuleFailure> {
    let unfit = |error: &dyn std::fmt::Display| ModuleFailure::new(error.to_string());
    let endpoint = match host {
        // Where kolla-ansible looks for it.
        None if call.podman() => Endpoint::Unix(PODMAN_SOCKET.into()),
        host => endpoint(host, environment).map_err(|fatal| unfit(&fatal.headline()))?,
    };
    let mut credentials = credentials(environment);
    if let Some(login) = call.login() {
        credentials = credentials.with_login(login.registry.as_deref(), &login.username, &login.password);
    }
    let is_local = endpoint.is_local();
    let called = async {
        let engine = DockerHost::new(endpoint, credentials).connect().await.map_err(ModuleFailure::from)?;
        let orderly = interrupt::orderly();
        Ok(call.run(&engine, is_local, mode, orderly.stop()).await)
    };
    block_on(async { Ok(called.await) }).map_err(|fatal: Fatal| unfit(&fatal))?
}

/// Writes files into a directory by which Ansible finds the modules.
pub fn install_modules(directory: &Path, no_systemd: bool) -> Result<u8, Fatal> {
    let failed = |file: &Path, error: std::io::Error| {
        Fatal::message(format!("cannot write {}: {error}", file.display()), EXIT_USAGE)
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    for module in MODULES {
        let file = directory.join(module);
        write::write_whole(&file, library_file(module, no_systemd)).map_err(|error| failed(&file, error))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
            .map_err(|error| failed(&file, error))?;
    }
    tell(format_args!("Wrote {} to {}", MODULES.join(", "), directory.display()));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_called_by_its_name() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            as_module(Some("kolla_toolbox"), &words("/root/.ansible/tmp/kolla_toolbox /tmp/arguments")),
            Some(words("kolla-run module kolla_toolbox /tmp/arguments"))
        );
        assert_eq!(as_module(Some("kolla-run"), &words("kolla-run list")), None);
    }
}
