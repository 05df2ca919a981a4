//! Rewrites template text so that MiniJinja does with it what Jinja2 does.
//!
//! Seven rewrites, none of which adds or removes a line, so that errors keep their line numbers:
//!
//! - spaces that only Python takes for such become plain ones inside tags;
//! - newlines: `\r\n` and `\r` become `\n`, as Jinja2's lexer reads them;
//! - `{% set name = expr %}` becomes `{% set name = __bind("name", (expr)) %}`: `__bind` makes lists shared and records
//!   what is set at the top level of a template, which `customizable` looks at (see [`super::functions`]);
//! - list and dict literals make objects that can change, and string literals with backslashes are decoded as Python
//!   does and written again in MiniJinja's escapes (see [`super::literals`]);
//! - what `~` and `+` join is counted on the way (see [`super::limits`]);
//! - after a top-level `{% extends %}`, top-level `{{ }}` are dropped: Jinja2 never evaluates them.

use std::borrow::Cow;

use super::literals::{rewrite_expression, rewrite_tag};
use super::tags::{SCOPES, TagKind, assignment, bound_names, plain_spaces, set_block_name, tag_word, tags};

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
            TagKind::Output => out.push_str(&rewrite_tag(&plain_spaces(tag.text))),
            TagKind::Statement => state.statement(&plain_spaces(tag.text), &mut out),
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
                    let expression = rewrite_expression(expression);
                    let tail = &tag[value.end..];
                    let function = self.bind_function();
                    out.push_str(&format!("{head} {function}({name:?}, ({expression})){space}{tail}"));
                }
                None if bound_names(tag).is_empty() => {
                    self.open_sets.push(set_block_name(tag).map(str::to_string));
                    out.push_str(&rewrite_tag(tag));
                }
                None => out.push_str(&bind_after(tag, self.bind_function())),
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
                out.push_str(&bind_after(tag, BIND));
            }
        }
    }

    fn bind_function(&self) -> &'static str {
        if self.record && self.depth == 0 { BIND_TOP_LEVEL } else { BIND }
    }
}

/// The tag, and after it what binds every name that it has given to a value; whitespace control stays at the end.
fn bind_after(tag: &str, function: &str) -> String {
    let rewritten = rewrite_tag(tag);
    let mut names = bound_names(tag);
    let Some(last) = names.pop() else { return rewritten.into_owned() };
    let inner = rewritten.strip_suffix("%}").unwrap_or(&rewritten);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner).trim_end();
    let (head, tail) = rewritten.split_at(inner.len());
    let mut out = format!("{head} %}}");
    for name in names {
        out.push_str(&format!("{{% set {name} = {function}({name:?}, {name}) %}}"));
    }
    out + &format!("{{% set {last} = {function}({last:?}, {last}){tail}")
}

/// Jinja2 reads any of the three line ends as `\n`.
pub fn normalize_newlines(source: &str) -> Cow<'_, str> {
    if source.contains('\r') {
        Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(source)
    }
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
            "{% set a = __bind_top(\"a\", ( __list(['x']))) %}{%- if b -%}{% set c = __bind_top(\"c\", ( 1)) -%}{% endif %}\
             {% block d %}{% set e = __bind(\"e\", ( f(1, '%}'))) %}{% endblock %}{%set g= __bind_top(\"g\", (__list([1])|__joined(1)+__list([2])))%}"
        );
        assert!(!rewrite(source, false).contains("__bind_top"));
    }

    #[test]
    fn other_forms_of_set_are_left_alone() {
        for source in ["{% set ns.x = 1 %}", "{% set %}", "{% set a=-%}"] {
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
            "{% set a = __bind_top(\"a\", ( __list([\n1,\n])))\n-%}x"
        );
        assert_eq!(
            rewrite("{% set a\n%}x{% endset\n\n%}", true),
            "{% set a\n%}x{% endset \n\n%}{% set a = __bind_top(\"a\", a) %}"
        );
    }

    #[test]
    fn arguments_of_macros_are_bound() {
        assert_eq!(
            rewrite("{% macro m(a, b='x,', c=f(1, d)) -%}x{% endmacro %}", true),
            "{% macro m(a, b='x,', c=f(1, d)) %}{% set a = __bind(\"a\", a) %}{% set b = __bind(\"b\", b) %}\
             {% set c = __bind(\"c\", c) -%}x{% endmacro %}"
        );
        assert_eq!(rewrite("{% macro m() %}{% endmacro %}", true), "{% macro m() %}{% endmacro %}");
    }

    #[test]
    fn names_of_other_tags_are_bound() {
        assert_eq!(
            rewrite("{%for a, (b) in {'in': 1}-%}{% endfor %}{% call(x) m('y') +%}{% endcall %}", true),
            "{%for a, (b) in __dict({'in': 1}) %}{% set a = __bind(\"a\", a) %}{% set b = __bind(\"b\", b)-%}{% endfor %}\
             {% call(x) m('y') %}{% set x = __bind(\"x\", x) +%}{% endcall %}"
        );
        assert_eq!(
            rewrite("{% with a = f(',', b=1), c = 2 %}{% endwith %}{% set d, e = 1, 2 %}", true),
            "{% with a = f(',', b=1), c = 2 %}{% set a = __bind(\"a\", a) %}{% set c = __bind(\"c\", c) %}{% endwith %}\
             {% set d, e = 1, 2 %}{% set d = __bind_top(\"d\", d) %}{% set e = __bind_top(\"e\", e) %}"
        );
        for source in ["{% for %}", "{% call m(a) %}{% endcall %}", "{% with %}{% endwith %}"] {
            assert_eq!(rewrite(source, true), source);
        }
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
    fn every_newline_is_one() {
        assert_eq!(rewrite("a\r\nb\rc\n", true), "a\nb\nc\n");
    }
}
