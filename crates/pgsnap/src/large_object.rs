//! Large objects: listed under the snapshot, read in pieces, written with stateless calls.

use std::fmt::Write as _;
use std::pin::pin;

use futures_util::TryStreamExt;

use crate::census::LargeObjects;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::name::{quote_identifier, quote_literal};
use crate::session::Session;

/// Bytes of a large object per piece.
const PIECE: i64 = 1 << 20;

/// The first `pg_dump` that keeps the definitions of large objects in the data section, which is
/// not taken from it.
pub(crate) const DEFINITIONS_MOVED: u32 = 17;

/// Receives pieces of large objects.
pub(crate) trait PieceSink: Send {
    /// One piece: the object, the position of the piece within it in bytes, and its bytes.
    fn piece(
        &mut self,
        oid: u32,
        position: i64,
        bytes: &[u8],
    ) -> impl Future<Output = Result<()>> + Send;
}

/// Only counts.
pub(crate) struct NoPieces;

impl PieceSink for NoPieces {
    async fn piece(&mut self, _oid: u32, _position: i64, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Reads every large object once, in order of OID.
///
/// The first piece of each comes in one streaming query; only objects that fill it are asked again.
pub(crate) async fn read(session: &Session, sink: &mut impl PieceSink) -> Result<LargeObjects> {
    const CONTEXT: &str = "reading large objects";
    const FIRST: &str = "SELECT m.oid, pg_catalog.lo_get(m.oid, 0, $1) FROM pg_catalog.pg_largeobject_metadata m ORDER BY m.oid";
    const NEXT: &str = "SELECT pg_catalog.lo_get($1, $2, $3)";
    let length = i32::try_from(PIECE).expect("a piece is small");
    let mut found = LargeObjects::default();
    let mut long = Vec::new();
    {
        let mut stream = pin!(session.stream(CONTEXT, FIRST, &[&length]).await?);
        while let Some(row) =
            stream.try_next().await.map_err(|error| Error::query(CONTEXT, error))?
        {
            let (oid, bytes): (u32, &[u8]) = (row.get(0), row.get(1));
            found.count += 1;
            found.add(oid, 0, bytes);
            sink.piece(oid, 0, bytes).await?;
            if bytes.len() as i64 == PIECE {
                long.push(oid);
            }
        }
    }
    for oid in long {
        let mut position = PIECE;
        loop {
            let row = session.row(CONTEXT, NEXT, &[&oid, &position, &length]).await?;
            let bytes: &[u8] = row.get(0);
            if bytes.is_empty() {
                break;
            }
            found.add(oid, position, bytes);
            sink.piece(oid, position, bytes).await?;
            position += bytes.len() as i64;
        }
    }
    Ok(found)
}

impl LargeObjects {
    fn add(&mut self, oid: u32, position: i64, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let mut element = format!("{oid}:{}:", position / PIECE).into_bytes();
        element.extend_from_slice(bytes);
        self.digest.add(Digest::of(&element));
    }
}

/// The statement that writes a piece. `lo_put` needs no descriptor, so pieces can be written
/// in any order and by any session.
pub(crate) fn put_statement(oid: u32, position: i64, bytes: &[u8]) -> String {
    let mut sql = String::with_capacity(bytes.len() * 2 + 64);
    write!(sql, "SELECT pg_catalog.lo_put({oid}, {position}, '\\x")
        .expect("writing to a string cannot fail");
    for byte in bytes {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        sql.push(char::from(HEX[usize::from(byte >> 4)]));
        sql.push(char::from(HEX[usize::from(byte & 15)]));
    }
    sql.push_str("');\n");
    sql
}

/// Reads some large objects, given by their OIDs.
pub(crate) async fn read_some(
    session: &Session,
    oids: &[u32],
    sink: &mut impl PieceSink,
) -> Result<()> {
    const QUERY: &str = "SELECT pg_catalog.lo_get($1, $2, $3)";
    let length = i32::try_from(PIECE).expect("a piece is small");
    for &oid in oids {
        let mut position = 0i64;
        loop {
            let row =
                session.row("reading large objects", QUERY, &[&oid, &position, &length]).await?;
            let bytes: &[u8] = row.get(0);
            if bytes.is_empty() {
                break;
            }
            sink.piece(oid, position, bytes).await?;
            position += bytes.len() as i64;
        }
    }
    Ok(())
}

/// Creation, owner, comment and security labels, for a `pg_dump` that leaves them to the data
/// section (17 and later, PostgreSQL commit a45c78e328).
pub(crate) async fn definitions(session: &Session) -> Result<String> {
    Ok(each_definition(session).await?.into_iter().map(|(_, sql)| sql).collect())
}

/// The same for each object, in order of OID.
pub(crate) async fn each_definition(session: &Session) -> Result<Vec<(u32, String)>> {
    const QUERY: &str = "
        SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner), pg_catalog.obj_description(m.oid, 'pg_largeobject'),
               COALESCE((SELECT pg_catalog.array_agg(l.provider || E'\\n' || l.label) FROM pg_catalog.pg_seclabel l
                  WHERE l.objoid = m.oid AND l.classoid = 'pg_catalog.pg_largeobject'::regclass), '{}')
          FROM pg_catalog.pg_largeobject_metadata m ORDER BY m.oid";
    let mut definitions = Vec::new();
    for row in session.rows("reading large objects", QUERY, &[]).await? {
        let (oid, owner): (u32, String) = (row.get(0), row.get(1));
        let mut sql = format!("SELECT pg_catalog.lo_create('{oid}');\n");
        sql.push_str(&format!("ALTER LARGE OBJECT {oid} OWNER TO {};\n", quote_identifier(&owner)));
        if let Some(comment) = row.get::<_, Option<String>>(2) {
            sql.push_str(&format!(
                "COMMENT ON LARGE OBJECT {oid} IS {};\n",
                quote_literal(&comment)
            ));
        }
        for label in row.get::<_, Vec<String>>(3) {
            let (provider, label) = label.split_once('\n').expect("the query joins with a newline");
            let provider = quote_identifier(provider);
            sql.push_str(&format!(
                "SECURITY LABEL FOR {provider} ON LARGE OBJECT {oid} IS {};\n",
                quote_literal(label)
            ));
        }
        definitions.push((oid, sql));
    }
    Ok(definitions)
}

/// Privileges on large objects, for the same versions of `pg_dump`, as it prints them.
pub(crate) async fn privileges(session: &Session) -> Result<String> {
    Ok(each_privileges(session).await?.into_iter().map(|(_, sql)| sql).collect())
}

/// The same for each object with privileges of its own, in order of OID.
pub(crate) async fn each_privileges(session: &Session) -> Result<Vec<(u32, String)>> {
    const QUERY: &str = "
        SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner)::text,
               CASE a.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END,
               pg_catalog.pg_get_userbyid(a.grantor)::text,
               COALESCE(pg_catalog.array_agg(a.privilege_type ORDER BY a.privilege_type) FILTER (WHERE NOT a.is_grantable), '{}'),
               COALESCE(pg_catalog.array_agg(a.privilege_type ORDER BY a.privilege_type) FILTER (WHERE a.is_grantable), '{}')
          FROM pg_catalog.pg_largeobject_metadata m
          LEFT JOIN LATERAL pg_catalog.aclexplode(m.lomacl) WITH ORDINALITY AS a(grantor, grantee, privilege_type, is_grantable, n) ON true
         WHERE m.lomacl IS NOT NULL
         GROUP BY m.oid, m.lomowner, a.grantee, a.grantor ORDER BY m.oid, pg_catalog.min(a.n)";
    let rows = session.rows("reading privileges on large objects", QUERY, &[]).await?;
    let mut privileges = Vec::new();
    for object in rows.chunk_by(|a, b| a.get::<_, u32>(0) == b.get::<_, u32>(0)) {
        let (oid, owner): (u32, String) = (object[0].get(0), object[0].get(1));
        let grants: Vec<Grant> = object
            .iter()
            .map(|row| Grant {
                grantee: row.get(2),
                grantor: row.get(3),
                plain: row.get(4),
                grantable: row.get(5),
            })
            .collect();
        privileges.push((oid, privilege_statements(oid, &owner, &grants)));
    }
    Ok(privileges)
}

