//! How long images took in earlier runs, so that the longest way through the graph can go first.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::event::UnitId;
use crate::util::input;
use crate::util::write::write_whole;

/// How much a new duration counts against what was known: machines and mirrors have bad days.
const NEW_SHARE: f64 = 0.5;

/// Durations of builds by image and platform, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History {
    milliseconds: BTreeMap<String, u64>,
}

impl History {
    /// Reads a history; none, or one that can't be read, is an empty one: it only ever saves time.
    pub fn load(path: &Path) -> History {
        input::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes the history in place of the old one, whole or not at all.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        write_whole(path, serde_json::to_vec_pretty(self)?)
    }

    /// Takes note of a build.
    pub fn record(&mut self, unit: &UnitId, took: Duration) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.milliseconds
            .entry(key(unit))
            .and_modify(|known| *known = (*known as f64 * (1.0 - NEW_SHARE) + took as f64 * NEW_SHARE) as u64)
            .or_insert(took);
    }

    /// Expected duration of a build in milliseconds; an unknown image's is the median.
    pub fn cost(&self, unit: &UnitId) -> u64 {
        self.milliseconds.get(&key(unit)).copied().unwrap_or_else(|| self.median()).max(1)
    }

    fn median(&self) -> u64 {
        let mut all: Vec<u64> = self.milliseconds.values().copied().collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    }
}

fn key(unit: &UnitId) -> String {
    format!("{} {}", unit.image, unit.platform)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::platform::{Arch, Platform};

    fn unit(image: &str) -> UnitId {
        UnitId { image: image.into(), platform: Platform::new(Arch::X86_64) }
    }

    #[test]
    fn costs_follow_what_was_seen_and_the_unknown_are_average() {
        let mut history = History::default();
        assert_eq!(history.cost(&unit("a")), 1);
        for (image, seconds) in [("a", 10), ("b", 2), ("c", 4)] {
            history.record(&unit(image), Duration::from_secs(seconds));
        }
        history.record(&unit("a"), Duration::from_secs(20));
        assert_eq!(history.cost(&unit("a")), 15_000);
        assert_eq!(history.cost(&unit("unknown")), 4_000);
    }

    #[test]
    fn it_is_kept_and_a_broken_one_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/durations.json");
        let mut history = History::default();
        history.record(&unit("a"), Duration::from_secs(1));
        history.save(&path).unwrap();
        assert_eq!(History::load(&path), history);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(History::load(&path), History::default());
    }
}
