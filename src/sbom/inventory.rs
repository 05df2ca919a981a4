//! The packages of an image [pure].

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::collected::Collected;
use super::licence;
use super::purl::purl;

/// Name of what every Go program has of Go itself.
const STANDARD_LIBRARY: &str = "stdlib";

/// What is in an image. Equal images have equal inventories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// `ID` of os-release; empty when the image has none.
    pub distro: String,
    /// `VERSION_ID` of os-release.
    pub distro_version: String,
    /// The packages, in order of their kinds, names and versions.
    pub packages: BTreeSet<InstalledPackage>,
    /// What could not be found out, for people; empty when this is everything.
    pub incomplete: Vec<String>,
}

/// Kind of a package: who installs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// A package of Debian's kind.
    Deb,
    /// A package of RPM.
    Rpm,
    /// A distribution of Python.
    Python,
    /// A package of npm.
    Npm,
    /// A module of a Go program, or Go's own library (`stdlib`).
    Go,
}

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// Who installs it.
    pub kind: PackageKind,
    /// Name, as its own metadata has it.
    pub name: String,
    /// Version, of an RPM with its release.
    pub version: String,
    /// Directory or program that it was found in; empty for packages of the distribution.
    pub location: String,
    /// Architecture of a package of the distribution.
    pub arch: String,
    /// Epoch of an RPM; empty for none.
    pub epoch: String,
    /// Source package that it was built from, with its version where that is another one; of an RPM its file.
    pub source: String,
    /// Licence in its own words; empty when it tells none.
    pub licence: String,
    /// Licence as an SPDX expression; empty when that is not certain.
    pub expression: String,
}

impl InstalledPackage {
    fn new(kind: PackageKind, name: &str, version: &str) -> InstalledPackage {
        InstalledPackage {
            kind,
            name: name.to_string(),
            version: version.to_string(),
            location: String::new(),
            arch: String::new(),
            epoch: String::new(),
            source: String::new(),
            licence: String::new(),
            expression: String::new(),
        }
    }

    /// Package URL, in an image of this distribution.
    pub fn purl(&self, distro: &str, distro_version: &str) -> String {
        let of_distro = match distro_version {
            "" => distro.to_string(),
            version => format!("{distro}-{version}"),
        };
        let (name, version) = (self.name.as_str(), self.version.as_str());
        match self.kind {
            PackageKind::Deb => {
                purl("deb", &[distro], name, version, &[("arch", &self.arch), ("distro", &of_distro)])
            }
            PackageKind::Rpm => {
                let qualifiers =
                    [("arch", self.arch.as_str()), ("distro", &of_distro), ("epoch", &self.epoch)];
                purl("rpm", &[distro], name, version, &qualifiers)
            }
            PackageKind::Python => purl("pypi", &[], &name.to_lowercase().replace('_', "-"), version, &[]),
            PackageKind::Npm => match name.split_once('/') {
                Some((scope, name)) => purl("npm", &[scope], name, version, &[]),
                None => purl("npm", &[], name, version, &[]),
            },
            PackageKind::Go => {
                let (path, name) = name.rsplit_once('/').unwrap_or(("", name));
                purl("golang", &path.split('/').collect::<Vec<_>>(), name, version, &[])
            }
        }
    }
}

impl Inventory {
    /// The inventory of what was found.
    pub fn of(collected: &[Collected]) -> Inventory {
        let mut inventory = Inventory::default();
        for found in collected {
            match found {
                Collected::OsRelease(text) => inventory.read_os_release(text),
                Collected::Dpkg(text) => inventory.packages.extend(dpkg(text)),
                Collected::Rpm(text) => inventory.packages.extend(text.lines().filter_map(rpm)),
                Collected::Python { path, headers } => match python(path, headers) {
                    Some(package) => drop(inventory.packages.insert(package)),
                    None => inventory.incomplete.push(format!("{path} can't be read")),
                },
                Collected::Npm { path, text } => match npm(path, text) {
                    Ok(package) => inventory.packages.extend(package),
                    Err(error) => inventory.incomplete.push(format!("{path} can't be read: {error}")),
                },
                Collected::Go { path, text } => {
                    let packages = go(path, text);
                    if packages.iter().all(|package| package.name == STANDARD_LIBRARY) {
                        inventory
                            .incomplete
                            .push(format!("{path} does not tell the modules that it was built from"));
                    }
                    inventory.packages.extend(packages);
                }
                Collected::Failed(what) => inventory.incomplete.push(match what.as_str() {
                    "find" => "not every directory could be looked into".to_string(),
                    "rpm" => "the database of rpm could not be read".to_string(),
                    told => told.to_string(),
                }),
            }
        }
        inventory.incomplete.sort();
        inventory
    }

    fn read_os_release(&mut self, text: &str) {
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim().trim_matches(['"', '\'']).to_string();
            match key.trim() {
                "ID" => self.distro = value,
                "VERSION_ID" => self.distro_version = value,
                _ => {}
            }
        }
    }
}

