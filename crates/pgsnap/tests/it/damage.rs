//! Damaged archives are refused: never a panic, never a short restore.

use std::path::PathBuf;

use pgsnap::{Archive, Error, ErrorClass, VerifyOptions};
use proptest::prelude::*;

use crate::server::{Server, quiet};

async fn archive_bytes(server: &Server) -> Vec<u8> {
    let source = server
        .with_sql("hub", "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 5000) n; CREATE TABLE u AS SELECT 1 AS id; SELECT lo_from_bytea(0, 'x')")
        .await;
    server.dump(&source).await;
    fs_err::read(server.file("hub.sql.gz")).unwrap()
}

fn full_check(path: PathBuf) -> pgsnap::Result<()> {
    pgsnap::verify(&Archive::open(path)?, &VerifyOptions::default(), &quiet()).map(|_| ())
}

/// The last bytes say where everything is, and in which format.
#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_bit_of_the_pointer_is_damage() {
    let server = Server::start().await;
    let bytes = archive_bytes(&server).await;
    let path = server.file("pointer.sql.gz");
    let begin = b"-- pgsnap/1 manifest";
    let starts: Vec<usize> =
        (0..bytes.len() - begin.len()).filter(|at| bytes[*at..].starts_with(begin)).collect();
    let pointer = *starts.last().expect("the pointer is stored, not compressed");
    for at in pointer..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            fs_err::write(&path, &damaged).unwrap();
            match full_check(path.clone()) {
                Err(Error::NotAnArchive { .. }) => assert!(at < pointer + 10, "at {at}"),
                Err(error) => assert_eq!(error.class(), ErrorClass::No, "at {at}: {error}"),
                Ok(()) => panic!("the flip of bit {bit} at {at} passed"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_wherever_it_matters() {
    let server = Server::start().await;
    let bytes = archive_bytes(&server).await;
    let path = server.file("flipped.sql.gz");
    let mut harmless = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 400 + 1) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs_err::write(&path, &damaged).unwrap();
        match full_check(path.clone()) {
            Err(error) => assert_eq!(error.class(), ErrorClass::No, "at {at}: {error}"),
            // Time stamp and system bytes of a gzip header mean nothing; sealing covers them.
            Ok(()) => harmless += 1,
        }
    }
    assert!(harmless < 20, "{harmless} flips passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_archive_is_refused_at_every_point() {
    let server = Server::start().await;
    let bytes = archive_bytes(&server).await;
    let path = server.file("cut.sql.gz");
    let tail = bytes.len().saturating_sub(300)..bytes.len();
    for cut in (0..bytes.len()).step_by(bytes.len() / 100 + 1).chain(tail) {
        fs_err::write(&path, &bytes[..cut]).unwrap();
        let error = full_check(path.clone()).expect_err("a cut archive must not pass");
        assert_eq!(error.class(), ErrorClass::No, "cut at {cut}: {error}");
    }
}

#[test]
fn other_files_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        Archive::open(path).err().unwrap()
    };
    assert_eq!(open("empty", b"").to_string(), "not a pgsnap archive: the file is empty");
    assert_eq!(open("text", b"hello").to_string(), "not a pgsnap archive: the file is too short");
    let error = open("long", &[b'x'; 4096]);
    assert!(matches!(error, Error::NotAnArchive { .. }), "{error}");
    let error = Archive::open(directory.path().join("missing")).err().unwrap();
    assert_eq!(error.class(), ErrorClass::CouldNotAsk, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_refused_with_a_hint() {
    let server = Server::start().await;
    let mut bytes = archive_bytes(&server).await;
    let at = bytes.windows(12).rposition(|window| window == b"-- pgsnap/1 ").unwrap();
    bytes[at + 10] = b'3';
    // Whoever writes another format writes its checksum: the last eight bytes are those of the member.
    let end = bytes.len() - 8;
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[at..end]);
    bytes[end..end + 4].copy_from_slice(&crc.sum().to_le_bytes());
    let path = server.file("newer.sql.gz");
    fs_err::write(&path, &bytes).unwrap();
    let error = Archive::open(path).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the archive has format pgsnap/3, this program reads pgsnap/1 and pgsnap/2"
    );
    assert!(error.hint().unwrap().contains("newer hubctl"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), pointer in any::<bool>()) {
        if pointer {
            bytes.extend_from_slice(b"-- pgsnap/1 manifest offset=00000000000000000000 length=00000000000000000010 xxh3=00000000000000000000000000000000\n");
            bytes.extend([0; 8]);
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        fs_err::write(&path, &bytes).unwrap();
        prop_assert!(Archive::open(path).is_err());
    }
}
