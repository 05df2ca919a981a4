//! Units of systemd on this machine: their files, and what systemd itself is asked over D-Bus, by its own `busctl` [I/O].

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::failed::ModuleFailure;
use crate::util::{input, process, write};

/// Directory that is there exactly where systemd is in charge, see sd_booted(3).
const BOOTED: &str = "/run/systemd/system";
/// Where an administrator's units are.
const UNITS: &str = "/etc/systemd/system";
/// What starts with the machine.
const WANTED: &str = "multi-user.target.wants";

/// Time between two looks at a unit.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest silence of `busctl`.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that an answer may have.
const LONGEST_ANSWER: usize = 1 << 20;

/// State of a unit that is waited for, in systemd's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitState {
    /// Its process runs.
    Running,
    /// It has ended, or is not known.
    Dead,
}

/// Systemd, and one unit of it.
pub struct Unit {
    name: String,
    text: String,
    patience: Duration,
}

/// True when systemd is in charge of this machine.
pub fn is_booted() -> bool {
    fs::metadata(BOOTED).is_ok_and(|found| found.is_dir())
}

impl Unit {
    /// A unit of this name, whose file is to be this text, and which is waited for so long.
    pub fn new(name: String, text: String, patience: Duration) -> Unit {
        Unit { name, text, patience }
    }

    fn file(&self) -> PathBuf {
        PathBuf::from(UNITS).join(&self.name)
    }

    /// True when there is a file of it.
    pub fn exists(&self) -> bool {
        self.file().is_file()
    }

    /// True when there is no file of it, or another one.
    pub fn differs(&self) -> bool {
        input::read(&self.file()).map_or(true, |there| there != self.text.as_bytes())
    }

    /// Writes its file and enables it, unless it is there already; true when it was not.
    pub async fn write(&self) -> Result<bool, ModuleFailure> {
        if !self.differs() {
            return Ok(false);
        }
        write::write_whole(&self.file(), &self.text).map_err(|error| self.failed("write", &error))?;
        self.call("Reload", &[]).await?;
        self.call("EnableUnitFiles", &["asbb", "1", &self.name, "false", "true"]).await?;
        Ok(true)
    }

    /// Removes its file, and what starts it with the machine; true when there was one.
    pub async fn remove(&self) -> Result<bool, ModuleFailure> {
        let mut removed = false;
        for file in [self.file(), PathBuf::from(UNITS).join(WANTED).join(&self.name)] {
            match fs::remove_file(&file) {
                Ok(()) => removed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed("remove", &error)),
            }
        }
        if removed {
            self.call("Reload", &[]).await?;
        }
        Ok(removed)
    }

    /// Starts it; true once it runs, false when it does not in time.
    pub async fn start(&self) -> Result<bool, ModuleFailure> {
        self.job("StartUnit", UnitState::Running).await
    }

    /// Starts it again; true once it runs, false when it does not in time.
    pub async fn restart(&self) -> Result<bool, ModuleFailure> {
        self.job("RestartUnit", UnitState::Running).await
    }

    /// Stops it; true once it has ended, false when it does not in time.
    pub async fn stop(&self) -> Result<bool, ModuleFailure> {
        self.job("StopUnit", UnitState::Dead).await
    }

    async fn job(&self, method: &str, wanted: UnitState) -> Result<bool, ModuleFailure> {
        self.call(method, &["ss", &self.name, "replace"]).await?;
        let begun = Instant::now();
        loop {
            if self.state().await? == Some(wanted) {
                return Ok(true);
            }
            if begun.elapsed() > self.patience {
                return Ok(false);
            }
            sleep(PAUSE).await;
        }
    }

    async fn state(&self) -> Result<Option<UnitState>, ModuleFailure> {
        let answer = self.call("ListUnitsByNames", &["as", "1", &self.name]).await?;
        Ok(state_in(&answer))
    }

    /// Calls a method of systemd's manager, see org.freedesktop.systemd1(5).
    async fn call(&self, method: &str, arguments: &[&str]) -> Result<Vec<u8>, ModuleFailure> {
        let mut command = Command::new("busctl");
        let service = "org.freedesktop.systemd1";
        command.args(["--system", "--json=short", "call", service, "/org/freedesktop/systemd1"]);
        command.args(["org.freedesktop.systemd1.Manager", method]).args(arguments);
        let ended = process::run(&mut command, b"", PATIENCE, LONGEST_ANSWER).await;
        match ended {
            Ok(ended) if ended.status.success() => Ok(ended.output),
            Ok(ended) => Err(self.failed(method, &String::from_utf8_lossy(&ended.errors).trim())),
            Err(error) => Err(self.failed(method, &error)),
        }
    }

    fn failed(&self, doing: &str, reason: &dyn std::fmt::Display) -> ModuleFailure {
        ModuleFailure::new(format!("systemd: {doing} {}: {reason}", self.name)).after_changes()
    }
}

/// The state of the one unit in an answer to `ListUnitsByNames`: `{"data": [[[NAME, ..., SUB-STATE, ...]]]}`.
fn state_in(answer: &[u8]) -> Option<UnitState> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    match answer["data"][0][0][4].as_str()? {
        "running" => Some(UnitState::Running),
        "dead" | "failed" => Some(UnitState::Dead),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_unit_is_found() {
        let answer = |state: &str| {
            format!(
                r#"{{"type":"a(ssssssouso)","data":[[["u.service","u","loaded","active","{state}","","/",0,"","/"]]]}}"#
            )
        };
        assert_eq!(state_in(answer("running").as_bytes()), Some(UnitState::Running));
        assert_eq!(state_in(answer("failed").as_bytes()), Some(UnitState::Dead));
        assert_eq!(state_in(answer("auto-restart").as_bytes()), None);
        assert_eq!(state_in(b"{}"), None);
    }
}
