//! Stanzas to and from a plugin, and what it may ask a person in between.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use age_core::format::Stanza;
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use secrecy::ExposeSecret as _;

use super::{Person, one_line};
use crate::stanza;

/// No stanza that a file key has to do with is longer; a plugin that has lost its mind must not
/// fill the memory.
const LONGEST: u64 = 1024 * 1024;
/// The width of a full body line, as in a header.
const LINE: usize = 64;

/// An event of a conversation, for those who wait for it.
pub(super) enum Event {
    /// A person is being asked, which takes as long as it takes.
    Asking,
    Asked,
}

/// One run of a plugin.
pub(super) struct Conversation {
    from: BufReader<ChildStdout>,
    to: ChildStdin,
    plugin: String,
    person: Option<Arc<dyn Person>>,
    events: Sender<Event>,
}

impl Conversation {
    pub(super) fn new(
        (from, to): (ChildStdout, ChildStdin),
        plugin: &str,
        person: Option<Arc<dyn Person>>,
        events: Sender<Event>,
    ) -> Self {
        Self { from: BufReader::new(from), to, plugin: plugin.to_owned(), person, events }
    }

    /// Sends a command.
    pub(super) fn send(&mut self, tag: &str, args: &[&str], body: &[u8]) -> io::Result<()> {
        self.send_stanza(&Stanza {
            tag: tag.to_owned(),
            args: args.iter().map(|each| (*each).to_owned()).collect(),
            body: body.to_vec(),
        })
    }

    pub(super) fn send_stanza(&mut self, stanza: &Stanza) -> io::Result<()> {
        self.to.write_all(stanza::encode(stanza).as_bytes())?;
        self.to.flush()
    }

    /// Hears the plugin out: each of its commands that is not about a person goes to `heed`, and is
    /// acknowledged.
    pub(super) fn listen(
        &mut self,
        mut heed: impl FnMut(Stanza) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let stanza = read(&mut self.from)?;
            match stanza.tag.as_str() {
                "done" => return Ok(()),
                "msg" => {
                    if let Some(person) = &self.person {
                        person.tell(&self.plugin, &said(&stanza.body));
                    }
                    self.send("ok", &[], &[])?;
                }
                "request-public" => self.ask(&stanza.body, false)?,
                "request-secret" => self.ask(&stanza.body, true)?,
                "confirm" => self.send("unsupported", &[], &[])?,
                _ => {
                    heed(stanza)?;
                    self.send("ok", &[], &[])?;
                }
            }
        }
    }

    fn ask(&mut self, question: &[u8], secret: bool) -> io::Result<()> {
        let answer = self.person.as_ref().and_then(|person| {
            // Nobody waits any more once the plugin was given up.
            let _ = self.events.send(Event::Asking);
            let answer = person.ask(&self.plugin, &said(question), secret);
            let _ = self.events.send(Event::Asked);
            answer
        });
        match answer {
            Some(answer) => self.send("ok", &[], answer.expose_secret().as_bytes()),
            None => self.send("fail", &[], &[]),
        }
    }
}

/// Returns the text of a plugin's `error`.
pub(super) fn said(body: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(body))
}

/// Reads one stanza: a line of words, and lines of base64 of which the last is shorter than the
/// others.
fn read(from: &mut impl BufRead) -> io::Result<Stanza> {
    let invalid = || io::Error::other("it does not speak the protocol of age plugins");
    let mut from = from.take(LONGEST);
    let head = line(&mut from)?;
    let mut words = head.strip_prefix("-> ").ok_or_else(invalid)?.split(' ').map(str::to_owned);
    let tag = words.next().ok_or_else(invalid)?;
    let args = words.collect();
    let mut body = String::new();
    loop {
        let next = line(&mut from)?;
        body.push_str(&next);
        if next.len() != LINE {
            break;
        }
    }
    let body = BASE64_STANDARD_NO_PAD.decode(&body).map_err(|_| invalid())?;
    Ok(Stanza { tag, args, body })
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::Error::other("it ended before it was done")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 3, 47, 48, 49, 96] {
            let stanza = Stanza {
                tag: "file-key".to_owned(),
                args: vec!["0".to_owned(), "x".to_owned()],
                body: vec![7; length],
            };
            let read = read(&mut stanza::encode(&stanza).as_bytes()).unwrap();
            assert_eq!((read.tag, read.args, read.body), (stanza.tag, stanza.args, stanza.body));
        }
    }

    #[test]
    fn half_a_stanza_and_none_are_refused() {
        for text in ["", "-> done\n", "hello\n\n", "-> x\n?\n"] {
            assert!(read(&mut text.as_bytes()).is_err(), "{text:?}");
        }
        let endless = vec![b'A'; 2 * LONGEST as usize];
        assert!(read(&mut endless.as_slice()).is_err());
    }
}
