//! Rewritten templates, tag by tag.

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
        rewritten("{{ kept }}{% extends p %}\n{{ x.y(\n1) }}\n{% block b %}{{ kept }}{% endblock %}", true),
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
    let refused = |source: String| rewrite(&source, Rewriting { record: true, knows: &|_| true }).is_err();
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
