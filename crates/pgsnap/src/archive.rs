//! Reading an archive: find the manifest from the end, read any member alone.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use crate::census::TableCensus;
use crate::digest::Digest;
use crate::encoding::{Encoding, copy_option};
use crate::error::{Error, Result};
use crate::gzip::{MemberDecompressor, STORED_OVERHEAD, stored_member};
use crate::manifest::{FORMAT, FORMAT_WITH_ENCODINGS, Manifest, Member, MemberKind, format_of};
use crate::name::{TableName, quote_identifier};

/// A seekable stream of the archive's clear (but compressed) bytes.
pub trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// Opens the same archive as often as there are workers.
///
/// Implemented for paths of unsealed archives and for closures, so that a sealed archive is
/// one line: `Archive::open(move || vault.open_entry(…))`.
pub trait OpenArchive: Send + Sync {
    /// A fresh reader, positioned anywhere.
    ///
    /// # Errors
    /// Whatever the storage says. Failed authentication should be [`io::ErrorKind::InvalidData`].
    fn open(&self) -> io::Result<Box<dyn ReadSeek>>;
}

impl OpenArchive for PathBuf {
    fn open(&self) -> io::Result<Box<dyn ReadSeek>> {
        Ok(Box::new(regularfile::open(self).map(File::from)?))
    }
}

impl<F> OpenArchive for F
where
    F: Fn() -> io::Result<Box<dyn ReadSeek>> + Send + Sync,
{
    fn open(&self) -> io::Result<Box<dyn ReadSeek>> {
        self()
    }
}

/// An archive whose manifest has been read and found consistent.
#[derive(Clone)]
pub struct Archive {
    source: Arc<dyn OpenArchive>,
    manifest: Arc<Manifest>,
}

/// The payload of the pointer member; its length never changes.
fn pointer_payload(format: &str, offset: u64, length: u64, hash: Digest) -> String {
    format!("-- {format} manifest offset={offset:020} length={length:020} xxh3={hash}\n")
}

/// The last member of an archive: where the manifest is, and its hash.
pub(crate) fn pointer_member(format: &str, offset: u64, length: u64, hash: Digest) -> Vec<u8> {
    stored_member(pointer_payload(format, offset, length, hash).as_bytes())
}

/// The manifest as SQL comments, so that psql passes over it.
pub(crate) fn manifest_text(manifest: &Manifest) -> String {
    let json = serde_json::to_string_pretty(manifest).expect("a manifest has string keys only");
    let mut text = String::with_capacity(json.len() + json.len() / 8);
    text.push_str("\n-- The manifest, for programs. Nothing below is SQL.\n");
    for line in json.lines() {
        text.push_str(MANIFEST_LINE);
        text.push_str(line);
        text.push('\n');
    }
    text
}

pub(crate) const MANIFEST_LINE: &str = "--@ ";

/// A compressed manifest larger than this is refused: a million tables need less than half of it.
const MAX_MANIFEST: u64 = 256 << 20;

/// The largest size of a manifest's text. Ten thousand similar tables compress to a fortieth; text
/// that expands much further was not written by this crate.
fn manifest_budget(compressed: usize) -> usize {
    const ALWAYS: usize = 32 << 20;
    const EXPANSION: usize = 64;
    compressed.saturating_mul(EXPANSION).saturating_add(ALWAYS)
}

/// A member that holds more is refused: a block and one row, which a server cannot make longer than
/// 1 GiB.
const MAX_MEMBER: u64 = (1 << 30) + (128 << 20);

/// More SQL text than this is refused.
const MAX_TEXT: u64 = 1 << 30;

