//! A server of HTTP that answers as a test says, byte by byte: what no real server does on purpose.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The method and the path.
    pub(crate) line: String,
    /// The lines of the head, in lower case.
    headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn is(&self, beginning: &str) -> bool {
        self.line.starts_with(beginning)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.iter().map(|line| line.split_once(": "));
        lines.find_map(|line| line.filter(|(found, _)| *found == name).map(|(_, value)| value))
    }
}

/// The server. Its threads end with the test's process.
pub(crate) struct Scripted {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// Answers each request, one for each connection, by `answer`, which sees it with its body. A
    /// request that expects `100-continue` and is refused is seen without its body: `answer` says
    /// which those are by [`Asked::header`].
    pub(crate) fn start(
        answer: impl Fn(&Asked, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked, &mut TcpStream) -> std::io::Result<()>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let Some(line) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let headers = headers.iter().map(|line| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
        None => line.clone(),
    });
    let mut asked = Asked { line, headers: headers.collect(), body: Vec::new() };
    if asked.header("expect").is_none() {
        let length = asked.header("content-length");
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        let _ = reader.take(length).read_to_end(&mut asked.body);
    }
    log.lock().unwrap().push(asked.clone());
    // Who asked may be gone.
    let _ = answer(&asked, &mut stream);
}

/// Writes an answer with its length, after which the connection ends.
pub(crate) fn say(
    stream: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
