//! The SHA-256 of a record, and the head of a journal, both with a text form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// The SHA-256 of a record, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// The predecessor's hash in the first record of a journal: 64 zeros.
    pub const GENESIS: Self = Self([0; 32]);

    /// The SHA-256 of these bytes.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || Error::Malformed {
            expected: "hash (64 lower-case hexadecimal digits)",
            text: text.to_owned(),
        };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(malformed());
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = digit(*high).zip(digit(*low)).ok_or_else(malformed)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Hash {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// The end of a journal at some moment: the number and the hash of its newest record, written
/// `SEQ:HASH`.
///
/// It stands for everything before it. Kept outside the machine, it lets
/// [`Journal::verify_against`](crate::Journal::verify_against) find a journal that was cut short or
/// rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Head {
    /// The number of the record, which is also the number of records up to it.
    pub seq: u64,
    /// The hash of the record.
    pub hash: self::Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed =
            || Error::Malformed { expected: "journal head (SEQ:HASH)", text: text.to_owned() };
        let (seq, hash) = text.split_once(':').ok_or_else(malformed)?;
        Ok(Self {
            seq: seq.parse().map_err(|_| malformed())?,
            hash: hash.parse().map_err(|_| malformed())?,
        })
    }
}

impl TryFrom<String> for Head {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        head.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_from_its_text() {
        let head = Head { seq: 12, hash: Hash::of(b"abc") };
        let text = "12:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(head.to_string(), text);
        assert_eq!(text.parse::<Head>().unwrap(), head);
    }

    #[test]
    fn what_is_not_a_head_is_refused() {
        let upper = format!("1:{}", Hash::of(b"abc").to_string().to_uppercase());
        for text in ["", "1", "1:", "x:00", "1:00", &upper] {
            let error = text.parse::<Head>().unwrap_err();
            assert!(error.to_string().contains("journal head"), "{error}");
        }
    }
}
