//! Messages of a run to people [pure].

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::compare::Difference;
use super::steps::{Action, PlannedContainer, RemovalReason, StackPlan};
use crate::report::human;

/// Numbers of the actions that a run has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Containers made where there was none.
    pub made: usize,
    /// Containers made in place of another.
    pub remade: usize,
    /// Containers started that did not run.
    pub started: usize,
    /// Commands run in containers.
    pub ran: usize,
    /// Containers left as they are.
    pub unchanged: usize,
    /// Number of containers removed.
    pub removed: usize,
}

impl fmt::Display for RunCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} made, {} made anew, ", self.made, self.remade)?;
        for (count, word) in
            [(self.started, "started"), (self.ran, "run inside others"), (self.removed, "removed")]
        {
            if count > 0 {
                write!(f, "{count} {word}, ")?;
            }
        }
        write!(f, "{} unchanged", self.unchanged)
    }
}

/// Time that something took, as ` (took 3.2s)`.
pub fn took(duration: Duration) -> String {
    format!(" (took {})", human(duration))
}

/// The heading of a step; none where there are no steps.
pub fn step_line(step: Option<u32>, at: usize, of: usize) -> Option<String> {
    step.map(|step| if of > 1 { format!("Step {step} ({at} of {of})") } else { format!("Step {step}") })
}

/// So many of the last lines of a container that has failed are shown.
pub const LAST_LINES: usize = 20;

/// The last lines of what a container or a command in it has written.
pub fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// A log below the line that speaks of it.
pub fn indented(log: &str) -> String {
    log.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Why something is made anew, in one line.
pub fn reasons(why: &[Difference]) -> String {
    why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A container that was made, perhaps under another name than its own.
pub fn made(name: &str, real: &str, why: &[Difference], anew: bool) -> String {
    let other = if name == real { String::new() } else { format!(" as {real}, for the name is taken") };
    match anew {
        true => format!("{name}: made anew{other}: {}", reasons(why)),
        false => format!("{name}: made{other}"),
    }
}

/// A plan for people.
pub fn plan(plan: &StackPlan, missing_images: &[String]) -> String {
    let mut out = String::new();
    for (name, reason) in &plan.removals {
        out.push_str(&format!("remove  {name}: {}\n", removal(*reason)));
    }
    for (from, to) in &plan.renames {
        out.push_str(&format!("rename  {from}: to {to}, if that is free\n"));
    }
    let mut counts = RunCounts { removed: plan.removals.len(), ..RunCounts::default() };
    for step in &plan.steps {
        for planned in &step.containers {
            let (verb, why) = line(planned, missing_images, &mut counts);
            let step = step.step.map(|step| format!("  step {step}")).unwrap_or_default();
            out.push_str(&format!("{verb:6}  {}{step}: {why}\n", planned.container.name));
        }
    }
    let RunCounts { made, remade, started, ran, unchanged, removed } = counts;
    out.push_str(&format!(
        "{made} to make, {remade} to make anew, {started} to start, {ran} to run inside others, {removed} to remove, \
         {unchanged} unchanged\n"
    ));
    out
}

fn removal(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::NotInStack => "the stack does not name it",
        RemovalReason::Unfinished => "a run was ended before it was done with it",
    }
}

/// The word for what is done about a container, and why.
fn line(planned: &PlannedContainer, missing: &[String], counts: &mut RunCounts) -> (&'static str, String) {
    match &planned.action {
        Action::Keep { .. } => {
            counts.unchanged += 1;
            ("keep", "it is as it is to be".to_string())
        }
        Action::Make { replaces: None, .. } => {
            counts.made += 1;
            let image = &planned.container.settings.spec.image;
            let pull = if missing.contains(image) { format!("; {image} is pulled") } else { String::new() };
            ("make", format!("there is none{pull}"))
        }
        Action::Make { why, .. } => {
            counts.remade += 1;
            ("anew", reasons(why))
        }
        Action::Start { .. } => {
            counts.started += 1;
            ("start", "it does not run".to_string())
        }
        Action::Exec => {
            counts.ran += 1;
            ("run", "its command is run every time".to_string())
        }
    }
}

/// A plan for programs.
pub fn plan_json(plan: &StackPlan) -> Value {
    let difference = |difference: &Difference| match difference {
        Difference::Property { attribute, current, desired } => {
            json!({"what": attribute.to_string(), "current": current, "desired": desired})
        }
        Difference::Setting(key) => json!({"what": "setting", "name": key}),
        Difference::File(path) => json!({"what": "file", "name": path}),
    };
    let action = |action: &Action| match action {
        Action::Keep { .. } => ("keep", Vec::new()),
        Action::Make { replaces: None, .. } => ("make", Vec::new()),
        Action::Make { why, .. } => ("make_anew", why.iter().map(difference).collect()),
        Action::Start { .. } => ("start", Vec::new()),
        Action::Exec => ("exec", Vec::new()),
    };
    let containers = plan.steps.iter().flat_map(|step| {
        step.containers.iter().map(move |planned| {
            let (action, differences) = action(&planned.action);
            json!({
                "name": planned.container.name, "step": step.step, "action": action, "differences": differences,
            })
        })
    });
    json!({
        "changes_nothing": plan.changes_nothing(),
        "remove": plan.removals.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "containers": containers.collect::<Vec<_>>(),
    })
}

/// Rows as columns, each as wide as its widest text.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_tell_only_what_there_was() {
        let counts = RunCounts { made: 1, unchanged: 2, ..RunCounts::default() };
        assert_eq!(counts.to_string(), "1 made, 0 made anew, 2 unchanged");
        let all = RunCounts { made: 1, remade: 2, started: 3, ran: 4, unchanged: 5, removed: 6 };
        let told = "1 made, 2 made anew, 3 started, 4 run inside others, 6 removed, 5 unchanged";
        assert_eq!(all.to_string(), told);
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let row = |row: [&str; 2]| row.map(String::from).to_vec();
        assert_eq!(columns(&[row(["a", "b"]), row(["long", ""])]), "a     b\nlong\n");
    }
}
