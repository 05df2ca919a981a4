//! Rewrites template text so that MiniJinja does with it what Jinja2 does.
//!
//! None of the rewrites adds or removes a line, so that errors keep their line numbers:
//!
//! - spaces that only Python takes for such become plain ones inside tags;
//! - newlines: `\r\n` and `\r` become `\n`, as Jinja2's lexer reads them;
//! - names are bound by `__bind`, as in `{% set name = __bind("name", (expr)) %}`: it makes lists shared and records what is
//!   set at the top level of a template, which `customizable` looks at (see [`crate::template::rewrites`]);
//! - list and dict literals make objects that can change, strings with backslashes are decoded as Python does, and what
//!   operations and filters make is counted (see [`crate::template::syntax`]);
//! - defaults of macros' arguments are read when all arguments have their names;
//! - after a top-level `{% extends %}`, `{{ }}` outside of blocks and macros are dropped: Jinja2 never evaluates them;
//! - around `super()`, names that a block has set have the values that they had before it: Jinja2's blocks share nothing.
//!
//! What is no statement or expression of Jinja2, or nested deeper than can be parsed, is refused on the way.

use std::borrow::Cow;
use std::collections::HashMap;

use super::limits::{MAX_OPEN, MAX_SOURCE, too_much};
use super::rewrites::{BIND, BIND_TOP_LEVEL, IMPORTED};
use super::syntax::{Form, Parser, Refusal, Statement, Use, output, statement};
use super::tags::{SCOPES, Tag, TagKind, inner, tags, unclosed};

/// What a template is rewritten for.
#[derive(Clone, Copy)]
pub struct Rewriting<'k> {
    /// Whether its top-level sets are recorded; the names of templates that are imported are their own.
    pub record: bool,
    /// Whether a filter or test is known.
    pub knows: &'k dyn Fn(&Use<'_>) -> bool,
}

/// Why a template can't be rewritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl SyntaxError {
    fn at(source: &str, offset: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError { line: source[..offset].matches('\n').count() + 1, message: message.into() }
    }
}

/// Rewrites a template's source.
pub fn rewrite(source: &str, rewriting: Rewriting<'_>) -> Result<String, SyntaxError> {
    let source = normalize_newlines(source);
    if source.len() > MAX_SOURCE {
        let message = too_much(format!("a template of {} bytes", source.len())).to_string();
        return Err(SyntaxError::at(&source, 0, message));
    }
    let tags: Vec<Tag<'_>> = tags(&source).collect();
    let end = tags.last().map_or(0, |tag| tag.start + tag.text.len());
    if let Some(at) = unclosed(&source, end) {
        return Err(SyntaxError::at(&source, at, "this tag is not closed"));
    }
    let plain: Vec<Cow<'_, str>> = tags.iter().map(|tag| tag.plain()).collect();
    let mut parts: Vec<Part<'_>> = Vec::with_capacity(tags.len());
    for (text, tag) in plain.iter().zip(&tags) {
        parts.push(part(&source, tag, text)?);
    }
    let mut out = String::with_capacity(source.len() + source.len() / 4);
    if !rewriting.record && source.contains("customizable") {
        out.push_str(&format!("{{{{ {IMPORTED}() }}}}"));
    }
    let outer = outer_names(&parts);
    let mut state =
        Rewriter { source: &source, rewriting, outer, open: Vec::new(), extended: Extended::No, number: 0 };
    let mut done = 0;
    for (tag, part) in tags.iter().zip(&parts) {
        out.push_str(&source[done..tag.start]);
        state.part(tag, part, &mut out)?;
        state.number += 1;
        done = tag.start + tag.text.len();
    }
    out.push_str(&source[done..]);
    Ok(out)
}

/// A tag as it was read.
struct Part<'a> {
    /// Its delimiter at the start, with what says how to treat blanks.
    head: &'a str,
    /// What stands between the delimiters.
    body: &'a str,
    /// Its delimiter at the end.
    tail: &'a str,
    what: What<'a>,
}

