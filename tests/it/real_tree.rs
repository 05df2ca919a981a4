//! The images of the shipped tree, as `tests/demo/build` has built them: what holds inside, and what the engine is told.

use crate::support::real::{inspect, run_in};

/// Every image of the tree that the demo builds.
const IMAGES: [&str; 6] =
    ["base", "openstack-base", "keystone-base", "keystone", "mariadb-server", "memcached"];

fn reference(image: &str) -> String {
    format!("kolla/{image}:demo")
}

#[test]
#[ignore = "needs a real Docker engine"]
fn images_have_kolla_s_labels_and_start_as_kolla_s_do() {
    for image in IMAGES {
        let config = &inspect(&reference(image))["Config"];
        let entrypoint = match image {
            // Its wrapper does not pass SIGTERM on.
            "mariadb-server" => serde_json::json!(["dumb-init", "--"]),
            _ => serde_json::json!(["dumb-init", "--single-child", "--"]),
        };
        assert_eq!(config["Entrypoint"], entrypoint, "{image}");
        assert_eq!(config["Cmd"], serde_json::json!(["kolla_start"]), "{image}");
        assert!(config["Volumes"].is_null(), "{image}: {config}");
        assert!(config["Healthcheck"].is_null(), "{image}: {config}");

        let labels = &config["Labels"];
        assert_eq!(labels["name"], image);
        assert_eq!(labels["kolla_version"], "23.0.0", "{image}");
        assert_eq!(labels["org.opencontainers.image.title"], image);
        assert_eq!(labels["org.opencontainers.image.version"], "demo", "{image}");
        for label in ["maintainer", "build-date", "org.opencontainers.image.created", "kolla-build.key"] {
            assert!(labels[label].as_str().is_some_and(|value| !value.is_empty()), "{image}: {labels}");
        }

        let env: Vec<_> =
            config["Env"].as_array().expect("a list").iter().filter_map(|set| set.as_str()).collect();
        for set in ["LANG=en_US.UTF-8", "KOLLA_BASE_DISTRO=debian"] {
            assert!(env.contains(&set), "{image}: {env:?}");
        }
        assert!(
            env.iter().any(|set| set.starts_with("PS1=") && set.contains("KOLLA_SERVICE_NAME")),
            "{image}: {env:?}"
        );
    }
}

#[test]
#[ignore = "needs a real Docker engine"]
fn every_image_is_built_on_its_parent_as_it_is_now() {
    for (image, parent) in [
        ("openstack-base", "base"),
        ("keystone-base", "openstack-base"),
        ("keystone", "keystone-base"),
        ("mariadb-server", "base"),
        ("memcached", "base"),
    ] {
        let (image, parent) = (inspect(&reference(image)), inspect(&reference(parent)));
        assert_eq!(image["Config"]["Labels"]["kolla-build.parent"], parent["Id"]);
        let layers = |of: &serde_json::Value| of["RootFS"]["Layers"].as_array().expect("a list").clone();
        assert!(layers(&image).starts_with(&layers(&parent)));
    }
}

#[test]
#[ignore = "needs a real Docker engine"]
fn the_override_took_effect_inside_the_image() {
    // keystone_base_packages_append
    let tools = run_in(&reference("keystone"), "for tool in less strace tree; do command -v $tool; done");
    assert_eq!(tools.lines().count(), 3, "{tools}");
    // The block, with what stands in for super() in front of it.
    let packages = run_in(&reference("keystone"), "cat /usr/local/share/kolla/python-packages.txt");
    assert!(packages.lines().any(|line| line.starts_with("keystone")), "{packages}");
    assert_eq!(inspect(&reference("keystone"))["Config"]["Labels"]["kolla_debug_tools"], "less strace tree");
    // An image that the override says nothing about is as it was.
    assert_eq!(run_in(&reference("memcached"), "command -v strace || echo none"), "none");
}

#[test]
#[ignore = "needs a real Docker engine"]
fn the_base_image_keeps_the_runtime_contract() {
    let modes = run_in(
        &reference("base"),
        "cd /usr/local/bin && stat -c '%a %n' kolla_* healthcheck_* && stat -c '%a %U:%G %n' /etc/sudoers /var/log/kolla",
    );
    insta::assert_snapshot!(modes, @"
    755 kolla_copy_cacerts
    644 kolla_extend_start
    755 kolla_install_projects
    755 kolla_patch
    755 kolla_pip_install
    755 kolla_set_configs
    755 kolla_start
    755 healthcheck_curl
    755 healthcheck_filemod
    755 healthcheck_listen
    755 healthcheck_port
    755 healthcheck_socket
    440 root:root /etc/sudoers
    2775 root:kolla /var/log/kolla
    ");
    let user = run_in(
        &reference("keystone"),
        "id -u keystone && id -Gn keystone && getent passwd keystone | cut -d: -f6,7",
    );
    insta::assert_snapshot!(user, @"
    42425
    keystone kolla
    /var/lib/keystone:/usr/sbin/nologin
    ");
    let python = run_in(&reference("keystone"), "command -v python3");
    assert_eq!(python, "/var/lib/kolla/venv/bin/python3");
}