impl Archive {
    /// Opens an archive and reads its manifest: one read at the end, one for the manifest.
    ///
    /// # Errors
    /// [`Error::NotAnArchive`] for anything else (a plain dump, say), [`Error::UnsupportedFormat`]
    /// for a newer version, [`Error::Damaged`] for a manifest that contradicts itself, and
    /// [`Error::Read`].
    pub fn open(source: impl OpenArchive + 'static) -> Result<Self> {
        let source: Arc<dyn OpenArchive> = Arc::new(source);
        let mut reader = source.open().map_err(read_error)?;
        let manifest = read_manifest(&mut *reader)?;
        Ok(Self { source, manifest: Arc::new(manifest) })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A reader of members, independent of all others.
    pub(crate) fn reader(&self) -> Result<MemberReader> {
        Ok(MemberReader {
            reader: self.source.open().map_err(read_error)?,
            decompressor: MemberDecompressor::new(),
            position: None,
        })
    }

    /// The text of all members of one kind, one after the other.
    pub(crate) fn text_of(&self, kind: MemberKind) -> Result<String> {
        let mut reader = self.reader()?;
        let total: u64 = self.manifest.members_of(kind).map(|member| member.raw).sum();
        if total > MAX_TEXT {
            return Err(Error::damaged(format!("{kind:?} claims {total} bytes of SQL text")));
        }
        let mut text = Vec::new();
        for member in self.manifest.members_of(kind) {
            let part = reader.read(member)?;
            reserve(&mut text, part.len())?;
            text.extend(part);
        }
        String::from_utf8(text).map_err(|_| Error::damaged(format!("{kind:?} is not UTF-8")))
    }

    /// The DDL statements of the archive, for a comparison of schemas.
    ///
    /// # Errors
    /// Errors of reading.
    pub fn schema_statements(&self) -> Result<Vec<String>> {
        let mut statements = crate::sql::statements(&self.text_of(MemberKind::PreData)?);
        statements.extend(crate::sql::statements(&self.text_of(MemberKind::PostData)?));
        Ok(crate::ddl::significant(statements))
    }

    /// The position of a table in the census.
    pub(crate) fn table_index(&self, name: &TableName) -> Result<usize> {
        self.manifest.census.tables.iter().position(|table| &table.name == name).ok_or_else(|| {
            Error::NoSuchTable { name: name.to_string(), place: "this archive".into() }
        })
    }
}

/// Reads members of one archive.
pub(crate) struct MemberReader {
    reader: Box<dyn ReadSeek>,
    decompressor: MemberDecompressor,
    /// The position of the reader, if known: consecutive members need no seek.
    position: Option<u64>,
}

impl MemberReader {
    /// The decompressed bytes of a member, checked against its CRC and, where it has one, its hash.
    pub(crate) fn read(&mut self, member: &Member) -> Result<Vec<u8>> {
        if self.position != Some(member.offset) {
            self.reader.seek(SeekFrom::Start(member.offset)).map_err(read_error)?;
        }
        self.position = None;
        let length =
            usize::try_from(member.length).map_err(|_| Error::damaged("a member is too large"))?;
        let mut compressed = Vec::new();
        reserve(&mut compressed, length)?;
        let got = (&mut self.reader)
            .take(member.length)
            .read_to_end(&mut compressed)
            .map_err(read_error)?;
        if got != length {
            return Err(Error::damaged("the archive ends inside a member"));
        }
        self.position = Some(member.offset + member.length);
        let raw = self.decompressor.decompress(&compressed, member.raw)?;
        if let Some(hash) = member.hash
            && hash != Digest::of(&raw)
        {
            return Err(Error::damaged(format!(
                "a {:?} member does not have the hash the manifest promises",
                member.kind
            )));
        }
        Ok(raw)
    }

    /// The rows of a data member: what lies between its COPY statement and its terminator.
    pub(crate) fn read_rows(
        &mut self,
        member: &Member,
        table: &TableCensus,
    ) -> Result<(Vec<u8>, std::ops::Range<usize>)> {
        let raw = self.read(member)?;
        let statement = copy_in_statement(
            &table.name,
            table.columns.iter().map(|column| column.name.as_str()),
            table.encoding,
        );
        let start = statement.len() + COPY_BEGIN.len();
        let framed = raw.starts_with(statement.as_bytes())
            && raw[statement.len()..].starts_with(COPY_BEGIN.as_bytes())
            && raw.ends_with(COPY_END.as_bytes())
            && raw.len() >= start + COPY_END.len();
        if !framed {
            return Err(Error::damaged(format!(
                "a data member does not hold rows of {}",
                table.name
            )));
        }
        let end = raw.len() - COPY_END.len();
        let rows = &raw[start..end];
        if !rows.is_empty() && !rows.ends_with(b"\n") {
            return Err(Error::damaged(format!(
                "the last row of a member of {} is cut",
                table.name
            )));
        }
        // A terminator inside the rows would end psql's COPY early and run the rest as SQL.
        if rows.starts_with(b"\\.\n") || memchr::memmem::find(rows, b"\n\\.\n").is_some() {
            return Err(Error::damaged(format!(
                "rows of {} hold an end-of-data marker",
                table.name
            )));
        }
        Ok((raw, start..end))
    }
}

/// The statement a data member begins with, without its semicolon.
pub(crate) fn copy_in_statement<'a>(
    table: &TableName,
    columns: impl Iterator<Item = &'a str>,
    encoding: Option<Encoding>,
) -> String {
    let columns = columns.map(quote_identifier).collect::<Vec<_>>().join(", ");
    // A table without columns has no list: `()` would be a syntax error.
    let list = if columns.is_empty() { String::new() } else { format!(" ({columns})") };
    let option = copy_option(encoding);
    format!("COPY {}{list} FROM stdin{option}", table.quoted())
}