enum What<'a> {
    Nothing,
    Output(Parser<'a>),
    Statement(Statement<'a>),
}

fn part<'a>(source: &str, tag: &Tag<'_>, text: &'a str) -> Result<Part<'a>, SyntaxError> {
    if matches!(tag.kind, TagKind::Comment | TagKind::Raw) {
        return Ok(Part { head: text, body: "", tail: "", what: What::Nothing });
    }
    let inner = inner(text);
    let (head, body, tail) = (&text[..inner.start], &text[inner.clone()], &text[inner.end..]);
    let refused = |refusal: Refusal| {
        // Spaces may have become shorter on the way here; lines have not.
        let line = body[..refusal.at].matches('\n').count() + source[..tag.start].matches('\n').count() + 1;
        SyntaxError { line, message: refusal.message }
    };
    let what = match tag.kind {
        TagKind::Output => What::Output(output(body).map_err(refused)?),
        _ => What::Statement(statement(body).map_err(refused)?),
    };
    Ok(Part { head, body, tail, what })
}

/// For each block by the number of its tag, and each tag in it that prints a block: the names that the block has given
/// to values before.
fn outer_names<'a>(parts: &[Part<'a>]) -> HashMap<usize, Vec<&'a str>> {
    let mut found: HashMap<usize, Vec<&'a str>> = HashMap::new();
    let mut blocks: Vec<(usize, Vec<&'a str>)> = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let (parser, statement) = match &part.what {
            What::Nothing => continue,
            What::Output(parser) => (parser, None),
            What::Statement(statement) => (&statement.parser, Some(statement)),
        };
        let is_simple = statement.is_none_or(|statement| matches!(statement.form, Form::Assign { .. }));
        if let Some((block, names)) = blocks.last()
            && parser.prints_block
            && is_simple
            && !names.is_empty()
        {
            let own: Vec<&str> = statement.iter().flat_map(|statement| statement.names()).collect();
            found.insert(number, names.iter().copied().filter(|name| !own.contains(name)).collect());
            found.insert(*block, names.clone());
        }
        let Some(statement) = statement else { continue };
        match statement.word {
            "block" => blocks.push((number, Vec::new())),
            "endblock" => drop(blocks.pop()),
            _ => {
                if let Some((_, names)) = blocks.last_mut() {
                    names.extend(statement.names().filter(|name| !names.contains(name)).collect::<Vec<_>>());
                }
            }
        }
    }
    found
}

/// A tag that is open.
struct Open<'a> {
    word: &'a str,
    /// The name of a `{% set name %}`.
    captured: Option<&'a str>,
    /// How many more conditions follow the first.
    elifs: usize,
}

/// Whether a template extends another from here on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extended {
    No,
    /// It does if a condition holds.
    Perhaps,
    Yes,
}

/// The variable that says whether a template that may extend another does.
const EXTENDED: &str = "__extended";

struct Rewriter<'a> {
    source: &'a str,
    rewriting: Rewriting<'a>,
    outer: HashMap<usize, Vec<&'a str>>,
    open: Vec<Open<'a>>,
    /// Whether a top-level `extends` has been seen.
    extended: Extended,
    /// The number of the tag at hand.
    number: usize,
}

impl<'a> Rewriter<'a> {
    fn part(&mut self, tag: &Tag<'_>, part: &Part<'a>, out: &mut String) -> Result<(), SyntaxError> {
        match &part.what {
            What::Nothing => out.push_str(tag.text),
            What::Output(_) if self.extended == Extended::Yes && self.is_own_output() => {
                // Its newlines stay so that later lines keep their numbers; its whitespace control no longer
                // matters, because nothing around it is printed either.
                out.push_str("{#");
                out.extend(tag.text.matches('\n'));
                out.push_str("#}");
            }
            What::Output(parser) => {
                self.check_uses(tag, parser)?;
                let text = parser.edits.apply(part.body, 0, part.body.len());
                let text = [part.head, &text, part.tail].concat();
                if self.extended == Extended::Perhaps && self.is_own_output() {
                    let (left, right) = dashes(&text);
                    out.push_str(&format!("{{%{left} if not {EXTENDED} %}}{text}{{% endif {right}%}}"));
                } else {
                    self.around_block(&text, out);
                }
            }
            What::Statement(statement) => {
                self.check_uses(tag, &statement.parser)?;
                let text = self.statement(part, statement);
                match statement.word {
                    "extends" if self.open.iter().any(|open| open.word == "if") => {
                        out.push_str(&format!("{text}{{% set {EXTENDED} = true %}}"));
                    }
                    "block" => self.block(&text, out),
                    _ => self.around_block(&text, out),
                }
                self.nest(tag, statement)?;
            }
        }
        Ok(())
    }

