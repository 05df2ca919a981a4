//! The checks inside the program.

/// Name that errors have for them.
pub const FILE: &str = "smoke/checks.yaml";

/// Text of them: for images of the tree inside the program, and for Kolla's.
pub const CHECKS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/smoke/checks.yaml"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::files::CheckSet;

    #[test]
    fn they_ask_something_of_every_image() {
        let mut set = CheckSet::default();
        set.add(FILE, "checks", CHECKS).expect("checks");
        assert!(!set.of("anything").is_empty());
        assert!(set.of("etcd").commands.iter().any(|command| command.title() == "etcd --version"));
    }
}
