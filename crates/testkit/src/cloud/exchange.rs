//! HTTP/1.1 as far as an emulated server needs it.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// A request; its body is read after its head.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without percent signs: names here have none.
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(header, _)| header == name);
        header.map(|(_, value)| value.as_str())
    }

    /// The path in the header of that name.
    pub(super) fn destination(&self) -> Option<String> {
        let destination = self.header("destination")?;
        let path = destination.splitn(4, '/').nth(3)?;
        Some(format!("/{path}"))
    }
}

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn of(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }
}

/// One connection.
pub(super) struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { writer: stream.try_clone()?, reader: BufReader::new(stream) })
    }

    /// The head of the next request; nothing if there is none.
    pub(super) fn request(&mut self) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else {
                return Ok(Some(request));
            };
            let header = (name.to_ascii_lowercase(), value.trim().to_owned());
            request.headers.push(header);
        }
    }

    /// Reads the body, or as much of it as `limit` says; tells whether it is all there.
    pub(super) fn body(&mut self, request: &mut Request, limit: Option<u64>) -> io::Result<bool> {
        let length: u64 =
            request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if length > 0 && request.header("expect").is_some() {
            self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let wanted = limit.unwrap_or(length).min(length);
        let mut body = Vec::new();
        (&mut self.reader).take(wanted).read_to_end(&mut body)?;
        request.body = body;
        Ok(request.body.len() as u64 == length)
    }

    pub(super) fn answer(&mut self, request: &Request, answer: Answer) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Emulated\r\n", answer.status);
        for (name, value) in &answer.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", answer.body.len());
        self.writer.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            self.writer.write_all(&answer.body)?;
        }
        self.writer.flush()
    }
}

/// The part of a file that a `Range` header asks for.
pub(super) fn ranged(bytes: &[u8], range: Option<&str>) -> Answer {
    let asked = range
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
        .and_then(|(first, last)| {
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
    let Some((first, last)) = asked else {
        let mut answer = Answer::of(200);
        answer.body = bytes.to_vec();
        return answer;
    };
    if first >= bytes.len() {
        return Answer::of(416);
    }
    let last = last.min(bytes.len() - 1);
    let mut answer = Answer::of(206);
    let content = format!("bytes {first}-{last}/{}", bytes.len());
    answer.headers.push(("Content-Range", content));
    answer.body = bytes[first..=last].to_vec();
    answer
}

/// Returns the response to PROPFIND for these files and folders.
pub(super) fn multistatus<'a>(
    listed: impl Iterator<Item = (&'a String, &'a Option<Vec<u8>>)>,
) -> Answer {
    let mut text = String::from(r#"<?xml version="1.0"?><d:multistatus xmlns:d="DAV:">"#);
    for (path, bytes) in listed {
        let properties = match bytes {
            Some(bytes) => {
                format!("<d:getcontentlength>{}</d:getcontentlength><d:resourcetype/>", bytes.len())
            }
            None => "<d:resourcetype><d:collection/></d:resourcetype>".to_owned(),
        };
        let _ = write!(
            text,
            "<d:response><d:href>{path}</d:href><d:propstat><d:prop>{properties}</d:prop></d:propstat></d:response>"
        );
    }
    text.push_str("</d:multistatus>");
    let mut answer = Answer::of(207);
    answer.body = text.into_bytes();
    answer
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header of a user and a password.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
