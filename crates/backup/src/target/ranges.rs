//! A file at a target as `Read + Seek`, by reading ranges of it.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::Target;
use crate::source::before_begin;

/// What is asked for at once where a file is read from one place to the next.
const LONGEST: u64 = 4 << 20;

/// Reads ranges of a file far away. Nothing is read before it is asked for; who reads on gets more
/// with each request.
#[derive(Debug, Clone)]
pub(crate) struct Ranges {
    target: Arc<dyn Target>,
    name: String,
    length: u64,
    position: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    begin: u64,
    ahead: u64,
}

impl Ranges {
    pub(crate) fn new(target: Arc<dyn Target>, name: &str, length: u64) -> Self {
        Self {
            target,
            name: name.to_owned(),
            length,
            position: 0,
            buffer: Vec::new(),
            begin: 0,
            ahead: 0,
        }
    }

    /// The same file from its beginning, with a buffer of its own.
    pub(crate) fn again(&self) -> Self {
        Self::new(Arc::clone(&self.target), &self.name, self.length)
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    fn end_of_buffer(&self) -> u64 {
        self.begin + self.buffer.len() as u64
    }

    fn fetch(&mut self, wanted: u64) -> io::Result<()> {
        let reads_on = !self.buffer.is_empty() && self.position == self.end_of_buffer();
        // Whoever reads on gets twice as much each time; whoever jumps gets what was asked for.
        self.ahead = if reads_on { (self.ahead * 2).max(wanted).min(LONGEST) } else { wanted };
        let end = (self.position + self.ahead.max(wanted)).min(self.length);
        let bytes = self
            .target
            .read(&self.name, self.position..end)
            .map_err(|error| io::Error::other(Box::new(error)))?;
        self.begin = self.position;
        self.buffer = bytes;
        Ok(())
    }
}

impl Read for Ranges {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.position >= self.length {
            return Ok(0);
        }
        if !(self.begin..self.end_of_buffer()).contains(&self.position) {
            self.fetch(buf.len() as u64)?;
        }
        let from =
            usize::try_from(self.position - self.begin).expect("the position lies in the buffer");
        let n = buf.len().min(self.buffer.len() - from);
        buf[..n].copy_from_slice(&self.buffer[from..from + n]);
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Ranges {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(before_begin)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Receipt, RemoteFile, Upload};
    use super::*;
    use std::ops::Range;
    use std::sync::Mutex;

    #[derive(Debug)]
    struct Remembering {
        bytes: Vec<u8>,
        asked: Mutex<Vec<Range<u64>>>,
    }

    impl Target for Remembering {
        fn place(&self) -> String {
            "memory".to_owned()
        }
        fn list(&self) -> crate::Result<Vec<RemoteFile>> {
            Ok(Vec::new())
        }
        fn put(&self, _: &Upload<'_>) -> crate::Result<Receipt> {
            unreachable!("nothing is written here")
        }
        fn read(&self, _: &str, range: Range<u64>) -> crate::Result<Vec<u8>> {
            self.asked.lock().unwrap().push(range.clone());
            Ok(self.bytes[range.start as usize..range.end as usize].to_vec())
        }
        fn remove(&self, _: &str) -> crate::Result<()> {
            Ok(())
        }
    }

    fn source(length: usize) -> (Arc<Remembering>, Ranges) {
        let target = Arc::new(Remembering {
            bytes: (0..length).map(|n| (n * 7 % 251) as u8).collect(),
            asked: Mutex::default(),
        });
        let ranges = Ranges::new(target.clone(), "x", length as u64);
        (target, ranges)
    }

    #[test]
    fn reading_on_asks_for_more_each_time() {
        let (target, mut ranges) = source(1_000_000);
        let mut read = Vec::new();
        let mut buffer = [0; 1000];
        loop {
            match ranges.read(&mut buffer).unwrap() {
                0 => break,
                n => read.extend_from_slice(&buffer[..n]),
            }
        }
        assert_eq!(read, target.bytes);
        assert_eq!(target.asked.lock().unwrap().len(), 10);
    }

    #[test]
    fn a_jump_asks_for_what_is_needed_and_one_within_the_buffer_for_nothing() {
        let (target, mut ranges) = source(100_000);
        let mut buffer = [0; 100];
        ranges.seek(SeekFrom::End(-100)).unwrap();
        ranges.read_exact(&mut buffer).unwrap();
        assert_eq!(buffer, target.bytes[99_900..]);
        ranges.seek(SeekFrom::Start(99_950)).unwrap();
        ranges.read_exact(&mut buffer[..50]).unwrap();
        ranges.seek(SeekFrom::Start(10)).unwrap();
        ranges.read_exact(&mut buffer).unwrap();
        assert_eq!(buffer, target.bytes[10..110]);
        assert_eq!(*target.asked.lock().unwrap(), [99_900..100_000, 10..110]);
    }
}
