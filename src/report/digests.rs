//! What was pushed, by digest: for programs, and as variables of kolla-ansible [pure].

use serde_json::{Map, Value, json};

use super::timeline::{Timeline, UnitTimes};
use crate::reference::Reference;

/// Variables of kolla-ansible 22.2.0 that are not called as their images are: image and variable, without `_image_full`.
const OTHER_VARIABLES: [(&str, &str); 15] = [
    ("dnsmasq", "ironic_dnsmasq"),
    ("httpd", "ironic_http"),
    ("httpd", "keystone_httpd"),
    ("httpd", "letsencrypt_webserver"),
    ("mariadb-server", "mariadb"),
    ("neutron-metadata-agent", "neutron_ovn_metadata_agent"),
    ("neutron-mlnx-agent", "neutron_eswitchd"),
    ("neutron-server", "neutron_ovn_maintenance_worker"),
    ("neutron-server", "neutron_periodic_worker"),
    ("neutron-server", "neutron_rpc_server"),
    ("nova-conductor", "nova_super_conductor"),
    ("openvswitch-db-server", "openvswitch_db"),
    ("ovn-nb-db-server", "ovn_nb_db"),
    ("ovn-sb-db-server", "ovn_sb_db"),
    ("valkey-server", "valkey"),
];

/// Every pushed image with its reference, tag, digest and platform, and the reference by digest (`pinned`).
pub fn json(timeline: &Timeline) -> String {
    let images: Map<String, Value> = pushed(timeline)
        .map(|(unit, reference, digest)| {
            let facts = json!({
                "reference": unit.planned.reference,
                "tag": reference.tag,
                "digest": digest,
                "platform": unit.planned.platform.to_string(),
                "pinned": pinned(&reference, digest),
            });
            (unit.planned.image.clone(), facts)
        })
        .collect();
    format!("{:#}\n", Value::Object(images))
}

/// `<name>_image_full` of every pushed image, as kolla-ansible takes it from `globals.yml` or with `-e @FILE`.
pub fn ansible(timeline: &Timeline) -> String {
    let mut lines = vec!["---".to_string()];
    for (unit, reference, digest) in pushed(timeline) {
        let image = unit.planned.image.as_str();
        let others =
            OTHER_VARIABLES.iter().filter(|(other, _)| *other == image).map(|(_, name)| (*name).to_string());
        for variable in std::iter::once(image.replace(['-', '.'], "_")).chain(others) {
            lines.push(format!("{variable}_image_full: \"{}\"", pinned(&reference, digest)));
        }
    }
    lines.join("\n") + "\n"
}

fn pushed(timeline: &Timeline) -> impl Iterator<Item = (&UnitTimes, Reference, &str)> {
    timeline.units().iter().filter_map(|unit| {
        let reference = unit.planned.reference.parse().ok()?;
        Some((unit, reference, unit.digest.as_deref()?))
    })
}

fn pinned(reference: &Reference, digest: &str) -> String {
    Reference { tag: None, digest: Some(digest.to_string()), ..reference.clone() }.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Event;
    use crate::report::testing::{plan, unit};

    fn timeline() -> Timeline {
        let mut timeline = Timeline::new(&plan(&["base", "nova-api", "mariadb-server"]));
        for image in ["nova-api", "mariadb-server"] {
            let digest = Some(format!("sha256:{}", "0".repeat(64)));
            timeline.event(&Event::PushStarted { unit: unit(image), worker: 0 }, Duration::ZERO);
            timeline.event(&Event::Pushed { unit: unit(image), digest }, Duration::ZERO);
        }
        timeline
    }

    #[test]
    fn what_was_pushed_is_told_and_nothing_else() {
        let told: Value = serde_json::from_str(&json(&timeline())).unwrap();
        let names: Vec<&String> = told.as_object().unwrap().keys().collect();
        assert_eq!(names, ["nova-api", "mariadb-server"]);
        let nova = &told["nova-api"];
        assert_eq!(nova["reference"], "kolla/nova-api:master-debian-trixie");
        assert_eq!(
            (&nova["tag"], &nova["platform"]),
            (&"master-debian-trixie".into(), &"linux/amd64".into())
        );
        assert_eq!(nova["pinned"], format!("kolla/nova-api@{}", nova["digest"].as_str().unwrap()));
    }

    #[test]
    fn variables_have_the_names_that_kolla_ansible_knows() {
        let digest = "0".repeat(64);
        let expected = format!(
            "---\n\
             nova_api_image_full: \"kolla/nova-api@sha256:{digest}\"\n\
             mariadb_server_image_full: \"kolla/mariadb-server@sha256:{digest}\"\n\
             mariadb_image_full: \"kolla/mariadb-server@sha256:{digest}\"\n"
        );
        assert_eq!(ansible(&timeline()), expected);
        assert!(serde_yaml::from_str::<serde_yaml::Value>(&expected).is_ok());
    }
}
