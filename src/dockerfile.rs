//! Facts about a rendered Dockerfile, read the way Kolla reads them.

pub mod mounts;

use std::sync::LazyLock;

use regex::Regex;

static FROM_LINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?im)^FROM(.*)$").expect("the pattern is valid"));

/// The image that the first FROM names; none when there is no FROM.
///
/// FROM may be anywhere in the file and in any case. Flags such as `--platform=...` are passed over.
pub fn parent(dockerfile: &str) -> Option<&str> {
    let line = FROM_LINE.captures(dockerfile)?.get(1)?.as_str();
    line.split_whitespace().find(|word| !word.starts_with("--"))
}

/// The same with another image in the first FROM; without FROM the text stays as it is.
pub fn on_base(dockerfile: &str, base: &str) -> String {
    let Some(parent) = parent(dockerfile) else { return dockerfile.to_string() };
    let start = parent.as_ptr().addr() - dockerfile.as_ptr().addr();
    [&dockerfile[..start], base, &dockerfile[start + parent.len()..]].concat()
}

/// Declares build arguments right after the first FROM; without FROM or arguments the text stays as it is.
pub fn declare_args_after_from(dockerfile: &str, args: &[&str]) -> String {
    let is_from = |line: &str| {
        line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("from"))
            && line[4..].starts_with(char::is_whitespace)
    };
    if args.is_empty() {
        return dockerfile.to_string();
    }
    let mut lines: Vec<&str> = dockerfile.split('\n').collect();
    let Some(from) = lines.iter().position(|line| is_from(line)) else { return dockerfile.to_string() };
    let declarations: Vec<String> = args.iter().map(|arg| format!("ARG {arg}")).collect();
    lines.splice(from + 1..from + 1, declarations.iter().map(String::as_str));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn declared_args_change_nothing_else(
            text in text_of(&["FROM", "from", " ", "\t", "\n", "\r\n", "--platform=a", "kolla/base:1", "#", "RUN", "ARG", "\\", "é"])
        ) {
            let declared = declare_args_after_from(&text, &["ONE", "TWO"]);
            prop_assert_eq!(parent(&declared), parent(&text));
            if declared == text {
                prop_assert!(!text.lines().any(|line| line.to_lowercase().starts_with("from ")));
            } else {
                prop_assert_eq!(declared.replacen("\nARG ONE\nARG TWO", "", 1), text);
            }
        }
    }

    #[test]
    fn from_is_found_anywhere_and_in_any_case() {
        assert_eq!(parent("# x\n\nfrom kolla/base:1 as y\nFROM other\n"), Some("kolla/base:1"));
        assert_eq!(parent("FROM --platform=linux/arm64 debian:trixie"), Some("debian:trixie"));
        assert_eq!(parent("RUN true\n"), None);
        assert_eq!(parent("FROM"), None);
    }

    #[test]
    fn the_base_is_replaced_and_nothing_else() {
        assert_eq!(
            on_base("# a\nfrom --platform=b a AS a\nRUN a\nFROM a\n", "r.example/c:1"),
            "# a\nfrom --platform=b r.example/c:1 AS a\nRUN a\nFROM a\n"
        );
        assert_eq!(on_base("RUN a\n", "b"), "RUN a\n");
    }

    #[test]
    fn args_follow_the_first_from() {
        assert_eq!(
            declare_args_after_from("# c\nFrom a\nRUN b\nFROM c", &["A", "B"]),
            "# c\nFrom a\nARG A\nARG B\nRUN b\nFROM c"
        );
        assert_eq!(declare_args_after_from("RUN x\n", &["A"]), "RUN x\n");
        assert_eq!(declare_args_after_from("FROM x\n", &[]), "FROM x\n");
    }
}
