//! Free space on the disks that a run fills, watched while it goes: told of before it runs out.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;

const GIB: u64 = 1 << 30;

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(10);

/// Contexts and sources need so much less than images do.
const OURS_TO_ENGINES: u64 = 10;

/// A disk that a run fills, by a directory on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedDisk {
    /// Use of it: `the working directory`.
    pub what: &'static str,
    /// The directory whose file system it is.
    pub path: PathBuf,
    /// Bytes that should be free.
    pub least: u64,
}

/// The disks that a run fills: that of the working directory, and the engine's images if it keeps them on this machine. `least` is how many
/// GiB should be free where images are.
pub async fn places(engine: Arc<dyn Engine>, work_dir: PathBuf, least: u64) -> Vec<WatchedDisk> {
    let least = least.saturating_mul(GIB);
    let mut places =
        vec![WatchedDisk { what: "the working directory", path: work_dir, least: least / OURS_TO_ENGINES }];
    // An engine that does not tell will tell why when it is to build.
    let roots = engine.data_roots().await.unwrap_or_default();
    places.extend(roots.into_iter().map(|path| WatchedDisk { what: "the engine's images", path, least }));
    places
}

/// Looks again and again, and warns of every place when it begins to run short. It never ends.
pub async fn watch(places: &[WatchedDisk], free: impl Fn(&Path) -> io::Result<u64>, warn: impl Fn(String)) {
    let mut short: HashSet<&Path> = HashSet::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        for WatchedDisk { what, path, least } in places {
            // What is on another machine, or is not there yet, is not looked at.
            let Ok(free) = free(path) else { continue };
            if free >= *least {
                short.remove(path.as_path());
            } else if short.insert(path) {
                let (free, least) = (gib(free), gib(*least));
                let path = path.display();
                warn(format!(
                    "only {free} free for {what} in {path}, less than {least} (option min_free_disk)"
                ));
            }
        }
    }
}

/// Bytes that this user can still write to the disk that holds `path`.
pub fn free(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_shortage_is_told_once() {
        let least = 2 * GIB;
        let place = |what, path: &str| WatchedDisk { what, path: path.into(), least };
        let places = [place("the engine's images", "/images"), place("the working directory", "/gone")];
        let left = Cell::new(3 * GIB);
        let told = RefCell::new(Vec::new());
        let free = |path: &Path| match path.to_str() {
            Some("/images") => Ok(left.get()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let filling = async {
            for bytes in [3 * GIB, GIB, GIB, 3 * GIB, GIB / 2] {
                left.set(bytes);
                tokio::time::sleep(2 * INTERVAL).await;
            }
        };
        tokio::select! {
            () = watch(&places, free, |text| told.borrow_mut().push(text)) => {}
            () = filling => {}
        }
        let text = |free: &str| {
            format!(
                "only {free} GiB free for the engine's images in /images, less than 2.0 GiB (option min_free_disk)"
            )
        };
        assert_eq!(*told.borrow(), [text("1.0"), text("0.5")]);
    }

    #[test]
    fn a_disk_tells_what_is_free() {
        assert!(free(Path::new("/")).expect("a disk") > 0);
        assert!(free(Path::new("/no/such/directory")).is_err());
    }
}
