//! Rewrites template text so that MiniJinja does with it what Jinja2 does.
//!
//! Four rewrites, none of which adds or removes a line, so that errors keep their line numbers:
//!
//! - newlines: `\r\n` and `\r` become `\n`, as Jinja2's lexer reads them;
//! - `{% set name = expr %}` becomes `{% set name = __bind("name", (expr)) %}`: `__bind` makes lists shared and records
//!   what is set at the top level of a template, which `customizable` looks at (see [`super::functions`]);
//! - string literals with backslashes are decoded as Python does and written again in MiniJinja's escapes;
//! - after a top-level `{% extends %}`, top-level `{{ }}` are dropped: Jinja2 never evaluates them.

use std::borrow::Cow;

use super::tags::{SCOPES, TagKind, assignment, set_block_name, string_end, tag_word, tags};

/// The function that `set` values go through at the top level of a template.
pub const BIND_TOP_LEVEL: &str = "__bind_top";
/// The function that other `set` values go through.
pub const BIND: &str = "__bind";

/// Rewrites a template's source. With `record` its top-level sets are recorded; without (for templates that are
/// imported, whose names are their own) they are only bound.
pub fn rewrite(source: &str, record: bool) -> String {
    let source = normalize_newlines(source);
    let mut out = String::with_capacity(source.len() + source.len() / 8);
    let mut state = Rewriter { record, depth: 0, extended: false, open_sets: Vec::new() };
    let mut done = 0;
    for tag in tags(&source) {
        out.push_str(&source[done..tag.start]);
        match tag.kind {
            TagKind::Comment | TagKind::Raw => out.push_str(tag.text),
            TagKind::Output if state.extended && state.depth == 0 && state.open_sets.is_empty() => {
                // Its newlines stay so that later lines keep their numbers; its whitespace control no longer
                // matters, because nothing around it is printed either.
                out.push_str("{#");
                out.extend(tag.text.matches('\n'));
                out.push_str("#}");
            }
            TagKind::Output => out.push_str(&rewrite_literals(tag.text)),
            TagKind::Statement => state.statement(tag.text, &mut out),
        }
        done = tag.start + tag.text.len();
    }
    out.push_str(&source[done..]);
    out
}

struct Rewriter {
    record: bool,
    /// How many scopes are open.
    depth: usize,
    /// A top-level `extends` has been seen.
    extended: bool,
    /// Names of open `{% set name %}` blocks.
    open_sets: Vec<Option<String>>,
}

impl Rewriter {
    fn statement(&mut self, tag: &str, out: &mut String) {
        let word = tag_word(tag);
        match word {
            "set" => match assignment(tag) {
                Some((name, value)) => {
                    let head = &tag[..value.start];
                    let (expression, space) =
                        tag[value.clone()].split_at(tag[value.clone()].trim_end().len());
                    let expression = rewrite_literals(expression);
                    let tail = &tag[value.end..];
                    let function = self.bind_function();
                    out.push_str(&format!("{head} {function}({name:?}, ({expression})){space}{tail}"));
                }
                None => {
                    self.open_sets.push(set_block_name(tag).map(str::to_string));
                    out.push_str(&rewrite_literals(tag));
                }
            },
            "endset" => {
                let strips_left = tag.starts_with("{%-");
                match self.open_sets.pop().flatten() {
                    Some(name) => {
                        let tail = &tag[tag.trim_end_matches("%}").trim_end_matches(['-', '+']).len()..];
                        let dash = if strips_left { "-" } else { "" };
                        let function = self.bind_function();
                        let newlines = "\n".repeat(tag.matches('\n').count());
                        out.push_str(&format!(
                            "{{%{dash} endset {newlines}%}}{{% set {name} = {function}({name:?}, {name}) {tail}"
                        ));
                    }
                    None => out.push_str(tag),
                }
            }
            _ => {
                if SCOPES.contains(&word) {
                    self.depth += 1;
                } else if let Some(scope) = word.strip_prefix("end") {
                    if SCOPES.contains(&scope) {
                        self.depth = self.depth.saturating_sub(1);
                    }
                } else if word == "extends" && self.depth == 0 {
                    self.extended = true;
                }
                out.push_str(&rewrite_literals(tag));
            }
        }
    }

    fn bind_function(&self) -> &'static str {
        if self.record && self.depth == 0 { BIND_TOP_LEVEL } else { BIND }
    }
}

/// Jinja2 reads any of the three line ends as `\n`.
pub fn normalize_newlines(source: &str) -> Cow<'_, str> {
    if source.contains('\r') {
        Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(source)
    }
}

/// Writes every string literal with a backslash anew.
fn rewrite_literals(tag: &str) -> Cow<'_, str> {
    if !tag.contains('\\') {
        return Cow::Borrowed(tag);
    }
    let mut out = String::with_capacity(tag.len() + 8);
    let mut at = 0;
    while let Some(start) = tag[at..].find(['\'', '"']).map(|start| at + start) {
        let Some(end) = string_end(tag, start) else { break };
        out.push_str(&tag[at..start]);
        let literal = &tag[start + 1..end - 1];
        if literal.contains('\\') {
            out.push_str(&encode_literal(&decode_python_escapes(literal), literal.matches('\n').count()));
        } else {
            out.push_str(&tag[start..end]);
        }
        at = end;
    }
    out.push_str(&tag[at..]);
    Cow::Owned(out)
}

/// A literal in MiniJinja's escapes that spans as many source lines as the original did.
fn encode_literal(text: &str, source_lines: usize) -> String {
    let mut out = String::from("\"");
    let mut raw_newlines = source_lines;
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' if raw_newlines > 0 => {
                raw_newlines -= 1;
                out.push('\n');
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out.extend(std::iter::repeat_n('\n', raw_newlines));
    out
}

