//! Reading a sealed file: `Read + Seek` over the clear text, without a clear byte on disk.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use age::stream::StreamReader;
use age::{DecryptError, Decryptor};
use age_core::format::FileKey;

use crate::identities::{Attempt, Known};
use crate::sealed_file::{SealedFile, SealedLocation};
use crate::source::{Measured, before_begin};
use crate::{Error, Identities, Result};

/// The clear text of one chunk of the age format, and its sealed length with the authentication
/// tag.
const CHUNK: u64 = 64 * 1024;
const TAG: u64 = 16;
pub(crate) const SEALED_CHUNK: u64 = CHUNK + TAG;
/// No header with a sensible number of recipients is longer.
const LONGEST_HEADER: u64 = 1024 * 1024;
const MAGIC: &[u8] = b"age-encryption.org/";
const VERSION: &[u8] = b"age-encryption.org/v1\n";
const ARMOR: &[u8] = b"-----BEGIN AGE";

/// Four sealed chunks per system call when a file is read from one end to the other.
pub(crate) const READ_AHEAD: usize = 4 * SEALED_CHUNK as usize;
/// Enough for a header of a dozen recipients; with the last chunk it makes less than 66 KiB.
pub(crate) const HEADER_ONLY: usize = 2000;

type Buffered<R> = BufReader<Measured<R>>;

fn buffered<R: Read + Seek>(source: R, ahead: usize) -> Result<Buffered<R>> {
    Ok(BufReader::with_capacity(ahead, Measured::new(source)?))
}

/// The promises of a sidecar about a file.
#[derive(Default)]
pub(crate) struct Expected<'a> {
    pub(crate) stanzas: Vec<&'a str>,
    pub(crate) clear_bytes: Option<u64>,
    pub(crate) sealed_for: Vec<String>,
}

/// The clear text of a sealed file, open for reading at any place.
///
/// Opening reads the header and the last chunk: the header's MAC and the end of the file are
/// authentic before the first byte is handed out, so a truncated file does not open. Every chunk is
/// authenticated before any byte of it is returned. One decrypted chunk of 64 KiB is kept; reads
/// and seeks within it cost no decryption, and seeking alone costs nothing.
///
/// After a damaged chunk every further read fails; [`reopen`](Self::reopen) for what lies elsewhere
/// in the file.
pub struct Unsealed<R = SealedFile> {
    inner: StreamReader<Buffered<R>>,
    inner_position: u64,
    position: u64,
    clear_len: u64,
    failed: bool,
    path: PathBuf,
    /// The place to open it again, if it is a sealed file.
    place: Option<SealedLocation>,
    file_key: Arc<FileKey>,
}

impl Unsealed {
    pub(crate) fn open(
        place: SealedLocation,
        path: &Path,
        identities: &Identities,
        expected: &Expected<'_>,
        ahead: usize,
    ) -> Result<Self> {
        let mut unsealed =
            Self::new(place.open()?, path, identities, expected, place.ahead(ahead))?;
        unsealed.place = Some(place);
        Ok(unsealed)
    }

    /// Opens the same file once more, for another thread or another place, without asking for a
    /// key.
    ///
    /// # Errors
    /// [`Error::Changed`] if the name leads to another file by now.
    pub fn reopen(&self) -> Result<Self> {
        let place = self.place.as_ref().expect("a sealed file is opened by its place");
        let source = buffered(place.open()?, place.ahead(READ_AHEAD))?;
        let (decryptor, payload) = parse(source, &self.path)?;
        let changed = || Error::Changed { path: self.path.clone() };
        let known = Known(&self.file_key);
        let inner = decryptor.decrypt(std::iter::once(&known as _)).map_err(|_| changed())?;
        let key = Arc::clone(&self.file_key);
        let mut reopened = Self::authenticate(inner, payload, &self.path, key)?;
        reopened.place = Some(place.clone());
        (reopened.clear_len == self.clear_len).then_some(reopened).ok_or_else(changed)
    }
}

