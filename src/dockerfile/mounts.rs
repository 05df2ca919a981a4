//! Puts flags into every RUN of a Dockerfile and leaves all else as it is, to the byte [pure].

use super::instructions::Instructions;

/// Puts `flags` (`--mount=...`) behind the word RUN of every RUN, in front of the flags that it has. An ONBUILD RUN stays
/// as it is: it runs in the builds of others.
pub fn with_run_flags(dockerfile: &str, flags: &[String]) -> String {
    if flags.is_empty() {
        return dockerfile.to_string();
    }
    let inserted: String = flags.iter().map(|flag| format!(" {flag}")).collect();
    let instructions = Instructions::of(dockerfile);
    let mut written = String::with_capacity(dockerfile.len() + instructions.all.len() * inserted.len());
    let mut at = 0;
    for run in &instructions.all {
        if run.keyword == "RUN" && !run.is_trigger && !run.arguments.is_empty() {
            written.push_str(&dockerfile[at..run.keyword_end()]);
            written.push_str(&inserted);
            at = run.keyword_end();
        }
    }
    written + &dockerfile[at..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    fn flagged(dockerfile: &str) -> String {
        with_run_flags(dockerfile, &["--F".to_string()])
    }

    #[test]
    fn every_run_gets_the_flags_before_its_own() {
        for (before, after) in [
            ("FROM x\nRUN make\n", "FROM x\nRUN --F make\n"),
            ("  run\tmake", "  run --F\tmake"),
            (
                "RUN --network=none --mount=type=cache,target=/c make",
                "RUN --F --network=none --mount=type=cache,target=/c make",
            ),
            ("RUN [\"make\", \"all\"]\r\nRUN b\r\n", "RUN --F [\"make\", \"all\"]\r\nRUN --F b\r\n"),
            ("RUN \\\n  make", "RUN --F \\\n  make"),
        ] {
            assert_eq!(flagged(before), after);
        }
    }

    #[test]
    fn nothing_else_is_touched() {
        for text in [
            "# syntax=docker/dockerfile:1\nFROM x\nRUNNER x\nLABEL a=\"RUN b\"\nONBUILD RUN x\n",
            "ENV a=b \\\nRUN c\n",
            "ENV a=b \\  \n# comment\n\nRUN c\n",
            "COPY <<EOF /script\nRUN not me\nEOF\n",
            "COPY <<-\"END OF\" /x\n",
            "ADD <<-'EOF' 3<<TWO /d/\nRUN a\n\tEOF\nRUN b\nTWO\n",
            "ONBUILD COPY <<EOF /x\nRUN a\nEOF\n",
            "RUN",
            "",
        ] {
            assert_eq!(flagged(text), text);
        }
    }

    #[test]
    fn a_run_goes_on_over_lines_comments_and_here_documents() {
        for (before, after) in [
            ("RUN a \\\n# RUN c\n\n  && RUN b\nRUN d", "RUN --F a \\\n# RUN c\n\n  && RUN b\nRUN --F d"),
            ("RUN a \\\\\nRUN b", "RUN --F a \\\\\nRUN --F b"),
            (
                "RUN cat <<EOF | \\\n tee x\nRUN y\nEOF\nRUN z",
                "RUN --F cat <<EOF | \\\n tee x\nRUN y\nEOF\nRUN --F z",
            ),
            (
                "RUN <<A cat; <<'B' sh\nRUN 1\nA\nRUN 2\nB\nRUN 3",
                "RUN --F <<A cat; <<'B' sh\nRUN 1\nA\nRUN 2\nB\nRUN --F 3",
            ),
            ("RUN echo $((1 <<2))\nRUN b", "RUN --F echo $((1 <<2))\nRUN --F b"),
            ("RUN cat <<<word\nRUN b", "RUN --F cat <<<word\nRUN --F b"),
        ] {
            assert_eq!(flagged(before), after);
        }
    }

    #[test]
    fn the_escape_directive_counts_only_at_the_top() {
        assert_eq!(
            flagged("# escape=`\nRUN a `\nRUN b\nRUN c\\\nRUN d"),
            "# escape=`\nRUN --F a `\nRUN b\nRUN --F c\\\nRUN --F d"
        );
        assert_eq!(
            flagged("#syntax=x\n# Escape = `\nRUN a `\n b"),
            "#syntax=x\n# Escape = `\nRUN --F a `\n b"
        );
        assert_eq!(flagged("\n# escape=`\nRUN a `\nRUN b"), "\n# escape=`\nRUN --F a `\nRUN --F b");
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn taken_out_again_the_flags_leave_the_text(
            text in text_of(&["RUN", "run", " ", "\t", "\n", "\r\n", "\\", "`", "# escape=`", "<<", "EOF", "COPY", "x", "#", "é"])
        ) {
            prop_assert_eq!(flagged(&text).replace(" --F", ""), text);
        }
    }
}
