//! The place of a sealed file, and reading it from there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::Result;
use crate::target::Ranges;
use crate::unsealed::HEADER_ONLY;

/// The place of a sealed file.
#[derive(Debug, Clone)]
pub(crate) enum SealedLocation {
    Here(PathBuf),
    There(Ranges),
}

impl SealedLocation {
    /// Returns the length of a read: from a remote place only a header, since further reads get
    /// more with each request anyway.
    pub(crate) fn ahead(&self, here: usize) -> usize {
        match self {
            Self::Here(_) => here,
            Self::There(_) => here.min(HEADER_ONLY),
        }
    }

    pub(crate) fn open(&self) -> Result<SealedFile> {
        Ok(SealedFile(match self {
            Self::Here(path) => Inner::Here(regularfile::open(path)?.into_file()),
            Self::There(ranges) => Inner::There(Box::new(ranges.again())),
        }))
    }
}

/// The bytes of a sealed file, on this machine or at a target.
#[derive(Debug)]
pub struct SealedFile(Inner);

#[derive(Debug)]
enum Inner {
    Here(File),
    There(Box<Ranges>),
}

impl Read for SealedFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Here(file) => file.read(buf),
            Inner::There(ranges) => ranges.read(buf),
        }
    }
}

impl Seek for SealedFile {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Inner::Here(file) => file.seek(target),
            Inner::There(ranges) => ranges.seek(target),
        }
    }
}