impl<R: Read + Seek> Unsealed<R> {
    pub(crate) fn new(
        source: R,
        path: &Path,
        identities: &Identities,
        expected: &Expected<'_>,
        ahead: usize,
    ) -> Result<Self> {
        let (decryptor, payload) = parse(buffered(source, ahead)?, path)?;
        let attempt = identities.attempt(path)?;
        let decrypted = decryptor.decrypt(std::iter::once(&attempt as _));
        let (inner, file_key) = judge(decrypted, attempt, path, identities, expected)?;
        let unsealed = Self::authenticate(inner, payload, path, Arc::new(file_key))?;
        match expected.clear_bytes {
            Some(bytes) if bytes != unsealed.clear_len => {
                Err(Error::NotAsSealed { path: path.to_owned() })
            }
            _ => Ok(unsealed),
        }
    }

    /// Authenticates the last chunk, which proves the length.
    fn authenticate(
        mut inner: StreamReader<Buffered<R>>,
        payload: u64,
        path: &Path,
        file_key: Arc<FileKey>,
    ) -> Result<Self> {
        let clear_len = payload - payload.div_ceil(SEALED_CHUNK) * TAG;
        // Seeking relative to the end authenticates the last chunk; by the whole length it need not move anywhere.
        let to_begin = i64::try_from(clear_len).map_or(i64::MIN, |length| -length);
        match inner.seek(SeekFrom::End(to_begin)) {
            Ok(0) => {}
            Ok(_) => {
                return Err(Error::Changed { path: path.to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Error::EndDamaged { path: path.to_owned() });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self {
            inner,
            inner_position: 0,
            position: 0,
            clear_len,
            failed: false,
            path: path.to_owned(),
            place: None,
            file_key,
        })
    }

    /// The length of the clear text in bytes, as the last chunk proves it.
    pub fn clear_len(&self) -> u64 {
        self.clear_len
    }

    fn read_at_position(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.inner_position != self.position {
            self.inner_position = self.inner.seek(SeekFrom::Start(self.position))?;
        }
        let n = self.inner.read(buf)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += n as u64;
        self.inner_position = self.position;
        Ok(n)
    }

    fn damaged(&self) -> io::Error {
        let offset = self.position / CHUNK * CHUNK;
        io::Error::new(
            io::ErrorKind::InvalidData,
            Error::Damaged { path: self.path.clone(), offset },
        )
    }
}

/// Errors of [`read`](Read::read) that mean a damaged file have the kind
/// [`io::ErrorKind::InvalidData`] and hold an [`Error`].
impl<R: Read + Seek> Read for Unsealed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.position >= self.clear_len {
            return Ok(0);
        }
        if self.failed {
            return Err(self.damaged());
        }
        self.read_at_position(buf).map_err(|error| {
            self.failed = true;
            match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => self.damaged(),
                _ => error,
            }
        })
    }
}

/// Seeking beyond the end is allowed; reading there returns nothing.
impl<R: Read + Seek> Seek for Unsealed<R> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.clear_len.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(before_begin)?;
        Ok(self.position)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.position)
    }
}

impl<R> fmt::Debug for Unsealed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsealed")
            .field("path", &self.path)
            .field("position", &self.position)
            .field("clear_len", &self.clear_len)
            .finish_non_exhaustive()
    }
}

/// Opens a sealed file that need not lie in any vault.
///
/// # Errors
/// What is wrong, one by one: [`Error::Empty`], [`Error::NotAge`], [`Error::HeaderDamaged`],
/// [`Error::NoIdentity`], [`Error::NoIdentityMatched`], [`Error::Truncated`],
/// [`Error::EndDamaged`].
pub fn open_file(path: impl AsRef<Path>, identities: &Identities) -> Result<Unsealed> {
    let path = path.as_ref();
    let place = SealedLocation::Here(path.to_owned());
    Unsealed::open(place, path, identities, &Expected::default(), READ_AHEAD)
}

