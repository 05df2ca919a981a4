//! Times of archive members, which a builder gives to the files that it unpacks.

use std::io::{self, Read};
use std::ops::RangeInclusive;

/// Seconds since 1970 that programs can show: the years 1 to 9999.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Says what is wrong with the times of an entry, those of its pax records included.
pub(super) fn check_times<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Result<(), &'static str>> {
    let field = &entry.header().as_old().mtime;
    if !in_header(field).is_some_and(|time| SECONDS.contains(&time)) {
        return Ok(Err("has a time that no clock shows"));
    }
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        let is_time = matches!(record.key_bytes(), b"mtime" | b"atime" | b"ctime");
        if is_time && !in_record(record.value_bytes()) {
            return Ok(Err("has a time that no clock shows"));
        }
    }
    Ok(Ok(()))
}

/// A time of a header: octal digits, or a number of two's complement whose first bit is set to tell it.
fn in_header(field: &[u8; 12]) -> Option<i64> {
    if field[0] & 0x80 == 0 {
        let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
        return if digits.is_empty() { Some(0) } else { i64::from_str_radix(digits, 8).ok() };
    }
    let (high, low) = field.split_at(4);
    let value = i64::from_be_bytes(low.try_into().ok()?);
    // What does not fit into eight bytes must be only the sign.
    let sign: [u8; 4] = if value < 0 { [0xff; 4] } else { [0x80, 0, 0, 0] };
    (high == sign).then_some(value)
}

/// True for a decimal number of seconds, with or without a fraction, that is in range.
fn in_record(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = !whole.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_number && whole.parse().is_ok_and(|seconds: i64| SECONDS.contains(&seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_headers_are_octal_or_binary() {
        assert_eq!(in_header(b"00000000017\0"), Some(15));
        assert_eq!(in_header(b"  17 \0\0\0\0\0\0\0"), Some(15));
        assert_eq!(in_header(&[0; 12]), Some(0));
        assert_eq!(in_header(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]), Some(5));
        assert_eq!(in_header(&[0xff; 12]), Some(-1));
        for bad in [
            *b"00000000018\0",
            [0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5],
            [0x80, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(in_header(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times_of_records_are_decimal() {
        for good in ["0", "-1.5", "1700000000.123456789", "253402300799"] {
            assert!(in_record(good.as_bytes()), "{good}");
        }
        for bad in ["", "x", "1e9", "253402300800", "99999999999999999999", "1.x", "."] {
            assert!(!in_record(bad.as_bytes()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_field_is_read(field in any::<[u8; 12]>(), value in any::<i64>()) {
            in_header(&field);
            let sign = if value < 0 { [0xff; 4] } else { [0x80, 0, 0, 0] };
            let written: [u8; 12] = [&sign[..], &value.to_be_bytes()].concat().try_into().unwrap();
            prop_assert_eq!(in_header(&written), Some(value));
        }
    }
}