    /// Jinja2 looks for filters and tests when it compiles, except where a condition may keep them from being used.
    fn check_uses(&self, tag: &Tag<'_>, parser: &Parser<'_>) -> Result<(), SyntaxError> {
        if self.open.last().is_some_and(|open| open.word == "if") {
            return Ok(());
        }
        match parser.uses.iter().find(|used| !(self.rewriting.knows)(used)) {
            Some(used) => {
                let what = if used.is_test { "test" } else { "filter" };
                let message = format!("there is no {what} {}", used.name);
                Err(SyntaxError::at(self.source, tag.start, message))
            }
            None => Ok(()),
        }
    }

    fn statement(&self, part: &Part<'a>, statement: &Statement<'a>) -> String {
        let edits = &statement.parser.edits;
        let all = edits.apply(part.body, 0, part.body.len());
        let function = self.bind_function();
        match &statement.form {
            Form::Assign { name, value } => {
                let head = &part.body[..value.start];
                let expression = edits.apply(part.body, value.start, value.end);
                let rest = &part.body[value.end..];
                [part.head, head, function, &format!("({name:?}, ({expression}))"), rest, part.tail].concat()
            }
            _ if statement.word == "endset" => match self.open.last().and_then(|open| open.captured) {
                Some(name) => {
                    let space = &part.body[part.body.trim_end().len()..];
                    format!(
                        "{}{} %}}{{% set {name} = {function}({name:?}, {name}){space}{}",
                        part.head,
                        all.trim_end(),
                        part.tail
                    )
                }
                None => [part.head, &all, part.tail].concat(),
            },
            _ if statement.bound.is_empty() => [part.head, &all, part.tail].concat(),
            _ => bind_after(part, statement, &all, if statement.word == "set" { function } else { BIND }),
        }
    }

    /// Whether what is printed goes to the template's own output.
    fn is_own_output(&self) -> bool {
        !self.open.iter().any(|open| matches!(open.word, "block" | "macro" | "call" | "set"))
    }

    fn bind_function(&self) -> &'static str {
        let is_top_level = !self.open.iter().any(|open| SCOPES.contains(&open.word));
        if self.rewriting.record && is_top_level { BIND_TOP_LEVEL } else { BIND }
    }

    /// A tag that prints a block, with the names that are its own block's put away meanwhile.
    fn around_block(&self, tag: &str, out: &mut String) {
        let Some(names) = self.outer.get(&self.number).filter(|names| !names.is_empty()) else {
            return out.push_str(tag);
        };
        let (left, right) = dashes(tag);
        let aside = |name: &&str| format!("set __own_{name} = {name} %}}{{% set {name} = __outer_{name}");
        let back = |name: &&str| format!("set {name} = __own_{name}");
        let aside: Vec<String> = names.iter().map(aside).collect();
        let back: Vec<String> = names.iter().map(back).collect();
        out.push_str(&format!(
            "{{%{left} {} %}}{tag}{{% {} {right}%}}",
            aside.join(" %}{% "),
            back.join(" %}{% ")
        ));
    }

    /// A block's tag, and after it what keeps the values that its names had before.
    fn block(&self, tag: &str, out: &mut String) {
        out.push_str(tag);
        let names = self.outer.get(&self.number).into_iter().flatten();
        let (_, right) = dashes(tag);
        out.extend(names.map(|name| format!("{{% set __outer_{name} = {name} {right}%}}")));
    }

    /// Opens and closes what the statement opens and closes.
    fn nest(&mut self, tag: &Tag<'_>, statement: &Statement<'a>) -> Result<(), SyntaxError> {
        let word = statement.word;
        match (word, &statement.form) {
            ("elif", _) => {
                if let Some(open) = self.open.last_mut() {
                    open.elifs += 1;
                }
            }
            ("extends", _) if self.open.is_empty() => self.extended = Extended::Yes,
            ("extends", _) if self.extended == Extended::No => self.extended = Extended::Perhaps,
            ("endraw", _) => {}
            ("set", Form::Capture { name }) => self.open.push(Open { word, captured: *name, elifs: 0 }),
            ("if", _) => self.open.push(Open { word, captured: None, elifs: 0 }),
            _ if SCOPES.contains(&word) => self.open.push(Open { word, captured: None, elifs: 0 }),
            _ if word.starts_with("end") => drop(self.open.pop()),
            _ => {}
        }
        let depth: usize = self.open.iter().map(|open| 1 + open.elifs).sum();
        if depth > MAX_OPEN {
            let message = too_much(format!("{MAX_OPEN} tags and branches within each other")).to_string();
            return Err(SyntaxError::at(self.source, tag.start, message));
        }
        Ok(())
    }
}