/// Opens a sealed file that something else than the file system holds; `name` stands for it in
/// errors.
///
/// Nothing but the header, the last chunk and what is asked for is read, so the source may be far
/// away.
///
/// # Errors
/// Those of [`open_file`].
pub fn open_reader<R: Read + Seek>(
    source: R,
    name: impl AsRef<Path>,
    identities: &Identities,
) -> Result<Unsealed<R>> {
    Unsealed::new(source, name.as_ref(), identities, &Expected::default(), HEADER_ONLY)
}

/// Parses the header, and finds the length of the payload that follows it.
fn parse<R: Read + Seek>(
    mut reader: Buffered<R>,
    path: &Path,
) -> Result<(Decryptor<Buffered<R>>, u64)> {
    let length = reader.get_ref().length();
    check_magic(&mut reader, length, path)?;
    // Parsed twice: once to learn where the payload begins, then for good. The second time reads the buffer again.
    Decryptor::new_buffered((&mut reader).take(LONGEST_HEADER))
        .map_err(|error| unparsed(error, path))?;
    let begin = reader.stream_position()?;
    let payload = length.saturating_sub(begin);
    check_arithmetic(payload, length, path)?;
    reader.seek_relative(-i64::try_from(begin).expect("the header is short"))?;
    let decryptor = Decryptor::new_buffered(reader).map_err(|error| unparsed(error, path))?;
    Ok((decryptor, payload))
}

fn check_magic<R: Read>(reader: &mut Buffered<R>, length: u64, path: &Path) -> Result<()> {
    let path = || path.to_owned();
    let begin = reader.fill_buf()?;
    if begin.is_empty() {
        return Err(Error::Empty { path: path() });
    }
    if begin.starts_with(VERSION) {
        return Ok(());
    }
    if VERSION.starts_with(begin) {
        return Err(Error::Truncated { path: path(), expected: None, actual: length });
    }
    if begin.starts_with(MAGIC) {
        return Err(Error::UnknownAgeVersion { path: path() });
    }
    Err(Error::NotAge { path: path(), armored: begin.starts_with(ARMOR) })
}

/// A payload is whole chunks and a last one that is not empty, unless it is the only one.
fn check_arithmetic(payload: u64, length: u64, path: &Path) -> Result<()> {
    let last = payload % SEALED_CHUNK;
    let possible = payload == TAG || (payload > 0 && (last == 0 || last > TAG));
    if possible {
        return Ok(());
    }
    Err(Error::Truncated { path: path.to_owned(), expected: None, actual: length })
}

fn unparsed(error: DecryptError, path: &Path) -> Error {
    match error {
        DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => Error::Io(error),
        _ => Error::HeaderDamaged { path: path.to_owned() },
    }
}

