//! Every damage is found, by the depth that claims to find it, and called by its name.

use backup::{Depth, Entry, Error, open_file};

use crate::support::{Fixture, payload};

const CHUNK: usize = 65_536 + 16;

struct Sealed {
    fixture: Fixture,
    entry: Entry,
    good: Vec<u8>,
}

impl Sealed {
    fn new(length: usize) -> Self {
        let fixture = Fixture::new();
        let entry = fixture.seal("2026-11-21T16:12:00Z", &payload(length));
        let good = fs_err::read(entry.path()).unwrap();
        Self { fixture, entry, good }
    }

    /// Puts other bytes in the place of the file.
    fn replace(&self, bytes: &[u8]) {
        fs_err::write(self.entry.path(), bytes).unwrap();
    }

    fn verify(&self, depth: Depth) -> Result<(), Error> {
        self.fixture.vault.verify(&self.entry, &self.fixture.identities(), depth).map(|_| ())
    }

    /// The same without the help of a sidecar.
    fn verify_alone(&self) -> Result<(), Error> {
        let mut clear = open_file(self.entry.path(), &self.fixture.identities())?;
        std::io::copy(&mut clear, &mut std::io::sink())
            .map_err(|error| error.downcast::<Error>().unwrap())?;
        Ok(())
    }

    fn header(&self) -> usize {
        let mac = self.good.windows(4).position(|window| window == b"\n---").unwrap();
        mac + 1 + self.good[mac + 1..].iter().position(|byte| *byte == b'\n').unwrap() + 1
    }

    fn last_chunk(&self) -> usize {
        let payload = self.header() + 16;
        payload + (self.good.len() - payload - 1) / CHUNK * CHUNK
    }
}

#[test]
fn one_bit_flipped_anywhere() {
    let sealed = Sealed::new(3 * 65_536 + 100);
    let (header, last, end) = (sealed.header(), sealed.last_chunk(), sealed.good.len());
    let body = (header + 16..last).step_by(4099);
    let offsets = (0..header + 16).chain(body).chain((last..end).step_by(7)).chain([end - 1]);
    for (n, offset) in offsets.enumerate() {
        let mut bad = sealed.good.clone();
        bad[offset] ^= 1 << (n % 8);
        sealed.replace(&bad);
        let edge = offset < header + 16 || offset >= last;
        let quick = sealed.verify(Depth::Quick);
        let full = sealed.verify(Depth::Full);
        assert_eq!(quick.is_err(), edge, "quick at {offset}: {quick:?}");
        let full = full.expect_err(&format!("full at {offset}"));
        assert!(sealed.verify_alone().is_err(), "alone at {offset}");
        assert!(matches!(sealed.verify(Depth::Sealed), Err(Error::HashDiffers { .. })));
        let named = match full {
            Error::NotAge { .. } | Error::UnknownAgeVersion { .. } => offset < 22,
            // Never a wrong key: the sidecar knows what the header held.
            Error::HeaderDamaged { .. } => (22..header + 16).contains(&offset),
            // The nonce of the payload belongs to the header's 16 bytes after; it spoils every chunk.
            Error::EndDamaged { .. } => offset >= header,
            Error::Damaged { offset: clear, .. } => {
                (header + 16..last).contains(&offset)
                    && clear as usize == (offset - header - 16) / CHUNK * 65_536
            }
            // A line break that became another character makes the header longer than it was.
            Error::Truncated { .. } => offset < header,
            _ => false,
        };
        assert!(named, "at {offset} of header {header}: {full:?}");
    }
    sealed.replace(&sealed.good);
    sealed.verify(Depth::Full).unwrap();
}

