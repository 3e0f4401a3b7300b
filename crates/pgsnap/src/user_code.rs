//! Code of the database: functions that its users wrote, and whatever calls them when rows are
//! loaded or indexes are built.
//!
//! Such a function may read any other table, although it says that it is immutable. A table that
//! calls one while its rows are loaded (a check, a domain, a stored generated column, a partition
//! key) is loaded after all other tables, in the order in which `pg_dump` loads tables; an index
//! that calls one is built when all rows are there. Functions in C and the server's own only
//! compute: only a superuser can install them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::error::Result;
use crate::name::TableName;
use crate::session::Session;
use crate::sql::{Token, TokenKind, tokens};

/// The functions of the database in languages that can read tables, and all that calls them, found
/// through the dependencies that the server records: operators, domains, types made of those, and
/// tables; as class `pg_index`, the tables of existing indexes.
const CODE: &str = "
WITH RECURSIVE edge(from_class, from_object, to_class, to_object) AS (
    SELECT 'pg_catalog.pg_proc'::regclass::oid, o.oprcode::oid, 'pg_catalog.pg_operator'::regclass::oid, o.oid
      FROM pg_catalog.pg_operator o WHERE o.oid >= 16384
    UNION ALL
    SELECT d.refclassid, d.refobjid, 'pg_catalog.pg_type'::regclass, k.contypid
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_constraint k ON k.oid = d.objid
     WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND k.contypid <> 0
    UNION ALL
    SELECT d.refclassid, d.refobjid, 'pg_catalog.pg_class'::regclass, k.conrelid
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_constraint k ON k.oid = d.objid
     WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND k.contype = 'c' AND k.conrelid <> 0
    UNION ALL
    SELECT d.refclassid, d.refobjid, 'pg_catalog.pg_class'::regclass, c.oid
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid
     WHERE d.classid = 'pg_catalog.pg_class'::regclass AND c.relkind IN ('r', 'p', 'f')
       AND d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)
    UNION ALL
    SELECT d.refclassid, d.refobjid, 'pg_catalog.pg_index'::regclass, i.indrelid
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_index i ON i.indexrelid = d.objid
     WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)
    UNION ALL
    SELECT d.refclassid, d.refobjid, 'pg_catalog.pg_class'::regclass, f.adrelid
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
      JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
     WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND a.attgenerated <> ''
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, u.base, 'pg_catalog.pg_type'::regclass, t.oid
      FROM pg_catalog.pg_type t, LATERAL pg_catalog.unnest(ARRAY[t.typbasetype, t.typelem]) AS u(base) WHERE u.base >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, r.rngsubtype, 'pg_catalog.pg_type'::regclass, u.made
      FROM pg_catalog.pg_range r, LATERAL pg_catalog.unnest(ARRAY[r.rngtypid, r.rngmultitypid]) AS u(made)
     WHERE r.rngsubtype >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, a.atttypid, 'pg_catalog.pg_class'::regclass, a.attrelid
      FROM pg_catalog.pg_attribute a WHERE a.atttypid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, 'pg_catalog.pg_type'::regclass, c.reltype
      FROM pg_catalog.pg_class c WHERE c.relkind = 'c'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, i.inhparent, 'pg_catalog.pg_class'::regclass, i.inhrelid
      FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent WHERE p.relkind = 'p'
), code(class, object) AS (
    SELECT 'pg_catalog.pg_proc'::regclass::oid, p.oid
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
     WHERE p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')
    UNION
    SELECT edge.to_class, edge.to_object
      FROM code JOIN edge ON edge.from_class = code.class AND edge.from_object = code.object
)";

const TABLES: &str = "
SELECT n.nspname, c.relname,
       CASE WHEN NOT o.rolsuper AND (SELECT me.rolsuper FROM pg_catalog.pg_roles me WHERE me.rolname = current_user) THEN o.rolname END
  FROM code JOIN pg_catalog.pg_class c ON c.oid = code.object
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
 WHERE code.class = 'pg_catalog.pg_class'::regclass AND c.relkind IN ('r', 'p')";

