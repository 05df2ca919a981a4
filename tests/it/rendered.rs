//! What the shipped tree renders to.

use std::collections::BTreeSet;

use crate::support::project::Project;

const IMAGES: [&str; 6] =
    ["base", "openstack-base", "keystone/keystone-base", "keystone/keystone", "mariadb-server", "memcached"];

/// The Dockerfiles of the images that the snapshots show, below `tree`, each under its image's name.
fn dockerfiles(project: &Project, tree: &str) -> String {
    let one = |image: &&str| {
        let text = project.read(&format!("{tree}/{image}/Dockerfile"));
        // What blocks and macros leave of blank lines says nothing.
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        format!("======== {image} ========\n{}\n", lines.join("\n"))
    };
    IMAGES.iter().map(one).collect()
}

/// Renders the shipped tree and gives its Dockerfiles.
fn rendered(arguments: &[&str]) -> String {
    let project = Project::shipped();
    project.run([&["--template-only", "--work-dir", "work"], arguments].concat()).exits(0);
    dockerfiles(&project, "work/docker")
}

/// The names of images of the shipped tree that would be built.
fn listed(arguments: &[&str]) -> Vec<String> {
    let run =
        Project::shipped().run([&["--list-images", "--enable-unbuildable"], arguments].concat()).exits(0);
    let name = |line: &str| line.split(" : ").nth(1).expect("a number and a name").to_string();
    run.stdout.lines().map(name).collect()
}

/// The lines that the second text has in place of the first's.
fn differences(first: &str, second: &str) -> String {
    assert_eq!(first.lines().count(), second.lines().count());
    let pairs = first.lines().zip(second.lines()).filter(|(one, other)| one != other);
    pairs.map(|(one, other)| format!("{one} -> {other}\n")).collect()
}

#[test]
fn the_tree_renders_for_every_distro_and_architecture() {
    for base in ["debian", "ubuntu", "rocky"] {
        let [x86_64, aarch64] =
            ["x86_64", "aarch64"].map(|arch| rendered(&["--base", base, "--base-arch", arch]));
        insta::assert_snapshot!(format!("{base}-x86_64"), x86_64);
        insta::assert_snapshot!(format!("{base}-aarch64-differs"), differences(&x86_64, &aarch64));
    }
}

#[test]
fn no_image_has_a_volume_or_a_healthcheck_and_no_expression_is_left() {
    for base in ["debian", "ubuntu", "rocky"] {
        let project = Project::shipped();
        project.run(["--template-only", "--work-dir", "work", "--base", base]).exits(0);
        let list = project.run(["--list-images", "--base", base]).exits(0);
        let count = list.stdout.lines().filter(|line| line.contains(" : ")).count();
        let found = find_dockerfiles(&project.path("work/docker"));
        assert!(count >= IMAGES.len() && found.len() == count, "{list}");
        for (path, text) in found {
            for line in text.lines() {
                let instruction = line.split_whitespace().next().unwrap_or_default().to_uppercase();
                assert!(!["VOLUME", "HEALTHCHECK"].contains(&instruction.as_str()), "{path}: {line}");
                assert!(!line.contains("{{") && !line.contains("{%"), "{path}: {line}");
            }
        }
    }
}

fn find_dockerfiles(root: &std::path::Path) -> Vec<(String, String)> {
    let files = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.expect("an entry"));
    let dockerfiles = files.filter(|entry| entry.file_name() == "Dockerfile");
    let read = |entry: walkdir::DirEntry| {
        (entry.path().display().to_string(), std::fs::read_to_string(entry.path()).expect("a file"))
    };
    dockerfiles.map(read).collect()
}

#[test]
fn several_platforms_render_each_into_a_directory_of_its_own() {
    let project = Project::shipped();
    let platforms = ["--platform", "linux/amd64,linux/arm64", "--tag", "1"];
    project.run([&["--template-only", "--work-dir", "work"], &platforms[..]].concat()).exits(0);
    for arch in ["x86_64", "aarch64"] {
        let alone = rendered(&["--base-arch", arch, "--tag", &format!("1-{arch}")]);
        assert_eq!(dockerfiles(&project, &format!("work/docker/{arch}")), alone);
    }
}

#[test]
fn the_architecture_decides_what_is_rendered() {
    let project = Project::empty().image(
        "base",
        None,
        "RUN get {{ base_arch }} {{ debian_arch }}\n{% if base_arch == 'aarch64' %}RUN arm\n{% endif %}",
    );
    for (arch, expected) in
        [("x86_64", "RUN get x86_64 amd64\n"), ("aarch64", "RUN get aarch64 arm64\nRUN arm\n")]
    {
        project.run(["--template-only", "--work-dir", "work", "--base-arch", arch]).exits(0);
        let text = project.read("work/docker/base/Dockerfile");
        assert!(text.ends_with(expected), "{text}");
    }
}

#[test]
fn debug_tools_changes_keystone_base_and_keeps_what_was_there() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/overrides/debug-tools.j2");
    let plain = rendered(&[]);
    let with_it = rendered(&["--template-override", path]);
    let added: Vec<_> = with_it.lines().filter(|line| !plain.lines().any(|known| known == *line)).collect();
    let text = added.join("\n");
    for word in ["less", "strace", "tree", "LABEL kolla_debug_tools=", "pip freeze"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

/// Profiles of Kolla's, and one of images of many services.
const OF_MANY_SERVICES: [&str; 5] = ["aux", "cloud", "default", "infra", "main"];

#[test]
fn every_service_has_a_profile_of_all_its_images() {
    let all = listed(&[]);
    let mut services: BTreeSet<&str> = all.iter().filter_map(|name| name.strip_suffix("-base")).collect();
    services.remove("openstack");
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles")).expect("profiles") {
        let path = file.expect("a file").path();
        let profile = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_string();
        if OF_MANY_SERVICES.contains(&profile.as_str()) {
            continue;
        }
        let of_service = |names: Vec<String>| -> BTreeSet<String> {
            names.into_iter().filter(|name| name.starts_with(&profile)).collect()
        };
        let wanted = of_service(all.clone());
        assert!(!wanted.is_empty(), "{profile}");
        assert_eq!(of_service(listed(&["--profile", &profile])), wanted, "{profile}");
        services.remove(profile.as_str());
    }
    assert_eq!(services, BTreeSet::new(), "have no profile");
}
