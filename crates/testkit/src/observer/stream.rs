//! The stream of events, read through the front; when it ends, it is asked for the rest.

use std::io::{self, BufRead as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use super::{PAUSE, Shared, http, lock};
use crate::homes::Homes;

/// Follows the stream until it is told to stop. Returns once the stream is open, so that nothing
/// of the observer is missed.
pub(super) fn follow(homes: Arc<Homes>, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let mut stream = http::follow(homes.front().address(), None)?;
    // It says where it begins: everything that is written from now on is behind that.
    let mut last = begin(&mut stream)?;
    let ours = format!("{}-", shared.name);
    thread::Builder::new().name("stream".to_owned()).spawn(move || {
        let mut open = Some(stream);
        while !shared.stream_stops.load(Ordering::SeqCst) {
            if let Some(stream) = open.take() {
                // It ends with its connection, or when nothing comes for some seconds.
                let _ = read(stream, &mut last, &ours, &shared);
            }
            match http::follow(homes.front().address(), Some(last)) {
                Ok(stream) => open = Some(stream),
                Err(_) => thread::sleep(PAUSE),
            }
        }
    })
}

/// Reads the comment at the head of a stream, `: after NUMBER`.
fn begin(stream: &mut impl io::BufRead) -> io::Result<u64> {
    for line in stream.lines() {
        if let Some(number) = line?.strip_prefix(": after ") {
            return number.trim().parse().map_err(io::Error::other);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Records the events that are ours. Each event comes in a chunk of its own, so that the sizes of
/// chunks stand on lines between the events.
fn read(stream: impl io::BufRead, last: &mut u64, ours: &str, shared: &Shared) -> io::Result<()> {
    let (mut number, mut key) = (None, None);
    for line in stream.lines() {
        let line = line?;
        if let Some(id) = line.strip_prefix("id: ") {
            number = id.trim().parse().ok();
        } else if let Some(data) = line.strip_prefix("data: ") {
            key = summary(data).map(str::to_owned);
        } else if line.is_empty()
            && let (Some(number), Some(key)) = (number.take(), key.take())
        {
            *last = number;
            if key.starts_with(ours) {
                lock(&shared.streamed).push((number, key));
            }
        }
        if shared.stream_stops.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(())
}

/// The summary of an event, which has no character that JSON escapes if it is ours.
fn summary(data: &str) -> Option<&str> {
    let (_, rest) = data.split_once("\"summary\":")?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_events_are_recorded_in_any_order_of_their_fields() {
        let shared = Shared::new();
        let stream = ": after 4\r\n\r\n2f\r\nevent: progress\ndata: {\"summary\":\"o9-1\"}\nid: 5\n\n\r\n\
                      30\r\nid: 6\ndata: {\"a\":1,\"summary\": \"x\"}\n\n\r\n\
                      30\r\nid: 8\ndata: {\"summary\":\"o9-2\"}\n\n\r\nid: 9\ndata: {\"summary\":\"o9-3";
        let mut stream = stream.as_bytes();
        let mut last = begin(&mut stream).unwrap();
        assert_eq!(last, 4);
        read(stream, &mut last, "o9-", &shared).unwrap();
        assert_eq!(last, 8);
        let streamed = [(5, "o9-1".to_owned()), (8, "o9-2".to_owned())];
        assert_eq!(*lock(&shared.streamed), streamed);
    }
}