const INDEXED_TABLES: &str = "
SELECT DISTINCT n.nspname, c.relname
  FROM code JOIN pg_catalog.pg_class c ON c.oid = code.object JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE code.class IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_index'::regclass) AND c.relkind IN ('r', 'p')";

/// Names that an index definition may contain. A type counts where its domain checks call code.
const NAMES: &str = "
SELECT n.nspname, p.proname FROM code JOIN pg_catalog.pg_proc p ON p.oid = code.object
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE code.class = 'pg_catalog.pg_proc'::regclass
UNION ALL
SELECT n.nspname, o.oprname FROM code JOIN pg_catalog.pg_operator o ON o.oid = code.object
  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE code.class = 'pg_catalog.pg_operator'::regclass
UNION ALL
SELECT n.nspname, t.typname FROM code JOIN pg_catalog.pg_type t ON t.oid = code.object
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE code.class = 'pg_catalog.pg_type'::regclass";

/// Code that an index calls and its definition does not name: that of operator classes, and of
/// casts.
const HIDDEN: &str = "
SELECT EXISTS (SELECT FROM code JOIN pg_catalog.pg_amproc f ON f.amproc = code.object WHERE code.class = 'pg_catalog.pg_proc'::regclass)
    OR EXISTS (SELECT FROM code JOIN pg_catalog.pg_amop o ON o.amopopr = code.object WHERE code.class = 'pg_catalog.pg_operator'::regclass),
       EXISTS (SELECT FROM code JOIN pg_catalog.pg_cast k ON k.castfunc = code.object WHERE code.class = 'pg_catalog.pg_proc'::regclass)";

/// Objects that call functions of the database's users.
#[derive(Debug, Default)]
pub(crate) struct UserCode {
    /// Tables that call one for each row that is loaded, in the order in which `pg_dump` loads
    /// tables. With each its owner, where this session must not load it by itself: it has a
    /// superuser's rights, and the owner has not.
    tables: BTreeMap<TableName, Option<String>>,
    /// Schema and name of functions, operators and types.
    names: HashSet<(String, String)>,
    is_in_operator_classes: bool,
    is_in_casts: bool,
}

impl UserCode {
    /// Asks the catalogue of a database, which need not hold rows or indexes yet.
    pub(crate) async fn read(session: &Session) -> Result<Self> {
        const CONTEXT: &str = "looking for functions that loading rows would call";
        let tables = Self::tables(session).await?;
        let names = session.rows(CONTEXT, &format!("{CODE}{NAMES}"), &[]).await?;
        let hidden = session.row(CONTEXT, &format!("{CODE}{HIDDEN}"), &[]).await?;
        Ok(Self {
            tables,
            names: names.iter().map(|row| (row.get(0), row.get(1))).collect(),
            is_in_operator_classes: hidden.get(0),
            is_in_casts: hidden.get(1),
        })
    }

    /// The tables that call functions of the database for each row that is loaded, and the roles to
    /// load them as.
    pub(crate) async fn tables(session: &Session) -> Result<BTreeMap<TableName, Option<String>>> {
        const CONTEXT: &str = "looking for tables whose rows call functions";
        let rows = session.rows(CONTEXT, &format!("{CODE}{TABLES}"), &[]).await?;
        let table = |row: &tokio_postgres::Row| {
            let name = TableName::new(row.get::<_, String>(0), row.get::<_, String>(1));
            (name, row.get(2))
        };
        Ok(rows.iter().map(table).collect())
    }

