//! The ready-made overrides: that everything in them has an effect, and what they make of images.

use std::path::{Path, PathBuf};

use crate::support::project::{Project, Run};

mod real;

const BASES: [&str; 3] = ["debian", "rocky", "ubuntu"];
const MIRROR: &str = "http://mirror.example/debian";
const SECURITY_MIRROR: &str = "http://mirror.example/debian-security";
const INDEX: &str = "https://pypi.example/simple/";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("overrides").join(name)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/overrides").join(name)
}

/// Stand-ins for ironic's images, to see quickly what an override refuses.
fn ironic() -> Project {
    let footer = |image| format!("{{% block {image}_footer %}}{{% endblock %}}\n");
    Project::empty()
        .image("base", None, "")
        .image("ironic-pxe", Some("base"), &footer("ironic_pxe"))
        .image(
            "ironic-conductor",
            Some("base"),
            &format!(
                "{{% set pip_packages = [] %}}\n# {{{{ pip_packages | customizable('pip_packages') | join(' ') }}}}\n{}",
                footer("ironic_conductor")
            ),
        )
}

fn run(project: &Project, overrides: &[&str], variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = project.command(["--strict-overrides"]);
    for name in overrides {
        command.arg("--template-override").arg(shipped(name));
    }
    command.envs(variables.iter().copied()).args(arguments).output().expect("the binary starts").into()
}

/// The Dockerfile of an image with overrides.
fn rendered(
    project: &Project,
    overrides: &[&str],
    variables: &[(&str, &str)],
    base: &str,
    image: &str,
) -> String {
    let arguments = ["--template-only", "--work-dir", "w", "--base", base, &format!("^{image}$")];
    run(project, overrides, variables, &arguments).exits(0);
    project.read(&format!("w/docker/{image}/Dockerfile"))
}

#[test]
fn every_one_has_an_effect_on_every_distribution() {
    let variables = [("APT_MIRROR", MIRROR), ("PIP_INDEX_URL", INDEX)];
    let project = Project::shipped();
    let mut names: Vec<String> = std::fs::read_dir(shipped(""))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".j2"))
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    let readme = std::fs::read_to_string(shipped("README.md")).expect("a file");
    for name in &names {
        assert!(readme.contains(&format!("[{name}]({name})")), "README.md does not list {name}");
        for base in BASES {
            run(&project, &[name], &variables, &["--base", base, "--list-images"]).exits(0);
        }
    }
}

#[test]
fn they_go_together() {
    let names = [
        "apt-mirror.j2",
        "build-tools.j2",
        "corporate-ca.j2",
        "debug-tools.j2",
        "ipxe-aarch64.j2",
        "ironic-hardware.j2",
        "pip-index.j2",
        "puppet-tools.j2",
    ];
    for base in BASES {
        let variables = [("APT_MIRROR", MIRROR), ("PIP_INDEX_URL", INDEX)];
        run(&Project::shipped(), &names, &variables, &["--base", base, "--list-images"]).exits(0);
    }
}

#[test]
fn a_mirror_is_used_before_the_first_package_and_after_the_lists_of_sources() {
    let variables = [("APT_MIRROR", MIRROR), ("APT_SECURITY_MIRROR", SECURITY_MIRROR)];
    let text = rendered(&Project::shipped(), &["apt-mirror.j2"], &variables, "debian", "base");
    let used = format!("#{MIRROR}\\3#");
    let places: Vec<usize> = text.match_indices(&used).map(|(at, _)| at).collect();
    let first_package = text.find("apt-get -y install").expect("packages");
    let lists = text.find("COPY sources.list ").expect("lists of sources");
    assert!(places.len() == 2 && places[0] < first_package && lists < places[1], "{text}");
    assert!(text.contains(&format!("debian-security/?#{SECURITY_MIRROR}#")), "{text}");

    let without = rendered(&Project::shipped(), &["apt-mirror.j2"], &variables[..1], "debian", "base");
    assert!(!without.contains("debian-security/?#"), "{without}");
}

#[test]
fn an_index_stays_in_the_image_for_later() {
    let variables = [("PIP_INDEX_URL", INDEX), ("PIP_TRUSTED_HOST", "pypi.example")];
    let text = rendered(&Project::shipped(), &["pip-index.j2"], &variables, "rocky", "base");
    let expected = format!("ENV PIP_INDEX_URL=\"{INDEX}\" \\\n    PIP_TRUSTED_HOST=\"pypi.example\"\n");
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn addresses_that_are_missing_or_hold_a_password_are_refused() {
    let project = Project::shipped();
    for (name, variable, address) in [
        ("apt-mirror.j2", "APT_MIRROR", "http://me:secret@mirror.example/debian"),
        ("pip-index.j2", "PIP_INDEX_URL", "https://me:secret@pypi.example/simple/"),
    ] {
        let missing = run(&project, &[name], &[], &["--list-images"]);
        assert_ne!(missing.status, Some(0), "{missing}");
        assert!(missing.stderr.contains(&format!("in the environment variable {variable}")), "{missing}");

        let refused = run(&project, &[name], &[(variable, address)], &["--list-images"]);
        assert_ne!(refused.status, Some(0), "{refused}");
        assert!(refused.stderr.contains("may hold no user or password"), "{refused}");
        assert!(!refused.stderr.contains("secret"), "{refused}");
    }
}
