//! Approvals: what a human was shown, and signed.
//!
//! One file each, so that two people on two machines never write the same one. The format is
//! specified in `docs/formats/approval.md`.

mod copies;
mod document;
mod files;
mod judging;
mod request;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;
use sshsig::{Prompt, PublicKey};

use crate::{Error, Hash};
pub use copies::{ApprovalCopies, UnpackedApprovals};
use document::{Approval, Revocation, Sealed};
pub use files::ApprovalFiles;
pub use judging::{Grant, Policy, Standing, VoidReason};
pub use request::ApprovalRequest;
use request::check_gate;

/// The namespace of every signature of an approval.
pub const APPROVAL_NAMESPACE: &str = "hubctl-approval";

/// The suffix of an approval's file name.
const SUFFIX: &str = ".json";
/// The suffix of its revocation's file name.
const REVOKED: &str = ".revoked.json";
/// The suffix of an unfinished file's name.
const PARTIAL: &str = ".partial";

/// A directory of approvals.
#[derive(Debug, Clone)]
pub struct Approvals {
    directory: PathBuf,
}

/// The person who signs, and the key.
#[derive(Debug, Clone, Copy)]
pub struct Approver<'a> {
    /// The name under which the key stands among the allowed signers.
    pub principal: &'a str,
    /// The key's file.
    pub key: &'a Path,
    /// The presence of a person who can be asked for a passphrase.
    pub prompt: Prompt,
}

impl Approvals {
    /// Opens a directory, and creates it where it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        regularfile::create_directory(&directory)?;
        Ok(Self { directory })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Signs that the approver was shown what is requested, and keeps that; returns the file.
    /// Nothing is signed that would not count.
    ///
    /// # Errors
    /// [`Error::InvalidGate`], [`Error::InvalidApproval`] where it would be void,
    /// [`Error::Signature`], and [`Error::Io`].
    pub fn approve(
        &self,
        request: &ApprovalRequest,
        approver: Approver<'_>,
        issued_at: Timestamp,
        expires_at: Timestamp,
        policy: &Policy,
    ) -> Result<PathBuf, Error> {
        check_gate(&request.gate)?;
        allowed(approver, issued_at, policy)?;
        let approval = Approval::new(request, approver.principal, issued_at, expires_at, new_id()?);
        let subject = (&*request.gate, request.plan_hash(), request.evidence_hash);
        if let Some(flaw) = judging::flaw(&approval, subject, issued_at, policy) {
            let reason = flaw.to_string();
            return Err(Error::InvalidApproval { reason });
        }
        let sealed = self.signed(document::seal(&approval), approver, issued_at, policy)?;
        let file = self.publish(&file_stem(&request.gate, &approval.id), SUFFIX, &sealed)?;
        tracing::info!(file = %file.display(), "{} approved {}", approver.principal, request.gate);
        Ok(file)
    }

    /// Signs that no approval of a gate counts any more that is here now; returns the files. There
    /// are none where nothing is to be revoked.
    ///
    /// # Errors
    /// Those of [`approve`](Self::approve).
    pub fn revoke(
        &self,
        gate: &str,
        approver: Approver<'_>,
        at: Timestamp,
        policy: &Policy,
    ) -> Result<Vec<PathBuf>, Error> {
        check_gate(gate)?;
        allowed(approver, at, policy)?;
        let mut written = Vec::new();
        for id in self.ids(gate)? {
            let stem = file_stem(gate, &id);
            if exists(&self.directory.join(format!("{stem}{REVOKED}")))? {
                continue;
            }
            let revocation = Revocation::new(gate, &id, approver.principal, at);
            let sealed = self.signed(document::seal(&revocation), approver, at, policy)?;
            let file = self.publish(&stem, REVOKED, &sealed)?;
            tracing::info!(file = %file.display(), "{} revoked {stem}", approver.principal);
            written.push(file);
        }
        Ok(written)
    }

