//! Sources: the archives that a build context gets beside the files of the tree.

/// One source, every variable in it already substituted and its checksum chosen for the platform.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The section that names it: `keystone-base`, `horizon-plugin-x`, `nova-base-additions-y`.
    pub section: String,
    /// Where it comes from.
    pub origin: SourceOrigin,
    /// Expected sha256 of what is fetched, in lower-case hex; none when it isn't pinned.
    pub sha256: Option<String>,
}

/// The sources of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageSources {
    /// Source of the image's own section, if it has one.
    pub own: Option<Source>,
    /// Sources of its plugins, in order of their sections.
    pub plugins: Vec<Source>,
    /// Sources of its additions, in order of their sections.
    pub additions: Vec<Source>,
}

impl ImageSources {
    /// All of them, the image's own first.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.own.iter().chain(&self.plugins).chain(&self.additions)
    }
}

/// Where a source comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourceOrigin {
    /// An archive at a URL.
    Url(String),
    /// A branch, tag or commit of a git repository.
    Git {
        /// Address of the repository, as git takes it.
        url: String,
        /// Branch, tag or commit.
        reference: String,
        /// The commit to take whatever the reference names by now; none when it isn't pinned.
        commit: Option<String>,
    },
    /// A directory or an archive on this machine.
    Local(std::path::PathBuf),
    /// A source distribution or wheel from the Python package index that the host's pip is set up for.
    Pypi {
        /// Name of the distribution.
        package: String,
        /// The exact version, as `30.0.0`.
        version: String,
    },
}
