//! Licences of packages, as far as their own words are SPDX expressions or stand for one without doubt [pure].

use spdx::{Expression, ParseMode};

/// What Python distributions say, and the SPDX expression that it stands for. What names a family of licences (`BSD License`,
/// `GPL`) stands for none.
const WORDS: [(&str, &str); 17] = [
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license, version 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("isc license", "ISC"),
    ("isc license (iscl)", "ISC"),
    ("mit license", "MIT"),
    ("mozilla public license 2.0 (mpl 2.0)", "MPL-2.0"),
    ("mpl 2.0", "MPL-2.0"),
    ("python software foundation license", "PSF-2.0"),
    ("the mit license", "MIT"),
    ("the unlicense (unlicense)", "Unlicense"),
    ("zero-clause bsd (0bsd)", "0BSD"),
];

/// The expression that a text is, or stands for; none when that is not certain.
pub(super) fn expression(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.contains('\n') {
        return None;
    }
    // One that is explained elsewhere is of no use to who has only this.
    if let Ok(expression) = Expression::parse_mode(text, ParseMode::STRICT).as_ref()
        && !text.contains("LicenseRef-")
    {
        return Some(expression.to_string());
    }
    let lower = text.to_lowercase();
    let known = WORDS.iter().find(|(words, _)| *words == lower);
    known.map(|(_, expression)| (*expression).to_string())
}

/// The same of a trove classifier (`License :: OSI Approved :: MIT License`).
pub(super) fn of_classifier(classifier: &str) -> Option<String> {
    let name = classifier.strip_prefix("License :: ")?.rsplit(" :: ").next()?;
    expression(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_is_an_expression() {
        for (text, expected) in [
            ("Apache-2.0", Some("Apache-2.0")),
            ("MIT OR Apache-2.0", Some("MIT OR Apache-2.0")),
            ("GPLv2+ and BSD", None),
            ("Apache License 2.0", Some("Apache-2.0")),
            ("Apache Software License", None),
            ("BSD License", None),
            ("BSD", None),
            ("", None),
            ("MIT\nmore", None),
            ("LicenseRef-Repoze-BSD-derived", None),
        ] {
            assert_eq!(expression(text).as_deref(), expected, "{text}");
        }
        let classifier = of_classifier("License :: OSI Approved :: MIT License");
        assert_eq!(classifier.as_deref(), Some("MIT"));
        assert_eq!(of_classifier("Framework :: Flask"), None);
    }

    #[test]
    fn every_word_stands_for_an_expression() {
        for (_, expression) in WORDS {
            assert!(Expression::parse_mode(expression, ParseMode::STRICT).is_ok(), "{expression}");
        }
    }
}
