//! The two outputs of a program, read to their ends and kept to a limit.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

use crate::Error;

/// A program that has ended wrote everything by then.
const DRAINING: Duration = Duration::from_millis(200);

/// The part of an output that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The last bytes; a longer output loses its beginning.
    Last(usize),
    /// All of it; a longer output is [`Error::TooLong`].
    All(usize),
}

/// What a program prints. Reading may be dropped and begun again: nothing is lost.
#[derive(Debug)]
pub(crate) struct Outputs {
    stdout: Output<ChildStdout>,
    stderr: Output<ChildStderr>,
}

impl Outputs {
    pub(crate) fn of(child: &mut Child, stdout: Kept, stderr: Kept) -> Self {
        Self {
            stdout: Output { pipe: child.stdout.take(), kept: stdout, bytes: Vec::new() },
            stderr: Output { pipe: child.stderr.take(), kept: stderr, bytes: Vec::new() },
        }
    }

    /// Reads until both are closed.
    pub(crate) async fn read(&mut self) -> Result<(), Error> {
        tokio::try_join!(self.stdout.read(), self.stderr.read()).map(drop)
    }

    /// Reads what a program wrote that has ended. A child that keeps a pipe open must not keep us.
    pub(crate) async fn drain(&mut self) -> Result<(), Error> {
        timeout(DRAINING, self.read()).await.unwrap_or(Ok(()))
    }

    /// Returns true if a process still holds one of them.
    pub(crate) fn are_held(&self) -> bool {
        self.stdout.pipe.is_some() || self.stderr.pipe.is_some()
    }

    /// Returns what was kept of both.
    pub(crate) fn into_bytes(self) -> (Vec<u8>, Vec<u8>) {
        (self.stdout.into_bytes(), self.stderr.into_bytes())
    }
}

#[derive(Debug)]
struct Output<P> {
    /// Nothing once it is closed.
    pipe: Option<P>,
    kept: Kept,
    bytes: Vec<u8>,
}

impl<P: AsyncRead + Unpin> Output<P> {
    async fn read(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 8192];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer).await {
                Ok(count @ 1..) => self.keep(&buffer[..count])?,
                Ok(0) | Err(_) => self.pipe = None,
            }
        }
        Ok(())
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(piece);
        match self.kept {
            // Not at every piece, or a long output would be moved over and over.
            Kept::Last(most) if self.bytes.len() > 2 * most + 8192 => self.cut(most),
            Kept::All(limit) if self.bytes.len() > limit => return Err(Error::TooLong { limit }),
            Kept::Last(_) | Kept::All(_) => {}
        }
        Ok(())
    }

    fn cut(&mut self, most: usize) {
        let surplus = self.bytes.len().saturating_sub(most);
        self.bytes.drain(..surplus);
    }

    fn into_bytes(mut self) -> Vec<u8> {
        if let Kept::Last(most) = self.kept {
            self.cut(most);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(kept: Kept, pieces: &[usize]) -> Result<Vec<u8>, Error> {
        let mut output = Output { pipe: None::<ChildStdout>, kept, bytes: Vec::new() };
        let mut next = 0_u8;
        for length in pieces {
            let piece: Vec<u8> = (0..*length)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            output.keep(&piece)?;
        }
        Ok(output.into_bytes())
    }

    #[test]
    fn the_last_bytes_are_kept_exactly() {
        assert_eq!(kept(Kept::Last(3), &[2]).unwrap(), [1, 2]);
        assert_eq!(kept(Kept::Last(3), &[2, 3]).unwrap(), [3, 4, 5]);
        assert_eq!(kept(Kept::Last(3), &[8192, 8192, 2]).unwrap(), [0, 1, 2]);
        assert_eq!(kept(Kept::Last(0), &[5]).unwrap(), Vec::<u8>::new());
    }

    #[test]
    fn all_or_nothing() {
        assert_eq!(kept(Kept::All(3), &[2, 1]).unwrap(), [1, 2, 3]);
        let error = kept(Kept::All(3), &[2, 2]).unwrap_err();
        assert!(matches!(error, Error::TooLong { limit: 3 }), "{error:?}");
    }
}
