//! Entry points for fuzzers: what reads bytes of unknown origin, called as the crate calls it.
//!
//! Not part of the public interface: this module exists with the feature `fuzzing` and in this
//! crate's own tests only. Each function takes any bytes; a panic, a failed assertion or an
//! allocation out of proportion is a bug.

use std::io::{self, Cursor};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::archive::{Archive, MANIFEST_LINE, ReadSeek, pointer_member};
use crate::compare::compare;
use crate::digest::Digest;
use crate::error::Error;
use crate::foreign::{Guard, Portion, send};
use crate::gzip::{MemberCompressor, MemberDecompressor};
use crate::manifest::{FORMAT, FORMAT_WITH_ENCODINGS, MemberKind};
use crate::progress::{NoProgress, Progress};
use crate::sql;
use crate::verify::{VerifyOptions, verify};

/// The function that a fuzzer calls.
pub type Target = fn(&[u8]);

/// Every target under the name it has in `fuzz/`.
pub const TARGETS: [(&str, Target); 5] = [
    ("archive", archive),
    ("manifest", manifest),
    ("member", member),
    ("sql", statements),
    ("foreign", plain_dump),
];

/// The bytes are a whole archive: opened, verified, and all its text read.
pub fn archive(bytes: &[u8]) {
    let file: Arc<[u8]> = bytes.into();
    let opened = Archive::open(move || {
        let reader: Box<dyn ReadSeek> = Box::new(Cursor::new(Arc::clone(&file)));
        Ok(reader)
    });
    let Ok(archive) = opened else { return };
    let options = VerifyOptions { jobs: 1 };
    let quiet: Arc<dyn Progress> = Arc::new(NoProgress);
    if let Err(error) = verify(&archive, &options, &quiet) {
        assert!(!matches!(error, Error::WorkerDied { .. }), "{error}");
        assert!(!error.to_string().is_empty());
    }
    let _ = archive.schema_statements();
    for kind in [MemberKind::LargeObjects, MemberKind::Sequences] {
        let _ = archive.text_of(kind);
    }
    let census = &archive.manifest().census;
    assert!(compare(census, census).is_equal());
    let _ = (census.rows(), census.bytes());
}

/// The bytes are the JSON of a manifest, a zero byte, and the members it describes: they are put
/// together to an archive whose pointer and hash are right, which no fuzzer would find.
pub fn manifest(bytes: &[u8]) {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    let (json, members) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let mut text = Vec::with_capacity(json.len() + json.len() / 8);
    for line in json.split_inclusive(|&byte| byte == b'\n') {
        text.extend_from_slice(MANIFEST_LINE.as_bytes());
        text.extend_from_slice(line);
    }
    let packed = MemberCompressor::new(1).compress(&text);
    let mut file = members.to_vec();
    file.extend_from_slice(&packed);
    let hash = Digest::of(&packed);
    let has_encodings = memchr::memmem::find(json, FORMAT_WITH_ENCODINGS.as_bytes()).is_some();
    file.extend(pointer_member(
        if has_encodings { FORMAT_WITH_ENCODINGS } else { FORMAT },
        members.len() as u64,
        packed.len() as u64,
        hash,
    ));
    archive(&file);
}

