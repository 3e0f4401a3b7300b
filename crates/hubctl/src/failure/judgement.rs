//! The meaning of the libraries' errors here: the exit code, the hint, and whether it is damage or
//! a full disk.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use super::{Refusal, in_flags};
use crate::exit::Exit;

type Cause<'a> = &'a (dyn StdError + 'static);

/// An error of a library, as the program reads it.
trait Judged: StdError + 'static {
    fn exit(&self) -> Exit;
    fn advice(&self) -> Option<Cow<'static, str>>;
}

macro_rules! judged {
    ($($library:ident),*) => {$(
        impl Judged for $library::Error {
            fn exit(&self) -> Exit {
                match self.class() {
                    $library::ErrorClass::Usage => Exit::Usage,
                    $library::ErrorClass::No => Exit::No,
                    $library::ErrorClass::CouldNotAsk => Exit::CouldNotAsk,
                }
            }

            fn advice(&self) -> Option<Cow<'static, str>> {
                self.hint()
            }
        }
    )*};
}

judged!(pgsnap, backup, tunnel, gates, journal, runbook);

/// The error of a library that this cause is.
fn judged(cause: Cause<'_>) -> Option<&dyn Judged> {
    fn of<E: Judged>(cause: Cause<'_>) -> Option<&dyn Judged> {
        cause.downcast_ref::<E>().map(|error| error as &dyn Judged)
    }
    if let Some(error) = cause.downcast_ref::<pgsnap::Error>() {
        return match sealed_cause(error) {
            Some(sealed) => Some(sealed),
            None => Some(error),
        };
    }
    of::<backup::Error>(cause)
        .or_else(|| of::<tunnel::Error>(cause))
        .or_else(|| of::<gates::Error>(cause))
        .or_else(|| of::<journal::Error>(cause))
        .or_else(|| of::<runbook::Error>(cause))
}

pub(super) fn exit_of(cause: Cause<'_>) -> Option<Exit> {
    if let Some(refusal) = cause.downcast_ref::<Refusal>() {
        return Some(refusal.exit);
    }
    judged(cause).map(Judged::exit)
}

pub(super) fn hint_of(cause: Cause<'_>) -> Option<String> {
    if let Some(refusal) = cause.downcast_ref::<Refusal>() {
        return refusal.hint.clone();
    }
    if let Some(error) = judged(cause) {
        let here = hint_here(cause).map(Cow::Borrowed);
        let hint = here.or_else(|| error.advice()).map(Cow::into_owned);
        return if cause.is::<pgsnap::Error>() { hint.as_deref().map(in_flags) } else { hint };
    }
    let error = cause.downcast_ref::<io::Error>()?;
    let hint = match error.kind() {
        io::ErrorKind::FileTooLarge => Some(
            "files may not become larger here: see `ulimit -f`, and the largest file of this file system; nothing unfinished was published".into(),
        ),
        _ if is_full(error) => {
            Some("make room on this file system; nothing unfinished was published".into())
        }
        _ => regularfile::hint(error),
    };
    hint.map(Cow::into_owned)
}

/// The hint where a remedy is a flag or a command of this program, which no library knows.
fn hint_here(cause: Cause<'_>) -> Option<&'static str> {
    if let Some(backup::Error::NoIdentityMatched { sealed_for, .. }) = cause.downcast_ref() {
        return sealed_for
            .iter()
            .any(|recipient| recipient == "passphrase")
            .then_some("it was sealed with a passphrase: give that one with --passphrase-file");
    }
    match cause.downcast_ref::<tunnel::Error>() {
        Some(tunnel::Error::NotRunning { .. }) => return Some("start it with `hubctl tunnel up`"),
        Some(tunnel::Error::Running { .. }) => {
            return Some(
                "ask it with `hubctl tunnel status`, or stop it with `hubctl tunnel down`",
            );
        }
        _ => {}
    }
    matches!(cause.downcast_ref(), Some(gates::Error::NotEvidence { .. })).then_some(
        "`hubctl gates --bundle FILE` writes it; a newer version of the program may have written this one",
    )
}

/// The disk is full, or this user's part of it, or the file as large as it may become.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Returns true if the error comes of a full disk.
pub(crate) fn is_disk_full(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_full))
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

/// Returns true if the error says that the bytes of a backup are not those that were sealed:
/// whoever asks, and with whatever key.
pub(crate) fn is_damage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let sealed = cause
            .downcast_ref::<backup::Error>()
            .or_else(|| sealed_cause(cause.downcast_ref::<pgsnap::Error>()?));
        match (sealed, cause.downcast_ref::<pgsnap::Error>()) {
            (Some(sealed), _) => sealed.is_damage(),
            (None, Some(error @ (pgsnap::Error::Damaged { .. } | pgsnap::Error::Read { .. }))) => {
                error.class() == pgsnap::ErrorClass::No
            }
            _ => false,
        }
    })
}