pub(crate) const COPY_BEGIN: &str = ";\n";
pub(crate) const COPY_END: &str = "\\.\n";

pub(crate) fn read_error(source: io::Error) -> Error {
    Error::Read { source }
}

/// Makes room, or says that there is none.
pub(crate) fn reserve(buffer: &mut Vec<u8>, bytes: usize) -> Result<()> {
    buffer
        .try_reserve(bytes)
        .map_err(|error| read_error(io::Error::new(io::ErrorKind::OutOfMemory, error)))
}

fn read_manifest(reader: &mut dyn ReadSeek) -> Result<Manifest> {
    let length = reader.seek(SeekFrom::End(0)).map_err(read_error)?;
    let Pointer { format, offset, end, hash } = read_pointer(reader, length)?;
    reader.seek(SeekFrom::Start(offset)).map_err(read_error)?;
    if end - offset > MAX_MANIFEST {
        return Err(Error::damaged("the manifest is larger than any that was written"));
    }
    let mut compressed = Vec::new();
    reader.take(end - offset).read_to_end(&mut compressed).map_err(read_error)?;
    if Digest::of(&compressed) != hash {
        return Err(Error::damaged("the manifest does not have the hash its pointer promises"));
    }
    let json = manifest_json(&compressed)
        .map_err(|error| Error::damaged(format!("the manifest cannot be decompressed: {error}")))?;
    let manifest: Manifest = serde_json::from_str(&json)
        .map_err(|error| Error::damaged(format!("the manifest cannot be parsed: {error}")))?;
    if manifest.format != format {
        return Err(Error::damaged("the manifest and its pointer name different formats"));
    }
    check(&manifest, offset)?;
    Ok(manifest)
}

/// The JSON out of a compressed manifest, line by line: the text around it is never in memory as a
/// whole.
fn manifest_json(compressed: &[u8]) -> io::Result<String> {
    /// A value takes at least a comma, and in memory as much as an empty string.
    const VALUE: usize = 32;
    let too_large = || io::Error::other("it expands to more than a manifest of its size holds");
    let budget = manifest_budget(compressed.len());
    let mut text = BufReader::new(MultiGzDecoder::new(compressed).take(budget as u64));
    let (mut json, mut line, mut weight) = (String::new(), String::new(), 0usize);
    while text.read_line(&mut line)? > 0 {
        let values = memchr::memchr_iter(b',', line.as_bytes()).count();
        weight += line.len() + values * VALUE;
        if weight >= budget {
            return Err(too_large());
        }
        let part =
            line.strip_prefix(MANIFEST_LINE).unwrap_or_default().trim_end_matches(['\r', '\n']);
        json.try_reserve(part.len()).map_err(|_| too_large())?;
        json.push_str(part);
        line.clear();
    }
    Ok(json)
}

/// The contents of the last member.
struct Pointer {
    format: &'static str,
    /// The offset at which the manifest begins.
    offset: u64,
    end: u64,
    hash: Digest,
}

