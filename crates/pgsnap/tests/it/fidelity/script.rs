//! The parts of a plain dump: statements, rows, sequences, large objects.
//!
//! Written apart from the library's own splitter on purpose: one judges the other.

use std::collections::BTreeMap;

/// A plain dump. Bytes are kept one to one as characters, so that any encoding can be compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// Statements that are none of the others, in order.
    pub(super) ddl: Vec<String>,
    /// The sorted rows of each table and column list, whatever number of blocks they came in.
    pub(super) rows: BTreeMap<Target, Vec<String>>,
    /// The arguments of `setval`: last value, and whether it was called.
    pub(super) sequences: BTreeMap<String, String>,
    /// Contents by OID.
    pub(super) large_objects: BTreeMap<u32, Vec<u8>>,
    /// Settings of the session and limits of transactions.
    pub(super) session: Vec<String>,
}

/// A table and its column list, both without quotes that are not needed.
pub(super) type Target = String;

impl Script {
    pub(super) fn parse(dump: &[u8]) -> Self {
        let text: String = dump.iter().map(|&byte| char::from(byte)).collect();
        let mut script = Self::default();
        let mut rest = text.as_str();
        let mut open = None;
        let mut on_behalf = String::new();
        while let Some(start) = statement_start(rest) {
            rest = &rest[start..];
            if rest.starts_with('\\') || rest.starts_with(':') {
                rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
                continue;
            }
            let (statement, after) = rest.split_at(statement_length(rest));
            rest = after;
            if statement.starts_with("COPY ") && statement.ends_with(" FROM stdin;") {
                rest = script.take_rows(statement, rest.strip_prefix('\n').unwrap());
            } else if statement.starts_with("SET SESSION AUTHORIZATION ") || !on_behalf.is_empty() {
                // Grants of another role are one with the changes of role around them.
                on_behalf += statement;
                if statement.starts_with("RESET SESSION AUTHORIZATION") {
                    script.ddl.push(std::mem::take(&mut on_behalf));
                }
            } else {
                script.take(statement, &mut open);
            }
        }
        for rows in script.rows.values_mut() {
            rows.sort_unstable();
        }
        script
    }

    fn take_rows<'a>(&mut self, statement: &str, text: &'a str) -> &'a str {
        let target = statement
            .strip_prefix("COPY ")
            .and_then(|rest| rest.strip_suffix(" FROM stdin;"))
            .unwrap();
        let rows = self.rows.entry(unquoted(target).trim().to_owned()).or_default();
        let mut rest = text;
        loop {
            let (line, after) = rest.split_once('\n').expect("the rows have an end");
            rest = after;
            if line == "\\." {
                return rest;
            }
            rows.push(line.to_owned());
        }
    }

    fn take(&mut self, statement: &str, open: &mut Option<u32>) {
        let arguments = |function: &str| {
            statement
                .strip_prefix("SELECT pg_catalog.")?
                .strip_prefix(function)?
                .strip_prefix('(')?
                .strip_suffix(");")
        };
        let oid = |text: &str| text.trim_matches('\'').parse().unwrap();
        if let Some(list) = arguments("setval") {
            let (name, state) = list.rsplit_once("', ").unwrap();
            let old = self.sequences.insert(unquoted(&name[1..]), state.to_owned());
            assert_eq!(old, None, "{name} is set twice");
        } else if let Some(list) = arguments("lo_open") {
            *open = Some(oid(list.split_once(',').unwrap().0));
        } else if let Some(list) = arguments("lowrite") {
            let bytes = unhex(list.split_once(", ").unwrap().1);
            let object = self.large_objects.entry(open.unwrap()).or_default();
            object.extend(bytes);
        } else if arguments("lo_close").is_some() {
            *open = None;
        } else if let Some(list) = arguments("lo_put") {
            let mut parts = list.splitn(3, ", ");
            let object = self.large_objects.entry(oid(parts.next().unwrap())).or_default();
            let position: usize = parts.next().unwrap().parse().unwrap();
            assert_eq!(object.len(), position, "pieces come in order");
            object.extend(unhex(parts.next().unwrap()));
        } else if is_session(statement) {
            self.session.push(statement.to_owned());
        } else {
            self.ddl.push(statement.to_owned());
        }
    }
}

