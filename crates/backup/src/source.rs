//! A source whose end is known, so that its last part is fetched with one read instead of being
//! felt for.

use std::io::{self, Read, Seek, SeekFrom};

/// Reads from `inner`, and never beyond the length it had when it was opened.
pub(crate) struct Measured<R> {
    inner: R,
    position: u64,
    length: u64,
}

impl<R: Seek> Measured<R> {
    pub(crate) fn new(mut inner: R) -> io::Result<Self> {
        let length = inner.seek(SeekFrom::End(0))?;
        inner.rewind()?;
        Ok(Self { inner, position: 0, length })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.position += n as u64;
        Ok(n)
    }

    /// The provided method would begin with a few bytes and double them, which is a request each if
    /// the source is far away.
    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let rest = self.length.saturating_sub(self.position);
        let rest =
            usize::try_from(rest).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let begin = buf.len();
        buf.resize(begin + rest, 0);
        self.inner.read_exact(&mut buf[begin..])?;
        self.position = self.length;
        Ok(rest)
    }
}

impl<R: Seek> Seek for Measured<R> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let target = match target {
            SeekFrom::End(offset) => {
                SeekFrom::Start(self.length.checked_add_signed(offset).ok_or_else(before_begin)?)
            }
            other => other,
        };
        self.position = self.inner.seek(target)?;
        Ok(self.position)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.position)
    }
}

pub(crate) fn before_begin() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "seek to a place before the beginning")
}