/// Reads the last member.
fn read_pointer(reader: &mut dyn ReadSeek, length: u64) -> Result<Pointer> {
    let size = pointer_payload(FORMAT, 0, 0, Digest::default()).len() + STORED_OVERHEAD;
    let not_an_archive = |reason: &str| Error::NotAnArchive { reason: reason.to_owned() };
    let Some(start) = length.checked_sub(size as u64) else {
        return Err(not_an_archive(if length == 0 {
            "the file is empty"
        } else {
            "the file is too short"
        }));
    };
    reader.seek(SeekFrom::Start(start)).map_err(read_error)?;
    let mut member = vec![0; size];
    reader.read_exact(&mut member).map_err(read_error)?;
    let payload = &member[15..size - 8];
    if !member.starts_with(&[0x1f, 0x8b]) || !payload.starts_with(b"-- pgsnap/") {
        return Err(not_an_archive("it does not end in a pointer to a manifest"));
    }
    // Before anything is read from it: a flipped bit must not pass for another format.
    let mut crc = flate2::Crc::new();
    crc.update(payload);
    if !member.ends_with(&[crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat()) {
        return Err(Error::damaged("the pointer to the manifest is not what its checksum says"));
    }
    let text =
        std::str::from_utf8(payload).map_err(|_| Error::damaged("the pointer is not text"))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let found = words.get(1).copied().unwrap_or_default();
    let known = [FORMAT, FORMAT_WITH_ENCODINGS];
    let Some(format) = known.into_iter().find(|known| *known == found) else {
        return Err(Error::UnsupportedFormat { found: found.to_owned() });
    };
    let number = |index: usize, key: &str| -> Option<u64> {
        words.get(index)?.strip_prefix(key)?.parse().ok()
    };
    let hash = words
        .get(5)
        .and_then(|word| word.strip_prefix("xxh3="))
        .and_then(|hex| serde_json::from_value(serde_json::Value::String(hex.to_owned())).ok());
    let (Some(offset), Some(extent), Some(hash)) =
        (number(3, "offset="), number(4, "length="), hash)
    else {
        return Err(Error::damaged("the pointer to the manifest is malformed"));
    };
    if offset.checked_add(extent) != Some(start)
        || pointer_member(format, offset, extent, hash) != member
    {
        return Err(Error::damaged("the pointer to the manifest is inconsistent"));
    }
    Ok(Pointer { format, offset, end: start, hash })
}

/// Checks what every reader relies on afterwards: members lie one after the other from the first
/// byte to the manifest, data members name a table, counts add up, and no sum of them overflows.
fn check(manifest: &Manifest, end: u64) -> Result<()> {
    let tables = &manifest.census.tables;
    let encodings = || tables.iter().map(|table| table.encoding);
    let is_foreign = |encoding: Encoding| encoding.name() != manifest.source.encoding;
    if manifest.format != format_of(encodings()) || encodings().flatten().any(is_foreign) {
        return Err(Error::damaged(
            "the encodings of its rows are not those that its format and database allow",
        ));
    }
    let mut position = 0u64;
    let mut rows = vec![0u64; manifest.census.tables.len()];
    for member in &manifest.members {
        if member.offset != position {
            return Err(Error::damaged("the members leave a gap or overlap"));
        }
        position = position
            .checked_add(member.length)
            .ok_or_else(|| Error::damaged("a member is too long"))?;
        match (member.kind, member.table, member.rows, member.hash) {
            (MemberKind::Data, Some(table), Some(count), _) if table < rows.len() => {
                rows[table] = rows[table].saturating_add(count);
            }
            (MemberKind::Data, ..) => return Err(Error::damaged("a data member names no table")),
            (_, None, None, Some(_)) => {}
            _ => return Err(Error::damaged("a member without rows has no hash")),
        }
    }
    if position != end {
        return Err(Error::damaged("the members do not end where the manifest begins"));
    }
    let tables = &manifest.census.tables;
    let has_total = add_up(manifest.members.iter().map(|member| member.raw))
        && add_up(tables.iter().map(|table| table.rows))
        && add_up(tables.iter().map(|table| table.bytes));
    if !has_total {
        return Err(Error::damaged("it claims more than any file can hold"));
    }
    let largest = manifest.members.iter().map(|member| member.raw.max(member.length));
    if largest.max().unwrap_or(0) > MAX_MEMBER {
        return Err(Error::damaged("a member claims more than any row and block can hold"));
    }
    for (table, rows) in tables.iter().zip(rows) {
        if table.rows != rows {
            return Err(Error::damaged(format!(
                "{} has {} rows by census and {rows} by its members",
                table.name, table.rows
            )));
        }
        if !table.buckets.are_of(table.rows) {
            return Err(Error::damaged(format!("the buckets of {} are malformed", table.name)));
        }
    }
    Ok(())
}

/// Returns true if the sum of the numbers is one.
fn add_up(numbers: impl Iterator<Item = u64>) -> bool {
    numbers.into_iter().try_fold(0u64, u64::checked_add).is_some()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// An archive that has nothing but this text as its manifest.
    fn archive(text: impl Fn(&mut dyn Write)) -> Result<Archive> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        text(&mut encoder);
        let mut file = encoder.finish().unwrap();
        let pointer = pointer_member(FORMAT, 0, file.len() as u64, Digest::of(&file));
        file.extend(pointer);
        let file: Arc<[u8]> = file.into();
        Archive::open(move || Ok(Box::new(Cursor::new(Arc::clone(&file))) as Box<dyn ReadSeek>))
    }

    #[test]
    fn a_manifest_that_inflates_without_bound_is_damage() {
        const PIECE: usize = 1 << 20;
        let blanks = " ".repeat(PIECE);
        let strings = "\"\",".repeat(PIECE / 3);
        for (begin, piece, end) in
            [("--@ {", blanks.as_str(), "}"), ("--@ {\"settings\":[", strings.as_str(), "\"\"]}")]
        {
            let opened = archive(|text| {
                text.write_all(begin.as_bytes()).unwrap();
                for _ in 0..512 {
                    text.write_all(piece.as_bytes()).unwrap();
                }
                text.write_all(end.as_bytes()).unwrap();
            });
            let error = opened.err().expect("nobody wrote that");
            assert!(error.to_string().contains("expands"), "{error}");
        }
    }
}
