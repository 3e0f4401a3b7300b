//! Targets as they are written in a configuration: one table, of which one key names the kind.
//!
//! A kind is a type with the keys of its table, in a file of its own, and a line in
//! `remote_kinds`.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::folder::FolderSpec;
use super::size::Size;
use super::{Limits, Target};
use crate::{Error, Result};

/// Reads the secret in a file; the second argument names the secret.
pub(super) type Secrets<'a, E> = dyn FnMut(&Path, &'static str) -> Result<SecretString, E> + 'a;

/// The table of one kind of target.
pub(super) trait Table: Debug {
    /// The key that names the kind. Its value is the place.
    fn kind(&self) -> &'static str;

    /// Refuses what no table of this kind may say. A place that passes holds no secret.
    fn check(&self) -> Result<()>;

    /// The place, for people.
    fn place(&self) -> String;

    /// The public part of the account at the place.
    fn account(&self) -> Value {
        Value::Null
    }

    /// The file that decides where the place is, or which servers are trusted there.
    fn deciding_file(&self) -> Option<&Path> {
        None
    }

    /// Every path in the table.
    fn paths_mut(&mut self) -> Vec<&mut PathBuf>;

    /// Maximum age of the newest copy.
    fn max_age(&self) -> Option<Duration>;
}

/// The table of a kind that is reached by its protocol.
pub(super) trait Spec: Table + DeserializeOwned {
    /// The key that names the kind.
    const KIND: &'static str;

    /// Makes the target. Nothing is asked yet.
    fn open<E: From<Error>>(
        &self,
        until: Option<Instant>,
        secrets: &mut Secrets<'_, E>,
    ) -> Result<Arc<dyn Target>, E>;
}

/// The limits of a table, for questions that end at this moment.
pub(super) fn limits(
    until: Option<Instant>,
    bandwidth: Option<Size>,
    part: Option<Size>,
) -> Limits {
    let mut limits = Limits { until, ..Limits::default() };
    limits.bandwidth = bandwidth.map(|size| size.0);
    limits.part = part.map_or(limits.part, |size| size.0);
    limits
}

/// A place for copies of backups, as it is written in a configuration.
///
/// ```
/// let json = r#"{"sftp": "backup@nas:/srv/backups", "max_age": "8days"}"#;
/// let target: backup::TargetSpec = serde_json::from_str(json)?;
/// assert_eq!((target.kind(), target.place().as_str()), ("sftp", "backup@nas:/srv/backups"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum TargetSpec {
    /// A folder on a mounted disk, which is a [`Vault`](crate::Vault) itself.
    Folder(FolderSpec),
    /// A place that is reached by its protocol.
    Remote(RemoteSpec),
}