#[test]
fn truncated_anywhere() {
    let sealed = Sealed::new(2 * 65_536);
    let (header, end) = (sealed.header(), sealed.good.len());
    let borders = (1..=2).flat_map(|chunk| {
        let border = header + 16 + chunk * CHUNK;
        [border - 1, border, border + 1, border + 16, border + 17]
    });
    let cuts = (1..header + 40)
        .chain(borders)
        .chain((header + 40..end).step_by(3001))
        .filter(|cut| *cut < end);
    for cut in cuts {
        sealed.replace(&sealed.good[..cut]);
        let expected = end as u64;
        for depth in [Depth::Quick, Depth::Sealed, Depth::Full] {
            let error = sealed.verify(depth).unwrap_err();
            assert!(
                matches!(error, Error::Truncated { expected: Some(bytes), .. } if bytes == expected),
                "{cut}: {error:?}"
            );
        }
        let error = sealed.verify_alone().unwrap_err();
        assert!(
            matches!(
                error,
                Error::Truncated { .. } | Error::HeaderDamaged { .. } | Error::EndDamaged { .. }
            ),
            "cut at {cut}: {error:?}"
        );
    }
}

#[test]
fn trailing_bytes() {
    let sealed = Sealed::new(1000);
    let mut longer = sealed.good.clone();
    longer.push(0);
    sealed.replace(&longer);
    assert!(matches!(sealed.verify(Depth::Quick), Err(Error::SizeDiffers { .. })));
    assert!(matches!(sealed.verify_alone(), Err(Error::EndDamaged { .. })));
}

#[test]
fn empty_file() {
    let sealed = Sealed::new(10);
    sealed.replace(b"");
    assert!(matches!(sealed.verify(Depth::Quick), Err(Error::Empty { .. })));
    assert!(matches!(sealed.verify_alone(), Err(Error::Empty { .. })));
}

#[test]
fn not_an_age_file() {
    let sealed = Sealed::new(10);
    let is = |bytes: &[u8], armored: bool| {
        sealed.replace(bytes);
        matches!(sealed.verify_alone(), Err(Error::NotAge { armored: found, .. }) if found == armored)
    };
    assert!(is(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0], false));
    assert!(is(&vec![0; 1 << 20], false));
    assert!(is(b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", true));
    sealed.replace(b"age-encryption.org/v2\n-> X\n");
    assert!(matches!(sealed.verify_alone(), Err(Error::UnknownAgeVersion { .. })));
    sealed.replace(&[b"age-encryption.org/v1\n".as_slice(), &vec![b'A'; 3 << 20]].concat());
    assert!(matches!(sealed.verify_alone(), Err(Error::HeaderDamaged { .. })));
}

#[test]
fn swapped_chunks() {
    let sealed = Sealed::new(3 * 65_536);
    let payload = sealed.header() + 16;
    let mut bad = sealed.good.clone();
    bad[payload..payload + 2 * CHUNK].rotate_left(CHUNK);
    sealed.replace(&bad);
    sealed.verify(Depth::Quick).unwrap();
    assert!(matches!(sealed.verify(Depth::Full), Err(Error::Damaged { offset: 0, .. })));
}

#[test]
fn replaced_by_a_stranger_who_knows_the_public_key() {
    let sealed = Sealed::new(1000);
    let other = Sealed::new(0);
    let forged = crate::support::seal(
        &other.fixture.vault,
        &sealed.fixture.recipients(),
        "2026-11-21T16:12:00Z",
        &payload(1000),
    );
    // A header has random padding, so only a forgery of the same length gets as far as the stanzas.
    let bytes = fs_err::read(forged.path()).unwrap();
    sealed.replace(&bytes);
    assert!(sealed.verify_alone().is_ok());
    let error = sealed.verify(Depth::Quick).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotAsSealed { .. } | Error::SizeDiffers { .. } | Error::Truncated { .. }
        ),
        "{error:?}"
    );
    let sidecar = sealed.fixture.path().join("state-hub-20261121T161200Z.json");
    let text = fs_err::read_to_string(&sidecar).unwrap();
    let size = |bytes: usize| format!("\"sealed_bytes\": {bytes}");
    fs_err::write(&sidecar, text.replace(&size(sealed.good.len()), &size(bytes.len()))).unwrap();
    let entry = sealed.fixture.vault.find("2026").unwrap();
    let error = sealed
        .fixture
        .vault
        .verify(&entry, &sealed.fixture.identities(), Depth::Quick)
        .unwrap_err();
    assert!(matches!(error, Error::NotAsSealed { .. }), "{error:?}");
}

