//! Progress of copies, uploads and new seals.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

/// One pass over the bytes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The entry is read, and compared with its recorded hash.
    Check,
    /// It is copied to a mounted disk, or from there.
    Copy,
    /// It is sent to a target.
    Send,
    /// It is fetched from a target.
    Fetch,
    /// A copy, or what was sealed anew, is read back.
    Compare,
    /// It is opened, and sealed anew.
    Seal,
}

impl Stage {
    /// The verb for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Copy => "copy",
            Self::Send => "send",
            Self::Fetch => "fetch",
            Self::Compare => "compare",
            Self::Seal => "seal",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Receives the progress of whatever passes whole files through.
pub trait Progress: fmt::Debug + Send + Sync {
    /// A stage of the entry `id` begins, and ends the one before it. About `bytes` will pass.
    fn begin(&self, stage: Stage, id: &str, bytes: u64);

    /// So many more bytes have passed. What is sent again counts again.
    fn advance(&self, bytes: u64);
}

/// The receiver of progress, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(Option<Arc<dyn Progress>>);

impl Watch {
    pub(crate) fn new(progress: Arc<dyn Progress>) -> Self {
        Self(Some(progress))
    }

    pub(crate) fn progress(&self) -> Option<&dyn Progress> {
        self.0.as_deref()
    }

    /// The same bytes, of which each piece is told.
    pub(crate) fn reading<R: Read>(
        &self,
        inner: R,
        stage: Stage,
        id: &str,
        bytes: u64,
    ) -> Watched<'_, R> {
        if let Some(progress) = self.progress() {
            progress.begin(stage, id, bytes);
        }
        Watched { inner, progress: self.progress() }
    }
}

/// A reader that tells of what is read.
pub(crate) struct Watched<'a, R> {
    pub(crate) inner: R,
    pub(crate) progress: Option<&'a dyn Progress>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        if let Some(progress) = self.progress {
            progress.advance(n as u64);
        }
        Ok(n)
    }
}
