//! Words that nobody can guess, and that are nobody else's.

use rustls::crypto::ring;

use super::hex::hex;

/// Bytes of a word: 128 bits.
const BYTES: usize = 16;

/// The system has given no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandom;

/// 32 random hexadecimal digits.
pub fn hex_digits() -> Result<String, NoRandom> {
    let mut bytes = [0; BYTES];
    ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(hex(&bytes))
}
