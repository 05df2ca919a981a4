//! What is printed instead of building: the configuration, the plan, a completion script, the manual page.

use std::collections::BTreeSet;
use std::io;

use clap_complete::Shell;

use crate::cli;
use crate::config::layer::{DEFAULT, Entry, Layers, ValueError};
use crate::config::options::{Kind, OPTIONS, OptionSpec};
use crate::config::secrets::masked;
use crate::plan::{BuildPlan, Disposition, Parent};

/// Every option in force with the place it was set at, then every other section. Secrets do not show.
pub fn config(layers: &Layers) -> Result<String, ValueError> {
    let mut out = format!("[{DEFAULT}]\n");
    let options: Vec<Vec<Row>> =
        OPTIONS.iter().map(|option| lines(layers, option)).collect::<Result<_, _>>()?;
    out.push_str(&section(options.concat()));
    for name in layers.sections().into_iter().filter(|name| *name != DEFAULT) {
        out.push_str(&format!("\n[{name}]\n"));
        let in_section = layers.entries().iter().filter(|entry| entry.section == name);
        let keys: BTreeSet<&str> = in_section.map(|entry| entry.key.as_str()).collect();
        let mut rows = Vec::new();
        for key in keys {
            let text = match key {
                "enabled" => layers.flag_in(name, key)?.unwrap_or(true).to_string(),
                _ => layers.text(name, key)?.unwrap_or_default(),
            };
            rows.push((key.to_string(), masked(key, &text), place(layers.entry(name, key))));
        }
        out.push_str(&section(rows));
    }
    Ok(out)
}

/// A name, its value, and where that was set.
type Row = (String, String, String);

/// The value of an option as it was understood; a line for each value of one that may be repeated.
fn lines(layers: &Layers, option: &OptionSpec) -> Result<Vec<Row>, ValueError> {
    let name = option.name;
    let entry = layers.entry(DEFAULT, name);
    let row = |value: String| (name.to_string(), value, place(entry));
    if entry.is_none() {
        return Ok(vec![(format!("# {name}"), String::new(), "not set".to_string())]);
    }
    Ok(match option.kind {
        Kind::Flag => vec![row(layers.flag(name)?.to_string())],
        Kind::Integer { .. } => {
            vec![row(layers.integer(DEFAULT, name)?.map_or(String::new(), |number| number.to_string()))]
        }
        Kind::List => vec![row(masked(name, &layers.list(DEFAULT, name)?.join(",")))],
        Kind::Dict => {
            let pairs = layers.dict(DEFAULT, name)?;
            let pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{key}:{}", masked(key, value))).collect();
            vec![row(pairs.join(","))]
        }
        Kind::Many => {
            let entries =
                layers.entries().iter().filter(|entry| entry.section == DEFAULT && entry.key == name);
            let values = layers.many(name)?;
            let row = |(entry, value): (&Entry, String)| {
                (name.to_string(), masked(name, &value), place(Some(entry)))
            };
            entries.zip(values).map(row).collect()
        }
        Kind::Text | Kind::File { .. } | Kind::Choice(_) => {
            vec![row(masked(name, &layers.text(DEFAULT, name)?.unwrap_or_default()))]
        }
    })
}

fn place(entry: Option<&Entry>) -> String {
    entry.map_or(String::new(), |entry| entry.place.to_string())
}

/// Rows as `name = value    # place`, with values that would not survive this in quotes.
fn section(rows: Vec<Row>) -> String {
    let line = |(name, value, place): Row| {
        if name.starts_with('#') {
            return format!("{name} is {place}\n");
        }
        let plain = value.trim() == value && !value.contains(['\n', '\r']) && !value.contains("  #");
        let value = if plain { value } else { format!("{value:?}") };
        format!("{name} = {value}    # {place}\n")
    };
    rows.into_iter().map(line).collect()
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
    use crate::config::layer::Place;

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
