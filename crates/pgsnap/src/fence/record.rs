//! The state of a database before it was fenced. Specified in `docs/formats/pgsnap-fence.md`; this
//! module is the only one that knows its shape.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use regularfile::Options;
use serde::{Deserialize, Serialize};

use crate::comment;
use crate::error::{Error, Result};
use crate::restore::suffixed;

/// The format of a fence's record.
pub const FENCE_FORMAT: &str = "pgsnap-fence/1";

/// The setting of a fenced database that holds its record; also the word that begins the line in
/// its comment, where this role may not make settings of its own.
pub(crate) const RECORD: &str = "hubctl.fence";

/// No record is larger: it holds the settings of one database.
const LARGEST: u64 = 16 << 20;

/// The state of one database before it was fenced, and what the fence makes of it.
///
/// It is written to the disk before anything changes, and kept on the server as long as the fence
/// stands, so that either is enough to take the fence down again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FenceRecord {
    /// [`FENCE_FORMAT`].
    pub format: String,
    /// Names this fence: the second of its beginning in UTC, and four random digits.
    pub id: String,
    /// The time it was planned, by the server's clock (RFC 3339, UTC).
    pub planned_at: String,
    /// `system_identifier` of the cluster, where the role may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<String>,
    /// The real name of the database.
    pub database: String,
    /// Its OID, which a rename keeps.
    pub database_oid: u32,
    /// The strength of the fence.
    pub kind: FenceKind,
    /// The name that a hard fence gives to the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// The role that may go on connecting, because the fence was built by it and it is no
    /// superuser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admits: Option<RoleName>,
    /// The state before.
    pub before: DatabaseState,
}

/// The strength of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FenceKind {
    /// Clients are refused: the database has another name, by which the server proved that it was
    /// empty.
    Hard,
    /// Readers go on, and a writer who asks for it can still write: the default of every
    /// transaction is read-only.
    Soft,
}

/// A role by its number, which stays, and its name at the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoleName {
    /// Its OID.
    pub oid: u32,
    /// Its name when it was recorded.
    pub name: String,
}

/// The properties of a database that a fence changes, and those beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatabaseState {
    /// Its owner.
    pub owner: RoleName,
    /// `ALLOW_CONNECTIONS`.
    pub allow_connections: bool,
    /// `CONNECTION LIMIT`; -1 is none.
    pub connection_limit: i32,
    /// Its privileges are PostgreSQL's built-in ones, never granted or revoked.
    pub privileges_are_default: bool,
    /// Its effective privileges.
    pub privileges: Vec<Grant>,
    /// Its settings, and those of roles in it.
    pub settings: Vec<Settings>,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// One privilege on a database, and who granted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Grant {
    /// The role that granted it.
    pub grantor: RoleName,
    /// The role that has it; `None` is PUBLIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantee: Option<RoleName>,
    /// `CONNECT`, `CREATE` or `TEMPORARY`.
    pub privilege: String,
    /// It may be passed on.
    pub grantable: bool,
}

/// The settings of a database, or of one role in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// The role; `None` is the database itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// Each as `name=value`, in the server's order.
    pub values: Vec<String>,
}

/// Behind a hard fence.
pub(crate) const FROZEN: &str = "__frozen_";

/// The name behind a hard fence.
pub(crate) fn frozen_name(database: &str, id: &str) -> String {
    suffixed(database, FROZEN, id)
}

/// The part of a record that every version has.
#[derive(Deserialize)]
struct Versioned {
    format: String,
}

impl FenceRecord {
    /// The name of the database behind the fence.
    #[must_use]
    pub fn fenced_name(&self) -> &str {
        self.frozen.as_deref().unwrap_or(&self.database)
    }

    /// Returns whether a database of this name can stand behind this fence. The owner may write a
    /// record into the comment, which must not lead to a name that this owner could not set.
    pub(crate) fn fits(&self, name: &str) -> bool {
        let frozen = frozen_name(&self.database, &self.id);
        name == self.database || (self.frozen.as_deref() == Some(name) && name == frozen)
    }

