//! Hexadecimal digits, as digests are written [pure].

use std::fmt::Write;

/// Bytes as lower-case digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}

/// True for hexadecimal digits and nothing else.
pub fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// True for hexadecimal digits as [`hex`] writes them, in lower case, and nothing else.
pub fn is_lower_hex(text: &str) -> bool {
    is_hex(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// True for what can be the whole hash of a git commit.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text)
}
