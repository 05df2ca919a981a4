//! A pipeline as a workflow of GitHub Actions [pure].
//!
//! Format: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::jobs::{Pipeline, yaml};

const ABOUT: &str = "# The variable KOLLA_BUILD_RUNNER names other runners than self-hosted ones.\n";
const RUNNER: &str = "${{ vars.KOLLA_BUILD_RUNNER || 'self-hosted' }}";

/// Path at which GitHub looks for the workflow.
pub(super) const FILE: &str = ".github/workflows/kolla-build.yml";

/// The file of the workflow, with its text.
pub(super) fn files(pipeline: &Pipeline) -> Vec<(PathBuf, String)> {
    let mut jobs = Map::new();
    // Of one job no other starts twice on another's failure: what failed is told by the last.
    let mut condition = "${{ !cancelled() }}";
    if let Some(command) = pipeline.lock_command() {
        condition = "${{ !cancelled() && needs.lock.result == 'success' }}";
        let steps = json!([checkout(), {"run": command}, upload("build-lock", "build.lock")]);
        jobs.insert("lock".into(), json!({"runs-on": RUNNER, "steps": steps}));
    }
    let locked = jobs.contains_key("lock");
    for (tier, batches) in pipeline.tiers.iter().enumerate() {
        let mut needs: Vec<String> = locked.then(|| "lock".to_owned()).into_iter().collect();
        needs.extend(tier.checked_sub(1).map(|before| format!("tier-{before}")));
        let include: Vec<Value> = batches
            .iter()
            .map(|batch| json!({"name": batch.name, "images": Pipeline::images(batch)}))
            .collect();
        let command = pipeline.build_command("reports/${{ matrix.name }}.json") + " ${{ matrix.images }}";
        let mut steps = vec![checkout()];
        if locked {
            steps.push(json!({"uses": "actions/download-artifact@v4", "with": {"name": "build-lock"}}));
        }
        steps.push(json!({"run": format!("mkdir -p reports\n{command}\n")}));
        steps.push(upload("report-${{ matrix.name }}", "reports"));
        let mut job = json!({
            "name": "${{ matrix.name }}",
            "runs-on": RUNNER,
            "needs": needs,
            "if": condition,
            "strategy": {"fail-fast": false, "matrix": {"include": include}},
            "steps": steps,
        });
        if needs.is_empty() {
            job.as_object_mut().expect("it was made as one").remove("needs");
        }
        jobs.insert(format!("tier-{tier}"), job);
    }
    let all: Vec<String> = jobs.keys().cloned().collect();
    let reports = json!({"pattern": "report-*", "path": "reports", "merge-multiple": true});
    let steps = json!([
        checkout(),
        {"uses": "actions/download-artifact@v4", "with": reports},
        {"run": pipeline.merge_command()},
        upload("summary", "all.*"),
    ]);
    let summary = json!({"runs-on": RUNNER, "needs": all, "if": "${{ !cancelled() }}", "steps": steps});
    jobs.insert("summary".into(), summary);
    let workflow = json!({
        "name": "kolla-build",
        "on": {"workflow_dispatch": {}, "workflow_call": {}},
        "permissions": {"contents": "read"},
        "jobs": jobs,
    });
    vec![(FILE.into(), yaml(&workflow, ABOUT))]
}

fn checkout() -> Value {
    json!({"uses": "actions/checkout@v4", "with": {"fetch-depth": 0}})
}

/// Keeps files, whatever came of the steps before.
fn upload(name: &str, path: &str) -> Value {
    json!({
        "uses": "actions/upload-artifact@v4",
        "if": "${{ !cancelled() }}",
        "with": {"name": name, "path": path},
    })
}
