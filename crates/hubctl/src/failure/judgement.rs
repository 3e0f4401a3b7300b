//! What the libraries' errors mean here: the exit code, the hint, and whether it is damage or a full disk.

use std::error::Error as StdError;
use std::io;

use super::Refusal;
use crate::exit::Exit;

type Cause<'a> = &'a (dyn StdError + 'static);

pub(super) fn exit_of(cause: Cause<'_>) -> Option<Exit> {
    if let Some(refusal) = cause.downcast_ref::<Refusal>() {
        return Some(refusal.exit);
    }
    if let Some(error) = cause.downcast_ref::<pgsnap::Error>() {
        return Some(of_pgsnap(error));
    }
    if let Some(error) = cause.downcast_ref::<backup::Error>() {
        return Some(of_backup(error));
    }
    if let Some(error) = cause.downcast_ref::<tunnel::Error>() {
        return Some(of_tunnel(error));
    }
    cause.downcast_ref::<gates::Error>().map(of_gates)
}

pub(super) fn hint_of(cause: Cause<'_>) -> Option<String> {
    if let Some(refusal) = cause.downcast_ref::<Refusal>() {
        return refusal.hint.clone();
    }
    if let Some(error) = cause.downcast_ref::<pgsnap::Error>() {
        return sealed_cause(error)
            .and_then(backup::Error::hint)
            .or_else(|| error.hint());
    }
    if let Some(error) = cause.downcast_ref::<backup::Error>() {
        return passphrase_hint(error).or_else(|| error.hint());
    }
    if let Some(error) = cause.downcast_ref::<gates::Error>() {
        return error.hint();
    }
    if let Some(error) = cause.downcast_ref::<tunnel::Error>() {
        return tunnel_hint(error);
    }
    let error = cause.downcast_ref::<io::Error>()?;
    let hint = match error.kind() {
        io::ErrorKind::FileTooLarge => Some(
            "files may not become larger here: see `ulimit -f`, and the largest file of this file system; nothing unfinished was published",
        ),
        _ if is_full(error) => {
            Some("make room on this file system; nothing unfinished was published")
        }
        _ => None,
    };
    hint.or_else(|| regularfile::hint(error)).map(str::to_owned)
}

/// The vault's library does not know how a passphrase is given here.
fn passphrase_hint(error: &backup::Error) -> Option<String> {
    let backup::Error::NoIdentityMatched { sealed_for, .. } = error else {
        return None;
    };
    let sealed_with_one = sealed_for.iter().any(|recipient| recipient == "passphrase");
    sealed_with_one
        .then(|| "it was sealed with a passphrase: give that one with --passphrase-file".to_owned())
}

/// The library does not know how a supervisor is started here.
fn tunnel_hint(error: &tunnel::Error) -> Option<String> {
    match error {
        tunnel::Error::NotRunning { .. } => Some("start it with `hubctl tunnel up`".to_owned()),
        tunnel::Error::Running { .. } => Some(
            "ask it with `hubctl tunnel status`, or stop it with `hubctl tunnel down`".to_owned(),
        ),
        other => other.hint().map(ToOwned::to_owned),
    }
}

fn of_tunnel(error: &tunnel::Error) -> Exit {
    match error {
        tunnel::Error::Invalid { .. } | tunnel::Error::Unknown { .. } => Exit::Usage,
        _ => Exit::CouldNotAsk,
    }
}

/// The disk is full, or this user's part of it, or the file as large as it may become.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Whether the error comes of a full disk.
pub(crate) fn is_disk_full(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_full))
}

fn of_pgsnap(error: &pgsnap::Error) -> Exit {
    if let Some(sealed) = sealed_cause(error) {
        return of_backup(sealed);
    }
    match error {
        // Obstacles are an answer: the target was asked, and is not ready.
        pgsnap::Error::Preflight { .. } | pgsnap::Error::NotReadable { .. } => Exit::No,
        _ => match error.class() {
            pgsnap::ErrorClass::Usage => Exit::Usage,
            pgsnap::ErrorClass::No => Exit::No,
            _ => Exit::CouldNotAsk,
        },
    }
}

