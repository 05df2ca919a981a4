//! Inventories, kept between runs by content key and id of their images, so that one that is unchanged is not looked into
//! again.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::inventory::Inventory;
use crate::model::ids::{ContentKey, ImageId};
use crate::util::hex::{hex, is_hex};
use crate::util::input;
use crate::util::write::{UNFINISHED_PREFIX, write_whole};

/// Version of what an inventory tells and how: another one makes every image be looked into once more.
const VERSION: &str = "1";

/// An inventory that was written so long ago is of an image that nobody has any more, or is soon made again.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// A directory of inventories. Runs may share it: an inventory appears whole or not at all.
#[derive(Debug)]
pub struct InventoryCache {
    /// Directory of the inventories; without one nothing is kept.
    dir: Option<PathBuf>,
    forgotten: Once,
}

impl InventoryCache {
    /// Those in a directory, which need not be there yet; without one none are kept.
    pub fn new(dir: Option<PathBuf>) -> InventoryCache {
        InventoryCache { dir, forgotten: Once::new() }
    }

    /// The inventory of an image; none when it is not known. It only helps.
    pub fn get(&self, key: &ContentKey, image: &ImageId) -> Option<Inventory> {
        serde_json::from_slice(&input::read(&path(self.dir.as_ref()?, key, image)).ok()?).ok()
    }

    /// Keeps an inventory. Where it can't be kept it is made again the next time.
    pub fn keep(&self, key: &ContentKey, image: &ImageId, inventory: &Inventory) {
        let Some(dir) = &self.dir else { return };
        let Ok(text) = serde_json::to_vec(inventory) else { return };
        if std::fs::create_dir_all(dir).is_ok() && write_whole(&path(dir, key, image), text).is_ok() {
            self.forgotten.call_once(|| forget(dir, SystemTime::now()));
        }
    }
}

/// Bytes of a digest that files are named by.
const NAME_BYTES: usize = 16;

fn path(dir: &Path, key: &ContentKey, image: &ImageId) -> PathBuf {
    let name = Sha256::digest(format!("{VERSION} {key} {image}"));
    dir.join(hex(&name[..NAME_BYTES]) + ".json")
}

/// True for a file that can only be one of ours.
fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_inventory = |stem: &str| stem.len() == 2 * NAME_BYTES && is_hex(stem);
    name.strip_suffix(".json").is_some_and(is_inventory) || name.starts_with(UNFINISHED_PREFIX)
}

/// Removes what was written long before `now`. What can't be removed only takes space.
fn forget(dir: &Path, now: SystemTime) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|written| now.duration_since(written).ok());
        if is_ours(&entry.file_name()) && age.is_some_and(|age| age > KEPT) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_known_by_key_and_id_and_a_damaged_one_is_none() {
        let dir = tempfile::tempdir().expect("tmp");
        let cache = InventoryCache::new(Some(dir.path().join("inventories")));
        let inventory = Inventory { distro: "debian".to_string(), ..Inventory::default() };
        let (key, id) = ("k".into(), "sha256:1".into());
        assert_eq!(cache.get(&key, &id), None);
        cache.keep(&key, &id, &inventory);
        assert_eq!(cache.get(&key, &id), Some(inventory));
        assert_eq!(cache.get(&key, &"sha256:2".into()), None);
        std::fs::write(path(&dir.path().join("inventories"), &key, &id), "{").expect("write");
        assert_eq!(cache.get(&key, &id), None);
        forget(&dir.path().join("inventories"), SystemTime::now() + 2 * KEPT);
        assert_eq!(std::fs::read_dir(dir.path().join("inventories")).expect("a directory").count(), 0);
        InventoryCache::new(None).keep(&key, &id, &Inventory::default());
    }
}
