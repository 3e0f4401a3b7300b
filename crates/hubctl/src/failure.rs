//! From an error to what the operator reads: the fact, its causes without repeats, the hint, and
//! the exit code.

mod flags;
mod judgement;

use std::fmt;

use serde::Serialize;

use crate::exit::Exit;
pub(crate) use flags::{in_flags, name_flags};
use judgement::{exit_of, hint_of};
pub(crate) use judgement::{is_damage, is_disk_full};

/// A refusal or a negative answer of hubctl itself.
#[derive(Debug, thiserror::Error)]
#[error("{fact}")]
pub(crate) struct Refusal {
    fact: String,
    hint: Option<String>,
    exit: Exit,
}

impl Refusal {
    /// Arguments or configuration that make no sense.
    pub(crate) fn usage(fact: impl Into<String>) -> Self {
        Self { fact: fact.into(), hint: None, exit: Exit::Usage }
    }

    /// The question was asked, and the answer is no.
    pub(crate) fn no(fact: impl Into<String>) -> Self {
        Self { fact: fact.into(), hint: None, exit: Exit::No }
    }

    /// The question could not be asked.
    pub(crate) fn could_not_ask(fact: impl Into<String>) -> Self {
        Self { fact: fact.into(), hint: None, exit: Exit::CouldNotAsk }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the hint of another error, if it has one.
    pub(crate) fn hinted(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }
}

/// Nobody reads stdout any more, which is no error: `hubctl backups | head -1`.
#[derive(Debug, thiserror::Error)]
#[error("stdout was closed")]
pub(crate) struct StdoutClosed;

/// An error as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hint: Option<String>,
    #[serde(rename = "exit_code", serialize_with = "code")]
    pub(crate) exit: Exit,
}

fn code<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(exit.code())
}

impl Failure {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for cause in error.chain() {
            let text = plain(cause.to_string());
            let said = lines.last().is_some_and(|above| above.ends_with(&text));
            if !said && !text.is_empty() {
                lines.push(text);
            }
        }
        let causes = lines.split_off(lines.len().min(1));
        Self {
            message: lines.pop().unwrap_or_default(),
            causes,
            hint: error.chain().find_map(hint_of),
            exit: error.chain().find_map(exit_of).unwrap_or(Exit::CouldNotAsk),
        }
    }

    /// The fact and its causes in one sentence.
    pub(crate) fn sentence(&self) -> String {
        let parts: Vec<&str> =
            std::iter::once(&self.message).chain(&self.causes).map(String::as_str).collect();
        parts.join(": ")
    }
}

/// A message without the names of calls that nobody knows: `fs_err` says so of a file that is not
/// there.
fn plain(text: String) -> String {
    const CALLS: [&str; 3] = [
        "failed to query resolved metadata ",
        "failed to query raw metadata ",
        "failed to canonicalize path ",
    ];
    CALLS.iter().fold(text, |text, call| text.replace(call, "could not find "))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {cause}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use std::io;

    #[test]
    fn a_cause_that_is_already_said_is_not_repeated() {
        let error = anyhow::anyhow!("connection refused")
            .context("cannot ask: connection refused")
            .context("no answer");
        insta::assert_snapshot!(Failure::of(&error), @r"
        error: no answer
          caused by: cannot ask: connection refused
        ");
    }

    #[test]
    fn no_call_of_the_system_is_named() {
        for error in [
            fs_err::metadata("/nowhere/at-all").unwrap_err(),
            fs_err::symlink_metadata("/nowhere/at-all").unwrap_err(),
            fs_err::canonicalize("/nowhere/at-all").unwrap_err(),
        ] {
            let failure = Failure::of(&anyhow::Error::from(error)).to_string();
            assert!(!failure.contains("metadata") && !failure.contains("canonical"), "{failure}");
            assert!(failure.contains("could not find `/nowhere/at-all`"), "{failure}");
        }
    }

    #[test]
    fn fact_cause_and_hint_are_three_things() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let error = anyhow::Error::from(pgsnap::Error::Write { source });
        insta::assert_snapshot!(Failure::of(&error), @r"
        error: could not write the archive
          caused by: no storage space
        hint: make room on this file system; nothing unfinished was published
        ");
        assert_eq!(Failure::of(&error).exit, Exit::CouldNotAsk);
    }

    #[test]
    fn the_vaults_error_inside_an_archive_error_decides() {
        let damaged = backup::Error::Damaged { path: "x.age".into(), offset: 65536 };
        let source = io::Error::new(io::ErrorKind::InvalidData, damaged);
        let failure = Failure::of(&anyhow::Error::from(pgsnap::Error::Read { source }));
        insta::assert_snapshot!(failure, @r"
        error: could not read the archive
          caused by: x.age is damaged in the 64 KiB of clear text from byte 65536
        hint: use another copy or an older backup; the storage under this one is suspect
        ");
        assert_eq!(failure.exit, Exit::No);
    }

    #[test]
    fn context_does_not_hide_the_exit_code() {
        let answer: Result<(), _> =
            Err(Refusal::no("the drill failed").hint("look at the journal"));
        let error = answer.context("drill").unwrap_err();
        assert_eq!(Failure::of(&error).exit, Exit::No);
        assert_eq!(Failure::of(&error).hint.as_deref(), Some("look at the journal"));
    }

    #[test]
    fn a_missing_pg_dump_could_not_ask_and_names_what_to_install() {
        let found = vec!["15.18 in /usr/lib/postgresql/15/bin".to_owned()];
        let failure = Failure::of(&anyhow::Error::from(pgsnap::Error::PgDumpMissing {
            server_major: 17,
            found,
        }));
        insta::assert_snapshot!(failure, @r"
        error: no pg_dump of version 17 or newer was found (found: 15.18 in /usr/lib/postgresql/15/bin)
        hint: install it, for example `apt-get install postgresql-client-17`; it supplies the DDL only
        ");
        assert_eq!(failure.exit, Exit::CouldNotAsk);
    }

    #[test]
    fn a_wrong_key_or_an_unknown_format_is_no_damage() {
        let path = || "x.age".into();
        let tried = 1;
        let sealed_for = Vec::new();
        let wrong_key = backup::Error::NoIdentityMatched { path: path(), tried, sealed_for };
        assert!(!is_damage(&wrong_key.into()));
        let newer = pgsnap::Error::UnsupportedFormat { found: "pgsnap/9".to_owned() };
        assert!(!is_damage(&newer.into()));
        assert!(is_damage(
            &anyhow::Error::from(backup::Error::Empty { path: path() }).context("drill")
        ));
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(is_damage(&pgsnap::Error::Read { source: cut }.into()));
    }
}
