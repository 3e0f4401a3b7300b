//! Which statements differ, and which only print differently.

use std::collections::BTreeMap;

use serde::Serialize;

use super::canonical::canonical;
use crate::sql::{TokenKind, label, tokens};

/// One object that two schemas define differently, or that only one of them has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StatementDifference {
    /// The statement, shortened to kind and name.
    pub object: String,
    /// Its text in A, without the options of foreign servers and connections; `None` is missing.
    pub a: Option<String>,
    /// The same of B.
    pub b: Option<String>,
}

/// The statements of two schemas, held against each other.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub(super) differences: Vec<StatementDifference>,
    /// The same objects, printed differently.
    pub(super) reprinted: Vec<String>,
}

/// Holds the statements of A against those of B. Their order means nothing.
pub(super) fn judge(a: &[String], b: &[String]) -> Judgement {
    let (only_a, only_b) = (without(a, b), without(b, a));
    let mut judgement = Judgement::default();
    let mut by_form: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for statement in only_b {
        by_form.entry(canonical(statement)).or_default().push(statement);
    }
    let mut changed_a = Vec::new();
    for statement in only_a {
        match by_form.get_mut(&canonical(statement)).and_then(Vec::pop) {
            Some(_) => judgement.reprinted.push(label(statement)),
            None => changed_a.push(statement),
        }
    }
    let mut changed_b: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for statement in by_form.into_values().flatten() {
        changed_b.entry(label(statement)).or_default().push(statement);
    }
    for statement in changed_a {
        let object = label(statement);
        let other = changed_b.get_mut(&object).and_then(Vec::pop);
        judgement.add(object, Some(statement), other);
    }
    for (object, statements) in changed_b {
        for statement in statements {
            judgement.add(object.clone(), None, Some(statement));
        }
    }
    judgement
}

impl Judgement {
    fn add(&mut self, object: String, a: Option<&String>, b: Option<&String>) {
        if [a, b].into_iter().flatten().all(|one| is_of_plpgsql(one)) {
            return self.reprinted.push(object);
        }
        let shown = |statement: Option<&String>| statement.map(|text| without_secrets(text));
        self.differences.push(StatementDifference { object, a: shown(a), b: shown(b) });
    }
}

/// The statements that the others lack. A statement may be there twice.
fn without<'a>(statements: &'a [String], others: &[String]) -> Vec<&'a String> {
    let mut left: BTreeMap<&String, usize> = BTreeMap::new();
    for other in others {
        *left.entry(other).or_default() += 1;
    }
    let mut found = Vec::new();
    for statement in statements {
        match left.get_mut(statement) {
            Some(count) if *count > 0 => *count -= 1,
            _ => found.push(statement),
        }
    }
    found
}

/// Returns true if this makes the language that every new database has. `pg_dump` prints it only
/// where somebody made it anew.
fn is_of_plpgsql(statement: &str) -> bool {
    const STATEMENTS: [&str; 2] = [
        "CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;",
        "COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';",
    ];
    STATEMENTS.contains(&statement)
}

/// The text of a statement, without the strings behind words that passwords may follow, and without
/// those that hold one themselves.
fn without_secrets(statement: &str) -> String {
    const WORDS: [&str; 3] = ["OPTIONS", "CONNECTION", "PASSWORD"];
    let mut text = String::with_capacity(statement.len());
    let (mut hides, mut copied) = (false, 0);
    for token in tokens(statement) {
        hides |= WORDS.iter().any(|word| token.is(word));
        if token.kind == TokenKind::String && (hides || may_hold_password(token.text)) {
            text.push_str(&statement[copied..token.at]);
            text.push_str("'…'");
            copied = token.range().end;
        }
    }
    text.push_str(&statement[copied..]);
    text
}

/// Returns true if this looks like a connection string with a password, or a URL with one.
fn may_hold_password(string: &str) -> bool {
    let lower = string.to_ascii_lowercase();
    let assigns =
        |word: &str| lower.split(word).skip(1).any(|rest| rest.trim_start().starts_with('='));
    let is_url = |rest: &str| {
        let authority = rest.split(['/', '?', '\'']).next().unwrap_or_default();
        authority.contains('@')
    };
    assigns("password") || assigns("passwd") || lower.split("://").skip(1).any(is_url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(statements: &[&str]) -> Vec<String> {
        statements.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_changed_statement_is_told_with_both_texts() {
        let a = owned(&[
            "CREATE TABLE t (a int);",
            "CREATE INDEX i ON t (a);",
            "CREATE VIEW v AS SELECT 1;",
        ]);
        let b = owned(&[
            "CREATE VIEW v AS SELECT 2;",
            "CREATE TABLE t (a int);",
            "CREATE INDEX j ON t (a);",
        ]);
        let found = judge(&a, &b).differences;
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.object.as_str(), one.a.is_some(), one.b.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("CREATE INDEX i ON t", true, false),
                ("CREATE VIEW v", true, true),
                ("CREATE INDEX j ON t", false, true)
            ]
        );
        assert_eq!(found[1].b.as_deref(), Some("CREATE VIEW v AS SELECT 2;"));
    }

    #[test]
    fn a_statement_that_is_there_twice_is_counted() {
        let (once, twice) = (owned(&["GRANT x;"]), owned(&["GRANT x;", "GRANT x;"]));
        assert_eq!(judge(&once, &twice).differences.len(), 1);
        assert_eq!(judge(&twice, &once).differences.len(), 1);
    }

    #[test]
    fn plpgsql_made_anew_is_the_plpgsql_that_was_there() {
        let made = owned(&[
            "CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;",
            "COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';",
        ]);
        for (a, b) in [(&made[..], &[][..]), (&[][..], &made[..])] {
            let judgement = judge(a, b);
            assert!(judgement.differences.is_empty());
            assert_eq!(judgement.reprinted.len(), 2);
        }
        let other = owned(&["CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;"]);
        assert_eq!(judge(&other, &[]).differences.len(), 1);
    }

    #[test]
    fn a_text_that_is_shown_holds_no_password() {
        for statement in [
            "CREATE USER MAPPING FOR u SERVER s OPTIONS (\n    password 'geheim'\n);",
            "CREATE SUBSCRIPTION s CONNECTION 'host=h password=geheim' PUBLICATION p;",
            "CREATE VIEW v AS SELECT dblink('host=h password = geheim'::text);",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT dblink('postgresql://u:geheim@h/d')$$;",
        ] {
            let text = without_secrets(statement);
            assert!(text.contains('…') && !text.contains("geheim"), "{text}");
        }
        let harmless = "ALTER TABLE t ADD CONSTRAINT c CHECK ((a = 'x'::text));";
        assert_eq!(without_secrets(harmless), harmless);
    }
}
