//! The classes of errors: a wrong question, an answer of no, or none at all.

use super::Error;

/// The meaning of an error for the question that was asked.
///
/// The enum is exhaustive on purpose: a program that maps it to exit codes does
/// not compile when a class is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller asked for something invalid: a name, a target or an entry that does
    /// not exist.
    Usage,
    /// The question was asked, and the answer is no: the backup is damaged, untrusted or
    /// unverified.
    No,
    /// The question could not be asked: the file system or a target did not answer.
    CouldNotAsk,
}

enum Judged {
    Usage,
    No,
    Damage,
    CouldNotAsk,
}

impl Error {
    /// Says whether the answer is no, or the question could not be asked.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self.judged() {
            Judged::Usage => ErrorClass::Usage,
            Judged::No | Judged::Damage => ErrorClass::No,
            Judged::CouldNotAsk => ErrorClass::CouldNotAsk,
        }
    }

    /// Returns whether the bytes of a backup are not those that were sealed: whoever asks, and
    /// with whatever key.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self.judged(), Judged::Damage)
    }

    fn judged(&self) -> Judged {
        match self {
            Self::InvalidService { .. }
            | Self::InvalidTarget { .. }
            | Self::InvalidSuffix { .. }
            | Self::NoVault { .. }
            | Self::NoRecipients
            | Self::PassphraseNotAlone
            | Self::IncompatibleRecipients
            | Self::BadRecipients { .. }
            | Self::NoIdentity { .. }
            | Self::IdentityUnreadable { .. }
            | Self::NoRetention
            | Self::NoSigningKey
            | Self::NotProvable { .. }
            | Self::NoSuchEntry { .. }
            | Self::Ambiguous { .. } => Judged::Usage,
            Self::NoIdentityMatched { .. }
            | Self::WrongPassphrase { .. }
            | Self::InvalidSidecar { .. }
            | Self::Untrusted { .. }
            | Self::NotVerified { .. }
            | Self::NothingVerified { .. } => Judged::No,
            Self::Target { failure, .. } if failure.is_answer() => Judged::No,
            Self::Signing(error) => match error.class() {
                sshsig::ErrorClass::Usage => Judged::Usage,
                sshsig::ErrorClass::No => Judged::No,
                sshsig::ErrorClass::CouldNotAsk => Judged::CouldNotAsk,
            },
            Self::Empty { .. }
            | Self::NotAge { .. }
            | Self::HeaderDamaged { .. }
            | Self::Truncated { .. }
            | Self::EndDamaged { .. }
            | Self::Damaged { .. }
            | Self::SizeDiffers { .. }
            | Self::HashDiffers { .. }
            | Self::NotAsSealed { .. } => Judged::Damage,
            Self::Target { .. }
            | Self::Io(_)
            | Self::Locked { .. }
            | Self::ForeignLock
            | Self::TimeOutOfRange { .. }
            | Self::PluginFailed { .. }
            | Self::ExcessiveWork { .. }
            | Self::UnknownAgeVersion { .. }
            | Self::Changed { .. }
            | Self::UnknownSidecarVersion { .. }
            | Self::NoSidecar { .. }
            | Self::SidecarUnreadable { .. }
            | Self::ForeignEntry { .. }
            | Self::LatestIsNotALink { .. }
            | Self::ClockBehind { .. }
            | Self::InvalidPruning { .. }
            | Self::SealingBroken => Judged::CouldNotAsk,
        }
    }
}