/// Turns the result of an attempt into the reader, or into the error that tells a wrong key from a
/// damaged header.
fn judge<R>(
    decrypted: Result<StreamReader<Buffered<R>>, DecryptError>,
    attempt: Attempt<'_>,
    path: &Path,
    identities: &Identities,
    expected: &Expected<'_>,
) -> Result<(StreamReader<Buffered<R>>, FileKey)> {
    let outcome = attempt.into_outcome();
    let complete =
        expected.stanzas.iter().all(|hash| outcome.stanzas.iter().any(|found| found == hash));
    let path = path.to_owned();
    match (decrypted, outcome.file_key) {
        (Ok(_), Some(_)) if !complete => Err(Error::NotAsSealed { path }),
        (Ok(inner), Some(file_key)) => Ok((inner, file_key)),
        // A stanza that the sidecar records is gone or altered: no key can be blamed.
        _ if !complete => Err(Error::HeaderDamaged { path }),
        (Err(DecryptError::NoMatchingKeys), _) => Err(match outcome.failure {
            Some(DecryptError::ExcessiveWork { required, .. }) => {
                Error::ExcessiveWork { path, required }
            }
            Some(DecryptError::InvalidHeader) => Error::HeaderDamaged { path },
            _ if outcome.still_locked.is_some() => {
                Error::WrongPassphrase { path: outcome.still_locked.unwrap_or_default() }
            }
            // What was not tried might have opened it: that is no answer.
            _ if outcome.untried.is_some() => outcome.untried.expect("it was looked at just now"),
            _ => Error::NoIdentityMatched {
                path,
                tried: identities.len(),
                sealed_for: expected.sealed_for.clone(),
            },
        }),
        _ => Err(Error::HeaderDamaged { path }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write as _};

    /// Counts the reads that return data, and their bytes.
    struct Counting {
        inner: Cursor<Vec<u8>>,
        reads: usize,
        bytes: usize,
    }

    impl Read for Counting {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.inner.read(buf)?;
            self.reads += usize::from(n > 0);
            self.bytes += n;
            Ok(n)
        }
    }

    impl Seek for Counting {
        fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
            self.inner.seek(target)
        }
    }

    fn sealed(clear: &[u8]) -> (Vec<u8>, Identities) {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public();
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
        let mut sealed = Vec::new();
        let mut writer = encryptor.wrap_output(&mut sealed).unwrap();
        writer.write_all(clear).unwrap();
        writer.finish().unwrap();
        let mut identities = Identities::new();
        identities.add_text(&identity.to_string(), "generated");
        (sealed, identities)
    }

    #[test]
    fn opening_takes_two_reads_and_less_than_66_kib() {
        let clear: Vec<u8> = (0..40 * CHUNK - 1).map(|n| n as u8).collect();
        let (sealed, identities) = sealed(&clear);
        let mut source = Counting { inner: Cursor::new(sealed), reads: 0, bytes: 0 };
        let unsealed = open_reader(&mut source, "far away", &identities).unwrap();
        assert_eq!(unsealed.clear_len(), clear.len() as u64);
        drop(unsealed);
        assert_eq!(source.reads, 2);
        assert!(source.bytes < 66 * 1024, "{} bytes", source.bytes);
    }

    #[test]
    fn small_reads_within_a_chunk_cost_one_read_of_the_source() {
        let clear = vec![7; 3 * CHUNK as usize];
        let (sealed, identities) = sealed(&clear);
        let mut source = Counting { inner: Cursor::new(sealed), reads: 0, bytes: 0 };
        let mut unsealed = open_reader(&mut source, "x", &identities).unwrap();
        for position in [CHUNK + 9, CHUNK + 60_000, CHUNK, CHUNK + 1, 0] {
            unsealed.seek(SeekFrom::Start(position)).unwrap();
            unsealed.seek(SeekFrom::Start(CHUNK + position % CHUNK)).unwrap();
            let mut byte = [0];
            unsealed.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [7]);
        }
        drop(unsealed);
        assert_eq!(source.reads, 3, "the header, the last chunk, and the one that is read from");
    }

    #[test]
    fn chunk_borders_read_and_seek_right() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let clear: Vec<u8> = (0..length).map(|n| (n / 251) as u8).collect();
            let (sealed, identities) = sealed(&clear);
            let mut unsealed = open_reader(Cursor::new(sealed), "x", &identities).unwrap();
            assert_eq!(unsealed.clear_len(), length);
            let mut read = Vec::new();
            unsealed.read_to_end(&mut read).unwrap();
            assert!(read == clear);
            assert_eq!(unsealed.seek(SeekFrom::End(10)).unwrap(), length + 10);
            assert_eq!(unsealed.read(&mut [0; 4]).unwrap(), 0);
            assert!(
                unsealed.seek(SeekFrom::Start(length)).unwrap() == length
                    && unsealed.read(&mut [0; 4]).unwrap() == 0
            );
            assert!(unsealed.seek(SeekFrom::Current(-(length as i64) - 1)).is_err());
        }
    }
}