/// What a tag says of the blanks before and after it.
fn dashes(tag: &str) -> (&'static str, &'static str) {
    let dash = |is_there| if is_there { "-" } else { "" };
    (dash(tag[2..].starts_with('-')), dash(tag[..tag.len() - 2].ends_with('-')))
}

/// The tag, and after it what binds every name that it has given to a value; whitespace control stays at the end.
fn bind_after(part: &Part<'_>, statement: &Statement<'_>, all: &str, function: &str) -> String {
    let body = all.trim_end();
    let space = &all[body.len()..];
    let mut out = format!("{}{body} %}}", part.head);
    for (number, bound) in statement.bound.iter().enumerate() {
        let name = bound.name;
        let value = match &bound.default {
            Some(default) => {
                let default = statement.parser.edits.apply(part.body, default.start, default.end);
                format!("{name} if {name} is defined else ({default})")
            }
            None => name.to_string(),
        };
        out.push_str(&format!("{{% set {name} = {function}({name:?}, {value})"));
        out.push_str(if number + 1 < statement.bound.len() { " %}" } else { "" });
    }
    out + space + part.tail
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

    fn rewritten(source: &str, record: bool) -> String {
        rewrite(source, Rewriting { record, knows: &|_| true }).unwrap_or_else(|refused| refused.to_string())
    }

    #[test]
    fn sets_are_bound_and_only_top_level_ones_recorded() {
        let source = "{% set a = ['x'] %}{%- if b -%}{% set c = 1 -%}{% endif %}\
                      {% block d %}{% set e = f(1, '%}') %}{% endblock %}{%set g=[1]+[2]%}";
        assert_eq!(
            rewritten(source, true),
            "{% set a = __bind_top(\"a\", (__list(['x']))) %}{%- if b -%}{% set c = __bind_top(\"c\", (1)) -%}{% endif %}\
             {% block d %}{% set e = __bind(\"e\", (f(1, '%}'))) %}{% endblock %}\
             {%set g=__bind_top(\"g\", (__made(__list([1])+__list([2]), 1)))%}"
        );
        assert!(!rewritten(source, false).contains("__bind_top"));
    }

    #[test]
    fn set_blocks_are_bound_after_their_end() {
        assert_eq!(
            rewritten("{% set a %}x{%- endset -%}y", true),
            "{% set a %}x{%- endset %}{% set a = __bind_top(\"a\", a) -%}y"
        );
    }

    #[test]
    fn line_ends_in_tags_stay() {
        assert_eq!(
            rewritten("{% set a = [\n1,\n]\n-%}x", true),
            "{% set a = __bind_top(\"a\", (__list([\n1,\n])))\n-%}x"
        );
        assert_eq!(
            rewritten("{% set a\n%}x{% endset\n\n%}", true),
            "{% set a\n%}x{% endset %}{% set a = __bind_top(\"a\", a)\n\n%}"
        );
        assert_eq!(
            rewritten("{% macro m(a=[\n1]) %}{% endmacro %}{% with\na=1,\nb=2 %}{% endwith %}", true),
            "{% macro m(a) %}{% set a = __bind(\"a\", a if a is defined else (__list([\n1]))) %}{% endmacro %}\
             {% with (a, b) = (\n1, \n2) %}{% set a = __bind(\"a\", a) %}{% set b = __bind(\"b\", b) %}{% endwith %}"
        );
    }

    #[test]
    fn arguments_of_macros_are_bound_in_order_with_their_defaults() {
        assert_eq!(
            rewritten("{% macro m(a, b='x,', c=a) -%}x{% endmacro %}", true),
            "{% macro m(a, b, c) %}{% set a = __bind(\"a\", a) %}{% set b = __bind(\"b\", b if b is defined else ('x,')) %}\
             {% set c = __bind(\"c\", c if c is defined else (a)) -%}x{% endmacro %}"
        );
        assert_eq!(rewritten("{% macro m() %}{% endmacro %}", true), "{% macro m() %}{% endmacro %}");
        assert_eq!(
            rewritten("{{ m(x, 1, y='a', z=f(b)) }}", true),
            "{{ m(__passed(x), 1, y='a', z=__passed(f(__passed(b)))) }}"
        );
        assert_eq!(rewritten("{{ range(x) }}{{ x | f(y) }}", true), "{{ range(x) }}{{ x | f(y)|__made(1) }}");
    }

    #[test]
    fn names_of_other_tags_are_bound() {
        assert_eq!(
            rewritten("{%for a, (b) in {'in': 1}-%}{% endfor %}{% call(x) m('y') +%}{% endcall %}", true),
            "{%for a, (b) in __iterable(__dict({'in': 1})) %}{% set a = __bind(\"a\", a) %}{% set b = __bind(\"b\", b)-%}{% endfor %}\
             {% call(x) m('y') %}{% set x = __bind(\"x\", x) +%}{% endcall %}"
        );
        assert_eq!(
            rewritten("{% with a = f(',', b=1) %}{% endwith %}{% set d, e = 1, 2 %}", true),
            "{% with a = f(',', b=1) %}{% set a = __bind(\"a\", a) %}{% endwith %}\
             {% set d, e = (1, 2) %}{% set d = __bind_top(\"d\", d) %}{% set e = __bind_top(\"e\", e) %}"
        );
    }

    #[test]
    fn operations_are_counted_and_what_has_no_order_is_not_compared() {
        for (source, expected) in [
            ("{{ a ~ b * 2 }}", "{{ __made(a ~ __made(__made(b, 1) * 2, 1), 1) }}"),
            ("{{ a < b + 1 }}", "{{ __compare(\"<\", a , __made(b + 1, 1)) }}"),
            ("{{ a < b <= c }}", "{{ __ordered(a) < __ordered(b) <= __ordered(c) }}"),
            ("{{ a == b and c in d }}", "{{ a == b and c in d }}"),
            ("{{ x[1:] ~ '' }}", "{{ __made(__made(__sliced(x)[1:], 1) ~ '', 1) }}"),
            ("{{ '%s' % x }}", "{{ __made(__number('%s') % x, 1) }}"),
            ("{{ 1, 2 }}", "{{ (1, 2) }}"),
            (
                "{{ a+b+c+d+e+f }}",
                "{{ __made(__made(a, 5)+__made(b, 5)+__made(c, 5)+__made(d, 5)+__made(e, 5)+__made(f, 5), 5) }}",
            ),
        ] {
            assert_eq!(rewritten(source, true), expected);
        }
    }

    #[test]
    fn top_level_output_after_extends_is_dropped_and_lines_stay() {
        assert_eq!(
            rewritten(
                "{{ kept }}{% extends p %}\n{{ x.y(\n1) }}\n{% block b %}{{ kept }}{% endblock %}",
                true
            ),
            "{{ kept }}{% extends p %}\n{#\n#}\n{% block b %}{{ kept }}{% endblock %}"
        );
        assert!(
            rewritten("{% extends p %}{% for a in b %}{{ dropped }}{% endfor %}", true)
                .contains("{##}{% endfor %}")
        );
    }

    #[test]
    fn output_that_a_set_block_takes_stays() {
        let source = "{% extends p %}{% set a %}{{ kept }}{% endset %}{{ dropped }}";
        assert!(rewritten(source, true).starts_with("{% extends p %}{% set a %}{{ kept }}{% endset %}"));
        assert!(rewritten(source, true).ends_with("{##}"));
    }

    #[test]
    fn what_a_block_has_set_is_put_away_while_its_parent_is_printed() {
        assert_eq!(
            rewritten("{% block a -%}\n{% set b = 1 %}{{- super() }}{% endblock %}", true),
            "{% block a -%}{% set __outer_b = b -%}\n{% set b = __bind(\"b\", (1)) %}\
             {%- set __own_b = b %}{% set b = __outer_b %}{{- super() }}{% set b = __own_b %}{% endblock %}"
        );
        let untouched = "{% block a %}{{ super() }}{% endblock %}";
        assert_eq!(rewritten(untouched, true), untouched);
    }

    #[test]
    fn raw_and_comments_are_left_alone() {
        for source in [
            "{% raw %}{% set a = 1 %}{{ '\\/' }}{% endraw %}",
            "{# {% set a = 1 %} #}",
            "{#}{% set a = 1 %}#}",
            "{ {x} {",
        ] {
            assert_eq!(rewritten(source, true), source);
        }
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_line() {
        let line = |source: &str| {
            rewrite(source, Rewriting { record: true, knows: &|used| used.name != "x" })
                .map_err(|refused| refused.line)
        };
        for (source, expected) in [
            ("a\n{% set b = 'c", 2),
            ("a {{ 'b }}", 1),
            ("\n\n{# x", 3),
            ("{% if a %}\n{% do b() %}", 2),
            ("{{ a\n!}}", 2),
            ("{{ a | x }}", 1),
            ("\n{{ a is x }}", 2),
            ("{{ a if b else }}", 1),
            ("{% set %}", 1),
            ("{% set a=-%}", 1),
            ("{% for %}", 1),
            ("{% macro m(a=1, b) %}{% endmacro %}", 1),
            ("{{ f(a=1, 2) }}", 1),
        ] {
            assert_eq!(line(source), Err(expected), "{source}");
        }
        assert!(line("{% if c %}{{ a | x }}{% endif %}{{ 1 | x if c else 2 | x }}").is_ok());
    }

    #[test]
    fn what_is_too_deep_to_parse_is_refused() {
        let refused =
            |source: String| rewrite(&source, Rewriting { record: true, knows: &|_| true }).is_err();
        for source in [
            format!("{{% if a %}}{}", "{% elif a %}".repeat(7_000)),
            format!("{{{{ a{} }}}}", "[0]".repeat(33_000)),
            format!("{{{{ a{} }}}}", "(0)".repeat(33_000)),
            format!("{{{{ a{} }}}}", ".a".repeat(33_000)),
            format!("{{{{ a{} }}}}", "|f".repeat(33_000)),
            format!("{{{{ a{} }}}}", " is f".repeat(33_000)),
            format!("{{{{ {}a }}}}", "not ".repeat(33_000)),
            format!("{{{{ {}a }}}}", "-".repeat(33_000)),
            format!("{{{{ {}a }}}}", "a if a else ".repeat(33_000)),
            format!("{{{{ a{} }}}}", " if a".repeat(33_000)),
            format!("{{{{ a{} }}}}", " == a".repeat(33_000)),
            format!("{{{{ {}{} }}}}", "(".repeat(33_000), ")".repeat(33_000)),
            format!("{{{{ {}{} }}}}", "[".repeat(33_000), "]".repeat(33_000)),
            format!("{{{{ {}{} }}}}", "{a:".repeat(33_000), "}".repeat(33_000)),
            format!("{{{{ {}{} }}}}", "a(".repeat(33_000), ")".repeat(33_000)),
            format!("{{% for {}a{} in b %}}{{% endfor %}}", "(".repeat(33_000), ")".repeat(33_000)),
            format!("{{% set {}a{} = b %}}", "(".repeat(33_000), ")".repeat(33_000)),
            "{% for a in a %}".repeat(33_000),
            "{% block a %}".repeat(33_000),
            "{% set a %}".repeat(33_000),
            format!("{{{{ {}a }}}}", "a,".repeat(MAX_SOURCE)),
        ] {
            assert!(refused(source.clone()), "{}", &source[..40]);
        }
    }

    #[test]
    fn long_lists_are_not_deep() {
        let list = format!("{{% set a = [{}] %}}", "'b' ~ c.d[0] | f,\n".repeat(5_000));
        assert!(rewrite(&list, Rewriting { record: true, knows: &|_| true }).is_ok());
    }

    #[test]
    fn every_newline_is_one() {
        assert_eq!(rewritten("a\r\nb\rc\n", true), "a\nb\nc\n");
    }
}
