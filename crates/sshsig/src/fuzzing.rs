//! Entry point for fuzzers: what is read from files that somebody else may write to.
//!
//! Not part of the public interface: this module exists with the feature `fuzzing` and in this
//! crate's own tests only.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::AllowedSigners;

/// The bytes are a file of allowed signers, and a signature that is held against it.
///
/// # Panics
/// If a signature counts that was never made: that is a bug.
pub fn signers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (signers, signature) = text.split_once("-----BEGIN").unwrap_or((&text, ""));
    let signature = format!("-----BEGIN{signature}");
    let signers = AllowedSigners::parse(signers, "allowed_signers", &TimeZone::UTC);
    let none = AllowedSigners::parse("", "none", &TimeZone::UTC).expect("it is empty");
    for signers in signers.iter().chain([&none]) {
        // The seeds were signed for another message, and for none is anybody allowed.
        let verified = signers.verify("fuzz", b"never signed", &signature, Timestamp::UNIX_EPOCH);
        assert!(verified.is_err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::Mutator;

    /// As in `fuzz/seeds/signers`.
    const SEED: &str = r#"# Signers, and a signature of another message.
anna namespaces="fuzz",valid-after="19700101Z",valid-before="20300101Z" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINmx2Qqntfe/V8P4D+oJrHzluYFJYCT4hsVHY0rDnwFu
*@example.org,!ben ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINmx2Qqntfe/V8P4D+oJrHzluYFJYCT4hsVHY0rDnwFu a comment
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg2bHZCqe1979Xw/gP6gmsfOW5gU
lgJPiGxUdjSsOfAW4AAAAEZnV6egAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUx
OQAAAEBgq7GnFhMEPl0dbP3SY6VcTRXILeQhkQGCcTkyBp51G/s5cmvLbsmoL3AWuoeMr8
3nYr9iWbvKH5k54q+SJgwB
-----END SSH SIGNATURE-----
"#;

    const TOKENS: [&[u8]; 8] = [
        b"cert-authority",
        b"\",",
        b"valid-before=\"99991231235959\"",
        b"!*?,",
        b"AAAAC3NzaC1lZDI1NTE5AAAAI",
        b"\xff\xff\xff\xff",
        b"-----END SSH SIGNATURE-----\n",
        b"\xc3\xa9",
    ];

    /// Else a mutant would be refused at its first line, and never reach what comes after.
    #[test]
    fn the_seed_is_a_signature_that_counts_for_its_own_message() {
        let (signers, _) = SEED.split_once("-----BEGIN").unwrap();
        let signature = &SEED[signers.len()..];
        let signers = AllowedSigners::parse(signers, "seed", &TimeZone::UTC).unwrap();
        let of_2026 = "2026-11-22T00:00:00Z".parse().unwrap();
        let signer = signers.verify("fuzz", b"another message", signature, of_2026);
        assert_eq!(signer.unwrap().principals, "anna");
    }

    #[test]
    fn the_seed_is_the_one_of_the_campaign() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        if !root.join("Cargo.toml").exists() {
            return testkit::not_applicable("the other seed is not part of the package");
        }
        let other = fs_err::read_to_string(root.join("fuzz/seeds/signers/anna.txt")).unwrap();
        assert_eq!(other, SEED);
    }

    /// The campaign of `cargo xtask fuzz` in small, on every machine and with the same inputs each
    /// time.
    #[test]
    fn no_mutated_signer_makes_it_fall_over() {
        signers(SEED.as_bytes());
        let mut mutator = Mutator::new(vec![SEED.into()], &TOKENS);
        for round in 0..2000 {
            let input = mutator.next_input();
            std::panic::catch_unwind(|| signers(&input))
                .unwrap_or_else(|_| panic!("round {round}: {}", input.escape_ascii()));
        }
    }
}
