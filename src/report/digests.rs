//! Digests of all that was pushed: for programs, and as variables of kolla-ansible [pure].

use std::fmt::Write;
use std::iter;

use serde_json::{Map, Value, json};

use super::format::{Report, ReportedImage};
use super::release::ReleaseManifest;
use crate::model::ids::{Digest, ImageName};
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
pub fn json(report: &Report) -> String {
    let mut images = Map::new();
    for PushedImage { image, reference, digest, list_digest } in pushed(report) {
        let platform = image.platform.to_string();
        let mut its = facts(reference, Some(digest));
        let Some(list) = &image.list else {
            its["platform"] = platform.into();
            images.insert(image.name.to_string(), its);
            continue;
        };
        let entry = images.entry(image.name.as_str()).or_insert_with(|| {
            let mut entry = facts(list, None);
            entry["platforms"] = json!({});
            entry
        });
        if let Some(digest) = list_digest {
            entry["digest"] = digest.as_str().into();
            entry["pinned"] = pinned(list, digest).into();
        }
        entry["platforms"][platform] = its;
    }
    format!("{:#}\n", Value::Object(images))
}

/// The same of a release.
pub fn json_of(release: &ReleaseManifest) -> String {
    let mut images = Map::new();
    for image in &release.images {
        let mut entry = facts(&image.reference, Some(&image.digest));
        match image.only_platform() {
            Some(platform) => entry["platform"] = platform.to_string().into(),
            None => {
                let platforms = image.platforms.iter();
                let its = platforms
                    .map(|(platform, its)| (platform.to_string(), facts(&its.reference, Some(&its.digest))));
                entry["platforms"] = Value::Object(its.collect());
            }
        }
        images.insert(image.name.to_string(), entry);
    }
    format!("{:#}\n", Value::Object(images))
}

fn facts(reference: &Reference, digest: Option<&Digest>) -> Value {
    json!({
        "reference": reference.to_string(),
        "tag": reference.tag,
        "digest": digest,
        "pinned": digest.map(|digest| pinned(reference, digest)),
    })
}

/// `<name>_image_full` of every pushed image, as kolla-ansible takes it from `globals.yml` or with `-e @FILE`: of the list,
/// when the run is for several platforms.
pub fn ansible(report: &Report) -> String {
    let pinned = pushed(report).filter_map(|PushedImage { image, reference, digest, list_digest }| {
        let pinned = match (&image.list, list_digest) {
            (None, _) => pinned(reference, digest),
            (Some(list), Some(digest)) => pinned(list, digest),
            (Some(_), None) => return None,
        };
        Some((&image.name, pinned))
    });
    variables(pinned)
}

/// The same of a release.
pub fn ansible_of(release: &ReleaseManifest) -> String {
    variables(release.images.iter().map(|image| (&image.name, image.pinned().to_string())))
}

fn variables<'a>(images: impl Iterator<Item = (&'a ImageName, String)>) -> String {
    let mut text = "---\n".to_owned();
    for (image, pinned) in images {
        let others = OTHER_VARIABLES.iter().filter(|(other, _)| *image == *other).map(|(_, name)| *name);
        for variable in iter::once(image.replace(['-', '.'], "_").as_str()).chain(others) {
            _ = writeln!(text, "{variable}_image_full: \"{pinned}\"");
        }
    }
    text
}

/// An image that was pushed, and where its registry has it.
struct PushedImage<'a> {
    image: &'a ReportedImage,
    reference: &'a Reference,
    digest: &'a Digest,
    list_digest: Option<&'a Digest>,
}

fn pushed(report: &Report) -> impl Iterator<Item = PushedImage<'_>> {
    report.images.iter().filter_map(|image| {
        let push = image.push.as_ref()?;
        Some(PushedImage {
            image,
            reference: &image.reference,
            digest: push.digest.as_ref()?,
            list_digest: push.list.as_ref(),
        })
    })
}

fn pinned(reference: &Reference, digest: &Digest) -> String {
    reference.at(digest).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::model::plan::BuildPlan;
    use crate::report::testing::{self, plan, report_of, unit};

    fn digest(digit: &str) -> Digest {
        format!("sha256:{}", digit.repeat(64)).parse().expect("a digest")
    }

    /// The report of a run that has pushed these images, each with the digest of the list that it completed.
    fn after_pushes(plan: &BuildPlan, pushes: &[(&str, Option<Digest>)]) -> Report {
        let events: Vec<Event> = pushes
            .iter()
            .flat_map(|(name, list)| {
                let (unit, digest, list) = (unit(name), Some(digest("1")), list.clone());
                [Event::PushStarted { unit: unit.clone(), worker: 0 }, testing::pushed(unit, digest, list)]
            })
            .collect();
        report_of(plan, &events)
    }

    fn report() -> Report {
        let pushes = [("nova-api", None), ("mariadb-server", None)];
        after_pushes(&plan(&["base", "nova-api", "mariadb-server"]), &pushes)
    }

    #[test]
    fn what_was_pushed_is_told_and_nothing_else() {
        let told: Value = serde_json::from_str(&json(&report())).unwrap();
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
        let mut plan = plan(&["base", "base@arm64", "nova-api", "nova-api@arm64"]);
        for unit in &mut plan.units {
            unit.list = Some(unit.reference.clone());
            unit.reference.tag = unit.reference.tag.take().map(|tag| tag + unit.platform.arch.kolla());
        }
        let pushes = [("base", None), ("base@arm64", Some(digest("2"))), ("nova-api", None)];
        let report = after_pushes(&plan, &pushes);
        let told: Value = serde_json::from_str(&json(&report)).unwrap();
        let (base, nova) = (&told["base"], &told["nova-api"]);
        assert_eq!(base["pinned"], format!("kolla/base@{}", digest("2")));
        assert_eq!((&base["tag"], &base["platform"]), (&"master-debian-trixie".into(), &Value::Null));
        let platforms: Vec<_> = base["platforms"].as_object().unwrap().keys().collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        assert_eq!(base["platforms"]["linux/arm64"]["pinned"], format!("kolla/base@{}", digest("1")));
        assert_eq!((&nova["digest"], nova["platforms"].as_object().unwrap().len()), (&Value::Null, 1));
        let expected = format!("---\nbase_image_full: \"kolla/base@{}\"\n", digest("2"));
        assert_eq!(ansible(&report), expected);
    }

    #[test]
    fn variables_have_the_names_that_kolla_ansible_knows() {
        let digest = "1".repeat(64);
        let expected = format!(
            "---\n\
             nova_api_image_full: \"kolla/nova-api@sha256:{digest}\"\n\
             mariadb_server_image_full: \"kolla/mariadb-server@sha256:{digest}\"\n\
             mariadb_image_full: \"kolla/mariadb-server@sha256:{digest}\"\n"
        );
        assert_eq!(ansible(&report()), expected);
        assert!(serde_yaml::from_str::<serde_yaml::Value>(&expected).is_ok());
    }
}
