//! Bundles: evidence, gates, verdicts and approvals without secrets, in one file to send away. The
//! format is specified in `docs/formats/evidence.md`.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::approval::ApprovalCopies;
use crate::evidence::weight::weight;
use crate::{Error, Evidence, Gate, Gates, Verdicts};

const EVIDENCE: &str = "evidence.json";
const GATES: &str = "gates.json";
const VERDICTS: &str = "verdicts.json";
const APPROVALS: &str = "approvals.json";
/// The most that a member takes besides its text.
const HEADER: usize = 1024;
/// The first bytes of a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// No bundle is longer, neither packed nor unpacked.
const LONGEST: u64 = 256 << 20;
/// Nor has it more members. Those that are not known are left to newer versions.
const MOST_MEMBERS: usize = 64;
/// No member but evidence needs more memory.
const HEAVIEST: u64 = 256 << 20;

/// Evidence, the gates that it was read for, and the approvals of them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Bundle {
    /// The gates.
    pub gates: Gates,
    /// The evidence.
    pub evidence: Evidence,
    /// The approvals as of when the bundle was made; none in evidence alone.
    pub approvals: Option<ApprovalCopies>,
}

impl Bundle {
    /// A bundle of the gates with these names and their parts.
    #[must_use]
    pub fn new(
        gates: &Gates,
        names: &[&str],
        evidence: Evidence,
        approvals: Option<ApprovalCopies>,
    ) -> Self {
        Self { gates: gates.only(names), evidence, approvals }
    }

    /// Writes it whole with these verdicts, or not at all.
    ///
    /// # Errors
    /// [`Error::BundleTooLong`] and [`Error::BundleNotWritten`].
    pub fn write(&self, path: &Path, verdicts: &Verdicts) -> Result<(), Error> {
        let gates: BTreeMap<&str, &Gate> = self.gates.iter().collect();
        let members = [
            (EVIDENCE, json(&self.evidence)?),
            (GATES, json(&gates)?),
            (VERDICTS, json(verdicts)?),
            (APPROVALS, json(&self.approvals)?),
        ];
        let length: usize = members.iter().map(|(_, text)| HEADER + text.len()).sum();
        if length as u64 > LONGEST {
            return Err(Error::BundleTooLong { limit: LONGEST });
        }
        publish(path, &members).map_err(Error::BundleNotWritten)
    }

    /// Reads a bundle; or evidence alone, which belongs to the gates that are `configured`.
    ///
    /// # Errors
    /// [`Error::NotABundle`], [`Error::NotEvidence`], and [`Error::InvalidRule`].
    pub fn read(path: &Path, configured: &Gates) -> Result<Self, Error> {
        let bytes = regularfile::read(path, LONGEST).map_err(|error| unreadable(&error))?;
        if !bytes.starts_with(&GZIP) {
            let evidence = Evidence::parse(&String::from_utf8_lossy(&bytes))?;
            return Ok(Self { gates: configured.clone(), evidence, approvals: None });
        }
        let texts = unpacked(&bytes).map_err(|error| unreadable(&error))?;
        let text = |name: &str| {
            let missing =
                || refused(format!("{} is no bundle: it holds no {name}", path.display()));
            texts.get(name).ok_or_else(missing)
        };
        let gates: BTreeMap<String, Gate> = parse(GATES, text(GATES)?)?;
        Ok(Self {
            gates: Gates::new(gates)?,
            evidence: Evidence::parse(text(EVIDENCE)?)?,
            approvals: Some(parse(APPROVALS, text(APPROVALS)?)?),
        })
    }
}

fn refused(reason: String) -> Error {
    Error::NotABundle { reason }
}

fn unreadable(error: &io::Error) -> Error {
    refused(format!("what was read cannot be read back: {error}"))
}

fn json(document: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec_pretty(document).map_err(|error| Error::BundleNotWritten(error.into()))
}

