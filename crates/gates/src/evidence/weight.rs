//! The memory that a text of JSON takes.

/// A non-empty object is at least one node of a B-tree, with room for eleven members.
const OBJECT: u64 = 656;
/// A non-empty array has room for four values at first.
const ARRAY: u64 = 128;
/// A further value, in an array that doubles as it grows or in an object that is half full.
const VALUE: u64 = 112;

/// The memory that a text of JSON needs once it is parsed: an upper bound in bytes, found without
/// parsing it.
///
/// A text of a few bytes for each object may need a hundred times its length.
#[must_use]
pub(crate) fn weight(text: &[u8]) -> u64 {
    let nexts = text.iter().skip(1).chain(&[0]);
    let structure: u64 = text
        .iter()
        .zip(nexts)
        .map(|(byte, next)| match (byte, next) {
            (b'{', b'}') | (b'[', b']') => 0,
            (b'{', _) => OBJECT,
            (b'[', _) => ARRAY,
            (b',', _) => VALUE,
            _ => 0,
        })
        .sum();
    text.len() as u64 + structure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_may_need_much_memory() {
        assert_eq!(weight(br#"{"a":{},"b":[]}"#), 15 + OBJECT + VALUE);
        let nested = br#"[{"":0},{"":0}]"#;
        assert_eq!(weight(nested), 15 + ARRAY + 2 * OBJECT + VALUE);
        assert_eq!(weight(b""), 0);
    }
}
