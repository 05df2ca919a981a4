//! Puts an image's sources into its build context.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::context::archive::ArchiveWriter;
use crate::context::entries;
use crate::context::workdir::epoch;
use crate::freshness::recipe::{ADDITIONS_ARCHIVE, PLUGINS_ARCHIVE, source_archive};
use crate::sources::cache::{Fetched, SourceError, SourceProblem};
use crate::sources::unpack::{ArchiveMember, Inspector, MemberKind};
use crate::util::input;

/// Puts the sources into the context in `dir`, in place of any from an earlier run: the image's own under its name,
/// all plugins and all additions merged into one archive each, which are there even when there is nothing to merge.
pub fn assemble(
    dir: &Path,
    source: Option<&Fetched>,
    plugins: &[Fetched],
    additions: &[Fetched],
) -> Result<(), SourceError> {
    if let Some(source) = source {
        let target = dir.join(source_archive(&source.section));
        place(source, &target).map_err(|error| blame(source, SourceProblem::local(&source.path)(error)))?;
    }
    merge(dir, "plugins", &dir.join(PLUGINS_ARCHIVE), plugins)?;
    merge(dir, "additions", &dir.join(ADDITIONS_ARCHIVE), additions)?;
    // Its time changed with what was put into it.
    File::open(dir).and_then(|open| open.set_times(epoch())).map_err(|error| in_context(dir, error))
}

/// Copies an archive, inside the file system where that can: a link would let whoever changes the context change what
/// all runs share.
fn place(source: &Fetched, target: &Path) -> io::Result<()> {
    remove(target)?;
    let mut copy = File::create_new(target)?;
    io::copy(&mut input::open(&source.path)?, &mut copy)?;
    source.proof.check(&source.path, target)?;
    copy.set_permissions(fs::Permissions::from_mode(0o644))?;
    copy.set_times(epoch())
}

/// Packs the directory `top` of the context, if it has one, and then the members of every source into one archive.
/// Where two have the same name the later one counts, for a builder unpacks it over the other.
fn merge(dir: &Path, top: &str, target: &Path, sources: &[Fetched]) -> Result<(), SourceError> {
    let failed = |error| in_context(target, error);
    remove(target).map_err(failed)?;
    let file = File::create_new(target).map_err(failed)?;
    let mut archive = ArchiveWriter::new(BufWriter::new(&file));
    let top = Path::new(top);
    archive.append_directory(top, 0o755).map_err(failed)?;
    let own = dir.join(top);
    if own.is_dir() {
        for entry in entries::walk(&own) {
            let mut entry = entry.map_err(failed)?;
            entry.name = top.join(entry.name);
            archive.append(&entry).map_err(failed)?;
        }
    }
    let mut inspector = Inspector::new();
    for source in sources {
        let changed = |error| blame(source, SourceProblem::local(&source.path)(error));
        source.proof.check(&source.path, &source.path).map_err(changed)?;
        inspector
            .read(&source.path, |member, content| append(&mut archive, top, &member, content))
            .map_err(|fault| blame(source, fault.into()))?;
    }
    archive.finish().map_err(failed)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))
        .and_then(|()| file.set_times(epoch()))
        .map_err(failed)
}

fn append(
    archive: &mut ArchiveWriter<impl io::Write>,
    top: &Path,
    member: &ArchiveMember,
    content: &mut dyn io::Read,
) -> io::Result<()> {
    let name = top.join(&member.name);
    match &member.kind {
        MemberKind::Directory => archive.append_directory(&name, member.mode),
        MemberKind::File(size) => archive.append_file(&name, member.mode, *size, content),
        MemberKind::Symlink(target) => archive.append_link(&name, target, member.mode),
        MemberKind::HardLink(target) => archive.append_hard_link(&name, &top.join(target), member.mode),
    }
}

fn blame(source: &Fetched, problem: SourceProblem) -> SourceError {
    let location = source.path.display().to_string();
    SourceError { section: source.section.clone(), location, problem }
}

fn in_context(path: &Path, error: io::Error) -> SourceError {
    let section = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let location = "the build context".to_string();
    SourceError { section, location, problem: SourceProblem::local(path)(error) }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
