//! Puts flags into every RUN of a Dockerfile and leaves all else as it is, to the byte [pure].
//!
//! Lines are taken together as BuildKit's parser does it: continuation lines with the escape character that a directive
//! may set, comments and empty lines between them, and the here-documents of RUN, COPY and ADD.

use std::sync::LazyLock;

use regex::Regex;

/// `# escape=X`, which counts only above everything but other directives.
static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$").expect("the pattern is valid")
});

/// `<<EOF`, `<<-EOF` or `<<"EOF"`, with a file descriptor in front, as a word of its own.
static HERE_DOCUMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:^|\s)[0-9]*<<(-?)(?:"([^"<\s]+)"|'([^'<\s]+)'|([^\s<"';|&()]+))"#)
        .expect("the pattern is valid")
});

/// Puts `flags` (`--mount=...`) behind the word RUN of every RUN, in front of the flags that it has. An ONBUILD RUN stays
/// as it is: it runs in the builds of others.
pub fn with_run_flags(dockerfile: &str, flags: &[String]) -> String {
    if flags.is_empty() {
        return dockerfile.to_string();
    }
    let inserted: String = flags.iter().map(|flag| format!(" {flag}")).collect();
    let lines: Vec<&str> = dockerfile.split_inclusive('\n').collect();
    let escape = escape_character(&lines);
    let mut written = String::with_capacity(dockerfile.len() + lines.len() * inserted.len() / 4);
    let mut at = 0;
    while at < lines.len() {
        let first = lines[at];
        if is_comment(first) || first.trim().is_empty() {
            written.push_str(first);
            at += 1;
            continue;
        }
        let end = instruction_end(&lines, at, escape);
        match end_of_run(first) {
            Some(keyword) => {
                written.push_str(&first[..keyword]);
                written.push_str(&inserted);
                written.push_str(&first[keyword..]);
                lines[at + 1..end].iter().for_each(|line| written.push_str(line));
            }
            None => lines[at..end].iter().for_each(|line| written.push_str(line)),
        }
        at = end;
    }
    written
}

/// Where the word RUN ends in a line that begins with it.
fn end_of_run(line: &str) -> Option<usize> {
    let start = line.len() - line.trim_start().len();
    let end = start + 3;
    let is_run = line.get(start..end).is_some_and(|word| word.eq_ignore_ascii_case("run"));
    (is_run && line[end..].starts_with(char::is_whitespace)).then_some(end)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn escape_character(lines: &[&str]) -> char {
    let directives = lines.iter().map_while(|line| DIRECTIVE.captures(line.trim_end()));
    let mut escapes = directives.filter(|found| found[1].eq_ignore_ascii_case("escape"));
    match escapes.next() {
        Some(found) if &found[2] == "`" => '`',
        _ => '\\',
    }
}

/// The line behind the instruction that begins at `at`, its here-documents included.
fn instruction_end(lines: &[&str], at: usize, escape: char) -> usize {
    let mut end = at;
    let mut logical = String::new();
    while let Some(line) = lines.get(end) {
        end += 1;
        if end - 1 > at && (is_comment(line) || line.trim().is_empty()) {
            continue;
        }
        match continued(line, escape) {
            Some(part) => logical.push_str(part),
            None => {
                logical.push_str(line);
                break;
            }
        }
    }
    let mut words = logical.split_whitespace().map(str::to_ascii_uppercase);
    let keyword = words.next().filter(|word| word != "ONBUILD").or_else(|| words.next());
    if !keyword.is_some_and(|word| ["RUN", "COPY", "ADD"].contains(&word.as_str())) {
        return end;
    }
    for found in HERE_DOCUMENT.captures_iter(&logical) {
        let strips_tabs = !found[1].is_empty();
        let Some(name) = found.get(2).or(found.get(3)).or(found.get(4)) else { continue };
        let is_end = |line: &&str| {
            let line = line.trim_end_matches(['\r', '\n']);
            (if strips_tabs { line.trim_start_matches('\t') } else { line }) == name.as_str()
        };
        // Without an end it is none: `$((1 <<2))`.
        if let Some(length) = lines[end..].iter().position(is_end) {
            end += length + 1;
        }
    }
    end
}

/// What stands before the escape character at a line's end; none when the line does not go on. An escape character that
/// is itself escaped does not count.
fn continued(line: &str, escape: char) -> Option<&str> {
    let part = line.trim_end_matches(['\r', '\n']).trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!part.ends_with(escape)).then_some(part)
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
