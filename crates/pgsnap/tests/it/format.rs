//! The specification of the format can be followed by a stranger: its reader runs here as it is
//! printed there.

use std::path::Path;
use std::process::{Command, Output};

use crate::server::Server;

const PAGE: &str = include_str!("../../../../docs/formats/archive.md");

/// The first code block of a language on the page.
fn code_block(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

fn read(archive: &Path) -> Output {
    Command::new("python3")
        .args(["-c", code_block("python")])
        .arg(archive)
        .env("PYTHONIOENCODING", "utf-8")
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_of_the_specification_counts_what_the_manifest_counts() {
    let python = Command::new("python3").arg("--version").output();
    if testkit::installed("python3", python).is_none() {
        return;
    }
    let server = Server::start().await;
    let source = server.zoo("zoo").await;
    let (_, manifest) = server.dump(&source).await;
    let sound = server.file("zoo.sql.gz");

    let output = read(&sound);
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    let mut found: Vec<&str> = stdout.lines().collect();
    let last = found.pop().unwrap();
    let expected: Vec<String> = manifest
        .census
        .tables
        .iter()
        .map(|table| format!("{:12} {}", table.rows, table.name))
        .collect();
    assert_eq!(found, expected);
    let summary = format!(
        "sound: {} tables, {} rows; ",
        manifest.census.tables.len(),
        manifest.census.rows()
    );
    assert!(last.starts_with(&summary), "{last}");

    let bytes = fs_err::read(&sound).unwrap();
    let data = manifest.members.iter().find(|member| member.rows.is_some()).unwrap();
    let within = usize::try_from(data.offset + data.length / 2).unwrap();
    let flipped = |at: usize, bit: u8| {
        bytes.iter().enumerate().map(|(i, byte)| if i == at { byte ^ bit } else { *byte }).collect()
    };
    let damaged: [(&str, Vec<u8>); 4] = [
        ("flipped-in-data", flipped(within, 1)),
        ("flipped-in-pointer", flipped(bytes.len() - 1, 1)),
        ("cut", bytes[..bytes.len() - 1].to_vec()),
        ("newer", flipped(bytes.len() - 138 + 15 + "-- pgsnap/".len(), b'1' ^ b'9')),
    ];
    for (name, bytes) in damaged {
        let path = server.file(&format!("{name}.sql.gz"));
        fs_err::write(&path, bytes).unwrap();
        assert!(!read(&path).status.success(), "accepted: {name}");
    }
}

/// Rows in the encoding of their database make another version of the format.
#[tokio::test(flavor = "multi_thread")]
async fn the_reader_of_the_specification_reads_rows_of_other_encodings() {
    let python = Command::new("python3").arg("--version").output();
    if testkit::installed("python3", python).is_none() {
        return;
    }
    let server = Server::start().await;
    let create =
        "CREATE DATABASE odd TEMPLATE template0 ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C'";
    let admin = server.scratch.database("postgres");
    pgsnap::execute(&admin, create).await.unwrap();
    let source = server.scratch.database("odd");
    let sql =
        "CREATE TABLE t AS SELECT convert_from('\\x9d', 'WIN1252') AS v; CREATE TABLE u (v text)";
    pgsnap::execute(&source, sql).await.unwrap();
    let (_, manifest) = server.dump(&source).await;
    assert_eq!(manifest.format, pgsnap::FORMAT_WITH_ENCODINGS);
    let output = read(&server.file("odd.sql.gz"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

#[test]
fn the_pointer_of_the_specification_is_one() {
    let dump =
        code_block("hexdump").lines().flat_map(|line| line.split_once(": ").unwrap().1.split(' '));
    let bytes: Vec<u8> = dump.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    assert_eq!(bytes.len(), 138);
    let mut payload = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut payload)
        .unwrap();
    assert!(
        payload.starts_with("-- pgsnap/1 manifest offset=00000000000004584885 length="),
        "{payload}"
    );
}
