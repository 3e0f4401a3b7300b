//! An emulated Nextcloud: no real one can be had on a test machine. WebDAV, chunked uploads and a
//! file drop after the developer manual ("WebDAV", "Chunked file upload") and the server's
//! `FilesDropPlugin`, kept in memory, with faults on demand.

mod exchange;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exchange::{Answer, Request};

/// A fault that happens once, at the next request it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudFault {
    /// The method of the request, such as `PUT`.
    pub method: &'static str,
    /// A part of its path.
    pub path: String,
    /// The effect.
    pub effect: CloudEffect,
}

/// The effect of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloudEffect {
    /// This status is answered before the body is read, and nothing is done.
    Refuse(u16),
    /// The request is done, and this status is answered.
    Lie(u16),
    /// The connection ends after this many bytes of the body, and nothing is done.
    Cut(u64),
    /// The request is done, and the connection ends without an answer.
    LoseAnswer,
    /// Nothing happens for this long; then the request is done.
    Wait(Duration),
    /// The answer names another hash than that of what was stored.
    WrongHash,
    /// The stored file lacks its last byte.
    Shorten,
    /// One bit of what is answered is another.
    Flip,
}

/// A request that was answered or broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudRequest {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The range that was asked for, if any.
    pub range: Option<String>,
    /// The bytes of its body that arrived.
    pub bytes: u64,
}

/// The server. Dropped, it takes no new connections.
#[derive(Debug)]
pub struct Cloud {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Files and folders by their path; folders have no bytes.
    files: BTreeMap<String, Option<Vec<u8>>>,
    faults: VecDeque<CloudFault>,
    requests: Vec<CloudRequest>,
    /// The requests that began, and which of them goes wrong.
    begun: usize,
    at: Option<(usize, CloudEffect)>,
    /// It reports the hash of a stored file.
    tells_hash: bool,
    /// The largest total size of all files, in bytes.
    quota: Option<u64>,
    is_gone: bool,
}

/// The user, the password, and the token of the file drop.
pub const CLOUD_USER: &str = "hub";
/// See [`CLOUD_USER`].
pub const CLOUD_PASSWORD: &str = "cloud-password-canary";
/// See [`CLOUD_USER`].
pub const CLOUD_TOKEN: &str = "ToKeNcAnArY";

