//! What was pushed, by digest: for programs, and as variables of kolla-ansible [pure].

use serde_json::{Map, Value, json};

use super::timeline::{Timeline, UnitTimes};
use crate::model::reference::Reference;

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

/// Every pushed image with its reference, tag, digest and platform, and the reference by digest (`pinned`). Of a run for
/// several platforms these are the list's, without a platform, and `platforms` has those of each image in it. A list that
/// was not completed has no digest.
pub fn json(timeline: &Timeline) -> String {
    let mut images = Map::new();
    for (unit, reference, digest) in pushed(timeline) {
        let platform = unit.planned.platform.to_string();
        let mut its = facts(&reference, Some(digest));
        let Some(list) = unit.planned.list.as_ref().and_then(|list| list.parse().ok()) else {
            its["platform"] = platform.into();
            images.insert(unit.planned.image.clone(), its);
            continue;
        };
        let entry = images.entry(unit.planned.image.clone()).or_insert_with(|| {
            let mut entry = facts(&list, None);
            entry["platforms"] = json!({});
            entry
        });
        if let Some(digest) = &unit.list {
            entry["digest"] = digest.as_str().into();
            entry["pinned"] = pinned(&list, digest).into();
        }
        entry["platforms"][platform] = its;
    }
    format!("{:#}\n", Value::Object(images))
}

fn facts(reference: &Reference, digest: Option<&str>) -> Value {
    json!({
        "reference": reference.to_string(),
        "tag": reference.tag,
        "digest": digest,
        "pinned": digest.map(|digest| pinned(reference, digest)),
    })
}

/// `<name>_image_full` of every pushed image, as kolla-ansible takes it from `globals.yml` or with `-e @FILE`: of the list,
/// when the run is for several platforms.
pub fn ansible(timeline: &Timeline) -> String {
    let mut lines = vec!["---".to_string()];
    for (unit, reference, digest) in pushed(timeline) {
        let (reference, digest) = match (&unit.planned.list, &unit.list) {
            (None, _) => (reference, digest),
            (Some(list), Some(digest)) => match list.parse() {
                Ok(list) => (list, digest.as_str()),
                Err(_) => continue,
            },
            (Some(_), None) => continue,
        };
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
    use crate::model::event::Event;
    use crate::report::testing::{plan, unit};

    fn timeline() -> Timeline {
        let mut timeline = Timeline::new(&plan(&["base", "nova-api", "mariadb-server"]));
        for image in ["nova-api", "mariadb-server"] {
            let digest = Some(format!("sha256:{}", "0".repeat(64)));
            timeline.event(&Event::PushStarted { unit: unit(image), worker: 0 }, Duration::ZERO);
            timeline.event(&Event::Pushed { unit: unit(image), digest, list: None }, Duration::ZERO);
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
    fn of_several_platforms_the_list_is_told() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let mut plan = plan(&["base", "base@arm64", "nova-api", "nova-api@arm64"]);
        for unit in &mut plan.units {
            unit.list = Some(unit.reference.clone());
            unit.reference.push_str(unit.platform.arch.kolla());
        }
        let mut timeline = Timeline::new(&plan);
        for (name, list) in [("base", None), ("base@arm64", Some(digest("2"))), ("nova-api", None)] {
            let pushed = Event::Pushed { unit: unit(name), digest: Some(digest("1")), list };
            timeline.event(&pushed, Duration::ZERO);
        }
        let told: Value = serde_json::from_str(&json(&timeline)).unwrap();
        let (base, nova) = (&told["base"], &told["nova-api"]);
        assert_eq!(base["pinned"], format!("kolla/base@{}", digest("2")));
        assert_eq!((&base["tag"], &base["platform"]), (&"master-debian-trixie".into(), &Value::Null));
        let platforms: Vec<_> = base["platforms"].as_object().unwrap().keys().collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        assert_eq!(base["platforms"]["linux/arm64"]["pinned"], format!("kolla/base@{}", digest("1")));
        assert_eq!((&nova["digest"], nova["platforms"].as_object().unwrap().len()), (&Value::Null, 1));
        let expected = format!("---\nbase_image_full: \"kolla/base@{}\"\n", digest("2"));
        assert_eq!(ansible(&timeline), expected);
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
