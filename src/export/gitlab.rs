//! A pipeline for GitLab CI, to be included or started as a child pipeline [pure].
//!
//! Format: <https://docs.gitlab.com/ci/yaml/>.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::jobs::{LOCK_FILE, Pipeline, PlatformLane, RELEASE_JUNIT, REPORTS, SOURCE_CACHE, yaml};
use super::tiers::Batch;
use crate::model::ids::ImageName;
use crate::model::plan::Parent;
use crate::model::platform::Platform;

/// Name of the file that a project includes.
pub(super) const FILE: &str = "kolla-build.gitlab-ci.yml";

const ABOUT_RUNNERS: &str =
    "# The variables KOLLA_BUILD_RUNNER_X86_64 and KOLLA_BUILD_RUNNER_AARCH64 are the tags of runners.\n";

/// Start of the names of caches that jobs keep their sources in. GitLab would make names of files in the repository alone,
/// which the lock file need not be; old sources are taken out by the program.
const CACHE_KEY: &str = "kolla-build-sources-";

/// The file of the pipeline, with its text.
pub(super) fn files(pipeline: &Pipeline) -> Vec<(PathBuf, String)> {
    let mut jobs = Map::new();
    let mut stages = Vec::new();
    let lock = pipeline.lock_command();
    if let Some(command) = &lock {
        stages.push("lock".to_owned());
        let job = json!({"stage": "lock", "script": [command], "artifacts": {"paths": [LOCK_FILE]}});
        jobs.insert("lock".into(), on_runner(job, pipeline.first_platform()));
    }
    let tiers = pipeline.lanes.iter().map(|lane| lane.tiers.len()).max().unwrap_or_default();
    stages.extend((0..tiers).map(|tier| format!("tier-{tier}")));
    for lane in &pipeline.lanes {
        let batches = lane.tiers.iter().flatten();
        let built_by: HashMap<&ImageName, &str> = batches
            .flat_map(|batch| batch.units.iter().map(|unit| (&unit.image, batch.name.as_str())))
            .collect();
        for (tier, batches) in lane.tiers.iter().enumerate() {
            for batch in batches {
                let name = lane.job(&batch.name);
                let mut job = build(pipeline, lane, batch, &built_by);
                job["stage"] = format!("tier-{tier}").into();
                if pipeline.keeps_sources() {
                    job["cache"] =
                        json!({"key": format!("{CACHE_KEY}{name}"), "paths": [format!("{SOURCE_CACHE}/")]});
                }
                jobs.insert(name, on_runner(job, lane.platform));
            }
        }
    }
    stages.push("release".to_owned());
    let release = json!({
        "stage": "release",
        "when": "always",
        "script": [pipeline.release_command()],
        "artifacts": {
            "when": "always",
            "paths": pipeline.release_files(),
            "reports": {"junit": RELEASE_JUNIT},
        },
    });
    jobs.insert("release".into(), on_runner(release, pipeline.first_platform()));
    if let Some(command) = pipeline.promote_command(true) {
        stages.push("promote".to_owned());
        let needs = json!([{"job": "release", "artifacts": true}]);
        let promote = json!({"stage": "promote", "needs": needs, "script": [command]});
        jobs.insert("promote".into(), on_runner(promote, pipeline.first_platform()));
    }
    let mut file = Map::new();
    file.insert("stages".into(), json!(stages));
    let mut variables = json!({"GIT_DEPTH": "0"});
    if pipeline.first_platform().is_some() {
        for platform in &pipeline.options.platforms {
            variables[runner_variable(*platform)] = platform.arch.kolla().into();
        }
    }
    file.insert("variables".into(), variables);
    file.extend(jobs);
    let about = if pipeline.first_platform().is_some() { ABOUT_RUNNERS } else { "" };
    vec![(FILE.into(), yaml(&Value::Object(file), about))]
}

/// A job that builds, but for its stage.
fn build(
    pipeline: &Pipeline,
    lane: &PlatformLane,
    batch: &Batch,
    built_by: &HashMap<&ImageName, &str>,
) -> Value {
    // Only what its images are built on, so that no job waits for a whole tier.
    let parents: BTreeSet<&str> = batch
        .units
        .iter()
        .flat_map(|unit| unit.parents().filter_map(Parent::image))
        .filter_map(|parent| built_by.get(parent).copied())
        .collect();
    let lock = pipeline.options.lock_file.is_none().then(|| json!({"job": "lock", "artifacts": true}));
    let mut needs: Vec<Value> = lock.into_iter().collect();
    needs.extend(parents.into_iter().map(|job| json!({"job": lane.job(job), "artifacts": false})));
    let command = pipeline.build_command(lane, &lane.job(&batch.name));
    let kept: Vec<String> = pipeline.kept().map(|dir| format!("{dir}/")).collect();
    json!({
        "needs": needs,
        "script": [format!("mkdir -p {REPORTS}"), format!("{command} {}", Pipeline::images(batch))],
        // The release has the verdict.
        "allow_failure": true,
        "artifacts": {"when": "always", "paths": kept},
    })
}

fn on_runner(mut job: Value, platform: Option<Platform>) -> Value {
    if let Some(platform) = platform {
        job["tags"] = json!([format!("${}", runner_variable(platform))]);
    }
    job
}

fn runner_variable(platform: Platform) -> String {
    format!("KOLLA_BUILD_RUNNER_{}", platform.arch.kolla().to_uppercase())
}
