//! Rows in fewer messages.
//!
//! A server sends every row of a COPY as a message of its own, and the driver looks at each: for
//! narrow rows that costs more than anything else done with them. This stream stands between the
//! socket (or what decrypts it) and the driver, and joins neighbouring `CopyData` messages that
//! have arrived together into one. The protocol gives their boundaries no meaning ("the message
//! boundaries are not required to have anything to do with row boundaries", section 55.2.6 of the
//! PostgreSQL manual). Everything else passes as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use crate::authentication::{AuthMethod, Authentication};
use crate::tls::Encrypted;

/// Bytes that are read at once.
const BUFFER: usize = 128 << 10;
/// The type, and the length, which counts itself but not the type.
const HEADER: usize = 5;
const COPY_DATA: u8 = b'd';
const AUTHENTICATION: u8 = b'R';
/// A server makes no message of 1 GiB or more (`MaxAllocSize`).
const LONGEST_MESSAGE: usize = 1 << 30;

/// A stream from a server, from its first message on.
pub(crate) struct Coalescing<S> {
    stream: S,
    joiner: Joiner,
}

impl<S> Coalescing<S> {
    pub(crate) fn new(stream: S, guard: Guard) -> Self {
        Self { stream, joiner: Joiner { guard, ..Joiner::default() } }
    }
}

/// Looks at each message before the driver does.
#[derive(Default)]
pub(crate) struct Guard {
    authentication: Authentication,
    is_encrypted: bool,
    /// The server has asked for a proof of who we are.
    has_asked: bool,
}

impl Guard {
    pub(crate) fn new(authentication: &Authentication, is_encrypted: bool) -> Self {
        Self { authentication: authentication.clone(), is_encrypted, has_asked: false }
    }

    /// Judges the length, for which the driver would make room at once.
    fn admit(length: usize) -> io::Result<()> {
        if length <= LONGEST_MESSAGE {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the server announces a message of {length} bytes"),
        ))
    }

    /// Judges what the server asks for. `code` is missing where the message is too short for the
    /// driver, too.
    fn judge(&mut self, code: Option<u32>) -> io::Result<()> {
        match code.and_then(AuthMethod::of_request) {
            Some(AuthMethod::None) if self.has_asked => Ok(()),
            Some(method) => {
                self.has_asked = true;
                Ok(self.authentication.check(method, self.is_encrypted)?)
            }
            None => Ok(()),
        }
    }
}

/// Bytes that were read and not handed on yet.
#[derive(Default)]
struct Joiner {
    /// Made with the first read, of the full size.
    buffer: Vec<u8>,
    /// Up to here it was handed on.
    taken: usize,
    /// From `taken` up to here it can be handed on.
    ready: usize,
    /// From `ready` up to here is a message that has not arrived as a whole.
    filled: usize,
    /// So many bytes pass as they are.
    passing: usize,
    ended: bool,
    guard: Guard,
}

impl Joiner {
    /// Hands on what is ready.
    fn take(&mut self, into: &mut ReadBuf<'_>) {
        let length = into.remaining().min(self.ready - self.taken);
        into.put_slice(&self.buffer[self.taken..self.taken + length]);
        self.taken += length;
    }

    fn has_ready(&self) -> bool {
        self.taken < self.ready
    }

    /// Returns the space for the next bytes. Only called once everything that was ready has been
    /// taken.
    fn space(&mut self) -> &mut [u8] {
        self.buffer.resize(BUFFER, 0);
        self.buffer.copy_within(self.ready..self.filled, 0);
        self.filled -= self.ready;
        (self.taken, self.ready) = (0, 0);
        &mut self.buffer[self.filled..]
    }

