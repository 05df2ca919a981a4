//! A pipeline for GitLab CI, to be included or started as a child pipeline [pure].
//!
//! Format: <https://docs.gitlab.com/ci/yaml/>.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::jobs::{Pipeline, yaml};
use crate::model::ids::ImageName;
use crate::model::plan::Parent;

/// Name of the file that a project includes.
pub(super) const FILE: &str = "kolla-build.gitlab-ci.yml";

/// The file of the pipeline, with its text.
pub(super) fn files(pipeline: &Pipeline) -> Vec<(PathBuf, String)> {
    let mut jobs = Map::new();
    let mut stages = Vec::new();
    let lock = pipeline.lock_command();
    if let Some(command) = &lock {
        stages.push("lock".to_owned());
        let job = json!({"stage": "lock", "script": [command], "artifacts": {"paths": ["build.lock"]}});
        jobs.insert("lock".into(), job);
    }
    let batches = pipeline.tiers.iter().flatten();
    let built_by: HashMap<&ImageName, &str> =
        batches.flat_map(|batch| batch.units.iter().map(|unit| (&unit.image, batch.name.as_str()))).collect();
    for (tier, batches) in pipeline.tiers.iter().enumerate() {
        let stage = format!("tier-{tier}");
        for batch in batches {
            // Only what its images are built on, so that no job waits for a whole tier.
            let parents: BTreeSet<&str> = batch
                .units
                .iter()
                .flat_map(|unit| unit.parents().filter_map(Parent::image))
                .filter_map(|parent| built_by.get(parent).copied())
                .collect();
            let mut needs: Vec<Value> =
                lock.iter().map(|_| json!({"job": "lock", "artifacts": true})).collect();
            needs.extend(parents.into_iter().map(|job| json!({"job": job, "artifacts": false})));
            let command = pipeline.build_command(&format!("reports/{}.json", batch.name));
            let job = json!({
                "stage": stage,
                "needs": needs,
                "script": ["mkdir -p reports", format!("{command} {}", Pipeline::images(batch))],
                // The last job has the verdict.
                "allow_failure": true,
                "artifacts": {"when": "always", "paths": ["reports/"]},
            });
            jobs.insert(batch.name.clone(), job);
        }
        stages.push(stage);
    }
    stages.push("summary".to_owned());
    let summary = json!({
        "stage": "summary",
        "when": "always",
        "script": [pipeline.merge_command()],
        "artifacts": {
            "when": "always",
            "paths": ["all.json", "all.xml", "all.html"],
            "reports": {"junit": "all.xml"},
        },
    });
    jobs.insert("summary".into(), summary);
    let mut file = Map::new();
    file.insert("stages".into(), json!(stages));
    file.insert("variables".into(), json!({"GIT_DEPTH": "0"}));
    file.extend(jobs);
    vec![(FILE.into(), yaml(&Value::Object(file), ""))]
}
