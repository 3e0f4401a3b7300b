//! Amounts of bytes, as they are written: `20GB`, `512MiB`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The units, with how many bytes each has.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// An amount of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-form" = "SIZE")))]
#[serde(try_from = "String", into = "String")]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimal = UNITS[..5].iter().rev();
        let (unit, factor) =
            decimal.copied().find(|(_, factor)| self.0 >= *factor).unwrap_or(("B", 1));
        let scaled = self.0 as f64 / factor as f64;
        if scaled.fract() == 0.0 {
            write!(f, "{scaled:.0}{unit}")
        } else {
            write!(f, "{scaled:.1}{unit}")
        }
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let malformed = || format!("`{text}` is not an amount such as 20GB or 512MiB");
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| malformed())?;
        let unit = unit.trim();
        let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let (_, factor) = known.ok_or_else(malformed)?;
        number.checked_mul(*factor).map(Self).ok_or_else(malformed)
    }
}

impl From<Size> for String {
    /// Exactly: what is displayed is rounded.
    fn from(size: Size) -> Self {
        format!("{}B", size.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Size, String> {
        Size::try_from(text.to_owned())
    }

    #[test]
    fn units_are_decimal_or_binary() {
        assert_eq!(parse("20GB").unwrap().bytes(), 20_000_000_000);
        assert_eq!(parse("512 MiB").unwrap().bytes(), 512 << 20);
        assert_eq!(parse("7B").unwrap().bytes(), 7);
        for text in ["", "GB", "1.5GB", "-1GB", "20", "20XB", "99999999999TB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_exactly() {
        let size = Size::of(1_234_567);
        assert_eq!(parse(&String::from(size)), Ok(size));
        assert_eq!(size.to_string(), "1.2MB");
        assert_eq!(Size::of(20_000_000_000).to_string(), "20GB");
    }
}
