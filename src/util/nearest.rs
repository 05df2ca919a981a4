//! Finding what a user probably meant.

/// Names at least this similar (Jaro-Winkler, 0 to 1) are worth suggesting.
const SIMILAR: f64 = 0.8;

/// The known names nearest to one, those that differ least first, at most `count`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let mut scored: Vec<(usize, &str)> = known
        .into_iter()
        .map(|candidate| (candidate.to_lowercase(), candidate))
        .filter(|(lower, _)| strsim::jaro_winkler(&name, lower) >= SIMILAR)
        .map(|(lower, candidate)| (strsim::damerau_levenshtein(&name, &lower), candidate))
        .collect();
    scored.sort_unstable();
    scored.into_iter().take(count).map(|(_, candidate)| candidate).collect()
}

/// The few names nearest to what a regex seems to ask for.
pub fn near_pattern<'a>(pattern: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    nearest(pattern.trim_matches(|c: char| !c.is_ascii_alphanumeric()), known, 3)
}

/// `: did you mean 'x'?`, or nothing when no name is near.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known, 1).first().map(|best| format!(": did you mean '{best}'?")).unwrap_or_default()
}

/// A warning about a name that means nothing.
pub fn unknown_name<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    format!("unknown {what} '{name}'{}", hint(name, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        assert_eq!(hint("keyston", ["keystone", "nova"]), ": did you mean 'keystone'?");
        assert_eq!(
            hint("base_packages", ["base_yum_url_packages", "base_apt_packages"]),
            ": did you mean 'base_apt_packages'?"
        );
        assert_eq!(hint("default", ["nova", "DEFAULT"]), ": did you mean 'DEFAULT'?");
        assert_eq!(hint("zzz", ["keystone", "nova"]), "");
        assert_eq!(nearest("nova-ap", ["nova-api", "nova-base", "glance"], 2), ["nova-api", "nova-base"]);
    }
}
