//! `--export ramdisk=IMAGE`: kernel and initramfs of an image, as machines boot them over the network.

mod archive;
mod spool;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::image_files::hand_over;
use crate::config::resolved::RamdiskExport;
use crate::context::entries::{EntryKind, walk};
use crate::engine::docker::Docker;
use crate::engine::{Engine, ImageFacts};
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Fatal};
use crate::export::ramdisk::files::RamdiskFiles;
use crate::export::ramdisk::manifest::{RamdiskArchive, RamdiskFile, RamdiskKernel, RamdiskManifest};
use crate::export::ramdisk::tree::{EntryTimes, FileTree, FoundKernel, NodeContent, TreeNode};
use crate::model::labels::CREATED_LABEL;
use crate::model::plan::PlannedUnit;
use crate::session::threads::block_on;
use crate::session::{Session, engines};
use crate::util::write::{Unfinished, writable_directory, write_whole};
use crate::util::{input, nearest};
use archive::{HashedFile, write_archive};
use spool::Spool;

/// Writes the files of every platform; gives what to tell the user.
pub fn write(session: &Session, ramdisk: &RamdiskExport) -> Result<String, Fatal> {
    let units = || session.prepared.plan.units.iter();
    let wanted: Vec<&PlannedUnit> = units().filter(|unit| unit.image == ramdisk.image).collect();
    if wanted.is_empty() {
        let names = units().map(|unit| unit.image.as_str());
        let unknown = nearest::unknown_name("image", &ramdisk.image, names);
        return Err(Fatal::message(format!("--export ramdisk={}: {unknown}", ramdisk.image), EXIT_USAGE));
    }
    writable_directory(&ramdisk.dir).map_err(|error| failed_to_write(&ramdisk.dir, &error))?;
    let latest = session.environment.source_date_epoch.map(seconds);
    let spooled = block_on(spool_all(session, &wanted, &ramdisk.dir))?;
    let mut told = Vec::new();
    for (unit, (facts, spool)) in wanted.into_iter().zip(spooled) {
        let manifest = Exporter { ramdisk, unit, facts: &facts, spool, latest }.export()?;
        told.push(format!(
            "Wrote {}: kernel {} and an initramfs of {} MB",
            ramdisk.dir.join(RamdiskFiles::of(&unit.image, unit.platform).manifest).display(),
            manifest.kernel.release,
            manifest.initramfs.written.size / 1_000_000
        ));
    }
    Ok(told.join("\n"))
}

/// The file systems of the images, from whichever engine holds each.
async fn spool_all(
    session: &Session<'_>,
    units: &[&PlannedUnit],
    dir: &Path,
) -> Result<Vec<(ImageFacts, Spool)>, Fatal> {
    let engines = engines::every(session.config(), session.environment, "Exporting").await?;
    let mut spooled = Vec::new();
    for unit in units {
        let (engine, facts) = holder(&engines, unit).await?;
        spooled.push((facts.clone(), spool(engine, unit, &facts, dir).await?));
    }
    Ok(spooled)
}

/// The engine that holds an image.
async fn holder<'a>(engines: &'a [Docker], unit: &PlannedUnit) -> Result<(&'a Docker, ImageFacts), Fatal> {
    for engine in engines {
        let found = engine.inspect_for(&unit.reference, unit.platform).await;
        if let Some(facts) = found.map_err(|error| Fatal::new(&error, EXIT_FAILED))? {
            return Ok((engine, facts));
        }
    }
    let message = format!("cannot export: no engine holds {} for {}", unit.reference, unit.platform);
    Err(Fatal::message(message, EXIT_FAILED)
        .hinted(format!("build it first, with the same options: kolla-build '^{}$'", unit.image))
        .hinted("or pull it, under this name"))
}