/// The privileges one role granted to another, or to everybody, on one large object.
struct Grant {
    grantee: Option<String>,
    /// `None` where there is no grant at all: even the owner's privileges were revoked.
    grantor: Option<String>,
    plain: Vec<String>,
    grantable: Vec<String>,
}

impl Grant {
    /// Returns true for the privileges of every new large object: all for its owner.
    fn is_default(&self, owner: &str) -> bool {
        self.grantee.as_deref() == Some(owner)
            && self.grantor.as_deref() == Some(owner)
            && self.plain.len() == ALL
            && self.grantable.is_empty()
    }
}

/// SELECT and UPDATE.
const ALL: usize = 2;

fn privilege_statements(oid: u32, owner: &str, grants: &[Grant]) -> String {
    let on = format!("ON LARGE OBJECT {oid}");
    let mut sql = String::new();
    if !grants.iter().any(|grant| grant.is_default(owner)) {
        sql.push_str(&format!("REVOKE ALL {on} FROM {};\n", quote_identifier(owner)));
    }
    for grant in grants.iter().filter(|grant| !grant.is_default(owner)) {
        let Some(grantor) = &grant.grantor else {
            continue;
        };
        let grantee = grant.grantee.as_deref().map_or("PUBLIC".to_owned(), quote_identifier);
        let mut statements = String::new();
        for (privileges, option) in [(&grant.plain, ""), (&grant.grantable, " WITH GRANT OPTION")] {
            let list = match privileges.len() {
                0 => continue,
                ALL => "ALL".to_owned(),
                _ => privileges.join(","),
            };
            statements.push_str(&format!("GRANT {list} {on} TO {grantee}{option};\n"));
        }
        if grantor == owner {
            sql.push_str(&statements);
        } else {
            let role = quote_identifier(grantor);
            sql.push_str(&format!(
                "SET SESSION AUTHORIZATION {role};\n{statements}RESET SESSION AUTHORIZATION;\n"
            ));
        }
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_written_in_hexadecimal() {
        assert_eq!(
            put_statement(42, 1 << 20, &[0, 255]),
            "SELECT pg_catalog.lo_put(42, 1048576, '\\x00ff');\n"
        );
    }

    #[test]
    fn an_owner_who_gave_up_everything_has_nothing_after_a_restore() {
        let nothing =
            Grant { grantee: None, grantor: None, plain: Vec::new(), grantable: Vec::new() };
        assert_eq!(
            privilege_statements(7, "hub", &[nothing]),
            "REVOKE ALL ON LARGE OBJECT 7 FROM \"hub\";\n"
        );
    }

    #[test]
    fn the_digest_depends_on_object_and_position() {
        let digest = |oid, position| {
            let mut found = LargeObjects::default();
            found.add(oid, position, b"x");
            found.digest
        };
        assert_ne!(digest(1, 0), digest(2, 0));
        assert_ne!(digest(1, 0), digest(1, PIECE));
    }
}
