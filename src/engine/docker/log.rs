//! Makes whole, plain log lines of the pieces that builds write [pure].

use std::collections::VecDeque;

use crate::model::secret::Secrets;
use crate::util::plain;

/// A line longer than this is cut, so that output without line ends can't fill the memory.
const LONGEST_LINE: usize = 16 * 1024;

/// Gathers one stream's pieces into lines.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    pending: Vec<u8>,
    /// No line is cut within one.
    secrets: Secrets,
    /// A carriage return was seen: the next text replaces what is pending, as on a terminal.
    returned: bool,
}

impl LineBuffer {
    /// One that keeps each of these texts in one line.
    pub fn keeping(secrets: Secrets) -> LineBuffer {
        LineBuffer { secrets, ..LineBuffer::default() }
    }

    /// Takes the next piece; gives the lines that it completes.
    pub fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        // What is hidden is only known once all of it is there.
        let longest = LONGEST_LINE + self.secrets.longest();
        for &byte in piece {
            match byte {
                b'\n' => lines.push(self.take()),
                b'\r' => self.returned = true,
                _ => {
                    if self.returned {
                        self.pending.clear();
                        self.returned = false;
                    }
                    self.pending.push(byte);
                    if self.pending.len() >= longest {
                        lines.extend(self.cut());
                    }
                }
            }
        }
        lines
    }

    /// At the stream's end: the line that was never ended.
    pub fn finish(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| self.take())
    }

    /// The first part of a line that is too long; none when it was so only with what is not shown.
    fn cut(&mut self) -> Option<String> {
        // The last character may have come in part.
        let open = self.pending.split_off(whole_characters(&self.pending));
        let mut line = self.take();
        let is_long = line.len() + open.len() >= LONGEST_LINE + self.secrets.longest();
        let at = if is_long { self.secrets.cut(&line, LONGEST_LINE.min(line.len())) } else { 0 };
        self.pending = [&line.as_bytes()[at..], &open].concat();
        line.truncate(at);
        is_long.then_some(line)
    }

    fn take(&mut self) -> String {
        self.returned = false;
        plain::line(&String::from_utf8_lossy(&std::mem::take(&mut self.pending)))
    }
}

/// How many bytes there are before a character that is not complete.
fn whole_characters(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().enumerate().take(4) {
        match byte.leading_ones() {
            1 => {}
            length if length as usize > back + 1 => return bytes.len() - back - 1,
            _ => break,
        }
    }
    bytes.len()
}

/// The last lines of a log, for the message of a failure.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<String>);

impl Tail {
    const LINES: usize = 20;

    pub fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == Self::LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_string());
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// A headline with the lines under it.
    pub fn under(&self, headline: &str) -> String {
        self.0.iter().fold(headline.to_string(), |message, line| message + "\n  " + line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(pieces: &[&str]) -> Vec<String> {
        let mut buffer = LineBuffer::default();
        let mut lines: Vec<String> = pieces.iter().flat_map(|piece| buffer.push(piece.as_bytes())).collect();
        lines.extend(buffer.finish());
        lines
    }

    #[test]
    fn pieces_become_whole_lines() {
        assert_eq!(lines_of(&["Get", "ting\nRead", "ing\n\nend"]), ["Getting", "Reading", "", "end"]);
    }

    #[test]
    fn a_character_cut_in_two_survives() {
        let mut buffer = LineBuffer::default();
        let bytes = "é\n".as_bytes();
        assert!(buffer.push(&bytes[..1]).is_empty());
        assert_eq!(buffer.push(&bytes[1..]), ["é"]);
    }

    #[test]
    fn of_a_progress_line_only_its_last_state_is_kept() {
        assert_eq!(lines_of(&["10%\r50%", "\r100%\n"]), ["100%"]);
        assert_eq!(lines_of(&["dos\r\nlines\r\n"]), ["dos", "lines"]);
        assert_eq!(lines_of(&["done\r"]), ["done"]);
    }

    #[test]
    fn output_without_line_ends_is_cut() {
        let lines = lines_of(&["x".repeat(2 * LONGEST_LINE + 1).as_str()]);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE, LONGEST_LINE, 1]);
    }

    /// What is shown of a stream that comes in these pieces.
    fn shown(secrets: &Secrets, pieces: &[&[u8]]) -> Vec<String> {
        let mut buffer = LineBuffer::keeping(secrets.clone());
        let mut lines: Vec<String> = pieces.iter().flat_map(|piece| buffer.push(piece)).collect();
        lines.extend(buffer.finish());
        lines.into_iter().map(|line| secrets.hide(line)).collect()
    }

    #[test]
    fn a_secret_is_in_one_line() {
        let secrets = Secrets::read(&[], &Default::default(), ["hush-hush".to_string()]).unwrap();
        for before in LONGEST_LINE - 12..LONGEST_LINE + 12 {
            let text = "x".repeat(before) + "hush-hush" + &"y".repeat(LONGEST_LINE);
            let lines = shown(&secrets, &[text.as_bytes()]);
            assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE + 9), "{before}");
            assert_eq!(lines.concat(), "x".repeat(before) + "***" + &"y".repeat(LONGEST_LINE), "{before}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]

        #[test]
        fn no_secret_is_shown_however_it_comes(
            secret in "[!-)+-~äß€]{4,90}",
            before in LONGEST_LINE - 100..LONGEST_LINE + 10,
            fill in "[ xé]",
            encoded in proptest::prelude::any::<bool>(),
            cuts in proptest::collection::vec(0..LONGEST_LINE + 200, 0..6),
            ended in proptest::prelude::any::<bool>(),
        ) {
            use base64::Engine as _;
            let secrets = Secrets::read(&[], &Default::default(), [secret.clone()]).unwrap();
            let form = if encoded { base64::prelude::BASE64_STANDARD.encode(&secret) } else { secret.clone() };
            let mut text = (fill.repeat(before) + &form + " " + &fill.repeat(200)).into_bytes();
            if ended {
                text.push(b'\n');
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            let shown = shown(&secrets, &pieces).concat();
            // Of base64 the last character may tell two bits more.
            let form = if encoded { &form[..form.trim_end_matches('=').len() - 1] } else { form.as_str() };
            proptest::prop_assert!(!shown.contains(form) || form.trim() != form, "{form} is shown");
        }
    }

    proptest! {
        #[test]
        fn wherever_output_is_cut_its_lines_are_the_same(
            text in proptest::collection::vec(prop_oneof![
                Just("\n".to_string()), Just("\r".to_string()), Just("\x1b[31m".to_string()), "[a-zé ]{0,9}",
                "x{16000}",
            ], 0..20),
            cuts in proptest::collection::vec(0usize..40_000, 0..12),
        ) {
            let text = text.concat();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut buffer = LineBuffer::default();
            let mut lines: Vec<String> =
                cuts.windows(2).flat_map(|ends| buffer.push(&bytes[ends[0]..ends[1]])).collect();
            lines.extend(buffer.finish());
            prop_assert_eq!(lines, lines_of(&[&text]));
        }
    }

    #[test]
    fn the_tail_keeps_the_last_lines_that_say_something() {
        let mut tail = Tail::default();
        for number in 0..30 {
            tail.push(&format!("line {number}"));
            tail.push(" ");
        }
        let message = tail.under("failed");
        assert!(message.starts_with("failed\n  line 10\n"), "{message}");
        assert!(message.ends_with("\n  line 29"), "{message}");
    }
}