/// Writes the members to a file that gets its name last.
fn publish(path: &Path, members: &[(&str, Vec<u8>)]) -> io::Result<()> {
    let file = tempfile::NamedTempFile::new_in(regularfile::parent(path))?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (name, text) in members {
        append(&mut archive, name, text)?;
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    regularfile::sync_directory(regularfile::parent(path))
}

/// The members that are judged, by their names.
fn unpacked(bytes: &[u8]) -> io::Result<BTreeMap<&'static str, String>> {
    let refused = |fact: String| Err(io::Error::other(fact));
    let mut texts = BTreeMap::new();
    let mut archive = tar::Archive::new(Bounded { inner: GzDecoder::new(bytes), left: LONGEST });
    for (count, entry) in archive.entries()?.enumerate() {
        if count == MOST_MEMBERS {
            return refused(format!("it has more than {MOST_MEMBERS} members"));
        }
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let judged = [EVIDENCE, GATES, APPROVALS];
        let Some(name) = judged.into_iter().find(|name| Path::new(name) == path) else {
            continue;
        };
        // A sparse file may claim any length.
        if !entry.header().entry_type().is_file() {
            return refused(format!("its {name} is not a regular file"));
        }
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        if texts.insert(name, text).is_some() {
            return refused(format!("it has two {name}"));
        }
    }
    Ok(texts)
}

/// A reader that fails where it would go on too long, and does not end there as if all were read.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: io::Read> io::Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(Error::BundleTooLong { limit: LONGEST })),
        }
        Ok(count)
    }
}

fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Error> {
    if weight(text.as_bytes()) > HEAVIEST {
        let fact = format!("{name} of the bundle needs more than {} MiB of memory", HEAVIEST >> 20);
        return Err(refused(fact));
    }
    serde_json::from_str(text)
        .map_err(|error| refused(format!("{name} of the bundle cannot be read: {error}")))
}

fn append(
    archive: &mut tar::Builder<GzEncoder<tempfile::NamedTempFile>>,
    name: &str,
    text: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    archive.append_data(&mut header, name, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{EntryType, Header};

    /// The bundle of these members, each of a kind and so many bytes of a text that is repeated.
    fn bundle(members: &[(&str, EntryType, &str, u64)]) -> Result<Bundle, String> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, kind, text, count) in members {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(text.len() as u64 * count);
            if kind.is_symlink() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            if kind.is_gnu_sparse() {
                header.as_gnu_mut().unwrap().set_real_size(0);
            }
            let content: Box<dyn io::Read> = match text.as_bytes() {
                [byte] => Box::new(io::repeat(*byte).take(*count)),
                _ => Box::new(io::Cursor::new(text.repeat(*count as usize))),
            };
            archive.append_data(&mut header, name, content).unwrap();
        }
        let bytes = archive.into_inner().unwrap().finish().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.tar.gz");
        regularfile::create(&path, bytes).unwrap();
        Bundle::read(&path, &Gates::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bundle_that_would_fill_the_memory_is_refused() {
        const FILE: EntryType = EntryType::Regular;
        let empty = (EVIDENCE, FILE, " ", 1);
        let many: Vec<_> = (0..65).map(|_| ("x", FILE, " ", 1)).collect();
        let refusals = [
            bundle(&[(EVIDENCE, FILE, " ", 257 << 20)]),
            // Also in a member that is not looked at.
            bundle(&[("x", FILE, " ", 257 << 20)]),
            bundle(&many),
            bundle(&[empty, empty]),
            bundle(&[(EVIDENCE, EntryType::Symlink, " ", 0)]),
            bundle(&[(EVIDENCE, EntryType::GNUSparse, " ", 0)]),
            bundle(&[empty, (APPROVALS, FILE, "null", 1), (GATES, FILE, "[{\"\":0},", 500_000)]),
        ];
        let said: Vec<String> = refusals.map(|refusal| refusal.err().unwrap()).into();
        insta::assert_snapshot!(said.join("\n"), @r"
        what was read cannot be read back: the bundle would unpack to more than 256 MiB
        what was read cannot be read back: the bundle would unpack to more than 256 MiB
        what was read cannot be read back: it has more than 64 members
        what was read cannot be read back: it has two evidence.json
        what was read cannot be read back: its evidence.json is not a regular file
        what was read cannot be read back: its evidence.json is not a regular file
        gates.json of the bundle needs more than 256 MiB of memory
        ");
    }
}