/// The vault's error inside an error of reading the archive: the archive was sealed.
fn sealed_cause(error: &pgsnap::Error) -> Option<&backup::Error> {
    match error {
        pgsnap::Error::Read { source } | pgsnap::Error::Write { source } => {
            source.get_ref()?.downcast_ref()
        }
        _ => None,
    }
}

fn of_backup(error: &backup::Error) -> Exit {
    use backup::Error as E;
    match error {
        E::InvalidService { .. }
        | E::InvalidTarget { .. }
        | E::InvalidSuffix { .. }
        | E::NoVault { .. }
        | E::NoRecipients
        | E::PassphraseNotAlone
        | E::IncompatibleRecipients
        | E::BadRecipients { .. }
        | E::NoIdentity { .. }
        | E::IdentityUnreadable { .. }
        | E::NoRetention
        | E::NoSigningKey
        | E::NoSuchEntry { .. }
        | E::Ambiguous { .. } => Exit::Usage,
        E::NoIdentityMatched { .. }
        | E::WrongPassphrase { .. }
        | E::InvalidSidecar { .. }
        | E::Untrusted { .. }
        | E::NotVerified { .. }
        | E::NothingVerified { .. } => Exit::No,
        E::Target { failure, .. } if failure.is_answer() => Exit::No,
        E::Signing(error) => of_sshsig(error),
        damaged if is_sealed_damage(damaged) => Exit::No,
        _ => Exit::CouldNotAsk,
    }
}

fn of_sshsig(error: &sshsig::Error) -> Exit {
    match error {
        sshsig::Error::Writable { .. }
        | sshsig::Error::InvalidSigners { .. }
        | sshsig::Error::NoPublicKey { .. } => Exit::Usage,
        // It is not the file that it should be, or not in trusted hands.
        sshsig::Error::Io(error) if regularfile::Error::of(error).is_some() => Exit::Usage,
        refused if refused.is_refusal() => Exit::No,
        _ => Exit::CouldNotAsk,
    }
}

/// Whether the error says that the bytes of a backup are not those that were sealed: whoever asks, and with whatever key.
pub(crate) fn is_damage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let sealed = cause
            .downcast_ref::<backup::Error>()
            .or_else(|| sealed_cause(cause.downcast_ref::<pgsnap::Error>()?));
        match (sealed, cause.downcast_ref::<pgsnap::Error>()) {
            (Some(sealed), _) => is_sealed_damage(sealed),
            (None, Some(error @ (pgsnap::Error::Damaged { .. } | pgsnap::Error::Read { .. }))) => {
                error.class() == pgsnap::ErrorClass::No
            }
            _ => false,
        }
    })
}

fn is_sealed_damage(error: &backup::Error) -> bool {
    use backup::Error as E;
    matches!(
        error,
        E::Empty { .. }
            | E::NotAge { .. }
            | E::HeaderDamaged { .. }
            | E::Truncated { .. }
            | E::EndDamaged { .. }
            | E::Damaged { .. }
            | E::SizeDiffers { .. }
            | E::HashDiffers { .. }
            | E::NotAsSealed { .. }
    )
}

fn of_gates(error: &gates::Error) -> Exit {
    match error {
        gates::Error::Damaged { .. }
        | gates::Error::Truncated { .. }
        | gates::Error::Rewritten { .. } => Exit::No,
        gates::Error::Missing { .. }
        | gates::Error::Malformed { .. }
        | gates::Error::InvalidGate { .. }
        | gates::Error::InvalidRule { .. }
        | gates::Error::NotEvidence { .. } => Exit::Usage,
        gates::Error::Signature(error) => of_sshsig(error),
        _ => Exit::CouldNotAsk,
    }
}
