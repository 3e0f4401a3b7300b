//! Why a target did not do what it was asked.

use std::time::Duration;

/// What went wrong at a target, by what there is to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetFailure {
    /// No connection, or one that broke.
    #[error("it cannot be reached: {reason}")]
    Unreachable {
        /// What the system or the protocol said.
        reason: String,
    },
    /// Its host name leads to no address.
    #[error("its host name cannot be resolved")]
    NameUnknown,
    /// Nothing was heard for too long.
    #[error("it did not answer in time")]
    TimedOut,
    /// It was never silent for too long, and was not done when everything should have been.
    #[error("it is too slow: not done after {} seconds", after.as_secs().max(1))]
    TooSlow {
        /// How long it was given, by the length of what it had to send or to take.
        after: Duration,
    },
    /// Its answer is longer than any that is of use.
    #[error("its answer is too long: more than {limit} {unit}")]
    TooLong {
        /// The longest answer that is read.
        limit: u64,
        /// The unit of the limit: bytes, files or pages.
        unit: &'static str,
    },
    /// The far end did not prove that it is who it should be.
    #[error("it does not prove who it is: {reason}")]
    Untrusted {
        /// What is wrong with its certificate or host key.
        reason: String,
    },
    /// The credentials are wrong.
    #[error("it refuses the credentials")]
    Unauthorized,
    /// It knows only other ways to log in than a password in each request.
    #[error("it offers only {offered} authentication, which is not supported")]
    Authentication {
        /// The schemes that it offers.
        offered: String,
    },
    /// The far end said by a code of its protocol why it refuses.
    #[error("{fact} ({code})")]
    Refused {
        /// The code, in the words of the protocol.
        code: String,
        /// What it means.
        fact: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The login shell of the account writes into the session.
    #[error("the login shell of the account prints text (`{said}…`) where SFTP begins")]
    Talkative {
        /// The first letters.
        said: String,
    },
    /// The credentials are right, and not enough.
    #[error("it does not allow this ({answer})")]
    Forbidden {
        /// What the far end said.
        answer: String,
    },
    /// The place, or the file in it, is not there.
    #[error("there is no such file or folder")]
    NotFound,
    /// The file is too large for the far end or for something between.
    #[error("the file is too large for it (413)")]
    TooLarge,
    /// The far end is full.
    #[error("it has no space left")]
    Full,
    /// Somebody else is at work there, or it has too much to do.
    #[error("it is busy ({status})")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The far end failed.
    #[error("it failed with {status}")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// The answer belongs to another protocol, or makes no sense.
    #[error("it answered {answer}")]
    Unexpected {
        /// What it answered.
        answer: String,
    },
    /// The far end refers to another address. It is not followed: credentials go only where they
    /// belong.
    #[error("it refers to {location}")]
    Redirected {
        /// Where it refers to.
        location: String,
    },
    /// The far end has another file of that name.
    #[error("it has another file of that name")]
    Taken,
    /// What arrived is not what was sent.
    #[error("it has {actual}, not {expected}")]
    Differs {
        /// What was sent.
        expected: String,
        /// What is there.
        actual: String,
    },
    /// The place takes files, and shows none.
    #[error("it takes files and shows none")]
    WriteOnly,
    /// A program that is needed cannot be run.
    #[error("`{program}` cannot be run: {reason}")]
    Program {
        /// The program.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// The file on this side cannot be read.
    #[error("{0}")]
    Local(std::io::Error),
}

impl TargetFailure {
    /// Whether the same may succeed in a while.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::NameUnknown
                | Self::TimedOut
                | Self::Busy { .. }
                | Self::Server { .. }
        )
    }

    /// Whether the far end gave an answer, and it is no. What remains could not be asked.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Taken | Self::Differs { .. })
    }

    /// Returns true if other files of the same place may still be readable.
    pub(crate) fn is_about_one_file(&self) -> bool {
        match self {
            Self::Forbidden { .. }
            | Self::NotFound
            | Self::Unexpected { .. }
            | Self::Differs { .. } => true,
            Self::Refused { code, .. } => {
                let codes = ["AccessDenied", "AllAccessDisabled", "InvalidObjectState"];
                codes.contains(&code.as_str())
            }
            _ => false,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::TimedOut => {
                "check the network connection of this machine and of the target; the next push catches up"
            }
            Self::NameUnknown => {
                "check the host in its address; if that is right, check DNS and the network of this machine"
            }
            Self::TooSlow { .. } => {
                "check the target and the line to it; if `bandwidth` is set, see that it is not too low"
            }
            Self::TooLong { .. } => {
                "check that the address is that of a folder of backups, and what else is in it"
            }
            Self::Untrusted { .. } => {
                "if it has a certificate of your own authority, name that with `ca_file`; for SSH, add its host key to known_hosts"
            }
            Self::Unauthorized => "check the user and the file with the password or key",
            Self::Authentication { .. } => {
                "allow Basic authentication for this folder; it is protected by TLS"
            }
            Self::Refused { hint, .. } => hint,
            Self::Talkative { .. } => {
                "make its shell start silently when it is not interactive (see its .bashrc), or give it `internal-sftp`"
            }
            Self::Forbidden { .. } => "check what this user may do at that place",
            Self::NotFound => "check the address: the folder above must exist",
            Self::TooLarge => {
                "raise the limit of the server or proxy (LimitRequestBody, client_max_body_size), or set a smaller `part`"
            }
            Self::Full => "make room there, or raise the quota",
            Self::Busy { .. } | Self::Server { .. } => "it may pass; the next push tries again",
            Self::Unexpected { .. } => {
                "is this the address of such a service, and not of a web page?"
            }
            Self::Redirected { .. } => "give that address, if it is the right one",
            Self::Taken => "look who else writes to that place; nothing there was changed",
            Self::Differs { .. } => "remove that file there, and push again",
            Self::WriteOnly => "read it with the account that owns the folder",
            Self::Program { .. } => "install it",
            Self::Local(_) => "look at the file on this machine",
        }
    }
}
