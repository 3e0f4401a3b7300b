//! Signatures of hardware keys, made as the hardware makes them, since no test can touch one.

use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use sha2::{Digest as _, Sha256, Sha512};
use sshsig::Error;

use crate::support::{Asked, Bench, MESSAGE, NAMESPACE};

const KIND: &str = "sk-ecdsa-sha2-nistp256@openssh.com";
const APPLICATION: &str = "ssh:";

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], bytes].concat()
}

/// A positive number, which has a zero in front where it would look like a negative one.
fn number(bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    let sign: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
    string(&[sign, bytes].concat())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

struct Token(SigningKey);

impl Token {
    fn new() -> Self {
        Self(SigningKey::from_slice(&[7; 32]).unwrap())
    }

    fn public(&self) -> Vec<u8> {
        let point = self.0.verifying_key().to_encoded_point(false);
        [
            string(KIND.as_bytes()),
            string(b"nistp256"),
            string(point.as_bytes()),
            string(APPLICATION.as_bytes()),
        ]
        .concat()
    }

    fn line(&self) -> String {
        format!("anna {KIND} {}\n", base64(&self.public()))
    }

    /// An armored signature with these flags, of which the first says that somebody touched it.
    fn sign(&self, flags: u8) -> String {
        let hash = Sha512::digest(MESSAGE);
        let signed = [
            &b"SSHSIG"[..],
            &string(NAMESPACE.as_bytes()),
            &string(b""),
            &string(b"sha512"),
            &string(&hash),
        ]
        .concat();
        let trailer = [flags, 0, 0, 0, 9];
        let challenge =
            [&Sha256::digest(APPLICATION)[..], &trailer[..], &Sha256::digest(&signed)[..]].concat();
        let signature: p256::ecdsa::Signature = self.0.sign(&challenge);
        let (r, s) = signature.split_bytes();
        let numbers = [number(&r), number(&s)].concat();
        let signature = [&string(KIND.as_bytes())[..], &string(&numbers), &trailer].concat();
        let blob = [
            &b"SSHSIG"[..],
            &1u32.to_be_bytes(),
            &string(&self.public()),
            &string(NAMESPACE.as_bytes()),
            &string(b""),
            &string(b"sha512"),
            &string(&signature),
        ]
        .concat();
        let text = base64(&blob);
        let lines: Vec<_> =
            text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!(
            "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
            lines.join("\n")
        )
    }
}

#[test]
fn a_touched_key_verifies_for_both() {
    let (bench, token) = (Bench::new(), Token::new());
    let signature = token.sign(1);
    let asked = Asked::of(&signature);
    assert!(bench.oracle(&token.line(), &asked));
    asked.ours(&token.line()).unwrap();
    let mut other = asked;
    other.message = b"another message";
    assert!(!bench.oracle(&token.line(), &other));
    assert!(matches!(other.ours(&token.line()), Err(Error::Mismatch { .. })));
}

/// OpenSSH leaves this to whoever asks; a signature that nobody touched a key for proves no human.
#[test]
fn a_key_that_nobody_touched_does_not_count() {
    let token = Token::new();
    let signature = token.sign(0);
    let error = Asked::of(&signature).ours(&token.line()).unwrap_err();
    assert!(
        matches!(&error, Error::Weak { reason, .. } if reason.contains("not touched")),
        "{error}"
    );
}