    /// Reads a record from the disk; `None` where there is no file, or only the empty one that
    /// [`FenceRecord::save`] begins with.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::FenceRecord`] for what is no record of a known version.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        match Options::read().trusted_for_root().to_string(path, LARGEST) {
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file(path, error)),
        }
    }

    /// Writes the record to the disk, where it is when this returns. A new file has mode 0600.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let write = || match regularfile::create(path, "") {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            // The new content takes over the mode.
            _ => regularfile::replace(path, self.text() + "\n"),
        };
        write().map_err(|error| Error::file(path, error))
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refused = |reason: String| Error::FenceRecord { reason };
        let no_record = |error: serde_json::Error| refused(format!("it cannot be read: {error}"));
        let Versioned { format } = serde_json::from_str(text).map_err(no_record)?;
        if format != FENCE_FORMAT {
            return Err(refused(format!(
                "it has format {format}, this program reads {FENCE_FORMAT}"
            )));
        }
        serde_json::from_str(text).map_err(no_record)
    }

    /// One line of JSON in ASCII: a catalogue that all databases share must be readable
    /// in the encoding of each.
    pub(crate) fn text(&self) -> String {
        let json = serde_json::to_string(self).expect("a record has nothing that JSON lacks");
        let mut ascii = String::with_capacity(json.len());
        for character in json.chars() {
            if character.is_ascii() {
                ascii.push(character);
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
        ascii
    }

    /// The record of the database with this OID, from its settings or its comment. A record of
    /// another database came here with a copy and means nothing.
    pub(crate) fn find(
        settings: &[String],
        comment: Option<&str>,
        database_oid: u32,
    ) -> Result<Option<Self>> {
        let prefix = format!("{RECORD}=");
        let set = settings.iter().map(String::as_str);
        let commented = comment.into_iter().flat_map(str::lines);
        let texts = set.chain(commented).filter_map(|text| text.strip_prefix(&prefix));
        for text in texts {
            let record = Self::parse(text)?;
            if record.database_oid == database_oid {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The comment that carries the record, behind the one that is there.
    pub(crate) fn in_comment(&self) -> String {
        comment::with(self.before.comment.as_deref(), RECORD, &self.text())
    }
}

#[cfg(test)]
pub(crate) mod fixtures {
    use super::*;

    pub(crate) fn role(oid: u32, name: &str) -> RoleName {
        RoleName { oid, name: name.into() }
    }

    pub(crate) fn grant(grantor: &RoleName, grantee: Option<&RoleName>) -> Grant {
        let (grantor, grantee) = (grantor.clone(), grantee.cloned());
        Grant { grantor, grantee, privilege: "CONNECT".into(), grantable: false }
    }

    pub(crate) fn record() -> FenceRecord {
        let owner = role(10, "hüb");
        FenceRecord {
            format: FENCE_FORMAT.into(),
            id: "20261121161200ab12".into(),
            planned_at: "2026-11-21T16:12:00.000000Z".into(),
            system_identifier: None,
            database: "hub".into(),
            database_oid: 16384,
            kind: FenceKind::Hard,
            frozen: Some("hub__frozen_20261121161200ab12".into()),
            admits: None,
            before: DatabaseState {
                allow_connections: true,
                connection_limit: 7,
                privileges_are_default: false,
                privileges: vec![grant(&owner, None), grant(&owner, Some(&owner))],
                owner,
                settings: vec![Settings { role: None, values: vec!["work_mem=9MB".into()] }],
                comment: Some("first line\nsecond 𝄞".into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::record;
    use super::*;

    #[test]
    fn a_record_travels_as_ascii_and_comes_back() {
        let record = record();
        let text = record.text();
        assert!(text.is_ascii() && !text.contains('\n'), "{text}");
        assert_eq!(FenceRecord::parse(&text).unwrap(), record);
    }

    #[test]
    fn a_comment_keeps_its_own_lines() {
        let record = record();
        let text = record.in_comment();
        let found = FenceRecord::find(&[], Some(&text), 16384).unwrap().unwrap();
        assert_eq!(found, record);
        assert_eq!(comment::without(&text, RECORD), record.before.comment);
    }

    #[test]
    fn only_the_two_names_of_a_fence_fit() {
        let mut record = record();
        assert!(record.fits("hub") && record.fits("hub__frozen_20261121161200ab12"));
        record.frozen = Some("other".into());
        assert!(!record.fits("other"));
    }

    #[test]
    fn a_record_of_another_database_is_none() {
        let setting = format!("{RECORD}={}", record().text());
        assert_eq!(FenceRecord::find(&[setting], None, 16385).unwrap(), None);
    }

    #[test]
    fn an_unknown_version_is_refused_with_a_hint() {
        let text = record().text().replace("pgsnap-fence/1", "pgsnap-fence/2");
        let error = FenceRecord::parse(&text).unwrap_err();
        assert!(error.to_string().contains("pgsnap-fence/2"), "{error}");
        assert!(error.hint().is_some());
        assert!(FenceRecord::parse("{}").is_err());
    }

    #[test]
    fn a_file_is_private_and_replaced_as_a_whole() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("fence.json");
        assert_eq!(FenceRecord::load(&path).unwrap(), None);
        for _ in 0..2 {
            record().save(&path).unwrap();
            assert_eq!(FenceRecord::load(&path).unwrap().unwrap(), record());
        }
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs_err::write(&path, "not a record").unwrap();
        assert!(matches!(FenceRecord::load(&path), Err(Error::FenceRecord { .. })));
        fs_err::write(&path, "").unwrap();
        assert_eq!(FenceRecord::load(&path).unwrap(), None, "a run died before it wrote");
    }
}
