//! Template errors, with the place in the user's own file.

use std::error::Error as _;
use std::fmt;

use super::catalog::TemplateCatalog;
use super::origin::{TemplateOrigin, origin};
use super::overrides::MergedOverride;
use crate::util::input;

/// An image whose templates could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The image that was being rendered.
    pub image: String,
    /// The platform it was rendered for.
    pub platform: crate::model::platform::Platform,
    /// Message without image and place.
    pub message: String,
    /// The file and line, when known.
    pub location: Option<(String, usize)>,
    /// Lines around the place: number and text; empty when the place isn't known.
    pub excerpt: Vec<(usize, String)>,
}

/// Place at which a template was refused before it was parsed, carried by the error as its source.
#[derive(Debug, thiserror::Error)]
#[error("line {line}")]
pub(super) struct RefusedAt {
    /// The environment's name of the template.
    pub template: String,
    /// The line in it, from 1.
    pub line: usize,
}

/// Lines shown before and after the one in error.
const CONTEXT_LINES: usize = 2;

impl TemplateError {
    /// Takes MiniJinja's error apart and finds its place in the file that the user wrote.
    pub(super) fn new(
        image: &str,
        platform: crate::model::platform::Platform,
        error: &minijinja::Error,
        catalog: &TemplateCatalog,
        merged: Option<&MergedOverride>,
    ) -> TemplateError {
        // An error inside a macro or parent template carries the inner one as its source: that is the place to show.
        let mut innermost = error;
        while let Some(inner) =
            innermost.source().and_then(|source| source.downcast_ref::<minijinja::Error>())
        {
            innermost = inner;
        }
        let message = match innermost.detail() {
            Some(detail) if innermost.kind() == minijinja::ErrorKind::InvalidOperation => detail.to_string(),
            Some(detail) => format!("{}: {detail}", innermost.kind()),
            None => innermost.kind().to_string(),
        };
        let refused = innermost.source().and_then(|source| source.downcast_ref::<RefusedAt>());
        let found = match refused {
            Some(place) => Some((place.template.as_str(), place.line)),
            None => innermost.name().zip(innermost.line()),
        };
        let (location, excerpt) =
            found.map_or((None, Vec::new()), |(name, line)| place(name, line, catalog, merged));
        TemplateError { image: image.to_string(), platform, message, location, excerpt }
    }
}

type Excerpt = (Option<(String, usize)>, Vec<(usize, String)>);

fn place(name: &str, line: usize, catalog: &TemplateCatalog, merged: Option<&MergedOverride>) -> Excerpt {
    let (file, line, text) = match (origin(name), merged) {
        (TemplateOrigin::Tree(path), _) => {
            let text = catalog.get(path).and_then(|file| file.read().ok());
            (catalog.display_path(path), line, text.map(|text| String::from_utf8_lossy(&text).into_owned()))
        }
        (TemplateOrigin::Override, Some(merged)) => match merged.locate(line) {
            Some((path, line)) => (path.display().to_string(), line, input::read_to_string(path).ok()),
            None => return (None, Vec::new()),
        },
        (TemplateOrigin::Override, None) => return (None, Vec::new()),
    };
    (Some((file, line)), text.map(|text| excerpt(&text, line)).unwrap_or_default())
}

fn excerpt(text: &str, line: usize) -> Vec<(usize, String)> {
    let first = line.saturating_sub(CONTEXT_LINES).max(1);
    text.lines()
        .enumerate()
        .map(|(index, text)| (index + 1, text.to_string()))
        .skip(first - 1)
        .take(line + CONTEXT_LINES - first + 1)
        .collect()
}

impl TemplateError {
    /// The place, the message and the excerpt, for an error that several images share.
    pub fn without_image(&self) -> String {
        let Some((file, line)) = &self.location else { return self.message.clone() };
        let mut out = format!("{file}:{line}: {}", self.message);
        for (number, text) in &self.excerpt {
            let mark = if number == line { '>' } else { ' ' };
            out.push_str(&format!("\n  {mark} {number:>4} | {text}"));
        }
        out
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.image, self.platform, self.without_image())
    }
}

impl std::error::Error for TemplateError {}
