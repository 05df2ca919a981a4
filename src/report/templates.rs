//! The texts that reports are made from. Values are escaped for HTML and XML alike [pure].

use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

const TEMPLATES: [(&str, &str); 4] = [
    ("junit.xml", include_str!("templates/junit.xml")),
    ("page.html", include_str!("templates/page.html")),
    ("page.css", include_str!("templates/page.css")),
    ("page.js", include_str!("templates/page.js")),
];

/// Fills a template in.
pub fn render(name: &str, values: &impl Serialize) -> io::Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build().map_err(io::Error::other)?);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text).map_err(io::Error::other)?;
    }
    environment
        .get_template(name)
        .and_then(|template| template.render(Serde(values)))
        .map_err(io::Error::other)
}
