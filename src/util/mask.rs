//! Texts that must not be shown, found in every form that programs commonly print them in [pure].

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::plain;

/// Text in place of one that is hidden.
const MASK: &str = "***";
/// Shorter texts are shown: they would be found in every other word.
const SHORTEST: usize = 4;
/// Texts of twice this length are also found in parts, as they stand in wrapped lines.
const WINDOW: usize = 16;

/// Characters that URLs may have as they are.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Texts to hide, in all their forms.
#[derive(Default)]
pub struct Mask {
    forms: Vec<Vec<u8>>,
    /// Forms that must be there whole, by their first bytes.
    short: HashMap<[u8; SHORTEST], Vec<usize>>,
    /// Windows of the others: which form, and where in it.
    windows: HashMap<[u8; WINDOW], (usize, usize)>,
}

impl Mask {
    /// Hides these values. Logs are read by lines, so one of several lines is hidden line by line.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Mask {
        let mut forms: Vec<Vec<u8>> = values.into_iter().flat_map(forms).collect();
        forms.retain(|form| form.len() >= SHORTEST);
        forms.sort();
        forms.dedup();
        let mut mask = Mask::default();
        for (number, form) in forms.iter().enumerate() {
            if form.len() < 2 * WINDOW {
                let start = form.first_chunk().copied().unwrap_or_default();
                mask.short.entry(start).or_default().push(number);
                continue;
            }
            let last = form.len() - WINDOW;
            for offset in (0..last).step_by(WINDOW).chain([last]) {
                let window = form[offset..].first_chunk().copied().unwrap_or_default();
                mask.windows.entry(window).or_insert((number, offset));
            }
        }
        mask.forms = forms;
        mask
    }

    /// A text without any of them.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text.as_bytes());
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut shown = String::with_capacity(text.len());
        let mut end = 0;
        for range in found {
            // A part of a form may end within a character.
            let start = floor(text, range.start).max(end);
            shown.push_str(&text[end..start]);
            shown.push_str(MASK);
            end = ceil(text, range.end);
        }
        shown.push_str(&text[end..]);
        Cow::Owned(shown)
    }

    /// Where to cut a text that is to be cut at `at`, so that no form stands on both sides; it may have to be later. What
    /// is less than [`Mask::longest`] bytes from the text's end can't be known.
    pub fn cut(&self, text: &str, at: usize) -> usize {
        let at = floor(text, at);
        let around = self.find(text.as_bytes()).into_iter().find(|range| range.start < at && at < range.end);
        match around {
            Some(range) => match floor(text, range.start) {
                0 => ceil(text, range.end),
                start => start,
            },
            None => at,
        }
    }

    /// Bytes of the longest form.
    pub fn longest(&self) -> usize {
        self.forms.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Where forms are, or parts of long ones: in order, apart from each other.
    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if self.forms.is_empty() {
            return found;
        }
        let mut known_to = 0;
        for at in 0..text.len() {
            let rest = &text[at..];
            let starts_here = rest.first_chunk().and_then(|start| self.short.get(start));
            for number in starts_here.into_iter().flatten() {
                let form = &self.forms[*number];
                if rest.starts_with(form) {
                    found.push(at..at + form.len());
                }
            }
            if at + WINDOW > known_to
                && let Some((number, offset)) = rest.first_chunk().and_then(|window| self.windows.get(window))
            {
                let run = extended(text, at, &self.forms[*number], *offset);
                known_to = run.end;
                found.push(run);
            }
        }
        found.sort_by_key(|range| range.start);
        let mut apart: Vec<Range<usize>> = Vec::new();
        for range in found {
            match apart.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        apart
    }
}

/// The last place between characters up to one.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The first place between characters from one on.
fn ceil(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// How far a text goes on, to both sides, as a form does from `offset`.
fn extended(text: &[u8], at: usize, form: &[u8], offset: usize) -> Range<usize> {
    let before = text[..at].iter().rev().zip(form[..offset].iter().rev());
    let after = text[at..].iter().zip(&form[offset..]);
    at - before.take_while(|(a, b)| a == b).count()..at + after.take_while(|(a, b)| a == b).count()
}

/// How a value may be printed.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> =
        value.split(|byte| matches!(byte, b'\n' | b'\r')).map(|line| line.trim_ascii().to_vec()).collect();
    if parts.len() > 1 {
        parts.push(value.trim_ascii().to_vec());
    }
    // Of a password in a URL programs show what it stands for.
    let decoded = |part: &Vec<u8>| percent_decode_str(&String::from_utf8_lossy(part)).collect::<Vec<u8>>();
    parts.extend(parts.iter().map(decoded).collect::<Vec<_>>());
    parts.sort();
    parts.dedup();
    parts.retain(|part| part.len() >= SHORTEST);
    parts.iter().flat_map(|part| forms_of(part)).collect()
}

fn forms_of(part: &[u8]) -> Vec<Vec<u8>> {
    // As it stands in a log.
    let text = plain::line(&String::from_utf8_lossy(part));
    let percent = percent_encode(part, UNRESERVED).to_string();
    let mut forms =
        vec![json(&text, |_| false), json(&text, |c| "<>&".contains(c)), json(&text, |c| !c.is_ascii())];
    forms.extend([percent.replace("%20", "+"), with_small_hex(&percent), percent, text]);
    let mut forms: Vec<Vec<u8>> = forms.into_iter().map(String::into_bytes).collect();
    for shift in 0..3 {
        // Base64 of a longer text that it is in: only what no other bytes go into.
        let shifted = [&[0; 2][..shift], part].concat();
        let own = (shift * 8).div_ceil(6)..shifted.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(encoded.as_bytes()[own.clone()].to_vec());
        }
    }
    forms
}