/// The file system of an image.
async fn spool(engine: &Docker, unit: &PlannedUnit, facts: &ImageFacts, dir: &Path) -> Result<Spool, Fatal> {
    let name = format!("kolla-build-export-{}-{}", unit.image, std::process::id());
    let mut spool = Spool::new(dir).map_err(|error| failed_to_write(dir, &error))?;
    let mut take = |piece: &[u8]| spool.take(piece);
    let handed = hand_over(engine, &name, &facts.id, &mut take).await;
    handed.map_err(|fatal| match fatal.exit_code {
        EXIT_INTERRUPTED => fatal,
        _ => fatal.during(format!("cannot export {}", unit.reference)),
    })?;
    Ok(spool)
}

/// One image on one platform.
struct Exporter<'a> {
    ramdisk: &'a RamdiskExport,
    unit: &'a PlannedUnit,
    facts: &'a ImageFacts,
    spool: Spool,
    /// No time may be after it.
    latest: Option<u32>,
}

impl Exporter<'_> {
    fn export(mut self) -> Result<RamdiskManifest, Fatal> {
        let no_ramdisk = |why: &dyn std::error::Error| {
            Fatal::message(format!("{} can't be booted: {why}", self.unit.reference), EXIT_FAILED).hinted(
                "ironic-python-agent is an image that can: others need a kernel and an init installed",
            )
        };
        let tree = self.spool.tree().map_err(|error| no_ramdisk(&error))?;
        let kernel = tree.kernel().map_err(|fault| no_ramdisk(&fault))?;
        let times = self.times();
        let tree = tree.into_initramfs(times).map_err(|fault| no_ramdisk(&fault))?;
        let overlays = self.overlays(&tree, times)?;

        let files = RamdiskFiles::of(&self.unit.image, self.unit.platform);
        let path = |name: &str| self.ramdisk.dir.join(name);
        // They tell of files that are there in whole.
        for name in [&files.manifest, &files.checksums] {
            remove(&path(name))?;
        }
        let write_error = |name: &str| {
            let path = path(name);
            move |error: io::Error| failed_to_write(&path, &error)
        };
        let manifest = RamdiskManifest {
            image: self.unit.reference.to_string(),
            image_id: self.facts.id.to_string(),
            platform: self.unit.platform.to_string(),
            source_date_epoch: self.latest,
            kernel: self.write_kernel(&kernel, &files.kernel).map_err(write_error(&files.kernel))?,
            initramfs: self
                .write_initramfs(&tree, &overlays, &files.initramfs)
                .map_err(write_error(&files.initramfs))?,
        };
        write_whole(&path(&files.checksums), manifest.checksums()).map_err(write_error(&files.checksums))?;
        write_whole(&path(&files.manifest), manifest.json()).map_err(write_error(&files.manifest))?;
        Ok(manifest)
    }

    /// The times that files may have.
    fn times(&self) -> EntryTimes {
        let label = self.facts.labels.get(CREATED_LABEL);
        let created = label.and_then(|text| text.parse().ok()).map_or(0, seconds);
        let latest = self.latest.unwrap_or(u32::MAX);
        EntryTimes { made: created.min(latest), latest }
    }

    fn write_kernel(&self, kernel: &FoundKernel, name: &str) -> io::Result<RamdiskKernel> {
        let mut file = HashedFile::new(Unfinished::begin(&self.ramdisk.dir.join(name))?);
        self.copy(&kernel.content, &[], &mut file)?;
        let written = finished(file, name)?;
        Ok(RamdiskKernel { written, release: kernel.release.clone(), path: format!("/{}", kernel.path) })
    }

    fn write_initramfs(
        &self,
        tree: &FileTree,
        overlays: &[Overlay],
        name: &str,
    ) -> io::Result<RamdiskArchive> {
        let compression = self.ramdisk.compression;
        let file = HashedFile::new(Unfinished::begin(&self.ramdisk.dir.join(name))?);
        let members = tree.members();
        let copy = |content: &NodeContent, out: &mut dyn Write| self.copy(content, &[], out);
        let (mut file, mut unpacked) = write_archive(file, compression, &members, copy)?;
        let mut counts = Vec::new();
        for overlay in overlays {
            let members = overlay.tree.members();
            let copy = |content: &NodeContent, out: &mut dyn Write| self.copy(content, &overlay.files, out);
            let (next, size) = write_archive(file, compression, &members, copy)?;
            (file, unpacked) = (next, unpacked + size);
            counts.push(members.len());
        }
        Ok(RamdiskArchive {
            written: finished(file, name)?,
            compression: compression.to_string(),
            unpacked,
            members: members.len(),
            overlays: counts,
        })
    }

    fn copy(&self, content: &NodeContent, files: &[PathBuf], out: &mut dyn Write) -> io::Result<()> {
        match content {
            NodeContent::Empty => Ok(()),
            NodeContent::Text(text) => out.write_all(text),
            NodeContent::Spooled { offset, size } => self.spool.copy(*offset, u64::from(*size), out),
            NodeContent::OnDisk { file, size } => copy_whole(&files[*file], *size, out),
        }
    }

    fn overlays(&self, tree: &FileTree, times: EntryTimes) -> Result<Vec<Overlay>, Fatal> {
        let overlay = |dir: &PathBuf| {
            let overlay = Overlay::read(dir).map_err(|error| {
                Fatal::of_file("read", dir, error, EXIT_USAGE).during("--ramdisk-overlay")
            })?;
            let tree = overlay.tree.into_overlay_of(tree, times.made);
            let fits = tree.map_err(|fault| {
                Fatal::message(format!("--ramdisk-overlay {}: {fault}", dir.display()), EXIT_USAGE)
            })?;
            Ok(Overlay { tree: fits, files: overlay.files })
        };
        self.ramdisk.overlays.iter().map(overlay).collect()
    }
}

