//! The parts of an archive that make it a script for psql: what comes first, the block
//! that checks itself, and the end.

use std::fmt::Write as _;

use crate::catalog::count_statement;
use crate::census::TableCensus;
use crate::facts::Facts;
use crate::foreign_data::ForeignTable;
use crate::name::quote_literal;

/// Statements that set up a psql session, begin the transaction and protect both.
///
/// * `\set ON_ERROR_STOP on`: without it psql goes on after an error and exits 0.
/// * `\restrict`: from here on psql obeys no meta-command, so names and values of a hostile source
///   cannot run programs (CVE-2025-8714). A psql from before that release does not know the
///   command, and `\if` cannot wrap it (`\endif` would be refused), so it comes out of a variable
///   that is empty for old versions. There is no `\unrestrict`: the session ends with the file.
/// * `standard_conforming_strings`: a role's default may give backslashes another meaning, already
///   in the next statement.
/// * `BEGIN`: a file that was cut commits nothing, although psql would accept a half COPY.
/// * `transaction_timeout` exists from version 17 on, so it is set only where it exists.
pub(crate) fn prologue(facts: &Facts, format: &str) -> String {
    let key = restrict_key(facts);
    let origin = format!(
        "database {}, PostgreSQL {}, snapshot of {}",
        facts.database, facts.server_version, facts.now
    )
    .replace(['\n', '\r'], " ");
    let encoding = facts.client_encoding();
    format!(
        "-- {format}: {origin}
--
-- Restore into an empty database with nothing but stock programs:
--   set -o pipefail
--   age -d -i KEYFILE FILE.sql.gz.age | gunzip | psql -X -v ON_ERROR_STOP=1 -d DATABASE
\\set ON_ERROR_STOP on
SET standard_conforming_strings = on;
SELECT CASE WHEN :'VERSION_NUM'::int >=
         CASE :'VERSION_NUM'::int / 10000
           WHEN 13 THEN 130022 WHEN 14 THEN 140019 WHEN 15 THEN 150014 WHEN 16 THEN 160010 ELSE 170006
         END THEN '\\restrict {key}' ELSE '' END AS pgsnap_restrict \\gset
:pgsnap_restrict
BEGIN;
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout';
SET client_encoding = '{encoding}';
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET array_nulls = on;
SET quote_all_identifiers = off;
SET transform_null_equals = off;
SET backslash_quote = safe_encoding;
SET client_min_messages = warning;
SET row_security = off;
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET lc_monetary = 'C';
"
    )
}

/// A key nobody who only controls names and values can know: letters and digits only.
fn restrict_key(facts: &Facts) -> String {
    let mut seed = facts.now.clone().into_bytes();
    seed.extend(facts.lsn.bytes());
    seed.extend(std::process::id().to_le_bytes());
    seed.extend(random_bytes());
    blake3::hash(&seed).to_hex().as_str()[..40].to_owned()
}

/// The process's hash keys come from the operating system's random source.
fn random_bytes() -> [u8; 8] {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u64).to_le_bytes()
}

/// The end: only a complete file gets here.
pub(crate) fn epilogue() -> &'static str {
    "\nCOMMIT;\n-- PostgreSQL database dump complete\n"
}

/// Tables per block: a block is one statement, and one of a hundred thousand tables would be
/// megabytes.
const TABLES_PER_BLOCK: usize = 500;

/// Blocks that count every table and raise where a count differs.
///
/// They stand before the post-data section: policies, privileges and triggers, which could hide
/// rows from the restoring role, do not exist yet.
pub(crate) fn check_block(tables: &[TableCensus]) -> String {
    let mut sql = String::from(
        "\n-- Every table has exactly the rows that were dumped, or nothing is committed.\n",
    );
    for block in tables.chunks(TABLES_PER_BLOCK) {
        let mut body = String::new();
        for table in block {
            let count =
                count_statement(&table.name, table.with_partitions, table.filter.as_deref());
            let count =
                count.replacen("pg_catalog.count(*)", "pg_catalog.count(*) INTO pgsnap_found", 1);
            let (name, rows) = (quote_literal(&table.name.to_string()), table.rows);
            writeln!(body, "  {count};\n  IF pgsnap_found <> {rows} THEN\n    RAISE EXCEPTION 'pgsnap: table % has % rows, the backup holds %', {name}, pgsnap_found, {rows};\n  END IF;")
                .expect("writing to a string cannot fail");
        }
        let tag = unused_tag(&body);
        sql.push_str(&format!(
            "DO ${tag}$\nDECLARE\n  pgsnap_found bigint;\nBEGIN\n{body}END\n${tag}$;\n"
        ));
    }
    sql
}

/// Returns the check before the rows if those of foreign tables are among them: psql cannot be told
/// to leave them out, so it is kept from adding them to existing rows.
pub(crate) fn foreign_check(tables: &[ForeignTable]) -> String {
    if tables.is_empty() {
        return String::new();
    }
    let mut body = String::new();
    for table in tables {
        let (name, label, server) = (
            table.name.quoted(),
            quote_literal(&table.name.to_string()),
            quote_literal(&table.server),
        );
        writeln!(body, "  IF EXISTS (SELECT FROM ONLY {name}) THEN\n    RAISE EXCEPTION 'pgsnap: foreign table % of server % holds rows already; the backup would be added to them', {label}, {server};\n  END IF;")
            .expect("writing to a string cannot fail");
    }
    let tag = unused_tag(&body);
    format!(
        "
-- ATTENTION: rows of foreign tables follow among the others. Restoring this file writes them into the foreign
-- servers that the definitions above name, which may be live ones. Where a foreign table holds rows already,
-- nothing is restored.
DO ${tag}$\nBEGIN\n{body}END\n${tag}$;\n"
    )
}

/// A dollar-quote tag that does not occur in the text.
fn unused_tag(text: &str) -> String {
    (0..)
        .map(|n| format!("pgsnap{n}"))
        .find(|tag| !text.contains(&format!("${tag}$")))
        .expect("a text is finite")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_named_like_the_quote_cannot_end_it() {
        assert_eq!(unused_tag("x $pgsnap0$ y"), "pgsnap1");
        assert_eq!(unused_tag("x"), "pgsnap0");
    }
}
