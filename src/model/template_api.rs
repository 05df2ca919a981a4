//! The interface of a Kolla release for its templates: variables, functions and files differ between releases [pure].

use std::fmt;

/// The template API of a Kolla release, by the release's major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateApi(u32);

/// The words of `--template-api`.
pub const TEMPLATE_APIS: &[&str] = &["9", "18", "19", "20", "21", "22", "23"];

impl Default for TemplateApi {
    fn default() -> TemplateApi {
        TemplateApi::LATEST
    }
}

impl fmt::Display for TemplateApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Kind of `handle_repos`, and of the `repos.yaml` that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryStyle {
    /// There is no such function.
    None,
    /// Ids of repositories; what is not listed is ignored.
    Ids,
    /// Descriptions of repositories, each written as a whole; a user's file replaces the tree's.
    Replaced,
    /// The same, put together from several sections, and a user's file merged in.
    Merged,
}

impl TemplateApi {
    /// That of the tree inside the program.
    pub const LATEST: TemplateApi = TemplateApi(23);

    /// The API of a release, by its major version: that of the latest for those to come; none for those between two
    /// known ones, which nobody has compared.
    pub fn of_release(major: u32) -> Option<TemplateApi> {
        let known = TEMPLATE_APIS.iter().any(|word| word.parse() == Ok(major));
        (known || major > Self::LATEST.0).then_some(TemplateApi(major.min(Self::LATEST.0)))
    }

    /// True when the templates of an OpenStack release, by its name, have been compared; one that is not released yet
    /// is taken as what it looks like.
    pub fn knows_openstack(release: &str) -> bool {
        let number = |text: &str| text.parse::<u32>().ok();
        let year = release.split_once('.').and_then(|(year, half)| Some((number(year)?, number(half)?)));
        match year {
            Some(year) => year >= (2024, 1),
            None => ["train", "master"].contains(&release),
        }
    }

    /// True for this release of Kolla and all before it.
    pub fn up_to(self, major: u32) -> bool {
        self.0 <= major
    }

    /// The kind of `handle_repos` that its templates call.
    pub fn repositories(self) -> RepositoryStyle {
        match self.0 {
            ..18 => RepositoryStyle::None,
            18..21 => RepositoryStyle::Ids,
            21..23 => RepositoryStyle::Replaced,
            23.. => RepositoryStyle::Merged,
        }
    }

    /// The file of repositories beside the tree: two releases have one of its own for a distro's next version.
    pub fn repositories_file(self, base: &str, base_tag: &str) -> &'static str {
        let is =
            |distro: &str, tags: &[&str]| base == distro && tags.iter().any(|tag| base_tag.starts_with(tag));
        match self.0 {
            18 if is(base, &["24.04", "noble"]) => "repos-noble.yaml",
            20 if is("centos", &["stream10"]) || is("rocky", &["10"]) => "repos-el10.yaml",
            _ => "repos.yaml",
        }
    }

    /// The version of a distro's Python, as templates got it.
    pub fn python_version(self, base: &str, base_tag: &str) -> Option<&'static str> {
        let rpm = is_rpm(base);
        match self.0 {
            9 => Some(match base {
                _ if rpm && base_tag.starts_with('8') => "3.6",
                "debian" => "3.7",
                "ubuntu" => "3.6",
                _ => "2.7",
            }),
            18 => Some(match base {
                _ if rpm => "3.9",
                "debian" => "3.11",
                _ if base_tag.starts_with("24.04") || base_tag.starts_with("noble") => "3.12",
                _ => "3.10",
            }),
            _ => None,
        }
    }

    /// True when OpenStack comes from one of several places (`install_type`).
    pub fn has_install_types(self) -> bool {
        self.up_to(9)
    }

    /// True when a distro's packages are installed with yum.
    pub fn has_yum(self, base: &str, base_tag: &str) -> bool {
        let major = base_tag
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|digits| digits.parse::<u32>().ok());
        self.up_to(9) && is_rpm(base) && major.is_some_and(|major| major < 8)
    }

    /// The words that sets of unbuildable images are tagged with, beside the architecture.
    pub fn unbuildable_words(
        self,
        base: &str,
        base_tag: &str,
        package_manager: &str,
        install_type: Option<InstallType>,
    ) -> Vec<String> {
        let distro =
            if self.0 == 9 && base == "centos" && package_manager == "dnf" { "centos8" } else { base };
        let mut words = vec![distro.to_string()];
        words.extend((self.0 == 20).then(|| base_tag.to_string()));
        words.extend(install_type.map(|install_type| install_type.name().to_string()));
        words
    }

    /// True when templates know the group of a user.
    pub fn has_user_groups(self) -> bool {
        !self.up_to(9)
    }

    /// True when `--template-only` leaves images that are not to be built.
    pub fn keeps_unmatched(self) -> bool {
        self.up_to(9)
    }

    /// True when images have a directory of patches.
    pub fn has_patches(self) -> bool {
        !self.up_to(19)
    }

    /// True when images are tagged with Kolla's version unless told otherwise.
    pub fn is_tagged_by_version(self) -> bool {
        self.up_to(22)
    }

    /// True when packages are installed even when a list of packages can't be fetched.
    pub fn ignores_update_errors(self) -> bool {
        self.up_to(9)
    }
}

fn is_rpm(base: &str) -> bool {
    ["centos", "rhel", "rocky"].contains(&base)
}

/// Where OpenStack is installed from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InstallType {
    /// The distro's packages; on CentOS and RHEL those of RDO.
    #[default]
    Binary,
    /// Archives and checkouts of OpenStack's source.
    Source,
    /// The packages of Red Hat's product.
    Rhos,
}

