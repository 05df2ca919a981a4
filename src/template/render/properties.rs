//! Nothing that a template says may end the process, hang or take all memory.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::model::platform::Arch;
use crate::template::catalog::{TreeContent, TreeFile};
use crate::testing::{cases, text_of};

const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "{{ a",
    "{% set a = ",
    "{% for i in ",
    "{% endfor %}",
    "{% if ",
    "{% elif ",
    "{% else %}",
    "{% endif %}",
    "{% block b %}",
    "{% endblock %}",
    "{% macro m(a, b=",
    "{% endmacro %}",
    "{% call m(",
    "{% endcall %}",
    "{% with a = ",
    "{% endwith %}",
    "{% filter ",
    "{% endfilter %}",
    "{% include ",
    "{% import ",
    " as x %}",
    "{% extends ",
    "{% raw %}",
    "{% endraw %}",
    "{% endset %}",
    "{{ super() }}",
    "{{ self.b() }}",
    "m(",
    "loop(",
    "recursive",
    " ",
    "\n",
    "'x'",
    "'é'",
    "''",
    "\"a\\n\"",
    "0",
    "1",
    "-1",
    "99999",
    "9223372036854775807",
    "170141183460469231731687303715884105727",
    "1e308",
    "0.5",
    "10 ** 6",
    "a",
    "b",
    "i",
    "none",
    "true",
    "nope",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ".",
    "|",
    "=",
    "==",
    "<",
    "in",
    "not",
    "is",
    "and",
    "or",
    "if",
    "else",
    "+",
    "-",
    "*",
    "**",
    "/",
    "//",
    "%",
    "~",
    ".append(",
    ".pop(",
    ".insert(",
    ".items()",
    ".split(",
    ".rsplit(",
    ".replace(",
    ".format(",
    ".join(",
    ".zfill(",
    ".center(",
    ".count(",
    ".find(",
    ".update(",
    ".sort()",
    ".splitlines()",
    "|batch(",
    "|slice(",
    "|round(",
    "|int(",
    "|int(base=",
    "|indent(",
    "|tojson(indent=",
    "|join(",
    "|list",
    "|sort",
    "|unique",
    "|map(",
    "|sum",
    "|first",
    "|last",
    "|min",
    "|format(",
    "|replace(",
    "|center(",
    "|dictsort",
    "|groupby(",
    "|zip(",
    "|chain(",
    "|string",
    "|length",
    "|default(",
    "|pprint",
    "|urlencode",
    "|attr(",
    "|customizable('p')",
    "range(",
    "dict(",
    "cycler(",
    "joiner(",
    "debian_package_install(",
    "raise_error(",
    "[:",
    "[::",
    "[-1:",
    "'%s' % ",
    "{{ [[1]",
    "self",
    "loop",
    "caller()",
];

/// What becomes of a template.
fn rendered(text: &str) -> Result<String, String> {
    let mut catalog = TemplateCatalog::default();
    for (path, text) in [("a/Dockerfile.j2", text), ("p.j2", "{% block b %}{{ a }}{% endblock %}")] {
        let content = TreeContent::Embedded(text.to_string().leak().as_bytes());
        catalog.insert(path.to_string(), TreeFile { mode: 0o644, content });
    }
    let images = catalog.images().expect("images");
    let repositories =
        Repositories::load(TemplateApi::LATEST, (Path::new("repos.yaml"), "{}"), None).expect("empty");
    let renderer = Renderer {
        catalog: Arc::new(catalog),
        overrides: None,
        repositories: Arc::new(repositories),
        api: TemplateApi::LATEST,
    };
    let rendered = renderer.render_all(&images, Platform::new(Arch::host()), &RenderContext::default());
    rendered.map(|files| files[0].text.clone()).map_err(|errors| errors[0].to_string())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_template_renders_or_is_refused(text in text_of(WORDS)) {
        let since = Instant::now();
        let _ = rendered(&text);
        prop_assert!(since.elapsed() < Duration::from_secs(60), "{:?}", text);
    }

    #[test]
    fn any_expression_has_a_value_or_is_refused(
        parts in prop::collection::vec((0..WORDS.len(), prop::sample::select(&["", ")", "]", " "][..])), 1..8)
    ) {
        let words: String = parts.iter().map(|(word, close)| [WORDS[*word], close].concat()).collect();
        let words = words.replace("{{", "").replace("}}", "").replace("{%", "").replace("%}", "");
        let _ = rendered(&format!("{{% set a = ['x', 'y', 1] %}}{{% set b = 'text' %}}{{{{ {words} }}}}"));
    }
}

#[test]
fn what_is_refused_names_its_file_and_line() {
    for (text, line, message) in [
        (
            format!("\n{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(7_000)),
            2,
            "100 tags and branches within each other",
        ),
        (format!("\n\n{{{{ a{} }}}}", "[0]".repeat(33_000)), 3, "an expression this long or deep"),
        ("\n{{ [1] | tojson(9999999999) }}".to_string(), 2, "a width of 9999999999"),
        ("\n{{ ('a\\n' * 100000) | indent(99999) }}".to_string(), 2, "a text of"),
        ("\n{{ ('%99999d' * 100) | format(1) }}".to_string(), 2, "a text of"),
        ("\n{{ nope | int }}".to_string(), 2, "an undefined value can't be made a number"),
        ("\n{{ '%s' % 1 }}".to_string(), 2, "write '%s' | format(x)"),
        ("\n{{ 1 | nosuch }}".to_string(), 2, "there is no filter nosuch"),
        (
            "\n{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% set _ = s.find('b') %}{% endfor %}"
                .to_string(),
            2,
            "text of over",
        ),
        (format!("\n{{{{ [{}] }}}}", "'a' * 1000000, ".repeat(20_000)), 2, "text of over"),
    ] {
        let refused = rendered(&text).expect_err(&text[..text.len().min(80)]);
        let first = refused.lines().next().unwrap_or_default();
        assert!(first.contains(&format!("a/Dockerfile.j2:{line}: ")) && first.contains(message), "{first}");
    }
}
