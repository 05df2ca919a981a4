//! `--manifest-lists`: one name for the platforms of each image that several runs have pushed.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use crate::build::manifest_lists::Members;
use crate::build::publish;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::model::ids::ImageName;
use crate::model::reference::Reference;
use crate::session::Session;
use crate::session::registries::{RegistryFinding, RegistryStatus, report};
use crate::session::stdio::{tell, tell_pause};
use crate::session::threads::block_on;

/// Lists the platforms of every image asked for, as the registry has them under tags of their own; gives the exit code.
/// An image that lacks a platform keeps the list that it has.
pub fn list(session: &Session) -> Result<u8, Fatal> {
    if !session.config().has_several_platforms() {
        let message = "there is nothing to list: --manifest-lists joins several platforms";
        return Err(
            Fatal::message(message, EXIT_USAGE).hinted("name them, as --platform linux/amd64,linux/arm64")
        );
    }
    let mut lists: BTreeMap<(&ImageName, &Reference), Members> = BTreeMap::new();
    for unit in session.prepared.plan.to_build() {
        if let Some(name) = &unit.list {
            lists.entry((&unit.image, name)).or_default().insert(unit.platform, unit.reference.clone());
        }
    }
    let registries = session.registries_alone();
    let options = &session.config().build;
    let findings: Vec<RegistryFinding> = block_on(async {
        let put = stream::iter(&lists).map(async |((image, name), members)| {
            let listed = publish::list(&registries, name, members, options.retries, tell_pause).await;
            RegistryFinding {
                image: (*image).clone(),
                platform: None,
                reference: name.to_string(),
                status: if listed.is_ok() { RegistryStatus::Listed } else { RegistryStatus::Failed },
                digest: listed.as_ref().ok().map(|list| list.digest.clone()),
                reason: listed.err(),
            }
        });
        Ok(put.buffered(options.push_threads).collect().await)
    })?;
    report(&findings, session.config().output.json)?;
    let listed = findings.iter().filter(|finding| finding.status == RegistryStatus::Listed).count();
    tell(format_args!("Listed {listed} of {} images", findings.len()));
    Ok(if listed == findings.len() { 0 } else { EXIT_FAILED })
}
