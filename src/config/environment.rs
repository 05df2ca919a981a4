//! Options in variables of the environment, as oslo.config reads them: `OS_<SECTION>__<KEY>` [pure].

use std::collections::BTreeMap;

use super::keys::DEFAULT;
use super::keys::PROFILES;
use super::keys::{SOURCE_KEYS, USER_KEYS};
use super::layer::{Entry, SetAt};
use super::options::OptionTable;

/// Entries from the environment. Variables of the same form that are meant for other programs are left out.
pub fn entries(env: &BTreeMap<String, String>, options: OptionTable) -> Vec<Entry> {
    let read = |(name, text): (&String, &String)| {
        let (section, key) = name.strip_prefix("OS_")?.split_once("__")?;
        // As they are made from names: a variable in lower case is another one.
        if name.to_uppercase() != *name {
            return None;
        }
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let section = if section == DEFAULT.to_lowercase() { DEFAULT.to_string() } else { section };
        let is_known = match section.as_str() {
            DEFAULT => options.find(&key).is_some(),
            PROFILES => true,
            section if section.ends_with("-user") => USER_KEYS.contains(&key.as_str()),
            _ => SOURCE_KEYS.contains(&key.as_str()),
        };
        is_known.then(|| Entry { section, key, text: text.clone(), place: SetAt::Environment(name.clone()) })
    };
    env.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::OPTIONS;

    #[test]
    fn variables_of_oslo_config_are_read_and_others_left() {
        let variables = [
            ("OS_DEFAULT__TAG", "t"),
            ("OS_DEFAULT__NETWORK_MODE", "none"),
            ("OS_NOVA-BASE__VERSION", "1"),
            ("OS_NOVA-USER__UID", "5"),
            ("OS_PROFILES__MINE", "nova,glance"),
            ("OS_DEFAULT__TRANSPORT_URL", "of nova"),
            ("OS_AUTH_URL", "https://keystone"),
            ("os_default__tag", "lower"),
            ("DEFAULT__TAG", "without"),
        ];
        let env = variables.map(|(name, text)| (name.to_string(), text.to_string()));
        let found = entries(&BTreeMap::from(env), OPTIONS);
        let found: Vec<String> =
            found.iter().map(|entry| format!("[{}] {} = {}", entry.section, entry.key, entry.text)).collect();
        assert_eq!(
            found,
            [
                "[DEFAULT] network_mode = none",
                "[DEFAULT] tag = t",
                "[nova-base] version = 1",
                "[nova-user] uid = 5",
                "[profiles] mine = nova,glance",
            ]
        );
    }
}