    /// Notes that so many bytes came into the space; none means the end.
    fn arrived(&mut self, length: usize) -> io::Result<()> {
        self.filled += length;
        if length == 0 {
            // Half a message is the driver's to judge.
            self.ended = true;
            self.ready = self.filled;
            return Ok(());
        }
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        // Everything before `read` has been looked at; what is kept of it ends at `write`.
        let (mut read, mut write) = (0, 0);
        // Where the message begins that rows are being added to.
        let mut open: Option<usize> = None;
        loop {
            let rest = self.filled - read;
            if self.passing > 0 && rest > 0 {
                let length = rest.min(self.passing);
                self.passing -= length;
                self.buffer.copy_within(read..read + length, write);
                (read, write) = (read + length, write + length);
                continue;
            }
            if rest < HEADER {
                break;
            }
            let header: [u8; HEADER] =
                self.buffer[read..read + HEADER].try_into().expect("the slice has this length");
            let Some(length) = length_of(header) else {
                open = None;
                self.passing = usize::MAX;
                continue;
            };
            Guard::admit(length)?;
            if header[0] == COPY_DATA && length <= rest {
                let start = match open {
                    Some(_) => read + HEADER,
                    None => read,
                };
                let begin = *open.get_or_insert(write);
                if start != write {
                    self.buffer.copy_within(start..read + length, write);
                }
                write += read + length - start;
                read += length;
                let joined = u32::try_from(write - begin - 1).expect("the buffer is small");
                self.buffer[begin + 1..begin + HEADER].copy_from_slice(&joined.to_be_bytes());
            } else if length <= BUFFER && length > rest {
                break;
            } else {
                if header[0] == AUTHENTICATION {
                    let body = &self.buffer[read + HEADER..self.filled];
                    let code = body.first_chunk().map(|code| u32::from_be_bytes(*code));
                    self.guard.judge(code)?;
                }
                open = None;
                self.passing = length;
            }
        }
        self.buffer.copy_within(read..self.filled, write);
        self.filled -= read - write;
        self.ready = write;
        Ok(())
    }
}

