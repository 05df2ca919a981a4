//! Options written short, as argparse takes them: `--thread 4` [pure].
//!
//! What is unambiguous among Kolla's options means what it means to Kolla, whatever there is beside them.

use std::ffi::OsString;

use super::names::{COMMAND_LINE_ONLY, off_twin};
use crate::config::options::{CommandLineForm, OptionOrigin, OptionTable, ValueKind};

/// An abbreviation of several options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{written} may be {}: write more of the one that is meant", .meant.join(", "))]
pub struct Ambiguous {
    written: String,
    meant: Vec<String>,
}

/// Writes every abbreviated option of a command line in full. What is no option stays for others to refuse.
pub fn expand(
    options: OptionTable,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, Ambiguous> {
    let (kollas, ours) = (names(options, OptionOrigin::Kolla), names(options, OptionOrigin::Ours));
    let mut only_positional = false;
    args.into_iter()
        .map(|arg| {
            only_positional |= arg == "--";
            let Some(written) = arg.to_str().and_then(|arg| arg.strip_prefix("--")) else { return Ok(arg) };
            let (name, value) = written.split_at(written.find('=').unwrap_or(written.len()));
            if only_positional || name.is_empty() {
                return Ok(arg);
            }
            Ok(match full(name, &kollas, &ours)? {
                Some(full) => format!("--{full}{value}").into(),
                None => arg,
            })
        })
        .collect()
}

/// The option that an abbreviation stands for; none when the name stands for itself.
fn full<'a>(name: &str, kollas: &'a [String], ours: &'a [String]) -> Result<Option<&'a str>, Ambiguous> {
    // Either spelling is a name, but only Kolla's is told.
    let spelt = |option: &String| option.replace('_', "-") == name.replace('_', "-");
    if kollas.iter().chain(ours).any(spelt) {
        return Ok(None);
    }
    let starts = |option: &&String| option.replace('_', "-").starts_with(&name.replace('_', "-"));
    for options in [kollas, ours] {
        let begun: Vec<&String> = options.iter().filter(starts).collect();
        match begun.as_slice() {
            [] => {}
            [only] => return Ok(Some(only)),
            several => {
                let meant = several.iter().map(|option| format!("--{option}")).collect();
                return Err(Ambiguous { written: name.to_string(), meant });
            }
        }
    }
    Ok(None)
}

fn names(options: OptionTable, origin: OptionOrigin) -> Vec<String> {
    let options = options.iter().filter(|it| it.origin == origin && it.form == CommandLineForm::Named);
    let in_table = options.flat_map(|option| {
        let off = (option.kind == ValueKind::Flag).then(|| off_twin(&option.long()));
        std::iter::once(option.long()).chain(off)
    });
    let others = COMMAND_LINE_ONLY.iter().filter(|(_, of)| *of == origin).map(|(name, _)| name.to_string());
    let mut names: Vec<String> = in_table.chain(others).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::options::OPTIONS;
    use crate::testing::cases;

    fn expanded(args: &[&str]) -> Result<Vec<String>, String> {
        let args = expand(OPTIONS, args.iter().map(OsString::from)).map_err(|error| error.to_string())?;
        Ok(args.into_iter().map(|arg| arg.into_string().expect("what was text")).collect())
    }

    fn one(arg: &str) -> Result<String, String> {
        expanded(&[arg]).map(|mut args| args.remove(0))
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn what_kolla_knows_an_option_by_stands_for_it(
            at in any::<prop::sample::Index>(), length in 1_usize..30, value in prop::option::of("[a-z=-]{0,5}")
        ) {
            let kollas = names(OPTIONS, OptionOrigin::Kolla);
            let option = at.get(&kollas);
            let written = &option[..length.min(option.len())];
            let begun = kollas.iter().filter(|known| known.starts_with(written)).count();
            let value = value.map_or(String::new(), |value| format!("={value}"));
            let found = one(&format!("--{written}{value}"));
            if kollas.iter().any(|known| known == written) {
                prop_assert_eq!(found, Ok(format!("--{written}{value}")));
            } else if begun == 1 {
                prop_assert_eq!(found, Ok(format!("--{option}{value}")));
            } else {
                prop_assert!(found.is_err_and(|told| told.contains(option.as_str())));
            }
        }

        #[test]
        fn any_words_are_taken_or_refused(words in prop::collection::vec("(--)?[a-z=_-]{0,12}|\\PC{0,5}", 0..6)) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if let Ok(found) = expanded(&words) {
                prop_assert_eq!(found.len(), words.len());
            }
        }
    }

    #[test]
    fn argparses_abbreviations() {
        for (written, meant) in [
            ("--list-image", "--list-images"),
            ("--thread=4", "--threads=4"),
            ("--config-f=F", "--config-file=F"),
            ("--nopus", "--nopush"),
            ("--network", "--network_mode"),
            // Ours would make these ambiguous.
            ("--pl", "--platform"),
            ("--ver", "--version"),
            ("--h", "--help"),
            ("--shell", "--shell_completion"),
            ("--verify-r", "--verify-registry"),
            ("--noverify-r=x", "--noverify-registry=x"),
        ] {
            assert_eq!(one(written).as_deref(), Ok(meant));
        }
    }

    #[test]
    fn what_may_be_several_is_refused_with_their_names() {
        assert_eq!(
            one("--base-").expect_err("three"),
            "--base- may be --base-arch, --base-image, --base-tag: write more of the one that is meant"
        );
    }

    #[test]
    fn names_in_full_and_what_is_no_option_stay() {
        for arg in
            ["--base", "--network-mode", "--cache-from", "--plan", "--zzz", "-T", "thread", "--", "--=x"]
        {
            assert_eq!(one(arg).as_deref(), Ok(arg));
        }
        assert_eq!(expanded(&["--", "--thread"]), Ok(vec!["--".to_string(), "--thread".to_string()]));
    }

    #[test]
    fn no_name_of_ours_hides_what_kolla_would_complete() {
        for ours in names(OPTIONS, OptionOrigin::Ours) {
            for kollas in names(OPTIONS, OptionOrigin::Kolla) {
                assert!(!kollas.starts_with(&ours), "--{ours} is the start of --{kollas}");
            }
        }
    }
}
