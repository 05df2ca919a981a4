//! One look into an image: a short program in a container of it, or where none can run there, its files as the engine hands
//! them out [I/O].

use std::io::{self, Read, Seek, Write};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::collected::{Collected, headers, kind_of_file};
use super::inventory::Inventory;
use super::script::{self, ANSWER, SCRIPT};
use crate::engine::EngineError;
use crate::engine::container::{ContainerEngine, ContainerSpec, ContainerStatus, Namespaces};
use crate::model::ids::ImageId;
use crate::util::random;

/// Labels of containers that only live for a look, as those of tests have them.
const LABELS: [(&str, &str); 2] = [("managed_by", "kolla-build"), ("config_id", "sbom")];

/// Pauses between questions for the program's end: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));

/// The longest answer; the image with the most packages of npm answers with some ten megabytes.
const LONGEST_ANSWER: usize = 256 << 20;
/// The longest file that is read where no program can.
const LONGEST_FILE: u64 = 64 << 20;

/// Why an image could not be looked into.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The engine did not do what it was asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The program came to no end.
    #[error("what looks around in the image came to no end within {} s (option timeout)", .0.as_secs())]
    Endless(Duration),
    /// No name could be made, or the image's files can't be read.
    #[error("cannot read the image's files: {0}")]
    Files(String),
}

/// Finds out what is in an image that an engine holds.
pub async fn read(
    engine: &dyn ContainerEngine,
    image: &ImageId,
    patience: Duration,
) -> Result<Inventory, ReadError> {
    let word = || random::hex_digits().map_err(|error| ReadError::Files(error.to_string()));
    let (mark, container) = (word()?, format!("kolla-build-sbom-{}", &word()?[..8]));
    let spec = spec(image, &mark);
    engine.create(&container, &spec).await?;
    let collected = match look(engine, &container, &mark, patience).await {
        Ok(Some(collected)) => Ok(collected),
        Ok(None) => export(engine, &container).await,
        Err(error) => Err(error),
    };
    engine.remove(&container).await?;
    Ok(Inventory::of(&collected?))
}

fn spec(image: &ImageId, mark: &str) -> ContainerSpec {
    let words = ["sh", "-c", SCRIPT, "sh", mark, ANSWER];
    ContainerSpec {
        image: image.to_string(),
        entrypoint: Some(words.map(String::from).into()),
        user: Some("0".to_string()),
        labels: LABELS.map(|(name, value)| (name.to_string(), value.to_string())).into(),
        namespaces: Namespaces { network: Some("none".to_string()), ..Namespaces::default() },
        ..ContainerSpec::default()
    }
}

/// Runs the program; none where it can't run: without a shell, or on another architecture without an emulator.
async fn look(
    engine: &dyn ContainerEngine,
    container: &str,
    mark: &str,
    patience: Duration,
) -> Result<Option<Vec<Collected>>, ReadError> {
    match engine.start(container).await {
        Ok(()) => {}
        Err(EngineError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let (begun, mut pause) = (Instant::now(), PAUSES.0);
    while engine.container(container).await?.is_some_and(|facts| !has_ended(facts.status)) {
        if begun.elapsed() >= patience {
            return Err(ReadError::Endless(patience));
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
    let answer = engine.whole_file(container, ANSWER, LONGEST_ANSWER).await?;
    Ok(answer.and_then(|answer| script::read(&answer, mark)))
}

fn has_ended(status: ContainerStatus) -> bool {
    matches!(status, ContainerStatus::Exited | ContainerStatus::Dead)
}

/// The same from the files alone, which does not tell of everything.
async fn export(engine: &dyn ContainerEngine, container: &str) -> Result<Vec<Collected>, ReadError> {
    let unreadable = |error: io::Error| ReadError::Files(error.to_string());
    let mut spool = tempfile::tempfile().map_err(unreadable)?;
    engine.export(container, &mut |piece| spool.write_all(piece)).await?;
    let read = tokio::task::spawn_blocking(move || {
        spool.rewind()?;
        of_archive(io::BufReader::new(spool))
    });
    read.await.map_err(|error| ReadError::Files(error.to_string()))?.map_err(unreadable)
}

/// What files of an archive tell of packages.
fn of_archive(archive: impl Read) -> io::Result<Vec<Collected>> {
    let mut collected = Vec::new();
    let (mut programs, mut rpm) = (false, false);
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = format!("/{}", entry.path()?.to_string_lossy().trim_start_matches("./"));
        let header = entry.header();
        let is_file = header.entry_type().is_file();
        programs |= is_file && header.mode()? & 0o100 != 0;
        rpm |= path.starts_with("/var/lib/rpm/") || path.starts_with("/usr/lib/sysimage/rpm/");
        let is_link = header.entry_type().is_hard_link();
        let Some(kind) = kind_of_file(&path).filter(|_| is_file || is_link) else { continue };
        if is_link {
            collected.push(Collected::Failed(format!("{path} is another name of a file, and was not read")));
            continue;
        }
        let mut bytes = Vec::new();
        entry.by_ref().take(LONGEST_FILE).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let text = if kind == "python" { headers(&text) } else { text };
        collected.extend(Collected::of(kind, &path, text));
    }
    if rpm {
        collected.push(Collected::Failed("rpm".to_string()));
    }
    if programs {
        let told = "modules of Go programs are only told by images whose programs can run here";
        collected.push(Collected::Failed(told.to_string()));
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_an_archive_tell_what_they_can() {
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |path: &str, text: &str, mode: u32| {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(mode);
            archive.append_data(&mut header, path, text.as_bytes()).expect("a member");
        };
        add("var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\n", 0o644);
        add("lib/x.dist-info/METADATA", "Name: x\nVersion: 2\n\nName: y\n", 0o644);
        add("usr/lib/sysimage/rpm/rpmdb.sqlite", "", 0o644);
        add("bin/tool", "", 0o755);
        let archive = archive.into_inner().expect("an archive");
        let inventory = Inventory::of(&of_archive(archive.as_slice()).expect("an archive"));
        let names: Vec<&str> = inventory.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["a", "x"]);
        assert_eq!(inventory.incomplete.len(), 2, "{:?}", inventory.incomplete);
    }

    #[test]
    fn an_image_without_files_is_complete() {
        assert_eq!(
            of_archive(tar::Builder::new(Vec::new()).into_inner().expect("empty").as_slice()).expect("read"),
            []
        );
    }
}