/// Installed packages of a status file.
fn dpkg(text: &str) -> impl Iterator<Item = InstalledPackage> {
    text.split("\n\n").filter_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
        };
        // Those of images without dpkg have no status.
        let is_installed = field("Status").is_none_or(|status| status.ends_with(" installed"));
        let mut package = InstalledPackage::new(PackageKind::Deb, field("Package")?, field("Version")?);
        package.arch = field("Architecture").unwrap_or_default().to_string();
        package.source = field("Source").unwrap_or_default().to_string();
        is_installed.then_some(package)
    })
}

/// A line of `rpm -qa`.
fn rpm(line: &str) -> Option<InstalledPackage> {
    let mut fields = line.split('\t');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let (epoch, version) = (fields.next()?, fields.next()?);
    let mut package = InstalledPackage::new(PackageKind::Rpm, name, version);
    package.epoch = if epoch == "0" { String::new() } else { epoch.to_string() };
    let told = |text: Option<&str>| text.filter(|text| *text != "(none)").unwrap_or_default().to_string();
    package.arch = told(fields.next());
    package.licence = told(fields.next());
    package.source = told(fields.next());
    package.expression = licence::expression(&package.licence).unwrap_or_default();
    // Keys that packages are signed with are no packages.
    (name != "gpg-pubkey").then_some(package)
}

/// A distribution of Python, by the headers of its metadata.
fn python(path: &str, headers: &str) -> Option<InstalledPackage> {
    let mut all = Vec::<(String, String)>::new();
    for line in headers.lines() {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with([' ', '\t']) => {
                all.push((name.to_lowercase(), value.trim().to_string()));
            }
            // A value that goes on.
            _ => all.last_mut().into_iter().for_each(|(_, value)| {
                value.push('\n');
                value.push_str(line.trim());
            }),
        }
    }
    let header = |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let mut package = InstalledPackage::new(PackageKind::Python, header("name")?, header("version")?);
    // `site-packages`, whatever the metadata is called there.
    let directory = path.trim_end_matches("/METADATA").trim_end_matches("/PKG-INFO");
    package.location = directory.rsplit_once('/').map_or("", |(parent, _)| parent).to_string();
    let told = header("license-expression").or(header("license")).filter(|told| *told != "UNKNOWN");
    let classifiers = all.iter().filter(|(name, _)| name == "classifier").map(|(_, value)| value.as_str());
    let classifiers: Vec<&str> = classifiers.filter(|value| value.starts_with("License ::")).collect();
    // Some have the whole text there.
    package.licence = match told.map(|told| told.lines().next().unwrap_or_default()) {
        Some(told) if !told.is_empty() => told.to_string(),
        _ => classifiers.join(", "),
    };
    let of_classifiers = || match classifiers.as_slice() {
        [classifier] => licence::of_classifier(classifier),
        _ => None,
    };
    package.expression = told.and_then(licence::expression).or_else(of_classifiers).unwrap_or_default();
    Some(package)
}

/// True for the `package.json` of a package itself, and not of a part of it.
fn is_of_package(path: &str) -> bool {
    let inside = path.trim_end_matches("/package.json").rsplit("/node_modules/").next().unwrap_or_default();
    inside.split('/').count() == if inside.starts_with('@') { 2 } else { 1 }
}

/// A package of npm; none for a `package.json` that only says how its directory is to be read.
fn npm(path: &str, text: &str) -> Result<Option<InstalledPackage>, serde_json::Error> {
    if !is_of_package(path) {
        return Ok(None);
    }
    let json: serde_json::Value = serde_json::from_str(text)?;
    let (Some(name), Some(version)) = (json["name"].as_str(), json["version"].as_str()) else {
        return Ok(None);
    };
    let mut package = InstalledPackage::new(PackageKind::Npm, name, version);
    package.location = path.trim_end_matches("/package.json").to_string();
    let licence = json["license"].as_str().or(json["license"]["type"].as_str()).unwrap_or_default();
    package.licence = licence.to_string();
    package.expression = licence::expression(licence).unwrap_or_default();
    Ok(Some(package))
}

