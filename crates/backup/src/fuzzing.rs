//! Entry point for fuzzers: what is read from a directory that somebody else may write to.
//!
//! Not part of the public interface: this module exists with the feature `fuzzing` and in this
//! crate's own tests only.

use std::path::Path;

use crate::name::Names;
use crate::sidecar::Sidecar;

/// The bytes are a sidecar, and its fields and lines are names of files beside it.
///
/// # Panics
/// If a sidecar or a name that was accepted is not the same after it was written again: that is a
/// bug.
pub fn sidecar(bytes: &[u8]) {
    let path = Path::new("hub-20261121T161200Z.json");
    let names = Names::new("hub", ".sql.gz.age").expect("a valid service");
    if let Ok(Some(sidecar)) = Sidecar::parse(path, bytes) {
        // Without the payload: a number in it may be rounded.
        let again = Sidecar::parse(path, &sidecar.to_bytes()).expect("it was accepted");
        let again = again.expect("it is a sidecar still");
        assert_eq!(
            (again.state(), &again.file, again.taken_at),
            (sidecar.state(), &sidecar.file, sidecar.taken_at)
        );
        if let Some(stamp) = names.parse_entry(&sidecar.file) {
            let _ = sidecar.belongs_to(&names, stamp);
        }
    }
    for name in String::from_utf8_lossy(bytes).split(['\n', '"']) {
        if let Some(stamp) = names.parse_entry(name) {
            assert_eq!(names.entry(stamp), name);
        }
        if let Some(stamp) = names.parse_sidecar(name) {
            assert_eq!(names.sidecar(stamp), name);
        }
        let _ = names.parse_unfinished(name);
        let _ = Names::new(name, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::Mutator;

    const SEED: &str = r#"{"format": "backup-sidecar/1", "service": "hub", "file": "hub-20261121T161200Z-2.sql.gz.age",
        "taken_at": "2026-11-21T16:12:00.25Z", "sealed_at": "2026-11-21T16:13:00Z", "clear_bytes": 3, "sealed_bytes": 300,
        "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "recipients": [{"type": "X25519", "recipient": "age1x",
        "stanzas": ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"], "escrow": true}],
        "state": "verified", "verified_at": "2026-11-21T16:14:00Z", "payload": {"rows": 5}, "signature": "nobody's", "weather": 1}"#;

    const TOKENS: [&[u8]; 9] = [
        b"null",
        b"[[[[[[[[",
        b"{\"",
        b"\"hub-20261121T161200Z.json\"",
        b".hub-latest.x1.partial\n",
        b"+999999-12-31T23:59:59Z",
        b"-009999-01-01T00:00:00Z",
        b"drilled",
        b"\xc3\xa9",
    ];

    /// The campaign of `cargo xtask fuzz` in small, on every machine and with the same inputs each
    /// time.
    #[test]
    fn no_mutated_sidecar_makes_it_fall_over() {
        // Else a mutant would be refused at once, and nothing after the parser be reached.
        let path = Path::new("hub-20261121T161200Z.json");
        let read = Sidecar::parse(path, SEED.as_bytes()).unwrap().unwrap();
        assert_eq!(read.state(), crate::State::Verified);
        let names = Names::new("hub", ".sql.gz.age").unwrap();
        assert!(names.parse_entry(&read.file).is_some());
        sidecar(SEED.as_bytes());
        let mut mutator = Mutator::new(vec![SEED.into()], &TOKENS);
        for round in 0..2000 {
            let input = mutator.next_input();
            std::panic::catch_unwind(|| sidecar(&input))
                .unwrap_or_else(|_| panic!("round {round}: {}", input.escape_ascii()));
        }
    }
}
