//! The supported signatures: those of ring, and ECDSA on the curve P-521, which ring does not have.

use std::sync::LazyLock;

use p521::ecdsa::signature::hazmat::PrehashVerifier;
use p521::ecdsa::{Signature, VerifyingKey};
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The cryptography of ring, with P-521.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider { signature_verification_algorithms: *ALGORITHMS, ..ring::default_provider() }
}

/// Made once for the whole process: rustls wants it to live for ever.
///
/// Over TLS 1.2 a server uses such a key only with a client that exchanges keys on the same curve.
/// Ring cannot.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let of_ring = ring::default_provider().signature_verification_algorithms;
    let p521: &[&dyn SignatureVerificationAlgorithm] = &[P521_SHA256, P521_SHA384, P521_SHA512];
    let scheme: (_, &[&dyn SignatureVerificationAlgorithm]) =
        (SignatureScheme::ECDSA_NISTP521_SHA512, &[P521_SHA512]);
    WebPkiSupportedAlgorithms {
        // Authorities sign with any hash, servers with the one that belongs to the curve.
        all: Vec::leak([of_ring.all, p521].concat()),
        mapping: Vec::leak([of_ring.mapping, &[scheme]].concat()),
    }
});

const P521_SHA256: &P521 =
    &P521 { signature: alg_id::ECDSA_SHA256, digest: |message| Sha256::digest(message).to_vec() };
const P521_SHA384: &P521 =
    &P521 { signature: alg_id::ECDSA_SHA384, digest: |message| Sha384::digest(message).to_vec() };
const P521_SHA512: &P521 =
    &P521 { signature: alg_id::ECDSA_SHA512, digest: |message| Sha512::digest(message).to_vec() };

/// ECDSA on the curve P-521 with one hash.
#[derive(Debug)]
struct P521 {
    signature: AlgorithmIdentifier,
    digest: fn(&[u8]) -> Vec<u8>,
}

impl SignatureVerificationAlgorithm for P521 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        /// Bytes of a number of the curve. None of the hashes is longer.
        const LENGTH: usize = 66;
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        // The hash is a number (SEC 1, 4.1.4), and p521 refuses one of less than half the curve's length.
        let digest = (self.digest)(message);
        let mut number = [0; LENGTH];
        number[LENGTH - digest.len()..].copy_from_slice(&digest);
        key.verify_prehash(&number, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `openssl dgst -sign`, as were the signatures.
    const KEY: &str = "04017a5de75b193cef9ec5543532413f1581fc9fd256cfe58c6616e52b108acc21078b86c7771ed7c68f436f617c330d\
         99ad3162e3472d76bcea67e8cf62a560a6f18500dbbb6f2396e8c80d8c83dfdd062af1db33f008438c5dc8247c4e9a10\
         970398db6eb2c496dab60ef6411599540e79c8502c72da60cf8d4888755cf8531f50fdc738";
    const MESSAGE: &[u8] = b"a message";

    fn bytes(hex: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn a_signature_on_p_521_holds_for_its_message_hash_and_key_only() {
        let signatures = [
            "3081880242015561d7aa065623dbd2af83ad2b0ac8b43b9c53511e150ff1833d45d5540739dac4f80e8d90b74ac1739d\
         6886520a31a203878ba889e90db5a857aa2395d32cf9dc024201975bdc7df030152268c08f03e6729ba418c0f1bf73bf\
         063491a9c703e14b9c4c634841f46879819801e5d2ddf6f958398222e0f0e9465537fa975535ab657e6c67",
            "308186024118d6529f618761ce055e7e5487cafc2c2e161ac2decc396d7c0a1e8b119abc578b4b99be3dea0d6f808bce\
         58647225144a084248b281eff8fc093bd9f94a53a0a902416978e1aca9e02bda7bfe1a6ff135d459627479cd3f2e7fe7\
         03c241ff0453644624e9823df3616139826a20ccdd56233345da5d8002823777dc359ed61b294247d0",
            "308188024201f42ac444d418a90d508e70c0921eb342163a1eea77b1a7136e563b71d18520cdf0c4361675eb0c3ff7cb\
         9b80bf20e7145e86a9102a9e77459c6cf8c5a4de95a3750242017693a5692821440a931955de4740bd4157fa5ea57a4c\
         d81eeb1ea6c9072d9f10231440eaa78ec00fb1a3bb794d58cdd85b2110150ccf51372220db8a7bb60d6f0f",
        ]
        .map(bytes);
        let algorithms = [P521_SHA256, P521_SHA384, P521_SHA512];
        let key = bytes(KEY);
        for (index, signature) in signatures.iter().enumerate() {
            let of = |algorithm: &P521, key: &[u8], message: &[u8], signature: &[u8]| {
                algorithm.verify_signature(key, message, signature).is_ok()
            };
            for (other, algorithm) in algorithms.iter().enumerate() {
                let holds = of(algorithm, &key, MESSAGE, signature);
                assert_eq!(holds, index == other, "{algorithm:?}");
            }
            let algorithm = algorithms[index];
            assert!(!of(algorithm, &key, b"another", signature));
            assert!(!of(algorithm, &key[1..], MESSAGE, signature));
            assert!(!of(algorithm, &key, MESSAGE, &signature[..signature.len() - 1]));
            let mut torn = signature.clone();
            *torn.last_mut().unwrap() ^= 1;
            assert!(!of(algorithm, &key, MESSAGE, &torn));
        }
    }
}
