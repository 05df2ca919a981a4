//! What rewriting must never do, on text of all kinds.

use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior};
use proptest::prelude::*;

use super::*;
use crate::template::names::{COMPARE, DICT, ITERABLE, LIST, MADE, NUMBER, ORDERED, PASSED, SLICED};
use crate::testing::{cases, text_of};

const WORDS: &[&str] = &[
    "{%", "%}", "{{", "}}", "{#", "#}", "-", "+", "{%-", "-%}", " ", "\n", "\r\n", "\r", "'", "\"", "\\",
    "\\n", "\\x", "set", "endset", "raw", "endraw", "block", "endblock", "extends", "for", "endfor", "a",
    "=", "==", "(", ")", "[", "]", "{", "}", ",", "|", "%", "#", "1", "é",
];

fn rewritten(text: &str, record: bool) -> Result<String, SyntaxError> {
    rewrite(text, Rewriting { record, knows: &|_| true })
}

/// Renders with MiniJinja alone; what `__bind` does with lists is for other tests.
fn render(source: &str) -> Result<String, minijinja::ErrorKind> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.add_function(BIND, |_: String, value: Value| value);
    env.add_function(BIND_TOP_LEVEL, |_: String, value: Value| value);
    env.add_function(LIST, |value: Value| value);
    env.add_function(DICT, |value: Value| value);
    env.add_filter(MADE, |value: Value, _: usize| value);
    env.add_function(MADE, |value: Value, _: usize| value);
    for name in [ITERABLE, NUMBER, ORDERED, PASSED, SLICED] {
        env.add_function(name, |value: Value| value);
    }
    env.add_function(COMPARE, |_: String, left: Value, right: Value| left < right);
    env.render_str(source, ()).map_err(|error| error.kind())
}

/// Expressions whose strings look like tags.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(
            &["a", "b", "1", "2.5", "true", "none", "'%}'", "\"}}\"", "'{% set a = 1 %}'", "'#}'", "'\n'"][..]
        )
        .prop_map(str::to_string),
        "'[^'\\\\\\pC]{0,4}'",
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(",\n "))),
            inner.clone().prop_map(|value| format!("{{'k': {{'l': {value}}}}}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left} ~ {right}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left}, {right}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("-{left} +{right}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| {
                // Of a sign Jinja2 makes no argument of the test, and MiniJinja does.
                let right = right.strip_prefix('-').unwrap_or(&right);
                format!("{left} is sameas {right} + b")
            }),
            (inner.clone(), inner.clone()).prop_map(|(then, other)| format!("{then} if a else {other}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) == ({right})")),
            inner.prop_map(|value| format!("({value}) | string | upper")),
        ]
    })
}

/// Templates that are valid, or nearly.
fn template() -> impl Strategy<Value = String> {
    let space = || prop::sample::select(&["", " ", "\n", " \n\t"][..]);
    let tag = move |open: &'static str, close: &'static str, body: BoxedStrategy<String>| {
        let dash = || prop::sample::select(&["", "", "-", "+"][..]);
        (
            dash(),
            space(),
            body,
            prop::sample::select(&[" ", "\n", " \n "][..]),
            prop::sample::select(&["", "", "-"][..]),
        )
            .prop_map(move |(left, before, body, after, right)| {
                format!("{open}{left}{before}{body}{after}{right}{close}")
            })
    };
    let fixed = move |body: &'static str| tag("{%", "%}", Just(body.to_string()).boxed());
    let name = || prop::sample::select(&["a", "b"][..]);
    let assign = (name(), space(), expression())
        .prop_map(|(name, space, value)| format!("set {name} ={space}{value}"));
    let leaf = prop_oneof![
        "[a-z \\n{}%#'\"é]{0,8}",
        tag("{%", "%}", assign.boxed()),
        tag("{{", "}}", expression().boxed()),
        "[^#]{0,6}".prop_map(|text| format!("{{#{text}#}}")),
        "[a-z{}%#' ]{0,6}".prop_map(|text| format!("{{% raw %}}{text}{{%- endraw %}}")),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let body = prop::collection::vec(inner, 0..4).prop_map(|parts| parts.concat()).boxed();
        let around = |open: BoxedStrategy<String>, close: &'static str| {
            (open, body.clone(), fixed(close)).prop_map(|(open, body, close)| format!("{open}{body}{close}"))
        };
        let set_block = name().prop_map(|name| format!("set {name}")).boxed();
        prop_oneof![
            2 => body.clone(),
            2 => around(tag("{%", "%}", set_block).boxed(), "endset"),
            1 => around(fixed("if a").boxed(), "endif"),
            1 => around(fixed("for x in [1, 2]").boxed(), "endfor"),
            1 => around(fixed("block c").boxed(), "endblock"),
        ]
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_text_keeps_its_lines(text in text_of(WORDS), record: bool) {
        if let Ok(rewritten) = rewritten(&text, record) {
            let lines = |text: &str| text.matches('\n').count();
            prop_assert_eq!(lines(&rewritten), lines(&normalize_newlines(&text)), "{:?}", rewritten);
        }
    }

    #[test]
    fn text_without_tags_stays(text in text_of(WORDS)) {
        let text = text.replace(['{', '\\'], "/");
        prop_assert_eq!(rewritten(&text, true).ok(), Some(normalize_newlines(&text).into_owned()));
    }

    #[test]
    fn tags_stand_in_the_text_in_order(text in text_of(WORDS)) {
        let mut end = 0;
        for tag in tags(&text) {
            prop_assert!(tag.start >= end && tag.text.len() >= 4);
            end = tag.start + tag.text.len();
            prop_assert_eq!(&text[tag.start..end], tag.text);
        }
    }

    #[test]
    fn sets_and_strings_mean_the_same(template in template(), record: bool) {
        let template = normalize_newlines(&template);
        let Ok(rewritten) = rewritten(&template, record) else {
            prop_assert!(render(&template).is_err(), "{:?}", template);
            return Ok(());
        };
        // Tuples without brackets are something that MiniJinja alone does not read.
        if render(&template) != Err(minijinja::ErrorKind::SyntaxError) {
            prop_assert_eq!(render(&rewritten), render(&template), "{:?}", rewritten);
        }
        prop_assert_eq!(rewritten.matches('\n').count(), template.matches('\n').count(), "{:?}", rewritten);
    }

    #[test]
    fn every_python_escape_is_decoded(text in prop::collection::vec((any::<char>(), 0..4u8), 0..12)) {
        let literal: String = text.iter().map(|(c, form)| python_escape(*c, *form)).collect();
        let expected: String = text.iter().map(|(c, _)| c).collect();
        let rewritten = rewritten(&format!("{{{{ '{literal}' }}}}"), true).expect("a template");
        prop_assert_eq!(render(&rewritten), Ok(expected));
    }
}

/// One of the ways in which Python writes a character.
fn python_escape(c: char, form: u8) -> String {
    let code = u32::from(c);
    match form {
        0 if !c.is_control() && c != '\\' && c != '\'' => c.to_string(),
        1 if code < 0o1000 => format!("\\{code:03o}"),
        2 if code < 0x100 => format!("\\x{code:02x}"),
        3 if code < 0x10000 => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    }
}
