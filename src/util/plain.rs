//! Text from outside, as it may be shown: it can't move a cursor, change colours, or turn the order of letters around [pure].
//!
//! Engines, registries, git and templates are quoted in lines, logs and errors. Everything that is shown goes through here.

/// One line without terminal control: escape sequences and control characters, tabs excepted.
pub fn line(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => match chars.next() {
                // CSI: parameters, then one final character.
                Some('[') => {
                    chars.find(|c| ('\x40'..='\x7e').contains(c));
                }
                // OSC: up to BEL or ESC \.
                Some(']') => {
                    let end = chars.find(|c| matches!(c, '\x07' | '\x1b'));
                    chars.next_if(|&c| end == Some('\x1b') && c == '\\');
                }
                // Character sets: one more character.
                Some('(' | ')' | '*' | '+') => {
                    chars.next();
                }
                _ => {}
            },
            '\t' => plain.push(c),
            '\n' => plain.push(' '),
            c if c.is_control() || turns_around(c) => {}
            c => plain.push(c),
        }
    }
    plain
}

/// The same of a text whose line ends stay.
pub fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// True for a character that makes the text after it read from the other side (Unicode's bidirectional controls).
fn turns_around(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terminal_control_is_dropped() {
        for (text, shown) in [
            ("\x1b[91m\x1b[1;31mred\x1b[0m\x07\ttab", "red\ttab"),
            ("\x1b]0;title\x07text \x1b]8;;url\x1b\\link\x1b(B", "text link"),
            ("cut \x1b[", "cut "),
            ("\u{9b}31mC1\u{85}", "31mC1"),
            ("\u{202e}txt.exe\u{2066}", "txt.exe"),
        ] {
            assert_eq!(line(text), shown, "{text:?}");
        }
        assert_eq!(lines("a\x1b]never ended\nb\r\n"), "a\nb\n");
    }

    proptest! {
        #[test]
        fn nothing_that_controls_is_left(text in "[\\PC\\x00-\\x1f\u{7f}-\u{9f}\u{202a}-\u{202e}\u{2066}-\u{2069}]{0,60}") {
            let shown = lines(&text);
            prop_assert!(!shown.chars().any(|c| turns_around(c) || (c.is_control() && !"\t\n".contains(c))));
            prop_assert_eq!(lines(&shown), shown.clone());
            prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
        }
    }
}