impl Cloud {
    /// Starts it at a free port of the loopback interface.
    ///
    /// # Errors
    /// Where there is no port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let mut files = BTreeMap::new();
        for folder in ["files", "uploads"] {
            files.insert(format!("/remote.php/dav/{folder}/{CLOUD_USER}"), None);
        }
        files.insert(format!("/public.php/dav/files/{CLOUD_TOKEN}"), None);
        let state = Arc::new(Mutex::new(State { files, tells_hash: true, ..State::default() }));
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if lock(&served).is_gone {
                    return;
                }
                let state = Arc::clone(&served);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Ok(Self { address, state })
    }

    /// Its address, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of a folder of the user.
    #[must_use]
    pub fn folder(&self, name: &str) -> String {
        format!("{}/remote.php/dav/files/{CLOUD_USER}/{name}", self.url())
    }

    /// Lets something go wrong. Faults wait in their order for a request that they fit.
    pub fn inject(&self, method: &'static str, path: &str, effect: CloudEffect) {
        let path = path.to_owned();
        lock(&self.state).faults.push_back(CloudFault { method, path, effect });
    }

    /// Lets the request with this number go wrong, counted from 1 and from now.
    pub fn inject_at(&self, number: usize, effect: CloudEffect) {
        let mut state = lock(&self.state);
        state.begun = 0;
        state.at = Some((number, effect));
    }

    /// Ends the last [`inject_at`](Self::inject_at), and returns the number of requests since.
    #[must_use]
    pub fn count(&self) -> usize {
        let mut state = lock(&self.state);
        state.at = None;
        state.begun
    }

    /// Stops to tell the hash of stored files, as a server of another kind.
    pub fn keep_hashes_to_itself(&self) {
        lock(&self.state).tells_hash = false;
    }

    /// Sets how many bytes all files may have.
    pub fn set_quota(&self, bytes: u64) {
        lock(&self.state).quota = Some(bytes);
    }

    /// The names of the files below a folder of the user, or of the file drop where that is none.
    #[must_use]
    pub fn files(&self, folder: &str) -> Vec<String> {
        let prefix = path_of(folder);
        let state = lock(&self.state);
        let files = state.files.iter().filter(|(_, bytes)| bytes.is_some());
        files.filter_map(|(path, _)| path.strip_prefix(&prefix).map(str::to_owned)).collect()
    }

    /// The bytes of a file, by the folder as above and its name.
    #[must_use]
    pub fn read(&self, folder: &str, name: &str) -> Option<Vec<u8>> {
        let path = format!("{}{name}", path_of(folder));
        lock(&self.state).files.get(&path).cloned().flatten()
    }

    /// Changes a file behind everybody's back.
    pub fn write(&self, folder: &str, name: &str, bytes: Vec<u8>) {
        let path = format!("{}{name}", path_of(folder));
        lock(&self.state).files.insert(path, Some(bytes));
    }

    /// The requests so far, and forgets them.
    #[must_use]
    pub fn take_requests(&self) -> Vec<CloudRequest> {
        std::mem::take(&mut lock(&self.state).requests)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        lock(&self.state).is_gone = true;
        // The thread that accepts looks when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

fn path_of(folder: &str) -> String {
    if folder.is_empty() {
        format!("/public.php/dav/files/{CLOUD_TOKEN}/")
    } else {
        format!("/remote.php/dav/files/{CLOUD_USER}/{folder}/")
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one connection until either side ends it.
fn serve(stream: TcpStream, state: &Mutex<State>) {
    let Ok(mut connection) = exchange::Connection::new(stream) else {
        return;
    };
    while let Ok(Some(mut request)) = connection.request() {
        let effect = lock(state).effect(&request);
        if let Some(CloudEffect::Refuse(status)) = effect {
            lock(state).note(&request);
            // What follows may be the rest of a body that nobody reads.
            let _ = connection.answer(&request, Answer::of(status));
            return;
        }
        if let Some(CloudEffect::Wait(time)) = effect {
            std::thread::sleep(time);
        }
        let limit = match effect {
            Some(CloudEffect::Cut(bytes)) => Some(bytes),
            _ => None,
        };
        let is_whole = connection.body(&mut request, limit).unwrap_or(false);
        lock(state).note(&request);
        if !is_whole || limit.is_some() {
            return;
        }
        let mut answer = lock(state).act(&request, effect.as_ref());
        match effect {
            Some(CloudEffect::LoseAnswer) => return,
            Some(CloudEffect::Lie(status)) => answer = Answer::of(status),
            Some(CloudEffect::Flip) => {
                if let Some(byte) = answer.body.first_mut() {
                    *byte ^= 1;
                }
            }
            _ => {}
        }
        if connection.answer(&request, answer).is_err() {
            return;
        }
    }
}

impl State {
    /// Returns the fault that happens at this request, if any.
    fn effect(&mut self, request: &Request) -> Option<CloudEffect> {
        self.begun += 1;
        let begun = self.begun;
        let at = self.at.take_if(|(number, _)| *number == begun);
        at.map(|(_, effect)| effect).or_else(|| Some(self.fault(request)?.effect))
    }

    fn fault(&mut self, request: &Request) -> Option<CloudFault> {
        let fits = |fault: &CloudFault| {
            fault.method == request.method && request.path.contains(&fault.path)
        };
        let index = self.faults.iter().position(fits)?;
        self.faults.remove(index)
    }

    fn note(&mut self, request: &Request) {
        self.requests.push(CloudRequest {
            method: request.method.clone(),
            path: request.path.clone(),
            range: request.header("range").map(str::to_owned),
            bytes: request.body.len() as u64,
        });
    }

    fn act(&mut self, request: &Request, effect: Option<&CloudEffect>) -> Answer {
        let path = request.path.trim_end_matches('/').to_owned();
        if path.starts_with("/public.php/") {
            return self.drop_file(request, &path, effect);
        }
        if request.header("authorization") != Some(&exchange::basic(CLOUD_USER, CLOUD_PASSWORD)) {
            return Answer::of(401);
        }
        match request.method.as_str() {
            "PROPFIND" => self.listing(&path, request.header("depth") == Some("0")),
            "MKCOL" if self.files.contains_key(&path) => Answer::of(405),
            "MKCOL" if !self.has_parent(&path) => Answer::of(409),
            "MKCOL" => {
                self.files.insert(path, None);
                Answer::of(201)
            }
            "PUT" => self.put(request, path, effect),
            "MOVE" => self.rename(request, &path, effect),
            "DELETE" => match self.files.remove(&path) {
                Some(_) => Answer::of(204),
                None => Answer::of(404),
            },
            "GET" => match self.files.get(&path) {
                Some(Some(bytes)) => exchange::ranged(bytes, request.header("range")),
                _ => Answer::of(404),
            },
            _ => Answer::of(501),
        }
    }

    fn has_parent(&self, path: &str) -> bool {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        matches!(self.files.get(parent), Some(None))
    }

    fn put(&mut self, request: &Request, path: String, effect: Option<&CloudEffect>) -> Answer {
        if !self.has_parent(&path) {
            return Answer::of(409);
        }
        self.store(path, request.body.clone(), request, effect)
    }

    /// Stores a file, unless there is no room for it.
    fn store(
        &mut self,
        path: String,
        mut bytes: Vec<u8>,
        request: &Request,
        effect: Option<&CloudEffect>,
    ) -> Answer {
        let used: usize = self.files.values().flatten().map(Vec::len).sum();
        if self.quota.is_some_and(|quota| (used + bytes.len()) as u64 > quota) {
            return Answer::of(507);
        }
        if effect == Some(&CloudEffect::Shorten) {
            bytes.pop();
        }
        let mut answer = Answer::of(201);
        if self.tells_hash && request.header("x-hash") == Some("sha256") {
            let mut hash = exchange::sha256(&bytes);
            if effect == Some(&CloudEffect::WrongHash) {
                hash = "0".repeat(64);
            }
            answer.headers.push(("X-Hash-SHA256", hash));
        }
        self.files.insert(path, Some(bytes));
        answer
    }

    /// A file drop takes PUT only, and never replaces.
    fn drop_file(&mut self, request: &Request, path: &str, effect: Option<&CloudEffect>) -> Answer {
        if request.method != "PUT" || !self.has_parent(path) {
            return Answer::of(405);
        }
        if request.header("x-requested-with") != Some("XMLHttpRequest") {
            return Answer::of(401);
        }
        let mut name = path.to_owned();
        let mut number = 2;
        while self.files.contains_key(&name) {
            let (stem, extension) = path.rsplit_once('.').unwrap_or((path, ""));
            name = format!("{stem} ({number}).{extension}");
            number += 1;
        }
        self.store(name, request.body.clone(), request, effect)
    }

    fn rename(&mut self, request: &Request, path: &str, effect: Option<&CloudEffect>) -> Answer {
        let Some(to) = request.destination() else {
            return Answer::of(400);
        };
        let is_taken = self.files.contains_key(&to);
        if is_taken && request.header("overwrite") == Some("F") {
            return Answer::of(412);
        }
        let bytes = match path.strip_suffix("/.file") {
            Some(folder) => match self.assembled(folder, request) {
                Ok(bytes) => bytes,
                Err(answer) => return answer,
            },
            None => match self.files.remove(path) {
                Some(Some(bytes)) => bytes,
                _ => return Answer::of(404),
            },
        };
        // A move changes no bytes, whatever goes wrong with it.
        let effect = effect.filter(|effect| **effect != CloudEffect::Shorten);
        self.store(to, bytes, request, effect)
    }

    /// The chunks of an upload, in the order of their names, which all must be there.
    fn assembled(&mut self, folder: &str, request: &Request) -> Result<Vec<u8>, Answer> {
        let prefix = format!("{folder}/");
        let chunks = self.files.range(prefix.clone()..);
        let chunks = chunks.take_while(|(path, _)| path.starts_with(&prefix));
        let bytes: Vec<u8> = chunks.filter_map(|(_, bytes)| bytes.clone()).flatten().collect();
        let expected = request.header("oc-total-length");
        if expected.is_some_and(|total| total != bytes.len().to_string()) {
            return Err(Answer::of(400));
        }
        self.files.retain(|path, _| path != folder && !path.starts_with(&prefix));
        Ok(bytes)
    }

    fn listing(&self, path: &str, itself: bool) -> Answer {
        let Some(_) = self.files.get(path) else {
            return Answer::of(404);
        };
        let prefix = format!("{path}/");
        let is_child = |other: &str| {
            other.strip_prefix(&prefix).is_some_and(|name| !itself && !name.contains('/'))
        };
        let listed = self.files.iter().filter(|(other, _)| *other == path || is_child(other));
        exchange::multistatus(listed)
    }
}
