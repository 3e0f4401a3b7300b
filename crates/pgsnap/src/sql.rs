//! Splits SQL text into statements, the way `psqlscan.l` of PostgreSQL does: semicolons count
//! outside of quotes, dollar quotes, comments, parentheses and `BEGIN ATOMIC … END` bodies.
//!
//! The input is what `pg_dump` prints: `standard_conforming_strings` is on, and no psql
//! meta-command occurs.

mod entry;
mod role;
mod token;

pub(crate) use entry::{Entry, entries_or_statements};
pub(crate) use role::{
    RoleUse, is_authorization, role_use, roles, with_canonical_roles, with_roles,
};
pub(crate) use token::{Token, TokenKind, tokens};

/// The statements of a text, each with its final semicolon, without surrounding white space and
/// comments between statements. A last statement without semicolon is kept.
#[must_use]
pub(crate) fn statements(text: &str) -> Vec<String> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    let mut found = Vec::new();
    loop {
        scanner.skip_blank();
        let start = scanner.at;
        if start >= text.len() {
            return found;
        }
        scanner.skip_statement();
        found.push(text[start..scanner.at].trim_end().to_owned());
    }
}

/// Returns true if a statement is one of the settings that `pg_dump` toggles between objects:
/// `default_tablespace` and `default_table_access_method`. Others, such as SET SESSION
/// AUTHORIZATION, belong to the statements around them.
pub(crate) fn is_default_setting(statement: &str) -> bool {
    statement.starts_with("SET default_")
}

/// Returns true if a statement chooses the tablespace of the objects after it.
pub(crate) fn is_default_tablespace(statement: &str) -> bool {
    statement.starts_with("SET default_tablespace ")
}

/// Returns true if a statement makes or describes a large object.
pub(crate) fn is_large_object(statement: &str) -> bool {
    const STARTS: [&str; 3] =
        ["SELECT pg_catalog.lo_create(", "ALTER LARGE OBJECT ", "COMMENT ON LARGE OBJECT "];
    let may_name_one = ["GRANT ", "REVOKE ", "SECURITY LABEL "];
    STARTS.iter().any(|start| statement.starts_with(start))
        || may_name_one.iter().any(|start| statement.starts_with(start))
            && tokens(statement)
                .windows(3)
                .any(|words| words[0].is("ON") && words[1].is("LARGE") && words[2].is("OBJECT"))
}