impl TargetSpec {
    /// The key that names the kind: `folder`, `webdav`, `filedrop`, `sftp` or `s3`.
    pub fn kind(&self) -> &'static str {
        self.table().kind()
    }

    /// The place, for people. It holds no secret.
    pub fn place(&self) -> String {
        self.table().place()
    }

    /// Maximum age of the newest copy, where it is another than that of the newest backup.
    pub fn max_age(&self) -> Option<Duration> {
        self.table().max_age()
    }

    /// The identity of the place: its kind, where it is, and the account there. Secrets are no part
    /// of it, since they may be replaced.
    pub fn identity(&self) -> Value {
        let table = self.table();
        json!({ "kind": table.kind(), "place": table.place(), "account": table.account() })
    }

    /// The file that decides where the place is, or which servers are trusted there.
    pub fn deciding_file(&self) -> Option<&Path> {
        self.table().deciding_file()
    }

    /// Every path in the table. Relative ones begin at the current directory.
    pub fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Folder(folder) => folder.paths_mut(),
            Self::Remote(remote) => remote.table_mut().paths_mut(),
        }
    }

    fn table(&self) -> &dyn Table {
        match self {
            Self::Folder(folder) => folder,
            Self::Remote(remote) => remote.table(),
        }
    }

    /// Reads a table. One key names the kind, and each kind has keys of its own.
    fn of_table(table: Map<String, Value>) -> Result<Self, String> {
        let mut named = KINDS.iter().filter(|kind| table.contains_key(**kind));
        let (Some(kind), None) = (named.next(), named.next()) else {
            return Err(format!("exactly one place is required: one of {}", quoted(KINDS)));
        };
        let target = Self::of_kind(kind, table)?;
        match target.table().check() {
            Ok(()) => Ok(target),
            Err(Error::InvalidTarget { reason }) => Err(format!("`{kind}`: {reason}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for TargetSpec {
    /// An error begins with the key in backquotes and a colon where it is about one.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Map::deserialize(deserializer)?;
        Self::of_table(table).map_err(D::Error::custom)
    }
}

fn read<T: DeserializeOwned>(table: Map<String, Value>) -> Result<T, String> {
    serde_path_to_error::deserialize(Value::Object(table)).map_err(|error| {
        let key = error.path().to_string();
        let reason = error.inner().to_string();
        if key == "." { reason } else { format!("`{key}`: {reason}") }
    })
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// A place for copies that is reached by its protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RemoteSpec(Kind);

macro_rules! remote_kinds {
    ($($feature:literal: $about:literal $kind:ident($spec:ty),)+) => {
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(untagged)]
        enum Kind {
            $(#[cfg(feature = $feature)] #[doc = $about] $kind($spec),)+
        }

        /// The keys that name a kind.
        const KINDS: &[&str] =
            &[FolderSpec::KIND, $(#[cfg(feature = $feature)] <$spec as Spec>::KIND),+];

        impl TargetSpec {
            fn of_kind(kind: &str, table: Map<String, Value>) -> Result<Self, String> {
                match kind {
                    $(#[cfg(feature = $feature)] <$spec as Spec>::KIND => {
                        read(table).map(|spec| Self::Remote(RemoteSpec(Kind::$kind(spec))))
                    })+
                    _ => read(table).map(Self::Folder),
                }
            }
        }

        impl RemoteSpec {
            /// Makes the target, for questions that end at the moment `until`. `secrets` reads the
            /// named secret in a file. Nothing is asked of the target yet.
            ///
            /// # Errors
            /// Those of `secrets`, and [`Error::InvalidTarget`].
            pub fn open<E: From<Error>>(
                &self,
                until: Option<Instant>,
                mut secrets: impl FnMut(&Path, &'static str) -> Result<SecretString, E>,
            ) -> Result<Arc<dyn Target>, E> {
                match self.0 {
                    $(#[cfg(feature = $feature)]
                    Kind::$kind(ref spec) => spec.open(until, &mut secrets),)+
                }
            }

            fn table(&self) -> &dyn Table {
                match self.0 {
                    $(#[cfg(feature = $feature)] Kind::$kind(ref spec) => spec,)+
                }
            }

            fn table_mut(&mut self) -> &mut dyn Table {
                match self.0 {
                    $(#[cfg(feature = $feature)] Kind::$kind(ref mut spec) => spec,)+
                }
            }
        }
    };
}

remote_kinds! {
    "http": "A folder of a WebDAV server or Nextcloud." WebDav(super::webdav::WebDavSpec),
    "http": "A Nextcloud share that only accepts files." FileDrop(super::filedrop::FileDropSpec),
    "sftp": "A folder of an SFTP server." Sftp(super::sftp::SftpSpec),
    "s3": "A bucket of S3." S3(super::s3::S3Spec),
}

#[cfg(all(test, feature = "http", feature = "sftp", feature = "s3"))]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<TargetSpec, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    const EACH_KIND: [&str; 5] = [
        r#"{"folder": "mnt/x", "max_age": "2h"}"#,
        r#"{"webdav": "https://c.example/dav", "user": "u", "password_file": "p", "bandwidth": "2 MiB"}"#,
        r#"{"filedrop": "https://c.example", "token_file": "t", "part": "900MB"}"#,
        r#"{"sftp": "hub@nas:/srv", "identity_file": "id", "ssh_config": "c"}"#,
        r#"{"s3": "https://s3.example/", "bucket": "b", "access_key": "a", "secret_key_file": "s", "ca_file": "ca"}"#,
    ];

    #[test]
    fn every_kind_is_understood_and_written_as_it_was_read() {
        let mut kinds = Vec::new();
        for text in EACH_KIND {
            let target = read(text).unwrap();
            let written = serde_json::to_string(&target).unwrap();
            assert_eq!(read(&written).as_ref(), Ok(&target), "{written}");
            kinds.push(target.kind());
        }
        assert_eq!(kinds, KINDS);
    }

    #[test]
    fn a_place_is_shown_with_its_account_and_the_file_that_decides() {
        let shown = EACH_KIND.map(|text| {
            let target = read(text).unwrap();
            let file = target.deciding_file().map(Path::to_owned);
            let file = file.map_or_else(String::new, |file| format!(" {}", file.display()));
            format!("{}{file}", target.identity())
        });
        insta::assert_snapshot!(shown.join("\n"), @r#"
        {"account":null,"kind":"folder","place":"mnt/x"}
        {"account":{"user":"u"},"kind":"webdav","place":"https://c.example/dav"}
        {"account":null,"kind":"filedrop","place":"https://c.example"}
        {"account":null,"kind":"sftp","place":"hub@nas:/srv"} c
        {"account":{"access_key":"a","region":"us-east-1"},"kind":"s3","place":"https://s3.example/b/"} ca
        "#);
    }

    #[test]
    fn every_path_can_be_moved() {
        for text in EACH_KIND {
            let mut target = read(text).unwrap();
            let found = target.paths_mut().into_iter().map(|path| {
                *path = Path::new("/etc").join(&*path);
            });
            let moved = found.count();
            let written = serde_json::to_string(&target).unwrap();
            assert_eq!(written.matches("/etc/").count(), moved, "{written}");
            let files = text.matches("_file\"").count() + text.matches("_config\"").count();
            assert_eq!(moved, files + text.matches("folder").count(), "{text}");
        }
    }

    #[test]
    fn limits_are_those_of_the_table() {
        let limits = limits(None, Some(Size(2 << 20)), None);
        assert_eq!((limits.bandwidth, limits.part), (Some(2 << 20), Limits::default().part));
    }

    #[test]
    fn a_secret_in_a_place_is_refused_and_not_repeated() {
        for text in [
            r#"{"webdav": "https://hub:hunter2@c.example/dav"}"#,
            r#"{"webdav": "https://c.example/dav?token=hunter2"}"#,
            r#"{"webdav": "https://hunter2@c.example/dav"}"#,
            r#"{"filedrop": "https://hub:hunter2@c.example/", "token_file": "t"}"#,
            r#"{"sftp": "sftp://hub:hunter2@nas/srv"}"#,
            r#"{"sftp": "hub:hunter2@nas:/srv"}"#,
            r#"{"s3": "https://AKID:hunter2@s3.example/", "bucket": "b", "access_key": "a", "secret_key_file": "s"}"#,
        ] {
            let refusal = read(text).unwrap_err();
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }

    #[test]
    fn a_table_that_is_no_target_is_refused() {
        let refusals = [
            r#"{"folder": "/x", "sftp": "nas:/y"}"#,
            r#"{"max_age": "2h"}"#,
            r#"{"folder": "/x", "user": "u"}"#,
            r#"{"folder": "/x", "bandwidth": "1 MiB"}"#,
            r#"{"sftp": "nas:/x", "part": "1 MiB"}"#,
            r#"{"sftp": "nas"}"#,
            r#"{"webdav": "https://c.example", "user": "u"}"#,
            r#"{"webdav": 3}"#,
            r#"{"webdav": "https://c.example", "bandwidth": "s3cret"}"#,
            r#"{"s3": "https://s3.example", "bucket": "b"}"#,
        ]
        .map(|text| read(text).unwrap_err());
        insta::assert_snapshot!(refusals.join("\n"), @r#"
        exactly one place is required: one of `folder`, `webdav`, `filedrop`, `sftp`, `s3`
        exactly one place is required: one of `folder`, `webdav`, `filedrop`, `sftp`, `s3`
        `user`: unknown field `user`, expected `folder` or `max_age`
        `bandwidth`: unknown field `bandwidth`, expected `folder` or `max_age`
        `part`: unknown field `part`, expected one of `sftp`, `ssh_config`, `identity_file`, `bandwidth`, `max_age`
        `sftp`: its place is not HOST:FOLDER
        `webdav`: `user` and `password_file` are required together
        `webdav`: invalid type: integer `3`, expected a string
        `bandwidth`: invalid value: string "s3cret", expected parsable string
        missing field `access_key`
        "#);
    }
}
