//! The manifest of an archive. Specified in `docs/formats/archive.md`; this module is the
//! only one that knows its shape.

use serde::{Deserialize, Serialize};

use crate::census::{Census, Locale};
use crate::digest::Digest;
use crate::encoding::Encoding;
use crate::globals::{Membership, RoleDefinition, TablespaceDefinition};

/// The format that this crate writes wherever it can.
pub const FORMAT: &str = "pgsnap/1";

/// The format of an archive with rows in the encoding of their database. It differs in nothing
/// else.
pub const FORMAT_WITH_ENCODINGS: &str = "pgsnap/2";

/// The format of an archive whose tables have their rows in these encodings.
pub(crate) fn format_of(mut encodings: impl Iterator<Item = Option<Encoding>>) -> &'static str {
    if encodings.any(|encoding| encoding.is_some()) { FORMAT_WITH_ENCODINGS } else { FORMAT }
}

/// Everything known about an archive without reading its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// [`FORMAT`] or [`FORMAT_WITH_ENCODINGS`].
    pub format: String,
    /// The program and version that wrote it.
    pub writer: String,
    /// The time of the snapshot, by the source server's clock (RFC 3339, UTC).
    pub taken_at: String,
    /// The origin of the rows.
    pub source: Source,
    /// The contents of the archive.
    pub census: Census,
    /// Every gzip member but the last two (the manifest itself and its pointer), in file order.
    pub members: Vec<Member>,
}

/// The origin of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Source {
    /// `server_version`, such as `16.4 (Debian 16.4-1)`.
    pub server_version: String,
    /// `server_version_num`, such as 160004.
    pub server_version_num: u32,
    /// `system_identifier` of the cluster, where the role may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<String>,
    /// The version of `pg_dump` that supplied the DDL.
    pub pg_dump: String,
    /// The database's name.
    pub database: String,
    /// The database's OID.
    pub database_oid: u32,
    /// The size of the database on its disk, with indexes and bloat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_bytes: Option<u64>,
    /// The database's owner.
    pub owner: String,
    /// The server encoding, such as `UTF8`.
    pub encoding: String,
    /// The database's collation.
    pub locale: Locale,
    /// The comment on the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// `ALTER DATABASE … SET` settings as `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// `ALTER ROLE … IN DATABASE … SET` settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role_settings: Vec<RoleSetting>,
    /// `CONNECTION LIMIT`; -1 is none.
    #[serde(default = "no_limit")]
    pub connection_limit: i32,
    /// Privileges on the database; absent while they are the built-in ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileges: Option<Vec<DatabasePrivilege>>,
    /// Roles that own something or hold a privilege in the database.
    pub roles: Vec<String>,
    /// Tablespaces that objects of the database live in, the default one left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tablespaces: Vec<String>,
    /// The definitions of these roles; passwords only if they were requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role_definitions: Vec<RoleDefinition>,
    /// Memberships of and in these roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memberships: Vec<Membership>,
    /// The definitions of these tablespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tablespace_definitions: Vec<TablespaceDefinition>,
    /// The write-ahead log position right after the snapshot was taken.
    pub lsn: String,
    /// True if the source was a standby.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_recovery: bool,
}

/// A setting of one role in one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSetting {
    /// The role.
    pub role: String,
    /// The setting as `name=value`.
    pub setting: String,
}

/// One privilege on the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabasePrivilege {
    /// The role that has it; `None` is PUBLIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantee: Option<String>,
    /// `CONNECT`, `CREATE` or `TEMPORARY`.
    pub privilege: String,
    /// True if it may be passed on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grantable: bool,
}

fn no_limit() -> i32 {
    -1
}

impl Source {
    /// The major version of the server.
    #[must_use]
    pub fn server_major(&self) -> u32 {
        self.server_version_num / 10_000
    }
}

/// The kind of a gzip member's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MemberKind {
    /// The opening for psql: meta-commands, `BEGIN`, settings. A native restore skips it.
    Prologue,
    /// DDL that must exist before the rows.
    PreData,
    /// One `COPY … FROM stdin` of one table.
    Data,
    /// Large objects: creation where `pg_dump` does not create them, and contents.
    LargeObjects,
    /// `setval` calls.
    Sequences,
    /// The block that counts every table and raises where a count differs.
    Check,
    /// Indexes, keys, triggers and everything else that comes after the rows; privileges last.
    PostData,
    /// `COMMIT`. A native restore skips it.
    Epilogue,
}

/// One gzip member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The kind of its contents.
    pub kind: MemberKind,
    /// Its offset in the compressed stream.
    pub offset: u64,
    /// Its compressed length.
    pub length: u64,
    /// Its length when decompressed.
    pub raw: u64,
    /// XXH3-128 of the decompressed bytes. Absent for `data`, whose rows the table's digest covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Digest>,
    /// For `data`: the position of its table in `census.tables`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<usize>,
    /// For `data`: how many rows it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl Manifest {
    /// The members of one kind, in file order.
    pub fn members_of(&self, kind: MemberKind) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.kind == kind)
    }
}
