//! One signature: whose key made it, for what, and whether it belongs to some bytes.

use ssh_key::{Algorithm, SshSig};

use crate::frame::{self, TRAILER};
use crate::key::PublicKey;
use crate::{Error, Result, armor};

/// RSA below this is refused, as NIST has it since 2014.
const RSA_BITS: usize = 2048;
/// The version of the format, which is not among the signed bytes.
const VERSION: u32 = 1;
/// The flag of a hardware key that somebody touched.
const USER_PRESENT: u8 = 1;

pub(crate) struct Signature {
    inner: SshSig,
    key: PublicKey,
}

impl Signature {
    pub(crate) fn parse(armored: &str) -> Result<Self> {
        let malformed = |reason: &str| Error::Malformed { reason: reason.to_owned() };
        let bytes = armor::decode(armored)
            .ok_or_else(|| malformed("its armor is not as ssh-keygen writes it"))?;
        let inner = SshSig::from_pem(armored).map_err(|error| malformed(&error.to_string()))?;
        if inner.version() != VERSION {
            return Err(malformed("it is of an unknown version"));
        }
        if !frame::is_exact(&bytes, &inner) {
            return Err(malformed("its lengths are not those of what stands in it"));
        }
        let key = PublicKey::of(inner.public_key());
        Ok(Self { inner, key })
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Checks that the key it names signed these bytes for this namespace.
    pub(crate) fn check(&self, namespace: &str, message: &[u8]) -> Result<()> {
        if self.inner.namespace() != namespace {
            return Err(Error::OtherNamespace {
                expected: namespace.to_owned(),
                found: self.inner.namespace().escape_default().to_string(),
            });
        }
        if let Some(reason) = self.weakness() {
            return Err(Error::Weak { fingerprint: self.key.fingerprint(), reason });
        }
        ssh_key::PublicKey::from(self.key.data().clone())
            .verify(namespace, message, &self.inner)
            .map_err(|_| Error::Mismatch { fingerprint: self.key.fingerprint() })
    }

    fn weakness(&self) -> Option<String> {
        match self.inner.algorithm() {
            Algorithm::Rsa { hash: None } => Some("it is made with SHA-1".to_owned()),
            Algorithm::Rsa { .. } => {
                let bits = self.key.data().rsa().map_or(0, rsa_bits);
                (bits < RSA_BITS).then(|| format!("its RSA key has {bits} bits"))
            }
            Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {
                (!self.was_touched()).then(|| "the hardware key was not touched".to_owned())
            }
            _ => None,
        }
    }

    fn was_touched(&self) -> bool {
        let bytes = self.inner.signature_bytes();
        let flags = bytes.len().checked_sub(TRAILER).map(|at| bytes[at]);
        flags.is_some_and(|flags| flags & USER_PRESENT != 0)
    }
}

fn rsa_bits(key: &ssh_key::public::RsaPublicKey) -> usize {
    let bytes = key.n.as_positive_bytes().unwrap_or_default();
    let leading = bytes.first().map_or(0, |byte| byte.leading_zeros());
    bytes.len() * 8 - leading as usize
}
