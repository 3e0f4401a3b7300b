//! The seeds of fuzzers: archives of real databases, whole and in parts. `cargo xtask fuzz` has
//! them written into the directory that `FUZZ_CORPUS` names.

use std::collections::BTreeMap;
use std::path::Path;

use pgsnap::{Archive, VerifyOptions};

use crate::property::archive_of_random_database;
use crate::server::{Server, quiet};

/// Larger inputs are too slow to fuzz with.
const LARGEST: usize = 128 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_real_databases_are_sound_seeds() {
    let server = Server::start().await;
    let corpus = std::env::var_os("FUZZ_CORPUS");
    let directory = corpus.as_ref().map_or(server.files.path(), Path::new);
    let seeds = if corpus.is_some() { 0..12 } else { 0..2 };
    let mut written = BTreeMap::new();
    for seed in seeds {
        let archive = archive_of_random_database(&server, seed).await;
        pgsnap::verify(&archive, &VerifyOptions::default(), &quiet()).unwrap();
        let bytes = fs_err::read(server.file(&format!("case{seed}.sql.gz"))).unwrap();
        let sql = archive.schema_statements().unwrap().join("\n");
        let dump = server.pg_dump(&format!("case{seed}"), &[]);
        let mut write = |target: &'static str, content: Vec<u8>| {
            *written.entry(target).or_insert(0) +=
                usize::from(write(directory, target, seed, content));
        };
        write("manifest", manifest(&archive, &bytes));
        write("member", member(&archive, &bytes));
        write("sql", sql.into_bytes());
        write("foreign", dump.into_bytes());
        write("archive", bytes);
    }
    assert_eq!(written.len(), 5);
    assert!(written.values().all(|count| *count > 0), "{written:?}");
}

/// The JSON, a zero byte, and the members.
fn manifest(archive: &Archive, bytes: &[u8]) -> Vec<u8> {
    let manifest = archive.manifest();
    let end = manifest.members.last().map_or(0, |last| last.offset + last.length);
    let mut seed = serde_json::to_vec_pretty(manifest).unwrap();
    seed.push(0);
    seed.extend_from_slice(&bytes[..usize::try_from(end).unwrap()]);
    seed
}

/// The length of its content, and a member.
fn member(archive: &Archive, bytes: &[u8]) -> Vec<u8> {
    let members = &archive.manifest().members;
    let member = members.iter().max_by_key(|member| member.raw).unwrap();
    let start = usize::try_from(member.offset).unwrap();
    let end = start + usize::try_from(member.length).unwrap();
    [&member.raw.to_le_bytes(), &bytes[start..end]].concat()
}

/// Returns true if it is small enough to be written.
fn write(directory: &Path, target: &str, seed: u64, content: Vec<u8>) -> bool {
    let directory = directory.join(target);
    fs_err::create_dir_all(&directory).unwrap();
    let is_small = content.len() <= LARGEST;
    if is_small {
        fs_err::write(directory.join(format!("case{seed}")), content).unwrap();
    }
    is_small
}