/// The length of a message with its type. `None` is nonsense: it and whatever follows is the
/// driver's to refuse.
fn length_of(header: [u8; HEADER]) -> Option<usize> {
    let [_, length @ ..] = header;
    let length = u32::from_be_bytes(length) as usize;
    (length >= 4).then_some(length + 1)
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalescing<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, joiner } = self.get_mut();
        while !joiner.has_ready() && !joiner.ended {
            let mut space = ReadBuf::new(joiner.space());
            ready!(Pin::new(&mut *stream).poll_read(context, &mut space))?;
            let length = space.filled().len();
            joiner.arrived(length)?;
        }
        joiner.take(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalescing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// In clear text.
impl TlsStream for Coalescing<Socket> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl TlsStream for Coalescing<Encrypted<Socket>> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    /// Gives out what it holds in portions of these sizes.
    struct Portions(Vec<Vec<u8>>);

    impl AsyncRead for Portions {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if let Some(first) = self.0.first_mut() {
                let length = first.len().min(buffer.remaining());
                buffer.put_slice(&first.drain(..length).collect::<Vec<_>>());
                if first.is_empty() {
                    self.0.remove(0);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    async fn through(portions: Vec<Vec<u8>>) -> Vec<u8> {
        let mut out = Vec::new();
        let portions = portions.into_iter().filter(|one| !one.is_empty()).collect();
        Coalescing::new(Portions(portions), Guard::default()).read_to_end(&mut out).await.unwrap();
        out
    }

    /// The messages; `CopyData` that follows `CopyData` is one.
    fn meaning(mut bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, usize) {
        let mut messages: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut count = 0;
        while !bytes.is_empty() {
            let length = 1 + u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
            let (kind, body) = (bytes[0], &bytes[5..length]);
            match messages.last_mut() {
                Some((COPY_DATA, rows)) if kind == COPY_DATA => rows.extend_from_slice(body),
                _ => messages.push((kind, body.to_vec())),
            }
            count += 1;
            bytes = &bytes[length..];
        }
        (messages, count)
    }

    #[tokio::test]
    async fn rows_that_arrive_together_become_one_message() {
        let rows: Vec<u8> =
            (0..1000).flat_map(|n| message(b'd', format!("{n}\tx\n").as_bytes())).collect();
        let all = [message(b'H', b"copy"), rows, message(b'c', b"")].concat();
        let out = through(vec![all.clone()]).await;
        assert_eq!(meaning(&out).0, meaning(&all).0);
        assert_eq!(meaning(&out).1, 3);
    }

    #[tokio::test]
    async fn rows_and_messages_longer_than_the_buffer_pass() {
        let long = vec![b'x'; 3 * BUFFER];
        let all = [
            message(b'd', b"1\n"),
            message(b'd', &long),
            message(b'd', &long[..BUFFER - HEADER]),
            message(b'd', &long[..BUFFER - HEADER + 1]),
            message(b'D', &long),
            message(b'd', b"2\n"),
            message(b'd', b""),
            message(b'Z', b"I"),
        ]
        .concat();
        for size in [1000, BUFFER - 1, BUFFER, 10 * BUFFER] {
            let portions = all.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(meaning(&through(portions).await).0, meaning(&all).0);
        }
    }

    #[tokio::test]
    async fn half_a_message_at_the_end_is_handed_on() {
        let whole = message(b'd', b"row\n");
        for cut in 0..whole.len() {
            let all = [&whole[..], &whole[..cut]].concat();
            assert_eq!(through(vec![all.clone()]).await, all, "{cut}");
        }
    }

    #[tokio::test]
    async fn a_message_longer_than_any_server_makes_is_refused() {
        let announced = [&[b'D'][..], &0x7fff_ffff_u32.to_be_bytes(), b"x"].concat();
        let error = through_guard(announced, Guard::default()).await.unwrap_err();
        assert!(error.to_string().contains("announces"), "{error}");
    }

    async fn through_guard(bytes: Vec<u8>, guard: Guard) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let portions = bytes.chunks(3).map(<[u8]>::to_vec).collect();
        let mut stream = Coalescing::new(Portions(portions), guard);
        stream.read_to_end(&mut out).await.map(|_| out)
    }

    #[tokio::test]
    async fn a_request_for_the_password_in_clear_text_never_reaches_the_driver() {
        let request = |code: u32| message(AUTHENTICATION, &code.to_be_bytes());
        let guard = |is_encrypted| Guard::new(&Authentication::default(), is_encrypted);
        let error = through_guard(request(3), guard(false)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        for (bytes, guard) in [
            (request(3), guard(true)),
            ([request(10), request(11), request(12), request(0)].concat(), guard(false)),
        ] {
            assert_eq!(through_guard(bytes.clone(), guard).await.unwrap(), bytes);
        }
    }

    #[tokio::test]
    async fn a_length_that_cannot_be_is_left_to_the_driver() {
        let all = vec![b'd', 0, 0, 0, 3, b'x', b'y', b'z'];
        assert_eq!(through(vec![all.clone()]).await, all);
    }

    proptest! {
        #[test]
        fn however_they_arrive_the_messages_mean_the_same(
            messages in prop::collection::vec((prop::sample::select(vec![b'd', b'd', b'd', b'C', b'D']), prop::collection::vec(any::<u8>(), 0..40)), 0..60),
            sizes in prop::collection::vec(1usize..200, 1..40),
        ) {
            let all: Vec<u8> = messages.iter().flat_map(|(kind, body)| message(*kind, body)).collect();
            let mut portions = Vec::new();
            let (mut rest, mut sizes) = (&all[..], sizes.iter().cycle());
            while !rest.is_empty() {
                let (first, others) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                portions.push(first.to_vec());
                rest = others;
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let out = runtime.block_on(through(portions));
            prop_assert_eq!(meaning(&out).0, meaning(&all).0);
        }
    }
}