/// Modules of a Go program. One that is replaced is told by what replaces it.
fn go(path: &str, text: &str) -> Vec<InstalledPackage> {
    let mut packages: Vec<InstalledPackage> = Vec::new();
    let mut add = |name: &str, version: &str, replaces: bool| {
        let mut package = InstalledPackage::new(PackageKind::Go, name, version);
        package.location = path.to_string();
        // By a directory of who built it: then its own name says more.
        if replaces && version.is_empty() {
            return;
        }
        if replaces {
            packages.pop();
        }
        packages.push(package);
    };
    for line in text.lines() {
        if let Some(version) = line.strip_prefix("go") {
            add(STANDARD_LIBRARY, version, false);
        }
        let mut fields = line.split('\t');
        if let (Some(kind @ ("mod" | "dep" | "=>")), Some(name), Some(version)) =
            (fields.next(), fields.next(), fields.next())
        {
            add(name, version, kind == "=>");
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(collected: &[Collected]) -> Inventory {
        Inventory::of(collected)
    }

    fn told(inventory: &Inventory) -> Vec<String> {
        let purls = inventory.packages.iter();
        purls.map(|package| package.purl(&inventory.distro, &inventory.distro_version)).collect()
    }

    #[test]
    fn packages_of_dpkg_are_those_that_are_installed() {
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2.41-1)\nVersion: 2.41-12\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: held\nStatus: hold ok installed\nVersion: 1:2+b1\n";
        let os = "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"13\"\n".to_string();
        let read = inventory(&[Collected::OsRelease(os), Collected::Dpkg(status.to_string())]);
        assert_eq!(
            told(&read),
            [
                "pkg:deb/debian/held@1:2%2Bb1?distro=debian-13",
                "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13"
            ]
        );
        assert_eq!(read.packages.last().map(|package| package.source.as_str()), Some("glibc (2.41-1)"));
    }

    #[test]
    fn packages_of_rpm_have_an_epoch_and_a_licence() {
        let lines = "bash\t0\t5.2-1.el10\tx86_64\tGPL-3.0-or-later\tbash-5.2-1.el10.src.rpm\n\
            gpg-pubkey\t0\t1-2\t(none)\tpubkey\t(none)\nopenssl\t1\t3.2-1\tx86_64\tApache-2.0\topenssl.src.rpm\n";
        let os = "ID=\"rocky\"\nVERSION_ID=\"10.0\"\n".to_string();
        let read = inventory(&[Collected::OsRelease(os), Collected::Rpm(lines.to_string())]);
        assert_eq!(
            told(&read),
            [
                "pkg:rpm/rocky/bash@5.2-1.el10?arch=x86_64&distro=rocky-10.0",
                "pkg:rpm/rocky/openssl@3.2-1?arch=x86_64&distro=rocky-10.0&epoch=1",
            ]
        );
        assert_eq!(
            read.packages.first().map(|package| package.expression.as_str()),
            Some("GPL-3.0-or-later")
        );
    }

    #[test]
    fn distributions_of_python_are_told_with_where_they_are_and_their_licence() {
        let headers = "Metadata-Version: 2.1\nName: oslo.config\nVersion: 9.7\nLicense: UNKNOWN\n\
            Classifier: License :: OSI Approved :: MIT License\nSummary: a\n  b\n";
        let path = "/var/lib/kolla/venv/lib/python3.13/site-packages/oslo_config-9.7.dist-info/METADATA";
        let python = |path: &str, headers: &str| Collected::Python {
            path: path.to_string(),
            headers: headers.to_string(),
        };
        let read = inventory(&[
            python(path, headers),
            python("/usr/lib/python3/dist-packages/PyX.egg-info", "Name: Py_X\nVersion: 1\nLicense: BSD\n\n"),
            python("/x/broken.dist-info/METADATA", "Name: broken\n"),
        ]);
        assert_eq!(told(&read), ["pkg:pypi/py-x@1", "pkg:pypi/oslo.config@9.7"]);
        let oslo = read.packages.last().expect("two");
        assert_eq!(oslo.location, "/var/lib/kolla/venv/lib/python3.13/site-packages");
        assert_eq!(oslo.expression, "MIT");
        let other = read.packages.first().expect("two");
        assert_eq!(
            (other.location.as_str(), other.licence.as_str(), other.expression.as_str()),
            ("/usr/lib/python3/dist-packages", "BSD", "")
        );
        assert_eq!(read.incomplete, ["/x/broken.dist-info/METADATA can't be read"]);
    }

    #[test]
    fn packages_of_npm_and_modules_of_go_are_told() {
        let npm = |path: &str, text: &str| Collected::Npm { path: path.to_string(), text: text.to_string() };
        let go = "go1.24.4\nmod\tgithub.com/a/b\t(devel)\ndep\tgithub.com/c/d\tv1.2.3\n=>\tgithub.com/e/d\tv1.2.4\ndep\tgithub.com/f/g\tv1.0.0\n=>\t./local\t\n";
        let read = inventory(&[
            npm("/a/node_modules/@s/x/package.json", r#"{"name": "@s/x", "version": "1", "license": "MIT"}"#),
            npm("/a/node_modules/x/esm/package.json", r#"{"type": "module"}"#),
            npm("/a/node_modules/y/package.json", "{"),
            npm("/a/node_modules/x/dist/package.json", r#"{"name": "part", "version": "1"}"#),
            Collected::Go { path: "/usr/bin/p".to_string(), text: go.to_string() },
            Collected::Go { path: "/usr/bin/q".to_string(), text: "go1.24.4\n".to_string() },
            Collected::Failed("find".to_string()),
        ]);
        assert_eq!(
            told(&read),
            [
                "pkg:npm/%40s/x@1",
                "pkg:golang/github.com/a/b@%28devel%29",
                "pkg:golang/github.com/e/d@v1.2.4",
                "pkg:golang/github.com/f/g@v1.0.0",
                "pkg:golang/stdlib@1.24.4",
                "pkg:golang/stdlib@1.24.4",
            ]
        );
        assert_eq!(read.incomplete.len(), 3, "{:?}", read.incomplete);
        let json = serde_json::to_string(&read).expect("JSON");
        assert_eq!(serde_json::from_str::<Inventory>(&json).expect("an inventory"), read);
    }
}
