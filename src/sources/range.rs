//! The part of a file that a server says it sends [pure].

use std::str::FromStr;

/// `Content-Range: bytes 5-9/10`, the only form that comes with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// Where the part starts.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
    /// How long the whole is, when that is told.
    pub total: Option<u64>,
}

/// A text that is no range of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRange;

impl FromStr for ContentRange {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<ContentRange, NoRange> {
        let (unit, range) = text.trim().split_once(' ').ok_or(NoRange)?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return Err(NoRange);
        }
        let (part, total) = range.split_once('/').ok_or(NoRange)?;
        let (first, last) = part.split_once('-').ok_or(NoRange)?;
        let (start, last) = (number(first)?, number(last)?);
        let end = last.checked_add(1).filter(|_| start <= last).ok_or(NoRange)?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        if total.is_some_and(|total| total < end) {
            return Err(NoRange);
        }
        Ok(ContentRange { start, end, total })
    }
}

impl ContentRange {
    /// How long the part is.
    pub(super) fn length(self) -> u64 {
        self.end - self.start
    }
}

/// Digits alone: Rust's own parser takes a sign too.
fn number(text: &str) -> Result<u64, NoRange> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or(NoRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_read_and_anything_else_is_none() {
        let part = |start, end, total| Ok(ContentRange { start, end, total });
        assert_eq!("bytes 0-0/1".parse(), part(0, 1, Some(1)));
        assert_eq!("Bytes 5-9/*".parse(), part(5, 10, None));
        for text in [
            "",
            "bytes",
            "bytes */10",
            "bytes 5-4/10",
            "bytes 5-10/10",
            "bytes 5-9",
            "bytes -9/10",
            "bytes 5-/10",
            "bytes +5-9/10",
            "bytes=5-9/10",
            "items 5-9/10",
            "bytes 0-18446744073709551615/*",
            "bytes 0-99999999999999999999/*",
        ] {
            assert_eq!(text.parse::<ContentRange>(), Err(NoRange), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(start in any::<u32>(), length in 1..u64::from(u32::MAX), more in 0..99_u64) {
            let (start, end) = (u64::from(start), u64::from(start) + length);
            let range = ContentRange { start, end, total: Some(end + more) };
            prop_assert_eq!(format!("bytes {start}-{}/{}", end - 1, end + more).parse(), Ok(range));
            prop_assert_eq!(range.length(), length);
        }

        #[test]
        fn whatever_is_read_is_a_part_of_its_whole(text in "(bytes )?[0-9]{0,21}[-+]?[0-9*]{0,21}/?[0-9*]{0,21}|.*") {
            if let Ok(range) = text.parse::<ContentRange>() {
                prop_assert!(range.start < range.end && range.total.is_none_or(|total| range.end <= total));
            }
        }
    }
}
