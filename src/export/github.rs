//! A pipeline as a workflow of GitHub Actions [pure].
//!
//! Format: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::jobs::{LOCK_FILE, Pipeline, PlatformLane, REPORTS, SOURCE_CACHE, yaml};
use super::tiers::Batch;
use crate::model::platform::{Arch, Platform};

const ABOUT: &str = "# The variable KOLLA_BUILD_RUNNER names other runners than self-hosted ones.\n";
const ABOUT_SEVERAL: &str = "# The variables KOLLA_BUILD_RUNNER_X86_64 and KOLLA_BUILD_RUNNER_AARCH64 name other runners than \
                             self-hosted ones.\n";

/// Path at which GitHub looks for the workflow.
pub(super) const FILE: &str = ".github/workflows/kolla-build.yml";

/// Start of the names of caches that jobs keep their sources in.
const CACHE_KEY: &str = "kolla-build-sources-";

/// The name of the job, as the matrix fills it in.
const JOB: &str = "${{ matrix.name }}";

/// The file of the workflow, with its text.
pub(super) fn files(pipeline: &Pipeline) -> Vec<(PathBuf, String)> {
    let mut jobs = Map::new();
    // Of one job no other starts twice on another's failure: what failed is told by the last.
    let mut condition = "${{ !cancelled() }}";
    if let Some(command) = pipeline.lock_command() {
        condition = "${{ !cancelled() && needs.lock.result == 'success' }}";
        let steps = json!([checkout(), {"run": command}, upload("build-lock", LOCK_FILE)]);
        jobs.insert("lock".into(), json!({"runs-on": runner(pipeline.first_platform()), "steps": steps}));
    }
    for lane in &pipeline.lanes {
        for (tier, batches) in lane.tiers.iter().enumerate() {
            let mut needs = Vec::new();
            needs.extend(pipeline.options.lock_file.is_none().then(|| "lock".to_owned()));
            needs.extend(tier.checked_sub(1).map(|before| lane.job(&format!("tier-{before}"))));
            let mut job = builds(pipeline, lane, batches);
            job["if"] = condition.into();
            if !needs.is_empty() {
                job["needs"] = json!(needs);
            }
            jobs.insert(lane.job(&format!("tier-{tier}")), job);
        }
    }
    let all: Vec<String> = jobs.keys().cloned().collect();
    jobs.insert("release".into(), release(pipeline, &all));
    if let Some(command) = pipeline.promote_command(true) {
        let promote = json!({
            "runs-on": runner(pipeline.first_platform()),
            "needs": ["release"],
            "if": "${{ !cancelled() && needs.release.result == 'success' }}",
            "steps": [checkout(), download("release"), {"run": command}],
        });
        jobs.insert("promote".into(), promote);
    }
    let workflow = json!({
        "name": "kolla-build",
        "on": {"workflow_dispatch": {}, "workflow_call": {}},
        "permissions": {"contents": "read"},
        "jobs": jobs,
    });
    let about = if pipeline.first_platform().is_some() { ABOUT_SEVERAL } else { ABOUT };
    vec![(FILE.into(), yaml(&workflow, about))]
}

/// The jobs of a tier, but for what they wait for.
fn builds(pipeline: &Pipeline, lane: &PlatformLane, batches: &[Batch]) -> Value {
    let include: Vec<Value> = batches
        .iter()
        .map(|batch| json!({"name": lane.job(&batch.name), "images": Pipeline::images(batch)}))
        .collect();
    let command = pipeline.build_command(lane, JOB) + " ${{ matrix.images }}";
    let locks = pipeline.options.lock_file.is_none();
    let mut steps = vec![checkout()];
    steps.extend(locks.then(|| download("build-lock")));
    steps.extend(pipeline.keeps_sources().then(|| cache(pipeline.lock_file())));
    steps.push(json!({"run": format!("mkdir -p {REPORTS}\n{command}\n")}));
    steps.push(upload(&format!("report-{JOB}"), REPORTS));
    for kept in &pipeline.options.kept {
        steps.push(upload(&format!("{}-{JOB}", kept.option), &kept.dir));
    }
    json!({
        "name": JOB,
        "runs-on": runner(lane.platform),
        "strategy": {"fail-fast": false, "matrix": {"include": include}},
        "steps": steps,
    })
}

fn release(pipeline: &Pipeline, needs: &[String]) -> Value {
    let reports = json!({"pattern": "report-*", "path": REPORTS, "merge-multiple": true});
    let steps = json!([
        checkout(),
        {"uses": "actions/download-artifact@v4", "with": reports},
        {"run": pipeline.release_command()},
        upload("release", &pipeline.release_files().join("\n")),
    ]);
    json!({
        "runs-on": runner(pipeline.first_platform()),
        "needs": needs,
        "if": "${{ !cancelled() }}",
        "steps": steps,
    })
}

/// Where jobs run: by the repository's variable, else by the labels that self-hosted runners have.
fn runner(platform: Option<Platform>) -> String {
    let Some(platform) = platform else {
        return "${{ vars.KOLLA_BUILD_RUNNER || 'self-hosted' }}".to_owned();
    };
    let label = match platform.arch {
        Arch::X86_64 => "X64",
        Arch::Aarch64 => "ARM64",
    };
    let variable = platform.arch.kolla().to_uppercase();
    format!("${{{{ vars.KOLLA_BUILD_RUNNER_{variable} || fromJSON('[\"self-hosted\", \"{label}\"]') }}}}")
}

fn checkout() -> Value {
    json!({"uses": "actions/checkout@v4", "with": {"fetch-depth": 0}})
}

/// The sources that a job has had before, by the lock file; those of another one are better than none.
fn cache(lock_file: &str) -> Value {
    let of_job = format!("{CACHE_KEY}{JOB}-");
    let key = format!("{of_job}${{{{ hashFiles('{}') }}}}", lock_file.replace('\'', "''"));
    json!({"uses": "actions/cache@v4", "with": {"path": SOURCE_CACHE, "key": key, "restore-keys": of_job}})
}

/// Gets what another job has kept.
fn download(name: &str) -> Value {
    json!({"uses": "actions/download-artifact@v4", "with": {"name": name}})
}

/// Keeps files, whatever came of the steps before.
fn upload(name: &str, path: &str) -> Value {
    json!({
        "uses": "actions/upload-artifact@v4",
        "if": "${{ !cancelled() }}",
        "with": {"name": name, "path": path},
    })
}
