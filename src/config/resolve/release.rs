//! What makes images a release: documents about them, gates, signatures [pure].

use std::time::Duration;

use crate::config::keys::DEFAULT;
use crate::config::layer::{Layers, SetAt, ValueError, value_error};
use crate::config::options::{Meaning, OptionRole, OptionSpec};
use crate::config::resolved::ReleaseOptions;
use crate::config::task_kind::TaskKind;
use crate::model::signing::CosignOptions;

/// Options of releases. What is done with built images is refused on the command line of a task that builds none, the option
/// of which is `asked_by`.
pub(super) fn release(layers: &Layers, asked_by: Option<&OptionSpec>) -> Result<ReleaseOptions, ValueError> {
    // Jobs of a pipeline get what is done with the images that they build.
    let is_pipeline = layers.option("export")?.is_some_and(|export| export.starts_with("matrix="));
    if let Some(task) = asked_by.filter(|_| !is_pipeline) {
        // Lists are signed by who puts them.
        let signs = is_merge(task) && layers.flag("push")?;
        let of_builds = layers.options().of_role(OptionRole::OfBuilds);
        let of_builds = of_builds.filter(|option| !(signs && option.meaning == Meaning::Cosign));
        let given = of_builds.filter_map(|option| layers.entry(DEFAULT, option.name));
        let mut given = given.filter(|entry| entry.place == SetAt::CommandLine && !entry.text.is_empty());
        if let Some(entry) = given.next() {
            let reason = format!("it is for images that were built, and --{} builds none", task.long());
            return Err(value_error(entry, reason));
        }
    }
    let from_release = layers.path("from_release")?;
    let is_notes = |option: &OptionSpec| option.role == OptionRole::Task(TaskKind::ReleaseNotes);
    if let Some(notes) = asked_by.filter(|option| is_notes(option) && from_release.is_none()) {
        let reason = "the later release is missing: --from-release names its manifest".to_string();
        return Err(ValueError::of(layers, notes.name, reason));
    }
    let cosign = |name: &str| -> Result<Option<CosignOptions>, ValueError> {
        let text = layers.option(name)?;
        text.map(|text| text.parse().map_err(|reason| ValueError::of(layers, name, reason))).transpose()
    };
    let builds = asked_by.is_none();
    let of_builds = |path: &str| if builds { layers.path(path) } else { Ok(None) };
    let gates = layers.many("gate")?.into_iter().filter(|gate| builds && !gate.trim().is_empty());
    Ok(ReleaseOptions {
        sbom: of_builds("sbom")?,
        provenance: of_builds("provenance")?,
        gates: gates.collect(),
        gate_warn: layers.flag("gate_warn")?,
        gate_timeout: Duration::from_secs(layers.number("gate_timeout")?),
        sign: if builds || asked_by.is_some_and(is_merge) { cosign("sign")? } else { None },
        verify_signatures: cosign("verify_signatures")?,
        from_release,
    })
}

fn is_merge(task: &OptionSpec) -> bool {
    task.role == OptionRole::Task(TaskKind::MergeSummaries)
}
