//! Amounts of bytes, as they are written: `2 MiB`, `900 MB`.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// The units in which an amount is written, largest first.
const UNITS: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
];

/// An amount of bytes. It is written exactly, where [`ByteSize`] rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ByteSize", into = "String")]
pub(super) struct Size(pub(super) u64);

impl From<ByteSize> for Size {
    fn from(size: ByteSize) -> Self {
        Self(size.as_u64())
    }
}

impl From<Size> for String {
    fn from(Size(bytes): Size) -> Self {
        let whole = UNITS.iter().find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit));
        let (name, unit) = whole.copied().unwrap_or(("B", 1));
        format!("{} {name}", bytes / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_exactly() {
        for (text, written) in [
            ("2 MiB", "2 MiB"),
            ("2MiB", "2 MiB"),
            ("900MB", "900 MB"),
            ("1536 KiB", "1536 KiB"),
            ("1001", "1001 B"),
            ("0", "0 B"),
            ("64 GiB", "64 GiB"),
        ] {
            let size: Size = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(String::from(size), written);
            let again: Size = serde_json::from_str(&format!("\"{written}\"")).unwrap();
            assert_eq!(again, size);
        }
    }
}
