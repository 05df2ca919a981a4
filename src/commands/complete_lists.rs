//! `--merge-summaries --push`: what is left to do once every platform of an image has been pushed by some run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::release;

use crate::build::manifest_lists::{ManifestLists, Members};
use crate::build::publish;
use crate::error::Fatal;
use crate::model::attached::Attached;
use crate::model::event::{Event, UnitId};
use crate::model::failure::{Failure, FailureKind};
use crate::model::ids::{Digest, ImageName};
use crate::model::outcome::Outcome;
use crate::model::reference::Reference;
use crate::release::attaching::Attaching;
use crate::release::work::ListWork;
use crate::report::merge::Merged;
use crate::session::Session;
use crate::session::stdio::{tell, tell_line, tell_pause};

/// A list whose images are all in the registry.
struct CompleteList {
    /// The unit that was pushed last, which tells of the list.
    last: UnitId,
    /// Digest of that unit's own manifest.
    digest: Option<Digest>,
    /// What is attached to that.
    attached: Attached,
    name: Reference,
    members: Members,
    /// When the last of its images was there.
    created: Timestamp,
    /// True when all of its images have an SBOM, so that it gets one too.
    has_sboms: bool,
    /// The same of provenance.
    has_provenance: bool,
}

/// Puts the manifest list of every image that was pushed for all its platforms, and tells the merged run of it as a run for
/// all of them would have been told. An image that lacks a platform keeps the list that it has. A list that can't be put is
/// the failed push of the unit that was pushed last.
///
/// # Errors
/// What was asked for can't be done here: cosign, or its key, is missing.
pub async fn complete_lists(session: &Session<'_>, merged: &mut Merged) -> Result<(), Fatal> {
    let config = session.config();
    let signer = match &config.release.sign {
        Some(options) => Some(release::signer("sign", config, options).await?),
        None => None,
    };
    for (unit, reason) in never_pushed(merged) {
        let failure = Failure::permanent(FailureKind::Registry, reason);
        merged.tell(&unit, &failed(&unit, failure));
    }
    forget_lists(merged);
    let lists = complete(merged);
    let registries = Arc::new(session.registries_alone());
    let options = &config.build;
    let attaching = Attaching { registries, retries: options.retries, signer };
    let put: Vec<Event> =
        stream::iter(&lists).map(|list| put(&attaching, list)).buffered(options.push_threads).collect().await;
    let listed = put.iter().filter(|event| matches!(event, Event::Pushed { .. })).count();
    for (list, event) in lists.iter().zip(&put) {
        merged.tell(&list.last, event);
    }
    let plan = merged.plan();
    let all: BTreeSet<&ImageName> =
        plan.to_build().filter(|unit| unit.list.is_some()).map(|unit| &unit.image).collect();
    if !all.is_empty() {
        tell(format_args!("Listed the platforms of {listed} of {} images", all.len()));
    }
    Ok(())
}

/// Takes back what runs tell of lists: those that are complete are told of anew, and the others are not what they were told.
fn forget_lists(merged: &mut Merged) {
    let pushed = merged.up_to_date().into_iter().filter(|image| image.is_pushed);
    let pushed: Vec<Event> = pushed
        .map(|image| Event::Pushed {
            unit: image.planned.id(),
            digest: image.digest.cloned(),
            list: None,
            attached: image.attached.clone(),
            list_attached: Attached::default(),
        })
        .collect();
    for event in &pushed {
        if let Event::Pushed { unit, .. } = event {
            merged.tell(unit, event);
        }
    }
}

/// The lists that nothing is missing for, in the order in which their last images were pushed.
fn complete(merged: &Merged) -> Vec<CompleteList> {
    let lists = ManifestLists::of(&merged.plan());
    let up_to_date = merged.up_to_date();
    let pushed = up_to_date.iter().filter(|image| image.is_pushed);
    let complete = pushed.filter_map(|image| {
        let (name, members) = lists.complete(image.planned, image.digest)?;
        let of_list = || up_to_date.iter().filter(|other| other.planned.list.as_ref() == Some(&name));
        Some(CompleteList {
            last: image.planned.id(),
            digest: image.digest.cloned(),
            attached: image.attached.clone(),
            created: image.ended,
            has_sboms: of_list().all(|image| image.attached.spdx.is_some()),
            has_provenance: of_list().all(|image| image.attached.provenance.is_some()),
            name,
            members,
        })
    });
    complete.collect()
}

/// Images that are up to date, and of which no run says that it has pushed them: their lists can't be told.
fn never_pushed(merged: &Merged) -> Vec<(UnitId, String)> {
    let never = merged.up_to_date().into_iter().filter(|image| !image.is_pushed).filter_map(|image| {
        let list = image.planned.list.as_ref()?;
        let reason = format!("no run says that it was pushed, so {list} can't list it: build it with --push");
        Some((image.planned.id(), reason))
    });
    never.collect()
}

/// Puts a list, with documents about it and signatures; gives what the unit that completes it is told.
async fn put(attaching: &Attaching, list: &CompleteList) -> Event {
    match try_put(attaching, list).await {
        Ok((digest, list_attached)) => Event::Pushed {
            unit: list.last.clone(),
            digest: list.digest.clone(),
            list: Some(digest),
            attached: list.attached.clone(),
            list_attached,
        },
        Err(failure) => failed(&list.last, failure),
    }
}

async fn try_put(attaching: &Attaching, list: &CompleteList) -> Result<(Digest, Attached), Failure> {
    let Attaching { registries, retries, .. } = attaching;
    let permanent = |reason| Failure::permanent(FailureKind::Registry, reason);
    let (name, members) = (&list.name, &list.members);
    let composed =
        publish::compose(registries, name, members, *retries, &tell_pause).await.map_err(permanent)?;
    let work = ListWork { attaching, sboms: list.has_sboms, provenance: list.has_provenance };
    let of_image = (&list.last.image, list.created);
    let attached = work.attach(of_image, (name, &composed), members, &tell_line).await?;
    publish::put(registries, name, &composed, *retries, &tell_pause).await.map_err(permanent)?;
    Ok((composed.digest, attached))
}

fn failed(unit: &UnitId, failure: Failure) -> Event {
    Event::Finished { unit: unit.clone(), outcome: Outcome::PushFailed(failure), duration: Duration::ZERO }
}