/// The defaults for tablespace and access method belong to the tables after them.
fn is_session(statement: &str) -> bool {
    ["BEGIN;", "COMMIT;"].contains(&statement)
        || statement.starts_with("SELECT pg_catalog.set_config(")
        || statement.starts_with("SET ") && !statement.starts_with("SET default_")
}

fn unhex(literal: &str) -> Vec<u8> {
    let digits = literal.trim_matches('\'').strip_prefix("\\x").unwrap();
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Takes the quotes off every name that `pg_dump` may leave without, so that `"a"."b c"` and
/// `a."b c"` are one. Key words lose theirs as well, which is the same on both sides.
pub(super) fn unquoted(names: &str) -> String {
    let mut out = String::new();
    let mut rest = names;
    while let Some(start) = rest.find('"') {
        let length = name_length(&rest[start..]);
        let name = &rest[start + 1..start + length - 1];
        let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        out.push_str(&rest[..start]);
        out.push_str(if is_plain { name } else { &rest[start..start + length] });
        rest = &rest[start + length..];
    }
    out + rest
}

/// The length of a quoted name with its quotes.
fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        at += bytes[at..].iter().position(|&byte| byte == b'"').unwrap() + 1;
        if bytes.get(at) != Some(&b'"') {
            return at;
        }
        at += 1;
    }
}

/// Returns the start of the next statement: behind white space and line comments. `pg_dump` prints
/// no others.
fn statement_start(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].find(|c: char| !c.is_ascii_whitespace())?;
        if !text[at..].starts_with("--") {
            return Some(at);
        }
        at += text[at..].find('\n')?;
    }
}

/// The length of the statement at the start of a text, with its semicolon.
fn statement_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut brackets, mut bodies) = (0, 0, 0);
    let end_of = |from: usize, mark: &str| {
        from + text[from..].find(mark).expect("an open quote ends") + mark.len()
    };
    while at < bytes.len() {
        let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        match bytes[at] {
            b';' if brackets == 0 && bodies == 0 => return at + 1,
            b'(' => brackets += 1,
            b')' => brackets -= 1,
            b'-' if text[at..].starts_with("--") => at = end_of(at, "\n") - 1,
            b'"' => at += name_length(&text[at..]) - 1,
            b'\'' => {
                let escapes = before == b'E' && !is_word(bytes[at.saturating_sub(2)]);
                at += 1;
                while bytes[at] != b'\'' {
                    at += if bytes[at] == b'\\' && escapes { 2 } else { 1 };
                }
            }
            b'$' if !is_word(before) => {
                if let Some(tag) = dollar_tag(&text[at..]) {
                    at = end_of(at + tag.len(), tag) - 1;
                }
            }
            byte if is_word(byte) && !is_word(before) && brackets == 0 => {
                let word: String =
                    text[at..].chars().take_while(|&c| c.is_ascii_alphanumeric()).collect();
                match word.as_str() {
                    "BEGIN" if text[at..].starts_with("BEGIN ATOMIC") => bodies += 1,
                    "CASE" if bodies > 0 => bodies += 1,
                    "END" if bodies > 0 => bodies -= 1,
                    _ => {}
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}

fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    text[1..end - 1]
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        .then(|| &text[..end])
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[test]
fn a_dump_is_taken_apart() {
    let script = Script::parse(
        b"SET x = 1;\n\nCREATE TABLE a ();\n-- it's a comment\nCOPY \"a\" (\"b c\", d) FROM stdin;\n2\n1\n\\.\nSELECT pg_catalog.setval('\"a\".\"B\"', 3, true);\nBEGIN;\nSELECT pg_catalog.lo_open('7', 131072);\nSELECT pg_catalog.lowrite(0, '\\x00ff');\nSELECT pg_catalog.lo_close(0);\nCOMMIT;\nCREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; END;\n",
    );
    assert_eq!(script.ddl.len(), 2, "{:?}", script.ddl);
    assert_eq!(script.rows["a (\"b c\", d)"], ["1", "2"]);
    assert_eq!(script.sequences["a.\"B\""], "3, true");
    assert_eq!(script.large_objects[&7], [0, 255]);
    assert_eq!(script.session.len(), 3);
}
