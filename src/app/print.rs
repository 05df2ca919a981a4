//! What is printed instead of building: the configuration, the plan, a completion script, the manual page.

use std::io;

use clap_complete::Shell;

use crate::cli;
use crate::config::layer::{DEFAULT, Layers, ValueError};
use crate::config::settings::{Setting, settings};
use crate::plan::{BuildPlan, Disposition, Parent};

/// Every setting in force with the place it was set at. Secrets do not show.
pub fn config(layers: &Layers) -> Result<String, ValueError> {
    let mut out = format!("[{DEFAULT}]\n");
    let mut section = DEFAULT.to_string();
    for setting in settings(layers)? {
        if setting.section != section {
            out.push_str(&format!("\n[{}]\n", setting.section));
            section.clone_from(&setting.section);
        }
        out.push_str(&line(&setting));
    }
    Ok(out)
}

/// A setting as `name = value    # place`, with a value that would not survive this in quotes.
fn line(Setting { name, value, .. }: &Setting) -> String {
    let Some((value, place)) = value else { return format!("# {name} is not set\n") };
    if value.trim() == value && !value.contains(['\n', '\r']) && !value.contains("  #") {
        format!("{name} = {value}    # {place}\n")
    } else {
        format!("{name} = {value:?}    # {place}\n")
    }
}

/// A script that completes the command's options in a shell.
pub fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "kolla-build", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page, in roff.
pub fn manual() -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(cli::command()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// The plan, for people or as JSON.
pub fn plan(plan: &BuildPlan, json: bool) -> String {
    if json {
        return serde_json::to_string_pretty(plan).unwrap_or_default() + "\n";
    }
    let width = plan.units.iter().map(|unit| unit.image.len()).max().unwrap_or(0);
    let mut out = String::new();
    for unit in plan.units.iter().filter(|unit| unit.disposition != Disposition::Unmatched) {
        let verb = match unit.disposition {
            Disposition::Build => "build",
            Disposition::Unmatched => "leave",
            Disposition::Skipped => "skip",
            Disposition::Unbuildable => "can't",
        };
        let parent = match &unit.parent {
            Parent::Image(name) => name,
            Parent::Base(reference) => reference,
        };
        out.push_str(&format!(
            "{verb:5}  {:width$}  {}  on {parent}: {}\n",
            unit.image, unit.platform, unit.reason
        ));
    }
    let count = |wanted| plan.units.iter().filter(|unit| unit.disposition == wanted).count();
    out.push_str(&format!(
        "{} to build, {} not asked for, {} skipped, {} unbuildable\n",
        count(Disposition::Build),
        count(Disposition::Unmatched),
        count(Disposition::Skipped),
        count(Disposition::Unbuildable)
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layer::{Entry, Place};

    #[test]
    fn every_value_is_told_with_its_place_and_without_secrets() {
        let entry = |section: &str, key: &str, text: &str, line: usize| Entry {
            section: section.to_string(),
            key: key.to_string(),
            text: text.to_string(),
            place: Place::File("k.conf".into(), Some(line)),
        };
        let mut layers = Layers::default();
        layers.push([
            entry(DEFAULT, "push", "Yes", 1),
            entry(DEFAULT, "threads", " 08", 2),
            entry(DEFAULT, "docker_dir", "a", 3),
            entry(DEFAULT, "docker_dir", " b", 4),
            entry(DEFAULT, "build_args", "DB_PASSWORD: x,version:1", 5),
            entry(DEFAULT, "pip_index_url", "https://u:p@host/$tag", 6),
            entry(DEFAULT, "maintainer", "a\nb", 7),
            entry(DEFAULT, "tag", "t", 8),
            entry("etcd", "location", "https://u:p@host/", 9),
        ]);
        let told = config(&layers).expect("valid");
        let set: Vec<&str> = told.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            set,
            [
                "[DEFAULT]",
                "tag = t    # k.conf:8",
                "docker_dir = a    # k.conf:3",
                "docker_dir = \" b\"    # k.conf:4",
                "build_args = DB_PASSWORD:***,version:1    # k.conf:5",
                "push = true    # k.conf:1",
                "threads = 8    # k.conf:2",
                "maintainer = \"a\\nb\"    # k.conf:7",
                "pip_index_url = https://***@host/t    # k.conf:6",
                "",
                "[etcd]",
                "location = https://***@host/    # k.conf:9",
            ]
        );
        assert!(told.contains("# registry is not set\n"), "{told}");
    }
}