/// Returns the object of a statement, without any value in it: kind and name, up to the first
/// parenthesis, quote or expression. Two databases with the same labels have the same objects, even
/// if an expression prints in another way. A label can be shown; a whole statement could hold a
/// password.
pub(crate) fn label(statement: &str) -> String {
    const EXPRESSIONS: [&str; 6] =
        [" AS ", " USING ", " CHECK ", " CONNECTION ", " OPTIONS ", " WHEN "];
    let line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let end =
        EXPRESSIONS.iter().filter_map(|word| line.find(word)).chain(line.find(['(', '\''])).min();
    line[..end.unwrap_or(line.len())].trim_end_matches([' ', ';']).to_owned()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// White space and comments before a statement.
    fn skip_blank(&mut self) {
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'-', b'-') => self.skip_line_comment(),
                (b'/', b'*') => self.skip_block_comment(),
                (byte, _) if byte.is_ascii_whitespace() => self.at += 1,
                _ => return,
            }
        }
    }

    fn skip_statement(&mut self) {
        let mut parentheses = 0u32;
        let mut body = RoutineBody::default();
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'-', b'-') => self.skip_line_comment(),
                (b'/', b'*') => self.skip_block_comment(),
                (b'\'', _) => self.skip_quoted(b'\'', false),
                (b'"', _) => self.skip_quoted(b'"', false),
                (b'$', _) => self.skip_dollar(),
                (b'(', _) => {
                    parentheses += 1;
                    self.at += 1;
                }
                (b')', _) => {
                    parentheses = parentheses.saturating_sub(1);
                    self.at += 1;
                }
                (b';', _) if parentheses == 0 && body.depth == 0 => {
                    self.at += 1;
                    return;
                }
                (byte, _) if is_word(byte) => self.skip_word(&mut body, parentheses),
                _ => self.at += 1,
            }
        }
    }

    fn skip_line_comment(&mut self) {
        self.at = memchr::memchr(b'\n', &self.bytes[self.at..])
            .map_or(self.bytes.len(), |n| self.at + n + 1);
    }

    /// Block comments nest in SQL.
    fn skip_block_comment(&mut self) {
        let mut depth = 0u32;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth = depth.saturating_sub(1);
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
        self.at = self.bytes.len();
    }

    /// A doubled quote is two strings in a row to this scanner, which comes to the same.
    fn skip_quoted(&mut self, quote: u8, backslashes: bool) {
        self.at += 1;
        while self.at < self.bytes.len() {
            let byte = self.peek(0);
            self.at += if byte == b'\\' && backslashes { 2 } else { 1 };
            if byte == quote {
                return;
            }
        }
        self.at = self.bytes.len();
    }

    fn skip_dollar(&mut self) {
        let rest = &self.bytes[self.at..];
        let tag = rest[1..].iter().position(|&byte| byte == b'$').map(|n| &rest[..n + 2]);
        let is_tag = |tag: &[u8]| {
            let name = &tag[1..tag.len() - 1];
            name.iter().all(|&byte| is_word(byte) && byte != b'$')
                && !name.first().is_some_and(u8::is_ascii_digit)
        };
        match tag.filter(|tag| is_tag(tag)) {
            Some(tag) => {
                let body = self.at + tag.len();
                self.at = memchr::memmem::find(&self.bytes[body..], tag)
                    .map_or(self.bytes.len(), |n| body + n + tag.len());
            }
            None => self.at += 1,
        }
    }

    fn skip_word(&mut self, body: &mut RoutineBody, parentheses: u32) {
        let start = self.at;
        while is_word(self.peek(0)) && self.at < self.bytes.len() {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        if word.eq_ignore_ascii_case(b"e") && self.peek(0) == b'\'' {
            self.skip_quoted(b'\'', true);
        } else if parentheses == 0 {
            body.word(word);
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Tracks `CREATE [OR REPLACE] FUNCTION|PROCEDURE … BEGIN … END`, as psql does.
#[derive(Default)]
struct RoutineBody {
    words: usize,
    is_create: bool,
    is_routine: bool,
    depth: u32,
}

impl RoutineBody {
    fn word(&mut self, word: &[u8]) {
        let is = |text: &str| word.eq_ignore_ascii_case(text.as_bytes());
        self.words += 1;
        if self.words == 1 {
            self.is_create = is("create");
        }
        if self.is_create && self.words <= 4 && (is("function") || is("procedure")) {
            self.is_routine = true;
        }
        if self.is_routine {
            if is("begin") || (self.depth > 0 && is("case")) {
                self.depth += 1;
            } else if is("end") {
                self.depth = self.depth.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn semicolons_count_outside_of_quotes_only() {
        let text = "-- comment; here\nSELECT ';', \"a;b\", $$;$$, $x$ $$; $x$, E'\\';' /* ; /* ; */ */;\n\nSELECT 2;";
        assert_eq!(statements(text).len(), 2);
    }

    #[test]
    fn a_rule_with_several_statements_is_one() {
        let rule = "CREATE RULE r AS ON INSERT TO t DO ALSO ( DELETE FROM a; DELETE FROM b;\n);";
        assert_eq!(statements(&format!("{rule}\nSELECT 1;")), [rule, "SELECT 1;"]);
    }

    #[test]
    fn an_sql_standard_function_body_is_one() {
        let function = "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 1 END; SELECT 2; END;";
        assert_eq!(statements(&format!("{function} SELECT 1;")), [function, "SELECT 1;"]);
    }

    #[test]
    fn a_routine_named_begin_opens_no_body() {
        assert_eq!(statements("GRANT ALL ON FUNCTION x.begin() TO y; SELECT 1;").len(), 2);
    }

    #[test]
    fn a_label_names_the_object_and_no_value() {
        for (statement, expected) in [
            ("CREATE TABLE public.t (\n    id integer\n);", "CREATE TABLE public.t"),
            (
                "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c CHECK ((a > 1));",
                "ALTER TABLE ONLY public.t ADD CONSTRAINT c",
            ),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'password=x' PUBLICATION p;",
                "CREATE SUBSCRIPTION s",
            ),
            (
                "CREATE USER MAPPING FOR u SERVER s OPTIONS (\n    password 'x'\n);",
                "CREATE USER MAPPING FOR u SERVER s",
            ),
            ("GRANT SELECT ON TABLE public.t TO r;", "GRANT SELECT ON TABLE public.t TO r"),
        ] {
            assert_eq!(label(statement), expected);
        }
    }

    #[test]
    fn dollar_parameters_and_names_are_no_quotes() {
        assert_eq!(statements("SELECT $1; SELECT a$b FROM t; SELECT $1$2;").len(), 3);
    }

    #[test]
    fn open_ends_do_not_hang() {
        for text in ["'", "\"", "$a$", "/*", "(", "E'\\", "--", "$"] {
            assert!(statements(text).len() <= 1, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_split_without_panic(text in "\\PC{0,200}") {
            prop_assert!(statements(&text).len() <= text.len());
        }

        #[test]
        fn no_significant_byte_is_lost(parts in prop::collection::vec("(SELECT '[a;]{0,5}'|CREATE TABLE \"[a;]{1,5}\" \\(a int\\))", 1..6)) {
            let found = statements(&(parts.join(";\n\n") + ";"));
            let expected: Vec<String> = parts.iter().map(|part| format!("{part};")).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
