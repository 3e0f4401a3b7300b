//! The signature of a sidecar: who sealed the file of this name.
//!
//! It is a field of the sidecar and no file of its own, so it is copied, replaced and removed with
//! it, and there is no moment in which one is there without the other. It covers what never changes
//! after sealing; what is proven later, and the payload, it does not.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use sshsig::{AllowedSigners, Prompt, PublicKey};

use crate::sidecar::Sidecar;
use crate::{Error, Result};

/// The namespace of every signature of a sidecar.
pub const SIGNATURE_NAMESPACE: &str = "hubctl-backup";

const FORMAT: &str = "backup-signature/1";

/// The key that signs new entries.
#[derive(Debug, Clone)]
pub struct SigningKey {
    path: PathBuf,
    prompt: Prompt,
}

impl SigningKey {
    /// The key in a file, private or, where an agent has the other half, public.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, prompt: Prompt) -> Self {
        let path = path.into();
        Self { path, prompt }
    }
}

/// The signer, and the signers whose signatures are required.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    pub(crate) key: Option<SigningKey>,
    pub(crate) signers: Option<AllowedSigners>,
}

/// The signed facts, in this order.
#[derive(Serialize)]
struct Statement<'a> {
    format: &'static str,
    service: &'a str,
    file: &'a str,
    taken_at: Timestamp,
    sealed_at: Timestamp,
    clear_bytes: u64,
    sealed_bytes: u64,
    sha256: &'a str,
    recipients: Vec<Recipient<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor: Option<&'a str>,
}

#[derive(Serialize)]
struct Recipient<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    recipient: &'a str,
    stanzas: &'a [String],
}

fn statement(sidecar: &Sidecar) -> Vec<u8> {
    let recipients = sidecar.recipients.iter().map(|each| Recipient {
        kind: &each.kind,
        recipient: &each.recipient,
        stanzas: &each.stanzas,
    });
    let statement = Statement {
        format: FORMAT,
        service: &sidecar.service,
        file: &sidecar.file,
        taken_at: sidecar.taken_at,
        sealed_at: sidecar.sealed_at,
        clear_bytes: sidecar.clear_bytes,
        sealed_bytes: sidecar.sealed_bytes,
        sha256: &sidecar.sha256,
        recipients: recipients.collect(),
        anchor: sidecar.anchor.as_deref(),
    };
    serde_json::to_vec(&statement).expect("it has only string keys")
}

impl Trust {
    /// Whether an entry that is sealed now could be trusted: better asked before an hour of work
    /// than after.
    pub(crate) fn prepare(&self, at: Timestamp) -> Result<()> {
        match (&self.signers, &self.key) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Error::NoSigningKey),
            (Some(signers), Some(key)) => {
                let public = PublicKey::of_file(&key.path)?;
                signers.signer(&public, None, SIGNATURE_NAMESPACE, at)?;
                Ok(())
            }
        }
    }

    /// Signs a sidecar that is complete, if there is a key; where signatures are asked for, this
    /// one counts.
    pub(crate) fn sign(&self, sidecar: &mut Sidecar) -> Result<()> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let statement = statement(sidecar);
        let signature = sshsig::sign(&key.path, SIGNATURE_NAMESPACE, &statement, key.prompt)?;
        if let Some(signers) = &self.signers {
            signers.verify(SIGNATURE_NAMESPACE, &statement, &signature, sidecar.sealed_at)?;
        }
        sidecar.signature = Some(signature);
        Ok(())
    }

    /// Refuses the facts about a file that no allowed signer signed, where that is asked for.
    pub(crate) fn check(&self, path: &Path, sidecar: Option<&Sidecar>) -> Result<()> {
        let Some(signers) = &self.signers else {
            return Ok(());
        };
        let untrusted =
            |reason: &str| Error::Untrusted { path: path.to_owned(), reason: reason.to_owned() };
        let sidecar = sidecar.ok_or_else(|| untrusted("it has no sidecar that could be signed"))?;
        let signature =
            sidecar.signature.as_ref().ok_or_else(|| untrusted("its sidecar is not signed"))?;
        // As of then: a backup stays what it is when its key's time is over.
        signers
            .verify(SIGNATURE_NAMESPACE, &statement(sidecar), signature, sidecar.sealed_at)
            .map_err(|error| untrusted(&error.to_string()))?;
        Ok(())
    }
}