/// Python's `unicode_escape`: unknown escapes keep their backslash, a backslash before a newline joins the lines.
fn decode_python_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let (decoded, used) = match c {
            '\n' => (None, 1),
            '\\' | '\'' | '"' => (Some(c), 1),
            'a' => (Some('\x07'), 1),
            'b' => (Some('\x08'), 1),
            'f' => (Some('\x0c'), 1),
            'n' => (Some('\n'), 1),
            'r' => (Some('\r'), 1),
            't' => (Some('\t'), 1),
            'v' => (Some('\x0b'), 1),
            'x' => numeric(rest, 1, 2, 16),
            'u' => numeric(rest, 1, 4, 16),
            'U' => numeric(rest, 1, 8, 16),
            '0'..='7' => {
                let len = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                numeric(rest, 0, len, 8)
            }
            _ => (Some('\\'), 0),
        };
        out.extend(decoded);
        rest = &rest[used..];
    }
    out.push_str(rest);
    out
}

/// A character given by a number of exactly `len` digits after `skip` bytes; else the backslash stays.
fn numeric(text: &str, skip: usize, len: usize, radix: u32) -> (Option<char>, usize) {
    text.get(skip..skip + len)
        .filter(|digits| digits.chars().all(|c| c.is_digit(radix)))
        .and_then(|digits| u32::from_str_radix(digits, radix).ok())
        .and_then(char::from_u32)
        .map_or((Some('\\'), 0), |c| (Some(c), skip + len))
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_bound_and_only_top_level_ones_recorded() {
        let source = "{% set a = ['x'] %}{%- if b -%}{% set c = 1 -%}{% endif %}\
                      {% block d %}{% set e = f(1, '%}') %}{% endblock %}{%set g=[1]+[2]%}";
        assert_eq!(
            rewrite(source, true),
            "{% set a = __bind_top(\"a\", ( ['x'])) %}{%- if b -%}{% set c = __bind_top(\"c\", ( 1)) -%}{% endif %}\
             {% block d %}{% set e = __bind(\"e\", ( f(1, '%}'))) %}{% endblock %}{%set g= __bind_top(\"g\", ([1]+[2]))%}"
        );
        assert!(!rewrite(source, false).contains("__bind_top"));
    }

    #[test]
    fn other_forms_of_set_are_left_alone() {
        for source in ["{% set a, b = 1, 2 %}", "{% set ns.x = 1 %}", "{% set %}", "{% set a=-%}"] {
            assert_eq!(rewrite(source, true), source);
        }
    }

    #[test]
    fn set_blocks_are_bound_after_their_end() {
        assert_eq!(
            rewrite("{% set a %}x{%- endset -%}y", true),
            "{% set a %}x{%- endset %}{% set a = __bind_top(\"a\", a) -%}y"
        );
    }

    #[test]
    fn line_ends_in_tags_stay() {
        assert_eq!(
            rewrite("{% set a = [\n1,\n]\n-%}x", true),
            "{% set a = __bind_top(\"a\", ( [\n1,\n]))\n-%}x"
        );
        assert_eq!(
            rewrite("{% set a\n%}x{% endset\n\n%}", true),
            "{% set a\n%}x{% endset \n\n%}{% set a = __bind_top(\"a\", a) %}"
        );
    }

    #[test]
    fn top_level_output_after_extends_is_dropped_and_lines_stay() {
        assert_eq!(
            rewrite("{{ kept }}{% extends p %}\n{{ x.y(\n1) }}\n{% block b %}{{ kept }}{% endblock %}", true),
            "{{ kept }}{% extends p %}\n{#\n#}\n{% block b %}{{ kept }}{% endblock %}"
        );
    }

    #[test]
    fn output_that_a_set_block_takes_stays() {
        let source = "{% extends p %}{% set a %}{{ kept }}{% endset %}{{ dropped }}";
        assert!(rewrite(source, true).starts_with("{% extends p %}{% set a %}{{ kept }}{% endset %}"));
        assert!(rewrite(source, true).ends_with("{##}"));
    }

    #[test]
    fn raw_and_comments_are_left_alone() {
        for source in [
            "{% raw %}{% set a = 1 %}{{ '\\/' }}{% endraw %}",
            "{# {% set a = 1 %} #}",
            "{#}{% set a = 1 %}#}",
            "{ {x} {",
        ] {
            assert_eq!(rewrite(source, true), source);
        }
    }

    #[test]
    fn unclosed_tags_are_left_for_the_parser() {
        for source in ["a {% set b = 'c", "a {{ 'b }}", "{# x", "a {% raw %} b", "{"] {
            assert_eq!(rewrite(source, true), source);
        }
    }

    #[test]
    fn literals_are_decoded_as_python_does() {
        assert_eq!(rewrite(r#"{{ 'a\/b' }}"#, true), r#"{{ "a\\/b" }}"#);
        assert_eq!(rewrite(r#"{{ 'it\'s "x"\x41\101\u00e4' }}"#, true), "{{ \"it's \\\"x\\\"AA\u{e4}\" }}");
        assert_eq!(rewrite("{{ 'a\\\nb' }}{{ c }}", true), "{{ \"ab\"\n }}{{ c }}");
        assert_eq!(rewrite("{{ 'a\\n\nb' }}", true), "{{ \"a\n\\nb\" }}");
    }

    #[test]
    fn every_newline_is_one() {
        assert_eq!(rewrite("a\r\nb\rc\n", true), "a\nb\nc\n");
    }
}
