//! What is printed instead of building: the configuration and the plan.

use crate::config::layer::{DEFAULT, Layers};
use crate::config::options::OPTIONS;
use crate::plan::{BuildPlan, Disposition, Parent};

/// Every option in force with the place it was set at, then every other section.
pub fn config(layers: &Layers) -> String {
    let mut out = String::new();
    let mut sections = layers.sections();
    sections.remove(DEFAULT);
    out.push_str(&format!("[{DEFAULT}]\n"));
    for option in OPTIONS {
        out.push_str(&line(layers, DEFAULT, option.name));
    }
    for section in sections {
        out.push_str(&format!("\n[{section}]\n"));
        let in_section = layers.entries().iter().filter(|entry| entry.section == section);
        let keys: std::collections::BTreeSet<&str> = in_section.map(|entry| entry.key.as_str()).collect();
        for key in keys {
            out.push_str(&line(layers, section, key));
        }
    }
    out
}

fn line(layers: &Layers, section: &str, key: &str) -> String {
    let Some(entry) = layers.entry(section, key) else { return format!("# {key} is not set\n") };
    let value = match layers.text(section, key) {
        Ok(text) => mask_credentials(&text.unwrap_or_default()),
        Err(error) => format!("({})", error.reason),
    };
    format!("{key} = {value}    # {}\n", entry.place)
}

/// Hides user and password in URLs.
fn mask_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_string() };
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    match authority.rsplit_once('@') {
        Some((credentials, _)) => format!("{scheme}://***{}", &rest[credentials.len()..]),
        None => text.to_string(),
    }
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

    #[test]
    fn credentials_in_urls_are_hidden() {
        assert_eq!(mask_credentials("https://u:p@host/simple"), "https://***@host/simple");
        assert_eq!(mask_credentials("https://host/a@b"), "https://host/a@b");
        assert_eq!(mask_credentials("plain"), "plain");
    }
}
