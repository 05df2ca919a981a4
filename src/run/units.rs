//! Sizes, durations and commands, as stacks have them [pure].

use std::time::Duration;

/// Bytes of a size: `1024`, `512m`, `2G`, `2gb`.
pub fn size(text: &str) -> Option<i64> {
    let lower = text.trim().to_lowercase();
    if lower == "-1" {
        return Some(-1);
    }
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: i64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        "t" | "tb" => 1 << 40,
        _ => return None,
    };
    digits.trim().parse::<i64>().ok().filter(|number| *number >= 0)?.checked_mul(factor)
}

/// A duration: `30` (seconds), `1.5`, `5h34m56s`, `500ms`.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let seconds = |number: &str| {
        let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let seconds = number.parse::<f64>().ok().filter(|_| plain)?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    if let Some(whole) = seconds(text) {
        return Some(whole);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, after) = rest.split_at(unit_at);
        let unit_length = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let length = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        total =
            total.checked_add(Duration::try_from_secs_f64(seconds(number)?.as_secs_f64() * length).ok()?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// The words of a command, as a shell splits it: at blanks, but not in quotes.
///
/// # Errors
/// A quote does not end.
pub fn words(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(format!("a quote (') in the command does not end: {command}")),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err(format!("the command ends with a \\: {command}")),
                        },
                        Some(c) => word.push(c),
                        None => return Err(format!("a quote (\") in the command does not end: {command}")),
                    }
                }
            }
            '\\' => match chars.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err(format!("the command ends with a \\: {command}")),
            },
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// A word as a shell has to be given it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%_-+=:,./".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Words as a line that a shell splits into them.
pub fn quoted_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("1024", Some(1024)),
            ("512m", Some(512 << 20)),
            ("2G", Some(2 << 30)),
            ("2gb", Some(2 << 30)),
            ("1 k", Some(1024)),
            ("-1", Some(-1)),
            ("-2", None),
            ("2x", None),
            ("", None),
            ("99999999999g", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        for (text, millis) in [
            ("30", Some(30_000)),
            ("1.5", Some(1500)),
            ("5h34m56s", Some(20_096_000)),
            ("500ms", Some(500)),
            ("1m", Some(60_000)),
            ("", None),
            ("m", None),
            ("1d", None),
            ("5m3", None),
            ("-3", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn commands_are_split_as_a_shell_does() {
        for (command, expected) in [
            ("", &[][..]),
            ("  a  b\tc ", &["a", "b", "c"]),
            ("bash -c 'a b'\"c d\"", &["bash", "-c", "a bc d"]),
            (r#"a\ b "\$x \n" ''"#, &["a b", r"$x \n", ""]),
        ] {
            assert_eq!(words(command).expect("words"), expected, "{command}");
        }
        for endless in ["a 'b", "a \"b", "a\\", "\"\\"] {
            assert!(words(endless).is_err(), "{endless}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_one_word(word in "[ -~\n]{0,20}") {
            prop_assert_eq!(words(&quoted(&word)).expect("words"), vec![word]);
        }
    }
}
