//! Facts about a rendered Dockerfile.

pub mod expand;
pub mod instructions;
pub mod mounts;
pub mod named;
pub mod package_caches;
pub mod shell;
pub mod users;

use instructions::{Instruction, Instructions};

/// Word for the parent of an image without one: engines know it, and no image of this name.
pub const SCRATCH: &str = "scratch";

/// True for a Dockerfile with a FROM that names something.
pub fn has_from(dockerfile: &str) -> bool {
    let names = |one: &Instruction| one.keyword == "FROM" && !one.arguments.trim().is_empty();
    Instructions::of(dockerfile).all.iter().any(names)
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
            if declared == text {
                prop_assert!(!text.lines().any(|line| line.to_lowercase().starts_with("from ")));
            } else {
                prop_assert_eq!(declared.replacen("\nARG ONE\nARG TWO", "", 1), text);
            }
        }
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