    /// Judges the approvals of a gate at the time `now`, for this plan and this evidence.
    ///
    /// # Errors
    /// [`Error::InvalidGate`], [`Error::UnknownApproval`] where one is of a newer version, and
    /// [`Error::Io`]: then nobody knows.
    pub fn judge(
        &self,
        gate: &str,
        plan_hash: Hash,
        evidence_hash: Hash,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Standing, Error> {
        check_gate(gate)?;
        let mut found = Vec::new();
        for id in self.ids(gate)? {
            let subject = (gate, plan_hash, evidence_hash);
            let finding = judging::examine(self, &id, subject, now, policy)?;
            if let Some((_, Err(flaw))) = &finding {
                tracing::info!("the approval {id} of {gate} does not count: {flaw}");
            }
            found.extend(finding);
        }
        Ok(judging::standing(found, policy.persons))
    }

    /// Removes what interrupted runs left behind, and says which files those were.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn clean(&self) -> Result<Vec<PathBuf>, Error> {
        let mut removed = Vec::new();
        for item in fs::read_dir(&self.directory)? {
            let path = item?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let is_partial =
                name.is_some_and(|name| name.starts_with('.') && name.ends_with(PARTIAL));
            if is_partial && !is_being_written(&path)? {
                fs::remove_file(&path)?;
                removed.push(path);
            }
        }
        Ok(removed)
    }

    /// The ids of a gate's approvals, which their names tell.
    fn ids(&self, gate: &str) -> Result<Vec<String>, Error> {
        let mut ids = Vec::new();
        for item in fs::read_dir(&self.directory)? {
            let name = item?.file_name();
            let id = name
                .to_str()
                .and_then(|name| name.strip_prefix(gate)?.strip_prefix('-')?.strip_suffix(SUFFIX))
                .filter(|id| document::is_id(id));
            ids.extend(id.map(str::to_owned));
        }
        ids.sort();
        Ok(ids)
    }

    /// The document in its final form, which is read as anybody else would read it before it gets
    /// its name.
    fn signed(
        &self,
        statement: String,
        approver: Approver<'_>,
        at: Timestamp,
        policy: &Policy,
    ) -> Result<String, Error> {
        let Approver { principal, key, prompt } = approver;
        let signature = sshsig::sign(key, APPROVAL_NAMESPACE, statement.as_bytes(), prompt)?;
        let text = document::join(&statement, &signature);
        let sealed = Sealed::parse(&text).map_err(|reason| Error::InvalidApproval { reason })?;
        sealed.verify(principal, at, policy)?;
        Ok(text)
    }

    fn publish(&self, stem: &str, suffix: &str, text: &str) -> Result<PathBuf, Error> {
        self.clean()?;
        let mut file = tempfile::Builder::new()
            .prefix(&format!(".{stem}."))
            .suffix(PARTIAL)
            .tempfile_in(&self.directory)?;
        // Whoever cleans sees by this lock that somebody is still writing.
        file.as_file().lock()?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        let path = self.directory.join(format!("{stem}{suffix}"));
        file.persist_noclobber(&path).map_err(|error| error.error)?;
        regularfile::sync_directory(&self.directory)?;
        Ok(path)
    }
}

/// A person is not asked for what would not count.
fn allowed(approver: Approver<'_>, at: Timestamp, policy: &Policy) -> Result<(), Error> {
    let key = PublicKey::of_file(approver.key)?;
    policy.signers.signer(&key, Some(approver.principal), APPROVAL_NAMESPACE, at)?;
    Ok(())
}

/// `GATE-ID`, with which the names of an approval and its revocation begin.
fn file_stem(gate: &str, id: &str) -> String {
    format!("{gate}-{id}")
}

fn exists(path: &Path) -> Result<bool, Error> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_being_written(path: &Path) -> Result<bool, Error> {
    match regularfile::Options::read().in_place().open(path) {
        Ok(file) => match file.file().try_lock() {
            Ok(()) => Ok(false),
            Err(std::fs::TryLockError::WouldBlock) => Ok(true),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        },
        // A link or a pipe of such a name is nothing that a writer makes.
        Err(error) if regularfile::Error::of(&error).is_some() => Ok(false),
        // It got its name just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Sixteen random bytes, in hexadecimal.
fn new_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .map_err(io::Error::from)?;
    // The kernel gives so few bytes at once or none.
    assert_eq!(filled, bytes.len(), "the kernel gives 16 bytes in one piece");
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
