//! A changed signature is refused, whichever bit was changed.

use std::os::unix::fs::PermissionsExt as _;

use sshsig::{AllowedSigners, Error, TimeZone};

use crate::support::{Asked, Bench, MESSAGE, NAMESPACE, noon, parse, public, sign};

#[test]
fn every_flipped_bit_of_a_signature_is_found() {
    let bench = Bench::new();
    for (name, kind) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("ecdsa", &["-t", "ecdsa"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
    ] {
        let key = bench.key(name, kind);
        let signers = parse(&format!("anna {}", public(&key))).unwrap();
        let signature = sign(&key);
        signers.verify(NAMESPACE, MESSAGE, &signature, noon()).unwrap();
        for bit in 0..signature.len() * 8 {
            let mut bytes = signature.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(flipped) = String::from_utf8(bytes) else {
                continue;
            };
            let verified = signers.verify(NAMESPACE, MESSAGE, &flipped, noon());
            assert!(
                matches!(&verified, Err(error) if error.class() == sshsig::ErrorClass::No),
                "bit {bit} of {name}: {verified:?}\n{signature}{flipped}"
            );
        }
    }
}

#[test]
fn every_flipped_bit_of_a_message_is_found() {
    let bench = Bench::new();
    let key = bench.ed25519("key");
    let signers = parse(&format!("anna {}", public(&key))).unwrap();
    let signature = sign(&key);
    for bit in 0..MESSAGE.len() * 8 {
        let mut message = MESSAGE.to_vec();
        message[bit / 8] ^= 1 << (bit % 8);
        let error = signers.verify(NAMESPACE, &message, &signature, noon()).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    }
}

#[test]
fn every_cut_and_every_other_shape_is_refused() {
    let bench = Bench::new();
    let key = bench.ed25519("key");
    let signers = parse(&format!("anna {}", public(&key))).unwrap();
    let signature = sign(&key);
    let cuts = (0..signature.len()).map(|length| signature[..length].to_owned());
    let shapes = [
        signature.trim_end().to_owned(),
        format!("{signature}\n"),
        format!(" {signature}"),
        signature.replace('\n', "\r\n"),
        signature.replace("U1NIU0", "U1NI\nU0"),
        signature.repeat(2),
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n".to_owned(),
    ];
    for text in cuts.chain(shapes) {
        let error = signers.verify(NAMESPACE, MESSAGE, &text, noon()).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{text}: {error}");
    }
}

#[test]
fn the_reason_is_the_one_that_matters() {
    let bench = Bench::new();
    let (anna, ben) = (bench.ed25519("anna"), bench.ed25519("ben"));
    let signature = sign(&anna);
    let asked = Asked::of(&signature);
    let refusal = |signers: String| asked.ours(&signers).unwrap_err();
    let unknown = refusal(format!("anna {}", public(&ben)));
    assert!(matches!(unknown, Error::UnknownKey { .. }), "{unknown}");
    assert!(unknown.hint().unwrap().contains("whose key"));
    let empty = refusal(String::new());
    assert!(matches!(empty, Error::UnknownKey { .. }), "{empty}");
    let expired = refusal(format!("anna valid-before=\"20260101Z\" {}", public(&anna)));
    assert!(
        expired.to_string().contains("the key was valid until 2026-01-01T00:00:00Z"),
        "{expired}"
    );
    let early = refusal(format!("anna valid-after=\"20270101Z\" {}", public(&anna)));
    assert!(early.to_string().contains("valid from 2027-01-01"), "{early}");
    let other = refusal(format!("ben {}", public(&anna)));
    assert!(other.to_string().contains("not of `anna`"), "{other}");
    let purpose = refusal(format!("anna namespaces=\"git\" {}", public(&anna)));
    assert!(purpose.to_string().contains("for the namespaces `git`"), "{purpose}");
}

#[test]
fn signers_that_others_may_change_are_refused() {
    let bench = Bench::new();
    let path = bench.path("allowed");
    fs_err::write(&path, "").unwrap();
    for (mode, expected) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = AllowedSigners::load(&path, &TimeZone::UTC);
        assert_eq!(loaded.is_ok(), expected, "{mode:o}");
        if let Err(error) = loaded {
            assert!(matches!(error, Error::Writable { .. }), "{error}");
            assert_ne!(error.class(), sshsig::ErrorClass::No);
        }
    }
}
