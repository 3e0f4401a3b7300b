//! SHA-256 in hexadecimal, as `sha256sum` prints it.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

use crate::Result;
use crate::progress::{Stage, Watch};

/// Large enough that the hash, not the system call, is what takes time.
const BUFFER: usize = 256 * 1024;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a whole file in lower-case hexadecimal, as
/// [`Sidecar::sha256`](crate::Sidecar::sha256) has it.
pub fn of_file(path: &Path) -> Result<String> {
    Ok(of_reader(regularfile::open(path)?)?)
}

/// Hashes what is read.
pub(crate) fn of_reader(mut reader: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The same, of which each piece is told.
pub(crate) fn of_watched_file(
    path: &Path,
    watch: &Watch,
    stage: Stage,
    id: &str,
) -> Result<String> {
    let file = regularfile::open(path)?;
    let length = file.metadata()?.len();
    Ok(of_reader(watch.reading(file, stage, id, length))?)
}

/// The bytes of a hash in hexadecimal; what is none has none.
#[cfg(feature = "s3")]
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map_while(byte).collect()
}

/// A hash that another thread computes, while this one encrypts or waits for the disk.
struct Hashing {
    filling: Vec<u8>,
    full: SyncSender<Vec<u8>>,
    emptied: Receiver<Vec<u8>>,
    worker: JoinHandle<String>,
}

impl Hashing {
    fn begin() -> io::Result<Self> {
        // One buffer is filled and one is hashed, and one may wait in between.
        let (full, filled) = mpsc::sync_channel::<Vec<u8>>(1);
        let (empty, emptied) = mpsc::channel();
        let hash = move || {
            let mut hash = Sha256::new();
            for mut buffer in filled {
                hash.update(&buffer);
                buffer.clear();
                // Whoever filled it may be done already.
                let _ = empty.send(buffer);
            }
            hex(&hash.finalize())
        };
        Ok(Self {
            filling: Vec::with_capacity(BUFFER),
            full,
            emptied,
            worker: thread::Builder::new().name("hash".to_owned()).spawn(hash)?,
        })
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = BUFFER - self.filling.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.filling.extend_from_slice(now);
            bytes = later;
            if self.filling.len() == BUFFER {
                let next = self.emptied.try_recv();
                let next = next.unwrap_or_else(|_| Vec::with_capacity(BUFFER));
                self.send(next);
            }
        }
    }

    fn send(&mut self, next: Vec<u8>) {
        let full = std::mem::replace(&mut self.filling, next);
        self.full.send(full).expect("the thread takes buffers until nobody can send any");
    }

    fn finish(mut self) -> String {
        self.send(Vec::new());
        drop(self.full);
        self.worker.join().expect("nothing in a hash can panic")
    }
}

/// Counts and hashes what passes through it.
pub(crate) struct Tally<W> {
    inner: W,
    bytes: u64,
    hash: Hashing,
}

impl<W: Write> Tally<W> {
    pub(crate) fn new(inner: W) -> io::Result<Self> {
        Ok(Self { inner, bytes: 0, hash: Hashing::begin()? })
    }

    /// The writer, how many bytes it got, and their hash.
    pub(crate) fn into_parts(self) -> (W, u64, String) {
        (self.inner, self.bytes, self.hash.finish())
    }
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hash.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_sha256sum() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), expected);
        let mut tally = Tally::new(Vec::new()).unwrap();
        tally.write_all(b"a").unwrap();
        tally.write_all(b"bc").unwrap();
        assert_eq!(tally.into_parts(), (b"abc".to_vec(), 3, expected.to_owned()));
    }

    #[test]
    fn however_it_is_written_the_hash_is_the_same() {
        let bytes: Vec<u8> = (0..3 * BUFFER + 17).map(|at| at as u8).collect();
        for piece in [1000, BUFFER - 1, BUFFER, BUFFER + 1, 4 * BUFFER] {
            let mut tally = Tally::new(io::sink()).unwrap();
            for piece in bytes.chunks(piece) {
                tally.write_all(piece).unwrap();
            }
            let (_, count, hash) = tally.into_parts();
            assert_eq!((count, hash), (bytes.len() as u64, of_bytes(&bytes)));
        }
    }
}