    /// The tables that call functions of the database for each row that is loaded while their
    /// indexes exist.
    pub(crate) async fn indexed_tables(session: &Session) -> Result<BTreeSet<TableName>> {
        const CONTEXT: &str = "looking for indexes that call functions";
        let query = format!("{CODE}{INDEXED_TABLES}");
        let rows = session.rows(CONTEXT, &query, &[]).await?;
        let name = |row: &tokio_postgres::Row| {
            TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))
        };
        Ok(rows.iter().map(name).collect())
    }

    /// Returns true if a table calls code for each row that is loaded.
    pub(crate) fn is_called_by(&self, table: &TableName) -> bool {
        self.tables.contains_key(table)
    }

    /// The role as which the rows of a table have to be loaded, where that is not the role of this
    /// session.
    pub(crate) fn owner_to_load_as(&self, table: &TableName) -> Option<&str> {
        self.tables.get(table)?.as_deref()
    }

    /// Returns true if building an index may call code, as far as its definition tells. In doubt it
    /// does.
    pub(crate) fn is_called_by_index(&self, statement: &str) -> bool {
        let words = tokens(statement);
        let computes = || {
            words.iter().any(|word| {
                word.depth > 0 && word.is_symbol("(") || word.depth == 0 && word.is("WHERE")
            })
        };
        self.is_in_operator_classes
            || self.is_in_casts && computes()
            || !self.names.is_empty() && self.is_named_among(&words)
    }

    /// Returns true if a qualified name is one of code. `pg_dump` qualifies every name that is not
    /// the server's own.
    fn is_named_among(&self, words: &[Token<'_>]) -> bool {
        let qualified = |at: usize| {
            let schema = words[at].identifier()?;
            let rest = words.get(at + 1..)?;
            let (dot, rest) = rest.split_first()?;
            let name = rest.first().filter(|_| dot.is_symbol("."))?;
            let operator = || {
                let symbols = rest
                    .iter()
                    .take_while(|word| word.kind == TokenKind::Symbol && !word.is_symbol(")"));
                symbols.map(|word| word.text).collect()
            };
            Some((schema, name.identifier().unwrap_or_else(operator)))
        };
        (0..words.len()).any(|at| qualified(at).is_some_and(|name| self.names.contains(&name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(names: &[(&str, &str)]) -> UserCode {
        UserCode {
            names: names
                .iter()
                .map(|&(schema, name)| (schema.to_owned(), name.to_owned()))
                .collect(),
            ..UserCode::default()
        }
    }

    #[test]
    fn an_index_that_names_code_in_any_way_waits() {
        let code = code(&[("public", "rate_of"), ("App", "Is ok"), ("public", "<=>")]);
        for waits in [
            "CREATE INDEX a ON public.t USING btree (((x * public.rate_of(cur))));",
            "CREATE INDEX a ON public.t USING btree (x) WHERE \"App\".\"Is ok\"(x);",
            "CREATE INDEX a ON public.t USING btree ((a OPERATOR(public.<=>) b));",
            "CREATE INDEX a ON public.t USING btree (((x)::public.rate_of));",
        ] {
            assert!(code.is_called_by_index(waits), "{waits}");
        }
        for plain in [
            "CREATE INDEX a ON public.t USING btree (x);",
            "CREATE INDEX rate_of ON public.t USING gin (x public.gin_trgm_ops) WHERE (y > 0);",
            "CREATE INDEX a ON public.t USING btree ((a OPERATOR(public.<) b), ('public.rate_of'::text));",
        ] {
            assert!(!code.is_called_by_index(plain), "{plain}");
        }
    }

    #[test]
    fn code_that_no_definition_names_holds_back_whatever_may_call_it() {
        let (plain, computed) = (
            "CREATE INDEX a ON public.t USING btree (x);",
            "CREATE INDEX a ON public.t USING btree (((state)::text));",
        );
        let casts = UserCode { is_in_casts: true, ..UserCode::default() };
        assert!(casts.is_called_by_index(computed) && !casts.is_called_by_index(plain));
        let classes = UserCode { is_in_operator_classes: true, ..UserCode::default() };
        assert!(classes.is_called_by_index(plain));
    }
}