/// Eight bytes of the length that is promised (little-endian), then a gzip member.
pub fn member(bytes: &[u8]) {
    let Some((promised, member)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let promised = u64::from_le_bytes(*promised);
    if let Ok(content) = MemberDecompressor::new().decompress(member, promised) {
        assert_eq!(content.len() as u64, promised);
    }
}

/// Text that is split into statements. Each statement is one when it is split again.
pub fn statements(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let found = sql::statements(&text);
    assert!(found.iter().map(String::len).sum::<usize>() <= text.len());
    for statement in &found {
        assert!(sql::label(statement).len() <= statement.len());
        assert_eq!(sql::statements(statement), std::slice::from_ref(statement));
    }
}

/// The bytes are a plain dump of somebody else, gzipped or not, on its way to psql.
pub fn plain_dump(bytes: &[u8]) {
    let dump: Arc<[u8]> = bytes.into();
    let open = move || -> io::Result<Box<dyn io::Read + Send>> {
        Ok(Box::new(Cursor::new(Arc::clone(&dump))))
    };
    let (sender, mut received) = mpsc::channel(4);
    let sending = std::thread::spawn(move || {
        let guard = Guard::new(false).expect("the system has randomness");
        let quiet: Arc<dyn Progress> = Arc::new(NoProgress);
        send(&open, &guard, &quiet, &sender);
    });
    let (mut is_first, mut has_ended) = (true, false);
    while let Some(portion) = received.blocking_recv() {
        assert!(!has_ended, "nothing follows the last portion or an error");
        let text = match portion {
            Ok(Portion::Middle(text)) => text,
            Ok(Portion::Last(text)) => {
                has_ended = true;
                text
            }
            Err(_) => {
                has_ended = true;
                continue;
            }
        };
        assert!(!is_first || text.starts_with(b"\\restrict "));
        is_first = false;
    }
    assert!(has_ended);
    sending.join().expect("sending a dump does not panic");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{COPY_BEGIN, COPY_END, copy_in_statement};
    use crate::digest::Tally;
    use crate::manifest::Manifest;
    use serde_json::json;
    use testkit::Mutator;

    /// An archive of two tables, made without a server.
    fn sample() -> (String, Vec<u8>) {
        let table = crate::name::TableName::new("public", "t");
        let rows = "1\tone\\n\n2\t\\N\n3\tthree\n";
        let empty = "\n\n";
        let data = |name: &crate::name::TableName, columns: &[&str], rows: &str| {
            copy_in_statement(name, columns.iter().copied(), None) + COPY_BEGIN + rows + COPY_END
        };
        let nothing = crate::name::TableName::new("Odd \"schema\"", "no columns");
        let texts = [
            ("pre-data", "CREATE TABLE public.t (id int, v text);\n".to_owned(), None),
            ("data", data(&table, &["id", "v"], rows), Some((0, 3))),
            ("data", data(&nothing, &[], empty), Some((1, 2))),
            ("sequences", "SELECT pg_catalog.setval('s', 1, true);\n".to_owned(), None),
            ("post-data", "CREATE INDEX i ON public.t (id);\n".to_owned(), None),
        ];
        let (mut bytes, mut members) = (Vec::new(), Vec::new());
        for (kind, text, of) in texts {
            let packed = MemberCompressor::new(4).compress(text.as_bytes());
            let mut member = json!({"kind": kind, "offset": bytes.len(), "length": packed.len(), "raw": text.len()});
            match of {
                Some((table, rows)) => {
                    member["table"] = json!(table);
                    member["rows"] = json!(rows);
                }
                None => member["hash"] = json!(Digest::of(text.as_bytes())),
            }
            members.push(member);
            bytes.extend(packed);
        }
        let census = |name: &crate::name::TableName, columns: &[&str], key: &[&str], rows: &str| {
            let mut tally = Tally::new(crate::digest::Key::WholeRow);
            tally.add_lines(rows.as_bytes());
            let columns: Vec<_> =
                columns.iter().map(|name| json!({"name": name, "type": "text"})).collect();
            json!({"schema": name.schema, "name": name.name, "columns": columns, "key": key,
                   "rows": tally.rows, "bytes": tally.bytes, "digest": tally.digest})
        };
        let manifest = json!({
            "format": "pgsnap/1", "writer": "a test", "taken_at": "2026-11-21T16:12:00Z",
            "source": {"server_version": "15.1", "server_version_num": 150_001, "pg_dump": "15.1", "database": "hub",
                       "database_oid": 5, "owner": "hub", "encoding": "UTF8", "roles": ["hub"], "lsn": "0/1",
                       "locale": {"provider": "libc", "collate": "C", "ctype": "C"}},
            "census": {"tables": [census(&table, &["id", "v"], &["id"], rows), census(&nothing, &[], &[], empty)],
                       "sequences": [{"schema": "public", "name": "s", "last_value": 1, "is_called": true}],
                       "large_objects": {"count": 0, "bytes": 0, "digest": "0".repeat(32)},
                       "extensions": [], "locale": {"provider": "libc", "collate": "C", "ctype": "C"}, "content": true},
            "members": members,
        });
        (serde_json::to_string_pretty(&manifest).unwrap() + "\n", bytes)
    }

    fn sample_archive() -> Vec<u8> {
        let (json, mut bytes) = sample();
        let manifest: Manifest = serde_json::from_str(&json).unwrap();
        let packed =
            MemberCompressor::new(6).compress(crate::archive::manifest_text(&manifest).as_bytes());
        let (offset, hash) = (bytes.len() as u64, Digest::of(&packed));
        bytes.extend_from_slice(&packed);
        bytes.extend(pointer_member(FORMAT, offset, packed.len() as u64, hash));
        bytes
    }

    const DUMP: &[u8] = b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\n\
        CREATE TABLE t (v text);\nCOPY t (v) FROM stdin;\na\\tb\n\\.\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n";

    const SQL: &[u8] = b"CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 1 END; END;\n\
        -- a comment; here\nCREATE RULE r AS ON INSERT TO t DO ALSO ( DELETE FROM a; DELETE FROM b;\n);\n/* /* ; */ */ SELECT $x$ ; $x$, $$;$$, E'\\';', 'it''s', \"a;b\", $1;";

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        match target {
            "archive" => vec![sample_archive()],
            "manifest" => {
                let (json, members) = sample();
                vec![[json.as_bytes(), &[0], &members[..]].concat()]
            }
            "member" => {
                let content = b"row one\nrow two\n".repeat(40);
                let member = MemberCompressor::new(6).compress(&content);
                vec![[&(content.len() as u64).to_le_bytes()[..], &member].concat()]
            }
            "foreign" => vec![DUMP.to_vec(), MemberCompressor::new(6).compress(DUMP)],
            "sql" => vec![SQL.to_vec()],
            _ => unreachable!("{target} has no seeds"),
        }
    }

    const TOKENS: [&[u8]; 24] = [
        b"'",
        b"\"",
        b"$$",
        b"$a$",
        b"/*",
        b"*/",
        b"--",
        b"(",
        b")",
        b";",
        b"E'",
        b"\\",
        b"\n",
        b"\r\n",
        b"BEGIN ATOMIC ",
        b"CREATE FUNCTION ",
        b"END",
        b"18446744073709551615",
        b"\"rows\": 18446744073709551615",
        b"\"raw\": 9223372036854775807",
        b"\"table\": 1",
        b"[[1,\"00000000000000000000000000000000\"]]",
        b"\\.\n",
        b"-- PostgreSQL database dump complete",
    ];

    /// Else a mutant would be refused at once, and nothing after the first check be reached.
    #[test]
    fn the_seeds_are_sound() {
        let of_members = |name: &str| seeds(name).swap_remove(0);
        let seed = of_members("member");
        let (promised, member) = seed.split_first_chunk::<8>().unwrap();
        let content = MemberDecompressor::new().decompress(member, u64::from_le_bytes(*promised));
        assert!(content.unwrap().starts_with(b"row one\n"));

        let seed = of_members("manifest");
        let json = seed.split(|byte| *byte == 0).next().unwrap();
        let manifest: Manifest = serde_json::from_slice(json).unwrap();
        assert_eq!(manifest.members.len(), 5);

        let seed = String::from_utf8(of_members("sql")).unwrap();
        assert_eq!(sql::statements(&seed).len(), 3);

        for dump in seeds("foreign") {
            let (sender, mut received) = mpsc::channel(4);
            let open = move || -> io::Result<Box<dyn io::Read + Send>> {
                Ok(Box::new(Cursor::new(dump.clone())))
            };
            let quiet: Arc<dyn Progress> = Arc::new(NoProgress);
            send(&open, &Guard::new(false).unwrap(), &quiet, &sender);
            drop(sender);
            let mut is_complete = false;
            while let Some(portion) = received.blocking_recv() {
                is_complete = matches!(portion.unwrap(), Portion::Last(_));
            }
            assert!(is_complete);
        }
    }

    #[test]
    fn the_sample_is_an_archive() {
        let bytes = sample_archive();
        let archive = Archive::open(move || {
            let reader: Box<dyn ReadSeek> = Box::new(Cursor::new(bytes.clone()));
            Ok(reader)
        })
        .unwrap();
        let quiet: Arc<dyn Progress> = Arc::new(NoProgress);
        let verified = verify(&archive, &VerifyOptions::default(), &quiet).unwrap();
        assert_eq!((verified.tables, verified.rows), (2, 5));
    }

    /// The campaign of `cargo xtask fuzz` in small, on every machine and with the same inputs each
    /// time.
    #[test]
    fn no_target_falls_over_mutated_input() {
        for (name, target) in TARGETS {
            let mut mutator = Mutator::new(seeds(name), &TOKENS);
            for round in 0..2000 {
                let input = mutator.next_input();
                std::panic::catch_unwind(|| target(&input))
                    .unwrap_or_else(|_| panic!("{name}, round {round}: {}", input.escape_ascii()));
            }
        }
    }
}
