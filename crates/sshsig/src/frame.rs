//! The lengths inside a signature, which are not among the signed bytes.
//!
//! `ssh-key` does not mind a length that is larger than what stands there, so a signature could be
//! changed and still count. Here every length is exact, and what was understood is what stands
//! there.

use ssh_key::SshSig;

const MAGIC: &[u8] = b"SSHSIG";
/// The addition of a hardware key to its signature: one byte of flags and a counter of four.
pub(crate) const TRAILER: usize = 5;

/// Returns true if these bytes are the signature and nothing else.
pub(crate) fn is_exact(bytes: &[u8], signature: &SshSig) -> bool {
    parts(bytes).is_some_and(|parts| parts.is(signature))
}

struct Parts<'a> {
    version: u32,
    key: &'a [u8],
    namespace: &'a [u8],
    reserved: &'a [u8],
    hash: &'a [u8],
    algorithm: &'a [u8],
    data: &'a [u8],
    trailer: &'a [u8],
}

fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let (version, mut rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
    let mut next = || string(&mut rest);
    let (key, namespace, reserved, hash) = (next()?, next()?, next()?, next()?);
    let mut signature = next()?;
    if !rest.is_empty() {
        return None;
    }
    let algorithm = string(&mut signature)?;
    let data = string(&mut signature)?;
    Some(Parts {
        version: u32::from_be_bytes(*version),
        key,
        namespace,
        reserved,
        hash,
        algorithm,
        data,
        trailer: signature,
    })
}

impl Parts<'_> {
    fn is(&self, signature: &SshSig) -> bool {
        let key = ssh_key::PublicKey::from(signature.public_key().clone());
        let is_of_hardware = self.algorithm.starts_with(b"sk-");
        self.version == signature.version()
            && key.to_bytes().is_ok_and(|bytes| bytes == self.key)
            && self.namespace == signature.namespace().as_bytes()
            && self.reserved == signature.reserved()
            && self.hash == signature.hash_alg().as_str().as_bytes()
            && self.algorithm == signature.algorithm().as_str().as_bytes()
            && self.trailer.len() == if is_of_hardware { TRAILER } else { 0 }
            && [self.data, self.trailer].concat() == signature.signature_bytes()
    }
}

/// Takes a string, which is a length and as many bytes.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (string, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(string)
}
