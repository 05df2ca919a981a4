//! What was found in an image, as the files or programs tell it [pure].

/// Something that tells of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// Text of os-release.
    OsRelease(String),
    /// Text of a status file of dpkg.
    Dpkg(String),
    /// Lines of `rpm -qa`, with tabs between name, epoch, version and release, arch, licence and source package.
    Rpm(String),
    /// Headers of a Python distribution's metadata.
    Python {
        /// Path of the file.
        path: String,
        /// The headers, one on a line.
        headers: String,
    },
    /// A `package.json`.
    Npm {
        /// Path of the file.
        path: String,
        /// Text of the file.
        text: String,
    },
    /// Version of Go and modules of a program.
    Go {
        /// Path of the program.
        path: String,
        /// The version on a line, then modules as Go's build information has them.
        text: String,
    },
    /// Something that could not be found out, or that is not looked for there.
    Failed(String),
}

impl Collected {
    /// By the word that stands for the kind; none for one without content.
    pub(super) fn of(kind: &str, name: &str, text: String) -> Option<Collected> {
        let path = name.to_string();
        Some(match kind {
            "os-release" => Collected::OsRelease(text),
            "dpkg" => Collected::Dpkg(text),
            "rpm" => Collected::Rpm(text),
            "python" => Collected::Python { path, headers: text },
            "npm" => Collected::Npm { path, text },
            "go" => Collected::Go { path, text },
            "failed" => Collected::Failed(path),
            _ => return None,
        })
    }
}

/// Kind of a file of an image, by its path: the word of [`Collected::of`]; none for one that tells of no packages.
pub(super) fn kind_of_file(path: &str) -> Option<&'static str> {
    if matches!(path, "/etc/os-release" | "/usr/lib/os-release") {
        return Some("os-release");
    }
    if path == "/var/lib/dpkg/status" || path.starts_with("/var/lib/dpkg/status.d/") {
        return Some("dpkg");
    }
    if path.ends_with(".dist-info/METADATA")
        || path.ends_with(".egg-info/PKG-INFO")
        || path.ends_with(".egg-info")
    {
        return Some("python");
    }
    (path.contains("/node_modules/") && path.ends_with("/package.json")).then_some("npm")
}

/// The headers of a Python distribution's metadata: all up to the first empty line.
pub(super) fn headers(text: &str) -> String {
    let lines = text.lines().map(str::trim_end).take_while(|line| !line.is_empty());
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_paths() {
        for (path, kind) in [
            ("/usr/lib/os-release", Some("os-release")),
            ("/var/lib/dpkg/status", Some("dpkg")),
            ("/var/lib/dpkg/status-old", None),
            ("/v/lib/python3.13/site-packages/A-1.dist-info/METADATA", Some("python")),
            ("/usr/lib/python3/dist-packages/a.egg-info", Some("python")),
            ("/a/node_modules/@s/x/package.json", Some("npm")),
            ("/a/package.json", None),
        ] {
            assert_eq!(kind_of_file(path), kind, "{path}");
        }
        assert_eq!(headers("Name: a\r\nVersion: 1\n\nName: b\n"), "Name: a\nVersion: 1\n");
    }
}
