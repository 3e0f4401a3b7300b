//! Entry point for fuzzers: what is read from files that somebody else may write to.
//!
//! Not part of the public interface: this module exists with the feature `fuzzing` and in this crate's own tests
//! only.

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
anna namespaces="fuzz",valid-after="19700101Z",valid-before="20300101Z" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE7k/VU5TTnJnESlokPUubI9mT77X3Q0mclsMXSwMDEY
*@example.org,!ben ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE7k/VU5TTnJnESlokPUubI9mT77X3Q0mclsMXSwMDEY a comment
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgTuT9VTlNOcmcRKWiQ9S5sj2ZPv
tfdDSZyWwxdLAwMRgAAAAEZnV6egAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUx
OQAAAED8uDd+57bqIH4LWoSjJHUBrTK0brZg5iyPq7HEh+6oDCoJ79sI4QpuKct9Tm7sSF
d4azxNOX44QSibnuRiwekL
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

    /// The campaign of `cargo xtask fuzz` in small, on every machine and with the same inputs each time.
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
