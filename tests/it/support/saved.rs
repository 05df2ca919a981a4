//! An image as an engine hands it out: its configuration, and the files of its layers laid over each other.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use kolla_build::util::hex::hex;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What gzip's files begin with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A saved image.
pub struct Saved {
    /// The archive, unpacked.
    directory: tempfile::TempDir,
    /// What the image says of itself.
    pub config: Value,
    /// By path: mode, owner, group, kind, and digest of the content or target of the link.
    pub files: BTreeMap<String, String>,
    contents: BTreeMap<String, Vec<u8>>,
}

impl Saved {
    /// Saves an image that the engine at this endpoint holds.
    #[track_caller]
    pub fn of(endpoint: &str, image: &str) -> Saved {
        let directory = tempfile::tempdir().expect("a directory");
        let archive = directory.path().join("image.tar");
        let mut command = Command::new("docker");
        command.args(["--host", endpoint, "save", "--output"]).arg(&archive).arg(image);
        let output = command.output().expect("a docker command");
        assert!(output.status.success(), "{image}: {}", String::from_utf8_lossy(&output.stderr));
        let unpacked = directory.path().join("image");
        let file = std::fs::File::open(&archive).expect("the archive");
        tar::Archive::new(file).unpack(&unpacked).expect("an archive");
        std::fs::remove_file(archive).expect("the archive");

        let json = |path: &Path| -> Value {
            serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
        };
        decompress(&unpacked);
        let manifest = json(&unpacked.join("manifest.json"))[0].clone();
        let path = |value: &Value| unpacked.join(value.as_str().expect("a path"));
        let mut saved = Saved {
            config: json(&path(&manifest["Config"])),
            directory,
            files: BTreeMap::new(),
            contents: BTreeMap::new(),
        };
        for layer in manifest["Layers"].as_array().expect("layers") {
            saved.apply(&path(layer));
        }
        saved
    }

    /// What a file of the image holds, as text.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        let content =
            self.contents.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", self.files.keys()));
        String::from_utf8_lossy(content).into_owned()
    }

    /// Where a text is: in the archive's files (configuration, history, layers).
    pub fn places_of(&self, text: &str) -> Vec<String> {
        files_with(self.directory.path(), text)
    }

    fn apply(&mut self, layer: &Path) {
        let mut archive = tar::Archive::new(std::fs::File::open(layer).expect("a layer"));
        for entry in archive.entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").to_string_lossy().trim_matches('/').to_string();
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if let Some(gone) = name.strip_prefix(".wh.") {
                let gone = if parent.is_empty() { gone.to_string() } else { format!("{parent}/{gone}") };
                let is_kept = |path: &String| *path != gone && !path.starts_with(&format!("{gone}/"));
                self.files.retain(|path, _| is_kept(path));
                self.contents.retain(|path, _| is_kept(path));
                continue;
            }
            let header = entry.header().clone();
            let target = entry.link_name().expect("a name").map(|target| target.display().to_string());
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            let what = target.unwrap_or_else(|| hex(&Sha256::digest(&content)));
            let number = |value: std::io::Result<u64>| value.expect("a number");
            let (mode, uid, gid) =
                (header.mode().expect("a mode") & 0o7777, number(header.uid()), number(header.gid()));
            let kind = header.entry_type().as_byte() as char;
            self.files.insert(path.clone(), format!("{mode:o} {uid}:{gid} {kind} {what}"));
            self.contents.insert(path, content);
        }
    }
}

/// Some engines keep layers compressed.
fn decompress(directory: &Path) {
    for path in files_below(directory) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes.starts_with(&GZIP) {
            let mut plain = Vec::new();
            GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).expect("gzip");
            std::fs::write(path, plain).expect("a file");
        }
    }
}

/// Every file below a directory that holds the text.
pub fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let holds = |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| contains(&bytes, text));
    files_below(directory).filter(holds).map(|path| path.display().to_string()).collect()
}

fn files_below(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = walkdir::WalkDir::new(directory).into_iter().map(|entry| entry.expect("an entry"));
    entries.filter(|entry| !entry.file_type().is_dir()).map(walkdir::DirEntry::into_path)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
