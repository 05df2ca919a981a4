//! Constants of a Python module, read without running it [pure].
//!
//! Kolla keeps facts of a release (users, sources, defaults) as literals in its Python package. What is more than a
//! literal is [`Constant::Unknown`]; calls keep their arguments, because options are declared by them. A name stands for a
//! copy of its value, so what copies make of a few lines is bounded: in depth, and in sum over the module.

mod constant;
mod parser;
mod tokens;

use std::collections::BTreeMap;

pub use self::constant::Constant;
use self::constant::Extent;
use self::parser::Parser;
use self::tokens::{Token, statements};

/// Most that all uses of names in a module may stand for together: Kolla's have some kilobytes.
const MAX_COPIED: usize = 256 << 10;

/// The top-level constants of a module's text.
pub fn constants(source: &str) -> BTreeMap<String, Constant> {
    let mut known: BTreeMap<String, (Constant, Extent)> = BTreeMap::new();
    let mut copies_left = MAX_COPIED;
    for statement in statements(source, false) {
        if let [Token::Name(name), Token::Sign('='), value @ ..] = statement.as_slice()
            && value.first() != Some(&Token::Sign('='))
        {
            let (value, left) = Parser::new(value, &known, copies_left).read();
            copies_left = left;
            let extent = value.extent();
            known.insert(name.clone(), (value, extent));
        }
    }
    known.into_iter().map(|(name, (value, _))| (name, value)).collect()
}

