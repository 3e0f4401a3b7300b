//! The entries of a dump's DDL: `pg_dump` prints a comment over the statements of each object.

use super::Scanner;
use crate::error::{Error, Result};

/// The description of an object in the comment above its statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The tag: the name, or what a comment or privilege is on. Line ends are spaces.
    pub(crate) name: String,
    /// Such as `TABLE`, `FK CONSTRAINT` or `ACL`.
    pub(crate) kind: String,
    /// The schema it is in, if it is in one.
    pub(crate) schema: Option<String>,
}

/// The statements of a text, with their entries if they are wanted: only then must the comments be
/// readable.
///
/// # Errors
/// As for [`entries`].
pub(crate) fn entries_or_statements(
    text: &str,
    wants_entries: bool,
) -> Result<Vec<(Option<Entry>, String)>> {
    if wants_entries {
        return entries(text);
    }
    let statements = super::statements(text).into_iter();
    Ok(statements.map(|statement| (None, statement)).collect())
}

/// The statements of a text, each with the entry it belongs to. A statement before the first entry,
/// or of a part of the archive that has none, belongs to no entry.
///
/// # Errors
/// [`Error::UnexpectedDdl`] for a comment that can be read in two ways: names may hold anything.
fn entries(text: &str) -> Result<Vec<(Option<Entry>, String)>> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    let mut found = Vec::new();
    let mut current = None;
    loop {
        let blank = scanner.at;
        scanner.skip_blank();
        let header = text[blank..scanner.at].lines().rfind(|line| line.starts_with(NAME));
        if let Some(header) = header {
            current = Some(parse(header)?);
        }
        let start = scanner.at;
        if start >= text.len() {
            return Ok(found);
        }
        scanner.skip_statement();
        let statement = text[start..scanner.at].trim_end().to_owned();
        found.push((current.clone(), statement));
    }
}

const NAME: &str = "-- Name: ";
const KIND: &str = "; Type: ";
const SCHEMA: &str = "; Schema: ";
const OWNER: &str = "; Owner: ";

/// `-- Name: n; Type: T; Schema: s; Owner: o`, with `-` for a schema or owner that is none.
fn parse(header: &str) -> Result<Entry> {
    let header = &header[NAME.len()..];
    let mut readings = header.match_indices(KIND).filter_map(|(at, _)| {
        let (kind, rest) = header[at + KIND.len()..].split_once(SCHEMA)?;
        let is_kind =
            !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ');
        (is_kind && rest.contains(OWNER)).then_some((&header[..at], kind, rest))
    });
    let (reading, other) = (readings.next(), readings.next());
    if let (Some((name, kind, rest)), None) = (reading, other)
        && rest.matches(OWNER).count() == 1
        && let Some((schema, _)) = rest.split_once(OWNER)
    {
        return Ok(Entry {
            name: name.to_owned(),
            kind: kind.to_owned(),
            schema: (schema != "-").then(|| schema.to_owned()),
        });
    }
    Err(Error::UnexpectedDdl {
        what: format!("the comment over an object can be read in two ways: {header}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_belong_to_the_comment_before_them() {
        let text = "
--
-- Name: app; Type: SCHEMA; Schema: -; Owner: hub
--

CREATE SCHEMA app;


ALTER SCHEMA app OWNER TO hub;

SET default_tablespace = fast;

--
-- Name: t; Type: TABLE; Schema: app; Owner: hub; Tablespace: fast
--

CREATE TABLE app.t (
    note text DEFAULT '
-- Name: x; Type: TABLE; Schema: y; Owner: z
'
);
";
        let found = entries(text).unwrap();
        let of = |index: usize| {
            let entry = found[index].0.as_ref().unwrap();
            (entry.kind.as_str(), entry.name.as_str(), entry.schema.as_deref())
        };
        assert_eq!(found.len(), 4);
        assert_eq!((of(0), of(1)), (("SCHEMA", "app", None), ("SCHEMA", "app", None)));
        assert_eq!(of(3), ("TABLE", "t", Some("app")));
    }

    #[test]
    fn names_that_imitate_a_comment_are_refused_where_they_could_deceive() {
        let parsed = parse("-- Name: a; Type: b; Type: TABLE; Schema: c d; Owner: e").unwrap();
        assert_eq!((parsed.name.as_str(), parsed.schema.as_deref()), ("a; Type: b", Some("c d")));
        for header in [
            "-- Name: a; Type: TABLE; Schema: x; Owner: y; Type: TABLE; Schema: c; Owner: e",
            "-- Name: a; Type: TABLE; Schema: x; Owner: y; Owner: e",
            "-- Name: a",
        ] {
            assert!(parse(header).is_err(), "{header}");
        }
    }
}
