//! Rows of tables that call functions of the database's users, loaded by a superuser.
//!
//! A check or a generated column runs as whoever writes the row. A superuser who loads the rows of
//! somebody else's table would run that role's functions as superuser, and every one of them may
//! become a command of the operating system. So such rows arrive in a staging table that calls
//! nothing, and move from there in a refresh of a materialised view that the owner of the table
//! owns. PostgreSQL refreshes as the owner, in a security-restricted operation: the functions can
//! neither become another role nor leave a trigger behind that fires later. They may read every
//! table meanwhile, since privileges are granted after the rows.

use crate::error::Result;
use crate::name::{TableName, quote_identifier, quote_literal};
use crate::random::random_digits;
use crate::session::Session;

/// A staging table and what moves its rows, in a schema of their own.
#[derive(Debug)]
pub(crate) struct Staging {
    schema: String,
    owner: String,
    /// The table of the rows.
    table: TableName,
    columns: Vec<StagedColumn>,
}

#[derive(Debug)]
struct StagedColumn {
    name: String,
    /// The type in the table, as SQL.
    r#type: String,
    /// A type without checks that holds the same text.
    staged: String,
}

impl Staging {
    /// Makes an empty staging table for the rows of a table of `owner`.
    pub(crate) async fn begin(
        session: &Session,
        table: &TableName,
        columns: impl Iterator<Item = &str>,
        owner: &str,
    ) -> Result<Self> {
        let columns = staged_columns(session, table, columns).await?;
        let staging = Self {
            schema: format!("pgsnap_staging_{}", &random_digits()?[..16]),
            owner: owner.to_owned(),
            table: table.clone(),
            columns,
        };
        let (schema, owner, rows) =
            (quote_identifier(&staging.schema), quote_identifier(owner), staging.rows().quoted());
        let columns = staging.columns.iter();
        let columns: Vec<String> = columns
            .map(|column| format!("{} {}", quote_identifier(&column.name), column.staged))
            .collect();
        let sql = format!(
            "CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {owner};
             CREATE UNLOGGED TABLE {rows} ({}); GRANT SELECT ON {rows} TO {owner};",
            columns.join(", ")
        );
        session.execute(&staging.context(), &sql).await?;
        Ok(staging)
    }

    /// The staging table, which has the columns of the table in the same order.
    pub(crate) fn rows(&self) -> TableName {
        TableName::new(&self.schema, "rows")
    }

    fn context(&self) -> String {
        format!("loading {} as its owner", self.table)
    }

    /// Moves all rows into the table as its owner, and drops the staging table.
    ///
    /// # Errors
    /// Whatever a check says, or a function that lacks a privilege.
    pub(crate) async fn move_rows(&self, session: &Session) -> Result<()> {
        let context = self.context();
        let schema = quote_identifier(&self.schema);
        let loans = Loans::read(session, &self.owner).await?;
        let body = format!("{}; SELECT 1", self.insert());
        let prepare = format!(
            "{}
             CREATE FUNCTION {schema}.move() RETURNS integer LANGUAGE sql AS {};
             CREATE MATERIALIZED VIEW {schema}.moved AS SELECT {schema}.move() WITH NO DATA;
             ALTER MATERIALIZED VIEW {schema}.moved OWNER TO {};",
            loans.grant,
            quote_literal(&body),
            quote_identifier(&self.owner),
        );
        session.execute(&context, &prepare).await?;
        // The role is for functions that ask whether a superuser is at work; what protects is the refresh, in which nothing can
        // change the role. An error takes the change back with its transaction.
        let refresh = format!(
            "BEGIN; SET LOCAL ROLE {}; REFRESH MATERIALIZED VIEW {schema}.moved; COMMIT",
            quote_identifier(&self.owner)
        );
        session.execute(&context, &refresh).await?;
        let finish = format!("DROP SCHEMA {schema} CASCADE; {}", loans.revoke);
        session.execute(&context, &finish).await
    }

    fn insert(&self) -> String {
        let (table, rows) = (self.table.quoted(), self.rows().quoted());
        if self.columns.is_empty() {
            return format!("INSERT INTO {table} SELECT FROM {rows}");
        }
        let names = self.columns.iter();
        let names: Vec<String> = names.map(|column| quote_identifier(&column.name)).collect();
        let values = self.columns.iter().zip(&names);
        let values: Vec<String> =
            values.map(|(column, name)| format!("CAST({name} AS {})", column.r#type)).collect();
        format!(
            "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {rows}",
            names.join(", "),
            values.join(", ")
        )
    }
}

/// The columns and their types without checks: a domain becomes its base type, and what may hold
/// one inside becomes text, in the form that COPY has anyway.
async fn staged_columns(
    session: &Session,
    table: &TableName,
    names: impl Iterator<Item = &str>,
) -> Result<Vec<StagedColumn>> {
    const QUERY: &str = "
        WITH RECURSIVE base(number, name, type, oid, typmod) AS (
            SELECT u.number, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod
              FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY AS u(name, number)
              JOIN pg_catalog.pg_attribute a ON a.attname = u.name
             WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL
            SELECT b.number, b.name, b.type, t.typbasetype, t.typtypmod
              FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
        )
        SELECT b.name, b.type,
               CASE WHEN t.oid >= 16384 AND (t.typtype IN ('c', 'r', 'm') OR t.typcategory = 'A') THEN 'pg_catalog.text'
                    ELSE pg_catalog.format_type(b.oid, b.typmod) END
          FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype <> 'd' ORDER BY b.number";
    let names: Vec<&str> = names.collect();
    let rows = session.rows("reading the columns", QUERY, &[&table.quoted(), &names]).await?;
    Ok(rows
        .iter()
        .map(|row| StagedColumn { name: row.get(0), r#type: row.get(1), staged: row.get(2) })
        .collect())
}

/// Privileges to read that a role lacks while its rows are moved, given and taken back.
struct Loans {
    grant: String,
    revoke: String,
}

impl Loans {
    async fn read(session: &Session, role: &str) -> Result<Self> {
        const QUERY: &str = "
            SELECT pg_catalog.format('USAGE ON SCHEMA %I', n.nspname)
              FROM pg_catalog.pg_namespace n
             WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
               AND NOT pg_catalog.has_schema_privilege($1, n.oid, 'USAGE')
            UNION ALL
            SELECT pg_catalog.format('SELECT ON TABLE %I.%I', n.nspname, c.relname)
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm')
               AND NOT pg_catalog.has_table_privilege($1, c.oid, 'SELECT')";
        let rows = session.rows("reading the privileges", QUERY, &[&role]).await?;
        let role = quote_identifier(role);
        let statements = |verb: &str, preposition: &str| {
            let each = rows.iter().map(|row| {
                let what: String = row.get(0);
                format!("{verb} {what} {preposition} {role};")
            });
            each.collect()
        };
        Ok(Self { grant: statements("GRANT", "TO"), revoke: statements("REVOKE", "FROM") })
    }
}
