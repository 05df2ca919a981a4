//! The parts of a template that overrides have to do with, and the line of each.

use std::sync::LazyLock;

use regex::Regex;

use super::names::names_in;
use crate::template::tags::{SCOPES, Tag, TagKind, assignment, set_block_name, tag_body, tag_word, tags};

// Classes are written out in these patterns: those of Unicode take longer to compile than every template to be read.

/// `receiver(list | customizable("kind")`; the receiver may be missing.
static CUSTOMIZED: LazyLock<Regex> = LazyLock::new(|| {
    let (name, space) = ("[A-Za-z0-9_.]+", "[ \t\n]*");
    let receiver = format!(r"(?:({name}){space}\({space})?");
    let kind = format!(r#"customizable{space}\({space}['"]([^'"]+)['"]"#);
    Regex::new(&format!(r"{receiver}({name}){space}\|{space}{kind}")).expect("the pattern is valid")
});
/// `{% import "file" as name %}`
static IMPORT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^import[ \t\n]+['"]([^'"]+)['"][ \t\n]+as[ \t\n]+([A-Za-z0-9_]+)"#)
        .expect("the pattern is valid")
});
/// `{% extends "file" %}` and `{% include "file" %}`
static PART: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(?:extends|include)[ \t\n]+['"]([^'"]+)['"]"#).expect("the pattern is valid")
});

/// The parts of a template that matter to overrides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// True when it extends another template.
    pub extends: bool,
    /// Block tags, in order.
    pub blocks: Vec<Block>,
    /// Tags that set variables, in order.
    pub sets: Vec<Set>,
    /// Lists that it lets overrides customise.
    pub customized: Vec<Customized>,
    /// Macros and their lines.
    pub macros: Vec<(String, usize)>,
    /// Files that it imports: the name it gives them, and the file.
    pub imports: Vec<(String, String)>,
    /// Files that it extends or includes, where it names them outright.
    pub parts: Vec<String>,
    /// The lines of text and output that nobody prints: after `extends`, outside of blocks. One for each stretch of them.
    pub unprinted: Vec<usize>,
}

/// A tag that begins a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Name of the block.
    pub name: String,
    /// The tag's line, from 1.
    pub line: usize,
    /// The block around it.
    pub inside: Option<String>,
    /// True when it keeps what the block held before, through `super()`.
    pub keeps: bool,
    /// True when it is inside an `if`.
    pub conditional: bool,
}

/// A tag that sets a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Name of the variable.
    pub name: String,
    /// The tag's line, from 1.
    pub line: usize,
    /// The expression; empty for a set that ends with `endset`.
    pub value: String,
    /// The scope it is in, such as `block 'x'`; none at the top level.
    pub scope: Option<String>,
    /// True when it is inside an `if`.
    pub conditional: bool,
}

impl Set {
    /// The line on which the value names an item.
    pub fn line_of(&self, item: &str) -> Option<usize> {
        let quoted =
            ['\'', '"'].iter().find_map(|quote| self.value.find(&format!("{quote}{item}{quote}")))?;
        Some(self.line + self.value[..quoted].matches('\n').count())
    }
}

/// A use of the `customizable` filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customized {
    /// The kind it was given.
    pub kind: String,
    /// The list it is applied to.
    pub list: String,
    /// Function that takes the result, such as `macros.install_packages`.
    pub receiver: Option<String>,
    /// The line, from 1.
    pub line: usize,
}

impl Customized {
    /// Name of the list of an image to overrides: `nova_base_packages`.
    pub fn list_of(&self, image: &str) -> String {
        format!("{}_{}", image.replace('-', "_"), self.kind)
    }
}

/// Reads a template's source, newlines normalised.
pub fn outline(source: &str) -> Outline {
    let mut reader = OutlineReader::default();
    let (mut line, mut done) = (1, 0);
    for tag in tags(source) {
        let text = &source[done..tag.start];
        reader.text(text, line);
        line += text.matches('\n').count();
        let tag_line = line;
        line += tag.text.matches('\n').count();
        done = tag.start + tag.text.len();
        match tag.kind {
            TagKind::Comment => {}
            TagKind::Raw => reader.unprinted(tag_line),
            TagKind::Output => {
                reader.unprinted(tag_line);
                reader.expression(tag.text, tag_line);
            }
            TagKind::Statement => reader.statement(tag, tag_line),
        }
    }
    reader.text(&source[done..], line);
    reader.outline
}

