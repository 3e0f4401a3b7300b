//! Packets of SFTP as they arrive: one that claims an absurd length is an error before anybody
//! makes room for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// OpenSSH takes and sends no more than 256 KiB.
const LONGEST: u32 = 1 << 20;
/// The type and the number of the request that it answers.
const SHORTEST: u32 = 5;

/// A reader that follows the lengths of the packets which pass through it.
#[derive(Debug)]
pub(super) struct Packets<R> {
    inner: R,
    /// The length of the next packet, as far as it has arrived.
    header: [u8; 4],
    arrived: usize,
    /// What is missing of the present packet.
    left: u32,
    is_first: bool,
}

impl<R> Packets<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            header: [0; 4],
            arrived: 0,
            left: 0,
            // The session looks at its first packet itself: it may be no packet at all.
            is_first: true,
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let passed = self.left.min(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                self.left -= passed;
                bytes = &bytes[passed as usize..];
                continue;
            }
            self.header[self.arrived] = *first;
            self.arrived += 1;
            bytes = rest;
            if self.arrived == self.header.len() {
                self.arrived = 0;
                self.left = u32::from_be_bytes(self.header);
                if !self.is_first && !(SHORTEST..=LONGEST).contains(&self.left) {
                    let said = format!("it claims a packet of {} bytes", self.left);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, said));
                }
                self.is_first = false;
            }
        }
        Ok(())
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Packets<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        Poll::Ready(self.follow(&buffer.filled()[before..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(length: u32) -> Vec<u8> {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.resize(4 + length as usize, 7);
        bytes
    }

    #[test]
    fn lengths_are_followed_through_any_cuts() {
        let bytes = [packet(9), packet(5), packet(70_000), packet(LONGEST)].concat();
        for cut in [1, 3, 4096, bytes.len()] {
            let mut packets = Packets::new(io::empty());
            for piece in bytes.chunks(cut) {
                packets.follow(piece).unwrap();
            }
            assert_eq!((packets.left, packets.arrived), (0, 0));
        }
    }

    #[test]
    fn a_packet_of_an_absurd_length_is_refused() {
        for length in [0, 4, LONGEST + 1, u32::MAX] {
            let mut packets = Packets::new(io::empty());
            packets.follow(&packet(9)).unwrap();
            assert!(packets.follow(&length.to_be_bytes()).is_err(), "{length}");
        }
    }
}