/// A text inside JSON's quotes, for programs that also escape these characters.
fn json(text: &str, escaped: fn(char) -> bool) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let mut json = String::with_capacity(quoted.len());
    for c in quoted[1..quoted.len() - 1].chars() {
        match escaped(c) {
            true => json.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
            false => json.push(c),
        }
    }
    json
}

fn with_small_hex(percent: &str) -> String {
    let mut parts = percent.split('%');
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (hex, rest) = part.split_at(2);
        text += &format!("%{}{rest}", hex.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn mask(values: &[&str]) -> Mask {
        Mask::new(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn values_are_hidden_in_every_form() {
        let mask = mask(&["p@ss \"wörd<1>/x", "hunter%402", "abc", "first line\nsecond\r\nab\n"]);
        for (text, shown) in [
            ("x p@ss \"wörd<1>/x y", "x *** y"),
            (r#"{"a":"p@ss \"wörd<1>/x"}"#, r#"{"a":"***"}"#),
            (r#"{"a":"p@ss \"wörd\u003c1\u003e/x"}"#, r#"{"a":"***"}"#),
            (r#"{"a":"p@ss \"w\u00f6rd<1>/x"}"#, r#"{"a":"***"}"#),
            ("?p=p%40ss%20%22w%C3%B6rd%3C1%3E%2Fx&", "?p=***&"),
            ("?p=p%40ss%20%22w%c3%b6rd%3c1%3e%2fx&", "?p=***&"),
            ("?p=p%40ss+%22w%C3%B6rd%3C1%3E%2Fx&", "?p=***&"),
            ("hunter@2 and hunter%402", "*** and ***"),
            ("abc abcabc", "abc abcabc"),
            ("first line, second, ab", "***, ***, ab"),
            ("secondsecond", "***"),
        ] {
            assert_eq!(mask.hide(text), shown);
        }
    }

    #[test]
    fn base64_is_hidden_wherever_in_a_longer_text_the_value_stands() {
        let secret = "correct horse battery";
        let mask = mask(&[secret]);
        for before in ["", "u", "us", "user:", "user: "] {
            for after in ["", "\n", "more"] {
                let encoded = BASE64_STANDARD.encode(format!("{before}{secret}{after}"));
                let shown = mask.hide(&encoded);
                // What its neighbours go into may be seen: a few bits of its ends.
                assert!(
                    shown.contains(MASK) && shown.len() <= 3 + (before.len() + after.len() + 6) * 4 / 3,
                    "{shown}"
                );
            }
        }
    }

    #[test]
    fn a_long_value_is_hidden_in_wrapped_lines_too() {
        let secret: String = (0..60).map(|n| format!("{:03x}", n * 67 % 4096)).collect();
        let encoded = BASE64_STANDARD.encode(format!("user:{secret}"));
        let mask = mask(&[&secret]);
        for width in [40, 64, 76] {
            for text in [&encoded, &secret] {
                for line in text.as_bytes().chunks(width).filter(|line| line.len() >= 2 * WINDOW) {
                    let shown = mask.hide(std::str::from_utf8(line).unwrap()).into_owned();
                    assert!(shown.len() < 14, "{shown}");
                }
            }
        }
    }

    #[test]
    fn a_cut_is_beside_a_value() {
        let mask = mask(&["secret"]);
        assert_eq!(mask.cut("a secret b", 5), 2);
        assert_eq!(mask.cut("a secret b", 2), 2);
        assert_eq!(mask.cut("secret b", 3), 6);
        assert_eq!(mask.cut("ä other", 1), 0);
        assert_eq!(Mask::default().cut("secret", 3), 3);
    }

    proptest! {
        #[test]
        fn what_is_hidden_is_not_shown(
            secret in "[ -~äß€]{4,80}", before in "[ -~]{0,20}", after in "[ -~]{0,20}", form in 0..20_usize,
        ) {
            let mask = mask(&[&secret]);
            let forms = forms(secret.as_bytes());
            // Blanks alone hide nothing.
            prop_assume!(!forms.is_empty());
            let form = String::from_utf8(forms[form % forms.len()].clone()).unwrap();
            prop_assume!(form.len() >= SHORTEST);
            let text = format!("{before}{form}{after}");
            let shown = mask.hide(&text);
            prop_assert!(!shown.contains(&form) || form.contains('*'), "{shown}");
            let whole = before.len()..before.len() + form.len();
            let covers = |range: &Range<usize>| range.start <= whole.start && whole.end <= range.end;
            prop_assert!(mask.find(text.as_bytes()).iter().any(covers));
        }

        #[test]
        fn any_values_and_texts_are_taken(values in proptest::collection::vec(".{0,40}", 0..4), text in ".{0,80}", at in 0..80_usize) {
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            let mask = Mask::new(values);
            mask.hide(&text);
            if at <= text.len() {
                prop_assert!(text.is_char_boundary(mask.cut(&text, at)));
            }
        }
    }
}