#[derive(Default)]
struct OutlineReader {
    outline: Outline,
    scopes: Vec<OpenScope>,
    ifs: usize,
    /// How many `{% set name %}` are open.
    captures: usize,
    /// True when what came last was already found to be unprinted.
    in_unprinted: bool,
}

struct OpenScope {
    word: &'static str,
    text: String,
    /// Index among the blocks, when it is one.
    block: Option<usize>,
}

impl OutlineReader {
    /// Text between tags. Lines that start with `#` are comments to whoever wrote them.
    fn text(&mut self, text: &str, line: usize) {
        let is_text = |text: &str| !text.trim().is_empty() && !text.trim_start().starts_with('#');
        if let Some(at) = text.split('\n').position(is_text) {
            self.unprinted(line + at);
        }
    }

    /// Takes note of something to print, where nobody would.
    fn unprinted(&mut self, line: usize) {
        let is_taken = |scope: &OpenScope| matches!(scope.word, "block" | "macro" | "call");
        if !self.outline.extends || self.captures > 0 || self.scopes.iter().any(is_taken) {
            return;
        }
        if !self.in_unprinted {
            self.outline.unprinted.push(line);
        }
        self.in_unprinted = true;
    }

    fn statement(&mut self, tag: Tag<'_>, line: usize) {
        let (word, body) = (tag_word(tag.text), tag_body(tag.text));
        let name = || {
            let rest = body[word.len()..].trim_start();
            rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())].to_string()
        };
        self.in_unprinted &= !matches!(word, "block" | "set");
        match word {
            "if" => self.ifs += 1,
            "endset" => self.captures = self.captures.saturating_sub(1),
            "endif" => self.ifs = self.ifs.saturating_sub(1),
            "extends" if self.scopes.is_empty() => self.outline.extends = true,
            "macro" => self.outline.macros.push((name(), line)),
            "set" => return self.set(tag, line),
            _ => {}
        }
        if word == "import"
            && let Some(import) = IMPORT.captures(body)
        {
            self.outline.imports.push((import[2].to_owned(), import[1].to_owned()));
        } else if matches!(word, "extends" | "include")
            && let Some(part) = PART.captures(body)
        {
            self.outline.parts.push(part[1].to_owned());
        }
        if let Some(word) = SCOPES.into_iter().find(|scope| *scope == word) {
            let block = (word == "block").then(|| {
                let inside = self.block().map(|around| self.outline.blocks[around].name.clone());
                let conditional = self.ifs > 0;
                self.outline.blocks.push(Block { name: name(), line, inside, keeps: false, conditional });
                self.outline.blocks.len() - 1
            });
            let text = match word {
                "block" | "macro" => format!("{word} '{}'", name()),
                _ => format!("a '{word}'"),
            };
            self.scopes.push(OpenScope { word, text, block });
        } else if word.strip_prefix("end").is_some_and(|scope| SCOPES.contains(&scope)) {
            self.scopes.pop();
        }
        if word != "block" {
            self.expression(tag.text, line);
        }
    }

    fn set(&mut self, tag: Tag<'_>, line: usize) {
        let (name, value) = match assignment(tag.text) {
            Some((name, value)) => {
                let at = line + tag.text[..value.start].matches('\n').count();
                self.expression(&tag.text[value.clone()], at);
                (name, tag.text[value].to_owned())
            }
            None => match set_block_name(tag.text) {
                Some(name) => {
                    self.captures += 1;
                    (name.to_owned(), String::new())
                }
                None => return self.expression(tag.text, line),
            },
        };
        self.outline.sets.push(Set {
            name,
            line,
            value,
            scope: self.scopes.last().map(|scope| scope.text.clone()),
            conditional: self.ifs > 0,
        });
    }

    /// Takes note of what an expression calls; `line` is the one that it starts on.
    fn expression(&mut self, expression: &str, line: usize) {
        if expression.contains("super")
            && names_in(expression).contains("super")
            && let Some(block) = self.block()
        {
            self.outline.blocks[block].keeps = true;
        }
        if !expression.contains("customizable") {
            return;
        }
        for found in CUSTOMIZED.captures_iter(expression) {
            let at = found.get(0).map_or(0, |found| found.start());
            self.outline.customized.push(Customized {
                receiver: found.get(1).map(|receiver| receiver.as_str().to_owned()),
                list: found[2].to_owned(),
                kind: found[3].to_owned(),
                line: line + expression[..at].matches('\n').count(),
            });
        }
    }

    fn block(&self) -> Option<usize> {
        self.scopes.iter().rev().find_map(|scope| scope.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_know_their_line_their_surroundings_and_super() {
        let found = outline(
            "{% extends parent_template %}\n{% block a %}\n{{ super() }}{% block b %}{% endblock %}\n\
             {% endblock %}{% raw %}{% block no %}{% endraw %}{# {% block no %} #}\n{% block c -%}{% endblock %}",
        );
        assert!(found.extends);
        let block = |name: &str, line, inside: Option<&str>, keeps| Block {
            name: name.to_string(),
            line,
            inside: inside.map(str::to_string),
            keeps,
            conditional: false,
        };
        assert_eq!(
            found.blocks,
            [block("a", 2, None, true), block("b", 3, Some("a"), false), block("c", 5, None, false)]
        );
    }

    #[test]
    fn sets_know_their_scope_and_the_lines_of_their_items() {
        let source = "{% set a_append = [\n  'x',\n  \"y\"\n] %}\n{% if b %}{% set c = a_append + c %}{% endif %}\n\
             {% block d %}{% set e %}text{% endset %}{% endblock %}";
        let found = outline(source);
        let sets: Vec<_> = found
            .sets
            .iter()
            .map(|set| (set.name.as_str(), set.line, set.scope.as_deref(), set.conditional))
            .collect();
        assert_eq!(
            sets,
            [("a_append", 1, None, false), ("c", 5, None, true), ("e", 6, Some("block 'd'"), false)]
        );
        assert_eq!(found.sets[0].line_of("y"), Some(3));
        assert_eq!(found.sets[0].line_of("z"), None);
    }

    #[test]
    fn customised_lists_know_what_takes_them() {
        let found = outline(
            "{% import \"macros.j2\" as macros with context %}\n{% include 'part.j2' %}\n\
             RUN {{ macros.install(nova_packages | customizable(\"packages\")) }}\n\
             {% set x =\n y | customizable('pip') %}\n{% macro m(a) %}{% endmacro %}",
        );
        assert_eq!(found.imports, [("macros".to_string(), "macros.j2".to_string())]);
        assert_eq!(found.parts, ["part.j2"]);
        assert_eq!(found.macros, [("m".to_string(), 6)]);
        let customized: Vec<_> = found
            .customized
            .iter()
            .map(|found| (found.kind.as_str(), found.list.as_str(), found.receiver.as_deref(), found.line))
            .collect();
        assert_eq!(
            customized,
            [("packages", "nova_packages", Some("macros.install"), 3), ("pip", "y", None, 5)]
        );
    }

    #[test]
    fn what_nobody_prints_is_found_once_for_each_stretch() {
        let lines = |source: &str| outline(source).unprinted;
        let source = "text\n{% extends p %}\n# a comment\n{% set a %}taken{% endset %}{% macro m() %}taken{% endmacro %}\n\
             RUN x\n{{ y }}\nz\n{% block b %}\nRUN x{% endblock %}\n{% for i in [1] %}\n{{ i }}{% endfor %}\n\
             {# text #}{% block c %}{% endblock %}{% raw %}x{% endraw %}";
        assert_eq!(lines(source), [5, 11, 12]);
        assert_eq!(lines("text {{ x }}"), [] as [usize; 0]);
    }
}
