//! The one error type of the library.

mod class;

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use crate::lock::LockOwner;
use crate::origin::Problem;
use crate::target::TargetFailure;

pub use class::ErrorClass;

/// The result of this library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a payload and its sealed file.
///
/// Messages name files, sizes and public keys. They never hold a passphrase, a private key, or the
/// text of a line that might be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; the message of the source names the file and the operation.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A service name that is not `[a-z0-9][a-z0-9._-]*`, or too long for a file name.
    #[error("`{name}` cannot name a service")]
    InvalidService {
        /// The name as given.
        name: String,
    },
    /// A suffix that would make the names of a vault ambiguous.
    #[error("`{suffix}` cannot end the name of a sealed file")]
    InvalidSuffix {
        /// The suffix as given.
        suffix: String,
    },
    /// The vault's directory does not exist, or is something else.
    #[error("there is no vault directory at {}", path.display())]
    NoVault {
        /// The directory that was asked for.
        path: PathBuf,
    },
    /// Another run holds the lock of this service.
    #[error("another run holds the lock of `{service}`{}", owner.as_ref().map(|owner| format!(": {owner}")).unwrap_or_default())]
    Locked {
        /// The service whose lock is held.
        service: String,
        /// The holder, if the lock file names it.
        owner: Option<LockOwner>,
    },
    /// The lock that was passed belongs to another vault or service.
    #[error("the lock belongs to another vault")]
    ForeignLock,
    /// A dump time that the stamp `YYYYMMDDTHHMMSSZ` cannot write.
    #[error("the time {at} has no stamp")]
    TimeOutOfRange {
        /// The time as given.
        at: jiff::Timestamp,
    },

    /// Nothing to seal for: a sealed file that nobody can open is not a backup.
    #[error("no recipient was given")]
    NoRecipients,
    /// A passphrase was combined with another recipient, which the age format forbids.
    #[error("a passphrase must be the only recipient")]
    PassphraseNotAlone,
    /// Recipients that cannot stand in one file: a post-quantum one beside one that is not, say.
    #[error("the recipients cannot be combined")]
    IncompatibleRecipients,
    /// An age plugin is missing, refused, or did not answer in time.
    #[error("`{plugin}` failed: {problem}")]
    PluginFailed {
        /// The program.
        plugin: String,
        /// Its message, or its end.
        problem: String,
    },
    /// Recipients that cannot be used: every bad line, never its text.
    #[error("unusable recipients: {}", crate::origin::join(problems))]
    BadRecipients {
        /// One problem per bad line.
        problems: Vec<Problem>,
    },

    /// No identity was given, or none of the given files held a usable one.
    #[error("no identity was given to open {} with", path.display())]
    NoIdentity {
        /// The sealed file.
        path: PathBuf,
        /// The number of skipped lines or files, each with a note in
        /// [`Identities::notes`](crate::Identities::notes).
        skipped: usize,
    },
    /// An identity file cannot be read.
    #[error("cannot read the identity file {}", path.display())]
    IdentityUnreadable {
        /// The identity file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The passphrase does not decrypt a private key or an identity file.
    #[error("the passphrase does not open {}", path.display())]
    WrongPassphrase {
        /// The private key or identity file.
        path: PathBuf,
    },
    /// The header is well-formed, but none of the given identities opens it: the wrong key.
    #[error("none of the {tried} given identities opens {}", path.display())]
    NoIdentityMatched {
        /// The sealed file.
        path: PathBuf,
        /// The number of identities tried.
        tried: usize,
        /// The public recipients it was sealed for, where a sidecar records them.
        sealed_for: Vec<String>,
    },
    /// Nobody could open what would be sealed, so nobody could prove it.
    #[error("none of the {tried} given identities opens what is sealed for the recipients")]
    NotProvable {
        /// The number of identities tried.
        tried: usize,
        /// The public recipients.
        recipients: Vec<String>,
    },
    /// The file is sealed with a passphrase that asks for more work than this machine should spend.
    #[error("{} asks for scrypt work 2^{required}, and at most 2^22 is accepted", path.display())]
    ExcessiveWork {
        /// The sealed file.
        path: PathBuf,
        /// The requested work factor, as a power of two.
        required: u8,
    },

    /// The file has no bytes at all.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file does not begin as an age file does.
    #[error("{} is not an age file", path.display())]
    NotAge {
        /// The file.
        path: PathBuf,
        /// True if it is age's text encoding, which a vault does not use.
        armored: bool,
    },
    /// The file is of an age version this program does not know.
    #[error("{} is of an unknown version of the age format", path.display())]
    UnknownAgeVersion {
        /// The file.
        path: PathBuf,
    },
    /// The header does not parse, its MAC does not match, or it lost a stanza that the sidecar
    /// records.
    #[error("the header of {} is damaged", path.display())]
    HeaderDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The file is shorter than it was, or has a length that no complete age file has.
    #[error("{} is truncated: {actual} bytes{}", path.display(), expected.map(|bytes| format!(" of {bytes}")).unwrap_or_default())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The length in the sidecar, where there is one.
        expected: Option<u64>,
        /// The length of the file.
        actual: u64,
    },
    /// The last chunk does not authenticate as the last one: the end is missing or altered.
    #[error("the end of {} does not authenticate: it is truncated or altered", path.display())]
    EndDamaged {
        /// The file.
        path: PathBuf,
    },
    /// A chunk does not authenticate: at least one bit of it was altered.
    #[error("{} is damaged in the 64 KiB of clear text from byte {offset}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Offset of the chunk in the clear text.
        offset: u64,
    },
    /// The file is longer than what was sealed.
    #[error("{} has {actual} bytes, its sidecar records {expected}", path.display())]
    SizeDiffers {
        /// The file.
        path: PathBuf,
        /// The length in the sidecar.
        expected: u64,
        /// The length of the file.
        actual: u64,
    },
    /// The ciphertext is not the one that was sealed.
    #[error("the SHA-256 of {} is {actual}, its sidecar records {expected}", path.display())]
    HashDiffers {
        /// The file.
        path: PathBuf,
        /// The hash in the sidecar, in hexadecimal.
        expected: String,
        /// The hash of the file, in hexadecimal.
        actual: String,
    },
    /// The file opens, but its header or length is not what the sidecar records: it was sealed
    /// again by someone.
    #[error("{} opens but is not the file that its sidecar describes", path.display())]
    NotAsSealed {
        /// The file.
        path: PathBuf,
    },
    /// The file or its sidecar changed after it was listed or opened.
    #[error("{} changed while it was in use", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },

    /// A sidecar of a version this program does not know.
    #[error("{} is in the unknown format `{found}`", path.display())]
    UnknownSidecarVersion {
        /// The sidecar.
        path: PathBuf,
        /// Its `format` field.
        found: String,
    },
    /// A sidecar that is not JSON, lacks a field, or contradicts the name of its entry.
    #[error("the sidecar {} is not usable: {reason}", path.display())]
    InvalidSidecar {
        /// The sidecar.
        path: PathBuf,
        /// The fault in it.
        reason: String,
    },
    /// A target has a sidecar and does not hand it out.
    #[error("the sidecar {} cannot be read: {reason}", path.display())]
    SidecarUnreadable {
        /// The sealed file.
        path: PathBuf,
        /// The reason, in the words of the target.
        reason: String,
    },
    /// No allowed signer signed what the sidecar says.
    #[error("{} is not to be trusted: {reason}", path.display())]
    Untrusted {
        /// The sealed file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Signatures are asked for, and no key would sign a new entry.
    #[error("a new backup would not be signed, and only signed ones count")]
    NoSigningKey,
    /// A new entry cannot be signed, or its signature would not count.
    #[error(transparent)]
    Signing(#[from] sshsig::Error),
    /// The operation needs a sidecar and the entry has none.
    #[error("{} has no sidecar", path.display())]
    NoSidecar {
        /// The sealed file.
        path: PathBuf,
    },
    /// The operation needs a verified entry.
    #[error("`{id}` is not verified")]
    NotVerified {
        /// The entry's id.
        id: String,
    },
    /// The entry does not lie in this vault.
    #[error("{} is not an entry of this vault", path.display())]
    ForeignEntry {
        /// The sealed file.
        path: PathBuf,
    },
    /// The place of the `latest` link is taken by something that is not a link.
    #[error("{} is not a symbolic link", path.display())]
    LatestIsNotALink {
        /// The place of the link.
        path: PathBuf,
    },

    /// A retention without any rule would keep nothing but what is never removed.
    #[error("no rule says what to keep")]
    NoRetention,
    /// Something in the vault was done after now: one of the clocks is or was wrong, and ages mean
    /// nothing.
    #[error("it is {now}, and the vault has a record of {recorded}")]
    ClockBehind {
        /// The time by the clock.
        now: jiff::Timestamp,
        /// The latest recorded act.
        recorded: jiff::Timestamp,
    },
    /// The file that says what is being removed cannot be read.
    #[error("{} does not say what is to be removed: {reason}", path.display())]
    InvalidPruning {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        reason: String,
    },

    /// Nothing in the vault, and no file, answers to this name.
    #[error("there is no entry `{spec}`")]
    NoSuchEntry {
        /// The given name.
        spec: String,
    },
    /// The beginning of an id that several entries share.
    #[error("`{spec}` may be any of {}", candidates.join(", "))]
    Ambiguous {
        /// The given name.
        spec: String,
        /// The ids it may mean, newest first.
        candidates: Vec<String>,
    },
    /// `latest` was asked for and no entry is verified.
    #[error("no verified backup of `{service}` ({entries} in the vault)")]
    NothingVerified {
        /// The service.
        service: String,
        /// The number of entries.
        entries: usize,
    },
    /// The description of a target is invalid.
    #[error("it cannot be a target: {reason}")]
    InvalidTarget {
        /// The fault.
        reason: String,
    },
    /// A target did not do what it was asked.
    #[error("{place}: {doing}: {failure}")]
    Target {
        /// The target, without secrets.
        place: String,
        /// The request.
        doing: String,
        /// The reason why it failed.
        failure: TargetFailure,
    },
    /// An earlier write failed, so the stream is incomplete and must not become an entry.
    #[error("the sealed stream is incomplete because an earlier write failed")]
    SealingBroken,
}

impl Error {
    /// Returns the remedy as one sentence, or `None` if the message says it all.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Io(source) | Self::IdentityUnreadable { source, .. } => {
                return regularfile::hint(source);
            }
            Self::InvalidService { .. } => {
                "use lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 128 characters"
            }
            Self::InvalidSuffix { .. } => {
                "use something like `.sql.gz.age`; `.json` belongs to the sidecars"
            }
            Self::NoVault { .. } => {
                "check the path, and that its disk is mounted; for a new vault, create the directory with mode 0700"
            }
            Self::Locked { .. } => "wait for the other run; the lock goes away with its process",
            Self::NoRecipients => "give at least one recipient, and an escrow recipient beside it",
            Self::PassphraseNotAlone => "seal either with the passphrase or for the public keys",
            Self::IncompatibleRecipients => {
                "seal for recipients of one kind: all post-quantum, or none"
            }
            Self::PluginFailed { .. } => {
                "install the plugin on PATH and insert its token; without a terminal the plugin cannot ask"
            }
            Self::BadRecipients { .. } => {
                "a recipient is `age1…`, `ssh-ed25519 …` or `ssh-rsa …`, one per line"
            }
            Self::NoIdentity { skipped, .. } if *skipped > 0 => {
                "give a file with a supported identity; the notes name each skipped line"
            }
            Self::NoIdentity { .. } => {
                "give an age or SOPS keys file, an SSH private key, or the passphrase"
            }
            Self::NoIdentityMatched { sealed_for, .. } => {
                return Some(wrong_key_hint(sealed_for).into());
            }
            Self::NotProvable { recipients, .. } => {
                let any = recipients.join(" or ");
                return Some(format!(
                    "give the identity of {any} as well: only what was opened again takes the place of a backup"
                ).into());
            }
            Self::ExcessiveWork { .. } => "open it with `age -d` if you trust its origin",
            Self::Empty { .. } | Self::Truncated { .. } | Self::EndDamaged { .. } => {
                "use another copy or an older backup; what is left cannot be trusted to be complete"
            }
            Self::NotAge { armored: true, .. } => {
                "decode the text encoding first: `age -d | age -r …`"
            }
            Self::UnknownAgeVersion { .. } | Self::UnknownSidecarVersion { .. } => {
                "it was written by a newer program; use that version or a newer one"
            }
            Self::HeaderDamaged { .. } | Self::Damaged { .. } | Self::HashDiffers { .. } => {
                "use another copy or an older backup; the storage under this one is suspect"
            }
            Self::SidecarUnreadable { .. } => {
                "check whose file it is there, and whether this user may read it"
            }
            Self::SizeDiffers { .. } | Self::NotAsSealed { .. } => {
                "age has no sender: anyone with the public recipients can make such a file; find out who replaced it"
            }
            Self::Untrusted { .. } => {
                "find out who put it there; what was sealed before signatures were asked for can be opened where they are not"
            }
            Self::NoSigningKey => "name the key to sign with",
            Self::Signing(error) => return error.hint(),
            Self::Changed { .. } => "list the vault again",
            Self::NoSidecar { .. } => {
                "a file without sidecar can be opened and read, but not catalogued as verified"
            }
            Self::NotVerified { .. } => "verify the entry first",
            Self::LatestIsNotALink { .. } => "move that file away; it is never overwritten",
            Self::NoRetention => "say how many to keep, such as daily = 7 and weekly = 5",
            Self::ClockBehind { .. } => {
                "set the clock right; if it was wrong before and is right now, verify those entries again when that time has come"
            }
            Self::InvalidPruning { .. } => {
                "nothing was removed; move that file away and plan again"
            }
            Self::Ambiguous { .. } => "give more of the id",
            Self::NothingVerified { entries: 0, .. } => "take a backup first",
            Self::NothingVerified { .. } => "verify a backup by its id, where its key is",
            Self::InvalidTarget { .. } => "look at its table in the configuration",
            Self::Target { failure, .. } => failure.hint(),
            Self::SealingBroken => "start the backup again; nothing was published",
            _ => return None,
        };
        Some(hint.into())
    }

    /// Returns the error for one of the age crate when it begins to seal.
    pub(crate) fn of_sealing(error: age::EncryptError) -> Self {
        match error {
            age::EncryptError::MissingRecipients => Self::NoRecipients,
            age::EncryptError::MixedRecipientAndPassphrase => Self::PassphraseNotAlone,
            age::EncryptError::IncompatibleRecipients { .. } => Self::IncompatibleRecipients,
            age::EncryptError::Io(error) => Self::of_carried(error),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }

    /// The library's own error, if that is what an error of the operating system carries.
    pub(crate) fn of_carried(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Io)
    }

    /// Returns true if the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Target { failure, .. } => failure.is_retryable(),
            Self::Locked { .. } | Self::Changed { .. } => true,
            _ => false,
        }
    }
}

fn wrong_key_hint(sealed_for: &[String]) -> String {
    if sealed_for.is_empty() {
        return "find the identity whose public key was a recipient of this file".to_owned();
    }
    format!("it was sealed for {}", sealed_for.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_source_is_printed_or_returned_never_both() {
        let source = io::Error::other("disk on fire");
        let error = Error::IdentityUnreadable { path: "keys.txt".into(), source };
        assert!(!error.to_string().contains("disk on fire"));
        assert_eq!(error.source().unwrap().to_string(), "disk on fire");
        let error = Error::from(io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "disk on fire");
        assert!(error.source().is_none());
    }

    #[test]
    fn a_wrong_key_names_whose_file_it_is() {
        let error = Error::NoIdentityMatched {
            path: "x.age".into(),
            tried: 2,
            sealed_for: vec!["age1xyz".to_owned()],
        };
        assert_eq!(error.to_string(), "none of the 2 given identities opens x.age");
        assert_eq!(error.hint().unwrap(), "it was sealed for age1xyz");
        assert!(!error.is_retryable());
    }
}