/// The plain string that the last statement ends with that binds this name, inside functions too: what is taken
/// otherwise in `name = '' if condition else 'otherwise'`.
pub fn last_text(source: &str, name: &str) -> Option<String> {
    statements(source, true).into_iter().rev().find_map(|mut statement| match statement.as_slice() {
        [Token::Name(bound), Token::Sign('='), _, ..] if bound == name => match statement.pop() {
            Some(Token::Text(text)) => text,
            _ => None,
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::parser::MAX_DEPTH;
    use super::*;

    fn text(text: &str) -> Constant {
        Constant::Text(text.to_string())
    }

    fn constant(source: &str) -> Constant {
        constants(&format!("x = {source}\n")).remove("x").expect("bound")
    }

    #[test]
    fn literals() {
        assert_eq!(constant("'a' \"b\" # c\n"), text("ab"));
        assert_eq!(constant("('a'\n  'b\\'\\n')"), text("ab'\n"));
        assert_eq!(constant("r'\\d' '''e\"\n'''"), text("\\de\"\n"));
        assert_eq!(constant("(1, None,)"), Constant::List(vec![Constant::Integer(1), Constant::None]));
        assert_eq!(constant("('a',)"), Constant::List(vec![text("a")]));
        assert_eq!(constant("{'a', # why\n 'b'}"), Constant::List(vec![text("a"), text("b")]));
        assert_eq!(constant("{}"), Constant::Dict(Vec::new()));
        let dict = constant("{'a': {'b': True}, 'c': [],\n}");
        assert_eq!(dict.get("a").and_then(|inner| inner.get("b")), Some(&Constant::Bool(true)));
        assert_eq!(dict.get("c").map(Constant::items), Some([].as_slice()));
    }

    #[test]
    fn calls_keep_their_arguments_and_names_stand_for_what_they_are_bound_to() {
        let source = "import os\nWORDS = ['a',\n'b']\ndef f():\n    WORDS = 1\n    return {'x': (2,\n3)}\n\
                      OPTS = [\n    cfg.StrOpt('base', short='b', default=WORDS, help=('x'\n 'y')),\n]\n";
        let known = constants(source);
        assert_eq!(known.keys().collect::<Vec<_>>(), ["OPTS", "WORDS"]);
        let Constant::Call(arguments, named) = &known["OPTS"].items()[0] else { panic!("no call") };
        assert_eq!(arguments, &[text("base")]);
        assert_eq!(named[1], ("default".to_string(), Constant::List(vec![text("a"), text("b")])));
        assert_eq!(named[2], ("help".to_string(), text("xy")));
    }

    #[test]
    fn what_a_function_takes_otherwise() {
        let source = "prefix = 'x-'\ndef parse(conf):\n    if conf.a == 'b':\n        c()\n    prefix = '' if conf.release \\\n\
                      == 'master' else 'unmaintained-'\n    prefixed = 'no' + prefix\n    other = f(\n        'a')\n";
        assert_eq!(last_text(source, "prefix").as_deref(), Some("unmaintained-"));
        assert_eq!(last_text(source, "other"), None);
        assert_eq!(last_text(source, "conf"), None);
    }

    #[test]
    fn what_is_no_literal_is_unknown_and_ends_where_it_ends() {
        let list = constant(
            "[f'a', b'b', 1.5, -1, 'a'.join(x for x in [1, 2]), y.z, w if v else u, lambda: 0, 'end']",
        );
        let (last, others) = list.items().split_last().expect("items");
        assert_eq!(last, &text("end"));
        assert!(others.iter().all(|item| *item == Constant::Unknown), "{others:?}");
        assert_eq!(constant("os.uname()[4]"), Constant::Unknown);
        assert_eq!(constants("x == 1\nx['a'] = 2\n"), BTreeMap::new());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end(source in "x = [\\[\\](){}:,='\"a1.\n\\\\ #]{0,60}") {
            constants(&source);
            last_text(&source, "x");
        }
    }

    /// Values and bytes of text in all that names are bound to, and the deepest.
    fn extent_of(source: &str) -> (usize, usize) {
        let known = constants(source);
        let extents = known.values().map(Constant::extent);
        extents.fold((0, 0), |(cost, depth), value| (cost + value.cost, depth.max(value.depth)))
    }

    #[test]
    fn names_of_names_do_not_grow_without_bound() {
        let doubled = |name: usize| format!("a{} = [a{name}, a{name}]\n", name + 1);
        let lists: String = (0..40).map(doubled).collect();
        let (cost, _) = extent_of(&format!("a0 = 'text'\n{lists}"));
        assert!((1000..MAX_COPIED + lists.len()).contains(&cost), "{cost}");
        let dicts: String =
            (0..40).map(|n| format!("a{} = {{'x': a{n}, 'y': f(a{n}, k=a{n})}}\n", n + 1)).collect();
        assert!(extent_of(&format!("a0 = 1\n{dicts}")).0 < MAX_COPIED + 40 * 10);
        let deeper: String = (0..100_000).map(|n| format!("a{} = [a{n}]\n", n + 1)).collect();
        let (cost, depth) = extent_of(&format!("a0 = 1\n{deeper}"));
        assert!(depth <= MAX_DEPTH + 1 && cost < MAX_COPIED + 200_000, "{cost} {depth}");
        // What Kolla does with names stays: a few of them, each used in a few places.
        let known = constants("A = ['x']\nB = {'one': A, 'two': A}\n");
        assert_eq!(known["B"].get("two"), Some(&Constant::List(vec![text("x")])));
    }

    #[test]
    fn products_are_no_literals() {
        for source in ["'x' * 9999999999", "[0] * 9999999999", "9 ** 9 ** 9", "('x' * 10, 1)[0]"] {
            assert_eq!(constant(source), Constant::Unknown, "{source}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]

        #[test]
        fn bindings_stay_within_bounds(
            lines in proptest::collection::vec("[abc] = [\\[{(]([abc], ?){1,4}[\\]})]", 0..60),
        ) {
            let (cost, depth) = extent_of(&(lines.join("\n") + "\n"));
            proptest::prop_assert!(cost <= MAX_COPIED + 60 * 10 && depth <= MAX_DEPTH + 1);
        }
    }

    #[test]
    fn brackets_without_end_do_not_overflow() {
        constants(&format!("x = {}", "[".repeat(100_000)));
        constants(&format!("x = {}", "(".repeat(100_000)));
    }
}