impl InstallType {
    /// Reads a value of `install_type`.
    pub fn parse(word: &str) -> Option<InstallType> {
        Some(match word {
            "binary" | "rdo" => InstallType::Binary,
            "source" => InstallType::Source,
            "rhos" => InstallType::Rhos,
            _ => return None,
        })
    }

    /// The name that templates and images know it by.
    pub fn name(self) -> &'static str {
        if self == InstallType::Source { "source" } else { "binary" }
    }

    /// Where packages come from, as templates know it.
    pub fn metatype(self) -> &'static str {
        match self {
            InstallType::Binary => "rdo",
            InstallType::Source => "mixed",
            InstallType::Rhos => "rhos",
        }
    }

    /// True when a distro has packages of this kind.
    pub fn exists_on(self, base: &str) -> bool {
        self != InstallType::Rhos || is_rpm(base)
    }
}

/// Signs of the release that a tree is of, whatever its version says: a branch calls itself after its last release
/// until it has one of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeTraits {
    /// A template uses `install_type`, or the package has it as an option.
    pub install_type: bool,
    /// A template uses `distro_python_version`.
    pub python_version: bool,
    /// A template uses `patches_path`, or the package has it as an option.
    pub patches: bool,
    /// Most Dockerfiles use `build_date`: one may have been left over.
    pub build_date: bool,
    /// A template uses `cleanup_repos`.
    pub cleanup_repos: bool,
    /// Default of the package's option `tag`; none when no package tells it.
    pub default_tag: Option<DefaultTag>,
    /// Kind of its repos.yaml; none when there is no such file.
    pub repositories: Option<RepositoryStyle>,
}

/// Tag of images unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultTag {
    /// The version of Kolla's package.
    Version,
    /// The OpenStack release and the base image.
    Release,
}

impl TreeTraits {
    /// The release that a tree is most like.
    pub fn api(self) -> TemplateApi {
        let is_latest = self.cleanup_repos
            || self.repositories == Some(RepositoryStyle::Merged)
            || match self.default_tag {
                Some(default) => default == DefaultTag::Release,
                None => !self.build_date,
            };
        TemplateApi(match self {
            _ if is_latest => 23,
            TreeTraits { install_type: true, .. } => 9,
            TreeTraits { repositories: None | Some(RepositoryStyle::Replaced), .. } => 22,
            TreeTraits { patches: true, .. } => 20,
            TreeTraits { python_version: true, .. } => 18,
            _ => 19,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(major: u32) -> TemplateApi {
        TemplateApi::of_release(major).expect("known")
    }

    #[test]
    fn a_release_to_come_is_like_the_latest_and_one_in_between_is_unknown() {
        assert_eq!(api(30), TemplateApi::LATEST);
        assert_eq!(TemplateApi::of_release(12), None);
        assert_eq!(TemplateApi::of_release(8), None);
    }

    #[test]
    fn openstack_releases_that_nobody_has_compared_are_unknown() {
        for (release, known) in [
            ("train", true),
            ("2024.1", true),
            ("2027.2", true),
            ("master", true),
            ("zed", false),
            ("2023.2", false),
        ] {
            assert_eq!(TemplateApi::knows_openstack(release), known, "{release}");
        }
    }

    #[test]
    fn what_differs_by_distro_and_tag() {
        assert_eq!(api(18).repositories_file("ubuntu", "noble-2024"), "repos-noble.yaml");
        assert_eq!(api(20).repositories_file("rocky", "10.1"), "repos-el10.yaml");
        assert_eq!(api(20).repositories_file("debian", "10"), "repos.yaml");
        assert_eq!(api(9).python_version("centos", "8.3"), Some("3.6"));
        assert_eq!(api(9).python_version("rhel", "7"), Some("2.7"));
        assert_eq!(api(18).python_version("ubuntu", "22.04"), Some("3.10"));
        assert_eq!(api(19).python_version("ubuntu", "24.04"), None);
    }

    #[test]
    fn a_tree_tells_its_release() {
        let build_date = TreeTraits { build_date: true, ..TreeTraits::default() };
        let ids = TreeTraits { repositories: Some(RepositoryStyle::Ids), ..build_date };
        let replaced = TreeTraits { repositories: Some(RepositoryStyle::Replaced), ..build_date };
        for (traits, release) in [
            (TreeTraits::default(), 23),
            (build_date, 22),
            (TreeTraits { patches: true, ..replaced }, 22),
            (TreeTraits { patches: true, ..ids }, 20),
            (ids, 19),
            (TreeTraits { python_version: true, ..ids }, 18),
            (TreeTraits { install_type: true, python_version: true, ..build_date }, 9),
        ] {
            assert_eq!(traits.api(), api(release), "{traits:?}");
        }
    }

    #[test]
    fn a_package_and_its_repositories_tell_more_than_templates() {
        let leftover = TreeTraits { build_date: true, patches: true, ..TreeTraits::default() };
        for traits in [
            TreeTraits { default_tag: Some(DefaultTag::Release), ..leftover },
            TreeTraits { repositories: Some(RepositoryStyle::Merged), ..leftover },
            TreeTraits { cleanup_repos: true, ..leftover },
        ] {
            assert_eq!(traits.api(), api(23), "{traits:?}");
        }
        let without_dates = TreeTraits {
            default_tag: Some(DefaultTag::Version),
            repositories: Some(RepositoryStyle::Replaced),
            ..TreeTraits::default()
        };
        assert_eq!(without_dates.api(), api(22));
    }
}
