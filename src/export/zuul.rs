//! A pipeline for Zuul: jobs, the playbooks that they run, and a project that runs them [pure].
//!
//! Format: <https://zuul-ci.org/docs/zuul/latest/config/job.html>. Jobs hand the lock file and what their reports say of
//! their own images on with `zuul_return`; whole reports, which are larger, go to the jobs' logs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::jobs::{Pipeline, REPORTS, yaml};
use crate::model::platform::Platform;

const ABOUT: &str =
    "# The project's jobs are in the pipeline periodic: move them to another one if need be.\n";
const ABOUT_SEVERAL: &str = "# The project's jobs are in the pipeline periodic: move them to another one if need be. The nodesets \
                             kolla-build-x86_64\n# and kolla-build-aarch64 are the site's own, each of a node of that \
                             architecture.\n";
const PLAYBOOKS: [(&str, &str); 4] = [
    ("lock.yaml", include_str!("zuul/lock.yaml")),
    ("build.yaml", include_str!("zuul/build.yaml")),
    ("release.yaml", include_str!("zuul/release.yaml")),
    ("promote.yaml", include_str!("zuul/promote.yaml")),
];

/// The configuration and its playbooks.
pub(super) fn files(pipeline: &Pipeline) -> Vec<(PathBuf, String)> {
    let (mut jobs, mut names) = (Vec::new(), Vec::new());
    let mut add = |name: &str, playbook: &str, dependencies: &[String], vars: Value, platform| {
        let name = format!("kolla-build-{name}");
        jobs.push(job(&name, playbook, dependencies, &vars, platform));
        names.push(name.clone());
        name
    };
    let first = pipeline.first_platform();
    let lock = pipeline
        .lock_command()
        .map(|command| add("lock", "lock.yaml", &[], json!({"kolla_build_command": command}), first));
    let mut all: Vec<String> = lock.iter().cloned().collect();
    for lane in &pipeline.lanes {
        let mut before: Vec<String> = lock.iter().cloned().collect();
        for batches in &lane.tiers {
            let mut tier = Vec::new();
            for batch in batches {
                let name = lane.job(&batch.name);
                let command = pipeline.build_command(lane, &name);
                let command = format!("mkdir -p {REPORTS} && {command} {}", Pipeline::images(batch));
                let kept: Vec<&str> = pipeline.options.kept.iter().map(|kept| kept.dir.as_str()).collect();
                let mut vars = json!({"kolla_build_job": name, "kolla_build_command": command});
                if !kept.is_empty() {
                    vars["kolla_build_kept"] = json!(kept);
                }
                tier.push(add(&name, "build.yaml", &before, vars, lane.platform));
            }
            all.extend_from_slice(&tier);
            before = tier;
        }
    }
    let vars = json!({
        "kolla_build_command": pipeline.release_command(),
        "kolla_build_files": pipeline.release_files(),
    });
    let release = add("release", "release.yaml", &all, vars, first);
    if let Some(command) = pipeline.promote_command(false) {
        add("promote", "promote.yaml", &[release], json!({"kolla_build_command": command}), first);
    }
    jobs.push(json!({"project": {"periodic": {"jobs": names}}}));
    let texts = PLAYBOOKS.iter().map(|(_, text)| (*text).to_owned());
    let about = if first.is_some() { ABOUT_SEVERAL } else { ABOUT };
    file_names().into_iter().zip([yaml(&Value::Array(jobs), about)].into_iter().chain(texts)).collect()
}

/// The names of the configuration and its playbooks.
pub(super) fn file_names() -> Vec<PathBuf> {
    let playbooks = PLAYBOOKS.iter().map(|(name, _)| Path::new("playbooks/kolla-build").join(name));
    [PathBuf::from("zuul.d/kolla-build.yaml")].into_iter().chain(playbooks).collect()
}

fn job(
    name: &str,
    playbook: &str,
    dependencies: &[String],
    vars: &Value,
    platform: Option<Platform>,
) -> Value {
    let mut job = json!({"name": name, "run": format!("playbooks/kolla-build/{playbook}"), "vars": vars});
    if !dependencies.is_empty() {
        job["dependencies"] = json!(dependencies);
    }
    if let Some(platform) = platform {
        job["nodeset"] = format!("kolla-build-{}", platform.arch.kolla()).into();
    }
    json!({"job": job})
}