#[test]
fn reading_on_after_damage_stays_an_error_but_the_rest_is_reachable() {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let sealed = Sealed::new(3 * 65_536);
    let mut bad = sealed.good.clone();
    bad[sealed.header() + 16 + CHUNK + 5] ^= 1;
    sealed.replace(&bad);
    let mut clear = open_file(sealed.entry.path(), &sealed.fixture.identities()).unwrap();
    clear.seek(SeekFrom::Start(65_536)).unwrap();
    for _ in 0..2 {
        let error = clear.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    }
    let mut again = clear.reopen().unwrap();
    again.seek(SeekFrom::Start(2 * 65_536)).unwrap();
    let mut rest = Vec::new();
    again.read_to_end(&mut rest).unwrap();
    assert!(rest == payload(3 * 65_536)[2 * 65_536..]);
}

#[test]
fn two_backups_that_changed_places() {
    let one = Sealed::new(5000);
    let other = one.fixture.seal("2026-11-22T16:12:00Z", &payload(5000));
    let bytes = fs_err::read(other.path()).unwrap();
    fs_err::write(other.path(), &one.good).unwrap();
    one.replace(&bytes);
    let identities = one.fixture.identities();
    for entry in [&one.entry, &other] {
        for depth in [Depth::Quick, Depth::Full, Depth::Sealed] {
            let found = one.fixture.vault.verify(entry, &identities, depth);
            // Headers differ in length now and then, which is found first.
            let is_found = match &found {
                Err(Error::Truncated { .. } | Error::SizeDiffers { .. }) => true,
                Err(Error::HashDiffers { .. }) => depth == Depth::Sealed,
                Err(Error::NotAsSealed { .. }) => depth != Depth::Sealed,
                _ => false,
            };
            assert!(is_found, "{depth:?}: {found:?}");
        }
        // They open, each alone: age knows no names.
        open_file(entry.path(), &identities).unwrap();
    }
}

#[test]
fn an_old_backup_under_a_new_name() {
    let old = Sealed::new(5000);
    let vault = &old.fixture.vault;
    let identities = old.fixture.identities();
    let (file, sidecar) = (
        old.fixture.path().join("state-hub-20261122T161200Z.sql.gz.age"),
        old.fixture.path().join("state-hub-20261122T161200Z.json"),
    );
    let facts =
        fs_err::read_to_string(old.entry.path().with_file_name("state-hub-20261121T161200Z.json"))
            .unwrap();
    fs_err::write(&file, &old.good).unwrap();
    // Without a sidecar it is nobody's, with that of the old one it is described as another, and so it is with one that names only the new file.
    let named = facts.replace("state-hub-20261121T161200Z.sql", "state-hub-20261122T161200Z.sql");
    assert_ne!(named, facts);
    for (facts, known) in [(None, false), (Some(&facts), true), (Some(&named), true)] {
        if let Some(facts) = facts {
            fs_err::write(&sidecar, facts).unwrap();
        }
        let entry = vault.find("20261122").unwrap();
        assert!(!entry.is_verified());
        assert_eq!(entry.sidecar_error().is_some(), known);
        let marked = vault.mark_verified(&entry, "2026-12-01T00:00:00Z".parse().unwrap());
        assert!(
            matches!(marked, Err(Error::NoSidecar { .. } | Error::InvalidSidecar { .. })),
            "{marked:?}"
        );
        if known {
            let found = vault.verify(&entry, &identities, Depth::Full);
            assert!(matches!(found, Err(Error::InvalidSidecar { .. })), "{found:?}");
        }
    }
}
