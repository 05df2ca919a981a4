//! Makes whole, plain log lines of the pieces that builds write [pure].

use std::collections::VecDeque;

use crate::plain;

/// A line longer than this is cut, so that output without line ends can't fill the memory.
const LONGEST_LINE: usize = 16 * 1024;

/// Gathers one stream's pieces into lines.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    pending: Vec<u8>,
    /// A carriage return was seen: the next text replaces what is pending, as on a terminal.
    returned: bool,
}

impl LineBuffer {
    /// Takes the next piece; gives the lines that it completes.
    pub fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
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
                    if self.pending.len() >= LONGEST_LINE {
                        lines.push(self.take());
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

    fn take(&mut self) -> String {
        self.returned = false;
        plain::line(&String::from_utf8_lossy(&std::mem::take(&mut self.pending)))
    }
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
