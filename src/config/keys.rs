//! Names of the sections and keys that a configuration has beside its options.

/// Section of the program's own options.
pub const DEFAULT: &str = "DEFAULT";
/// Section of the layer that holds `[unbuildable]` of a build.toml.
pub const UNBUILDABLE: &str = "unbuildable";
/// Section that holds profiles.
pub const PROFILES: &str = "profiles";

/// Section of the layer that holds `[distros.NAME]` of a build.toml.
pub fn distro_section(name: &str) -> String {
    format!("distros.{name}")
}

/// Keys of a source's section: `[<image>]`, `[<image>-plugin-<x>]`, `[<image>-additions-<x>]`.
pub const SOURCE_KEYS: &[&str] = &["type", "location", "reference", "enabled", "version", "sha256", "name"];
/// Keys of a user's section: `[<name>-user]`.
pub const USER_KEYS: &[&str] = &["uid", "gid", "group"];
/// Keys of a distro's section.
pub const DISTRO_KEYS: &[&str] =
    &["base_image", "base_tag", "pretty_name", "package_type", "package_manager"];