/// Files of this machine that are unpacked over an image's.
struct Overlay {
    tree: FileTree,
    /// Regular files, by their numbers in the tree.
    files: Vec<PathBuf>,
}

impl Overlay {
    /// Everything below a directory, as root's.
    fn read(dir: &Path) -> io::Result<Overlay> {
        let mut overlay = Overlay { tree: FileTree::default(), files: Vec::new() };
        for entry in walk(dir) {
            let entry = entry?;
            let node = match entry.kind {
                EntryKind::Directory => TreeNode::directory(entry.mode & 0o7777),
                EntryKind::Link(target) => TreeNode::link(target.into_os_string().into_encoded_bytes()),
                EntryKind::File(size) => {
                    let size = u32::try_from(size).map_err(|_| {
                        let message = "is larger than cpio can hold (4 GiB)";
                        input::with_path(&entry.path, io::Error::other(message))
                    })?;
                    overlay.files.push(entry.path);
                    let content = NodeContent::OnDisk { file: overlay.files.len() - 1, size };
                    TreeNode::file(entry.mode & 0o7777, content)
                }
            };
            overlay.tree.add(entry.name.as_os_str().as_encoded_bytes(), node);
        }
        Ok(overlay)
    }
}

/// Copies a file that is as long as it was.
fn copy_whole(path: &Path, size: u32, out: &mut dyn Write) -> io::Result<()> {
    let mut file: File = input::open(path)?;
    let copied = io::copy(&mut file, out)?;
    match copied == u64::from(size) {
        true => Ok(()),
        false => Err(input::with_path(path, io::Error::other("has changed while it was read"))),
    }
}

fn finished(file: HashedFile, name: &str) -> io::Result<RamdiskFile> {
    let (size, sha256) = file.finish()?;
    Ok(RamdiskFile { file: name.to_string(), size, sha256 })
}

fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_second()).unwrap_or(if time.as_second() < 0 { 0 } else { u32::MAX })
}

fn remove(path: &Path) -> Result<(), Fatal> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed_to_write(path, &error)),
        _ => Ok(()),
    }
}

fn failed_to_write(path: &Path, error: &io::Error) -> Fatal {
    Fatal::of_file("write", path, error, EXIT_FAILED)
}
