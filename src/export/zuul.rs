//! A pipeline for Zuul: jobs, the playbooks that they run, and a project that runs them [pure].
//!
//! Format: <https://zuul-ci.org/docs/zuul/latest/config/job.html>. Jobs hand the lock file and their summaries on with
//! `zuul_return`; reports, which are larger, go to the jobs' logs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::jobs::{Pipeline, yaml};

const ABOUT: &str =
    "# The project's jobs are in the pipeline periodic: move them to another one if need be.\n";
const PLAYBOOKS: [(&str, &str); 3] = [
    ("lock.yaml", include_str!("zuul/lock.yaml")),
    ("build.yaml", include_str!("zuul/build.yaml")),
    ("summary.yaml", include_str!("zuul/summary.yaml")),
];

/// The configuration and its playbooks.
pub(super) fn files(pipeline: &Pipeline) -> Vec<(PathBuf, String)> {
    let mut jobs = Vec::new();
    let mut before: Vec<String> = Vec::new();
    if let Some(command) = pipeline.lock_command() {
        before.push("kolla-build-lock".to_owned());
        jobs.push(job("kolla-build-lock", "lock.yaml", &[], &json!({"kolla_build_command": command})));
    }
    for batches in &pipeline.tiers {
        let mut tier = Vec::new();
        for batch in batches {
            let command = format!(
                "mkdir -p reports && {} --summary-json-file={}-summary.json {}",
                pipeline.build_command(&format!("reports/{}.json", batch.name)),
                batch.name,
                Pipeline::images(batch)
            );
            let name = format!("kolla-build-{}", batch.name);
            let vars = json!({"kolla_build_job": batch.name, "kolla_build_command": command});
            jobs.push(job(&name, "build.yaml", &before, &vars));
            tier.push(name);
        }
        before = tier;
    }
    let all: Vec<String> =
        jobs.iter().filter_map(|job| Some(job["job"]["name"].as_str()?.to_owned())).collect();
    let vars = json!({"kolla_build_command": pipeline.merge_command()});
    jobs.push(job("kolla-build-summary", "summary.yaml", &all, &vars));
    let names: Vec<Value> = jobs.iter().map(|job| job["job"]["name"].clone()).collect();
    jobs.push(json!({"project": {"periodic": {"jobs": names}}}));
    let texts = PLAYBOOKS.iter().map(|(_, text)| (*text).to_owned());
    file_names().into_iter().zip([yaml(&Value::Array(jobs), ABOUT)].into_iter().chain(texts)).collect()
}

/// The names of the configuration and its playbooks.
pub(super) fn file_names() -> Vec<PathBuf> {
    let playbooks = PLAYBOOKS.iter().map(|(name, _)| Path::new("playbooks/kolla-build").join(name));
    [PathBuf::from("zuul.d/kolla-build.yaml")].into_iter().chain(playbooks).collect()
}

fn job(name: &str, playbook: &str, dependencies: &[String], vars: &Value) -> Value {
    let mut job = json!({"name": name, "run": format!("playbooks/kolla-build/{playbook}"), "vars": vars});
    if !dependencies.is_empty() {
        job["dependencies"] = json!(dependencies);
    }
    json!({"job": job})
}
