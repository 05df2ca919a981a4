//! The distribution, release and architecture that repositories are for.

use minijinja::{Error, ErrorKind, State};

/// The image that repositories are for, as the template at hand sees it.
pub(super) struct RepoTarget {
    pub package_type: String,
    pub distro: String,
    pub arch: String,
    pub codename: String,
    pub image: String,
}

impl RepoTarget {
    pub(super) fn of(state: &State<'_, '_>) -> RepoTarget {
        let text = |name: &str| state.lookup(name).unwrap_or_default().to_string();
        RepoTarget {
            package_type: text("base_package_type"),
            distro: text("base_distro"),
            arch: text("base_arch"),
            codename: text("openstack_release_codename"),
            image: text("image_name"),
        }
    }

    /// Names of the sections that may be about it, the most general first.
    pub(super) fn sections(&self) -> [String; 3] {
        [self.package_type.clone(), self.distro.clone(), format!("{}-{}", self.distro, self.arch)]
    }
}

/// An error of what a template asks for.
pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
