//! Labels that containers, volumes and networks of a stack have: TripleO's, and one more [pure].

use crate::engine::container::Labels;

/// Stack that something belongs to.
pub const CONFIG_ID: &str = "config_id";
/// Name of a container in its stack.
pub const CONTAINER_NAME: &str = "container_name";
/// Tool that looks after it.
pub const MANAGED_BY: &str = "managed_by";
/// Settings of a container as its stack has them, as JSON.
pub const CONFIG_DATA: &str = "config_data";
/// Digests of the files that a container mounts, by their paths, as JSON.
pub const CONFIG_HASHES: &str = "config_hashes";

/// Labels that are no text to compare.
pub const IS_COMPARED_INSIDE: [&str; 2] = [CONFIG_DATA, CONFIG_HASHES];

/// Default of [`MANAGED_BY`]: this tool's name.
pub const MANAGER: &str = "kolla-run";

/// Who looks after containers, and for which stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackOwner {
    /// Tool that manages the container.
    pub managed_by: String,
    /// Identifier of the container's stack.
    pub config_id: String,
}

impl StackOwner {
    /// Labels of everything that is theirs.
    pub fn labels(&self) -> Labels {
        [(CONFIG_ID, &self.config_id), (MANAGED_BY, &self.managed_by)]
            .map(|(name, value)| (name.to_string(), value.clone()))
            .into()
    }

    /// True for labels of something that is theirs.
    pub fn owns(&self, labels: &Labels) -> bool {
        self.labels().iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}
