//! Inventories, kept between runs by content key and id of their images, so that one that is unchanged is not looked into
//! again.

use std::path::PathBuf;

use super::inventory::Inventory;
use crate::model::ids::{ContentKey, ImageId};
use crate::util::kept_files::KeptFiles;

/// Version of what an inventory tells and how: another one makes every image be looked into once more.
const VERSION: &str = "2";

/// The inventories of a user.
#[derive(Debug)]
pub struct InventoryCache(KeptFiles);

impl InventoryCache {
    /// Those in a directory, which need not be there yet; without one none are kept.
    pub fn new(dir: Option<PathBuf>) -> InventoryCache {
        InventoryCache(KeptFiles::new(dir))
    }

    /// The inventory of an image; none when it is not known.
    pub fn get(&self, key: &ContentKey, image: &ImageId) -> Option<Inventory> {
        serde_json::from_slice(&self.0.read(&about(key, image))?).ok()
    }

    /// Keeps an inventory. Where it can't be kept it is made again the next time.
    pub fn keep(&self, key: &ContentKey, image: &ImageId, inventory: &Inventory) {
        if let Ok(text) = serde_json::to_vec(inventory) {
            let _ = self.0.write(&about(key, image), &text);
        }
    }
}

fn about(key: &ContentKey, image: &ImageId) -> String {
    format!("{VERSION} {key} {image}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_known_by_key_and_id_and_a_damaged_one_is_none() {
        let dir = tempfile::tempdir().expect("tmp");
        let cache = InventoryCache::new(Some(dir.path().to_path_buf()));
        let inventory = Inventory { distro: "debian".to_string(), ..Inventory::default() };
        let (key, id) = ("k".into(), "sha256:1".into());
        assert_eq!(cache.get(&key, &id), None);
        cache.keep(&key, &id, &inventory);
        assert_eq!(cache.get(&key, &id), Some(inventory));
        assert_eq!(cache.get(&key, &"sha256:2".into()), None);
        cache.0.write(&about(&key, &id), b"{").expect("written");
        assert_eq!(cache.get(&key, &id), None);
    }
}
