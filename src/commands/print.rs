//! Output in place of building: the configuration, the plan, a completion script, the manual page.

use std::collections::HashMap;
use std::{fmt, io};

use clap_complete::Shell;
use serde::Serialize;

use crate::cli;
use crate::config::keys::DEFAULT;
use crate::config::layer::{Layers, ValueError};
use crate::config::options::OPTIONS;
use crate::config::resolved::PlanFormat;
use crate::config::settings::{Setting, settings};
use crate::freshness::answer::{Expected, Holder};
use crate::freshness::forecast::Forecast;
use crate::model::event::UnitId;
use crate::model::plan::{BuildPlan, Disposition, PlannedUnit};

/// Every setting in force with the place it was set at. Secrets do not show.
pub fn config(layers: &Layers) -> Result<String, ValueError> {
    Ok(ShownSettings(settings(layers)?).to_string())
}

/// Settings as `name = value    # place` under their sections, with values that would not survive this in quotes.
struct ShownSettings<'a>(Vec<Setting<'a>>);

impl fmt::Display for ShownSettings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[{DEFAULT}]")?;
        let mut current = DEFAULT;
        for Setting { section, name, value } in &self.0 {
            if *section != current {
                writeln!(f, "\n[{section}]")?;
                current = section;
            }
            match value {
                None => writeln!(f, "# {name} is not set")?,
                Some((value, place)) if is_plain(value) => writeln!(f, "{name} = {value}    # {place}")?,
                Some((value, place)) => writeln!(f, "{name} = {value:?}    # {place}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(value: &str) -> bool {
    value.trim() == value && !value.contains(['\n', '\r']) && !value.contains("  #")
}

/// A script that completes the command's options in a shell.
pub fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(OPTIONS), "kolla-build", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page, in roff.
pub fn manual() -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(cli::command(OPTIONS)).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// A unit of the plan with what would come of it.
#[derive(Serialize)]
struct ForecastUnit<'a> {
    #[serde(flatten)]
    planned: &'a PlannedUnit,
    /// None when it is not to be brought up to date.
    forecast: Option<ShownForecast<'a>>,
}

/// A forecast, as it is printed.
#[derive(Serialize)]
struct ShownForecast<'a> {
    expected: Expected,
    reason: String,
    differences: &'a [String],
    reused_from: Option<Holder>,
}

impl<'a> From<&'a Forecast> for ShownForecast<'a> {
    fn from(Forecast { freshness, differences }: &'a Forecast) -> ShownForecast<'a> {
        let (expected, reused_from) = (freshness.expected(), freshness.reused_from());
        ShownForecast { expected, reason: freshness.to_string(), differences, reused_from }
    }
}

/// The plan with what would come of it, for people or as JSON.
pub fn plan(plan: &BuildPlan, forecasts: &HashMap<UnitId, Forecast>, format: PlanFormat) -> String {
    let units: Vec<ForecastUnit> = plan
        .units
        .iter()
        .map(|planned| ForecastUnit { planned, forecast: forecasts.get(&planned.id()).map(Into::into) })
        .collect();
    if format == PlanFormat::Json {
        let plan = serde_json::json!({ "units": units });
        return serde_json::to_string_pretty(&plan).unwrap_or_default() + "\n";
    }
    ShownPlan(&units).to_string()
}

/// A plan for people: a line for each unit that is asked for, and their numbers.
struct ShownPlan<'a>(&'a [ForecastUnit<'a>]);

impl fmt::Display for ShownPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|unit| unit.planned.image.len()).max().unwrap_or(0);
        for unit in self.0.iter().filter(|unit| unit.planned.disposition != Disposition::Unmatched) {
            let PlannedUnit { image, platform, reason, .. } = unit.planned;
            let parent = unit.planned.parent.as_str();
            write!(f, "{:9}  {image:width$}  {platform}  on {parent}: {reason}", verb(unit))?;
            match &unit.forecast {
                Some(forecast) => writeln!(f, "; {}", forecast.reason)?,
                None => writeln!(f)?,
            }
        }
        let count = |wanted| self.0.iter().filter(|unit| verb(unit) == wanted).count();
        write!(f, "{} to build, {} unchanged, ", count("build"), count("unchanged"))?;
        if count(MAYBE) > 0 {
            write!(f, "{} of which only a run can tell, ", count(MAYBE))?;
        }
        let (left, skipped, unbuildable) = (count("leave"), count("skip"), count("can't"));
        writeln!(f, "{left} not asked for, {skipped} skipped, {unbuildable} unbuildable")
    }
}

/// Of what only a run can tell whether it is built.
const MAYBE: &str = "maybe";

/// The word for what happens to a unit.
fn verb(unit: &ForecastUnit) -> &'static str {
    match (unit.planned.disposition, unit.forecast.as_ref().map(|forecast| forecast.expected)) {
        (Disposition::Build, Some(Expected::Unchanged)) => "unchanged",
        (Disposition::Build, Some(Expected::Unknown)) => MAYBE,
        (Disposition::Build, _) => "build",
        (Disposition::Unmatched, _) => "leave",
        (Disposition::Skipped, _) => "skip",
        (Disposition::Unbuildable, _) => "can't",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layer::{Entry, SetAt};

    #[test]
    fn every_value_is_told_with_its_place_and_without_secrets() {
        let entry = |section: &str, key: &str, text: &str, line: usize| Entry {
            section: section.to_string(),
            key: key.to_string(),
            text: text.to_string(),
            place: SetAt::File("k.conf".into(), Some(line)),
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
