//! Files of an image that tell of its packages [pure].

/// Directory of the lists of what dpkg's packages have.
pub const DPKG_LISTS: &str = "var/lib/dpkg/info/";
/// The ending of such a list's name, behind the package's.
pub const LIST: &str = ".list";
/// Packages that dpkg knows, with their versions.
pub const DPKG_STATUS: &str = "var/lib/dpkg/status";
/// Paths that one of dpkg's packages has moved another's files to.
pub const DPKG_DIVERSIONS: &str = "var/lib/dpkg/diversions";
/// The ending of a path behind name and version of one of Python's distributions: the list of what it has.
pub const RECORD: &str = ".dist-info/RECORD";

/// True for a file that tells which paths a package has, or its version.
pub fn tells_of_packages(path: &[u8]) -> bool {
    let Ok(path) = std::str::from_utf8(path) else { return false };
    let is_list = path.strip_prefix(DPKG_LISTS).is_some_and(|name| name.ends_with(LIST));
    is_list || path == DPKG_STATUS || path == DPKG_DIVERSIONS || path.ends_with(RECORD)
}
