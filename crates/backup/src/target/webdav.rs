//! WebDAV (RFC 4918), and Nextcloud's upload in chunks where the server is one.

mod chunked;
mod listing;
mod spec;

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use url::Url;

use super::http::{Answer, Asked, Body, Client, Credentials, LONGEST_LISTING, unexpected};
use super::retry::retry;
use super::{Limits, Receipt, RemoteFile, Target, TargetFailure, Upload, failed, partial_name};
use crate::{Error, Result};
use chunked::Uploads;
pub(super) use spec::WebDavSpec;

/// What the server is asked about a file.
const PROPERTIES: &str = r#"<?xml version="1.0"?><d:propfind xmlns:d="DAV:"><d:prop><d:getcontentlength/><d:resourcetype/></d:prop></d:propfind>"#;

/// A folder of a WebDAV server.
///
/// A file is sent under another name and moved when it is all there, with its length compared.
/// Where the server computes the hash of what it stored (Nextcloud answers `X-Hash-SHA256`), that
/// is compared as well. Nextcloud's chunked upload is used for files longer than [`Limits::part`];
/// an interrupted one goes on with the chunks that are missing.
#[derive(Debug)]
pub struct WebDav {
    client: Client,
    /// Ends with `/`.
    base: Url,
    uploads: Option<Uploads>,
    is_made: OnceLock<()>,
    /// Which way of naming the destination of a move the server has understood.
    naming: AtomicUsize,
}

impl WebDav {
    /// The folder `base`; its last part is made if it does not exist. `authority` is a PEM file
    /// with the certificates to trust instead of the system's.
    ///
    /// # Errors
    /// [`Error::InvalidTarget`] for an address that is no URL, or not https (but for one on this
    /// machine).
    pub fn new(
        base: &str,
        credentials: Option<&Credentials>,
        authority: Option<&Path>,
        limits: Limits,
    ) -> Result<Self> {
        let base = folder(base)?;
        Ok(Self {
            client: Client::new(&base, credentials, authority, limits)?,
            uploads: Uploads::of(&base),
            base,
            is_made: OnceLock::new(),
            naming: AtomicUsize::new(0),
        })
    }

    fn url(&self, name: &str) -> Url {
        child(&self.base, name)
    }

    /// Makes the folder, once per program.
    fn make_folder(&self) -> Result<(), TargetFailure> {
        if self.is_made.get().is_some() {
            return Ok(());
        }
        match self.client.ask(Asked::new("MKCOL", &self.base)) {
            // It is there: 405, as RFC 4918 has it; some servers answer 409 or 423 to a folder that exists.
            Err(TargetFailure::Unexpected { answer }) if answer == "405" => {}
            Err(failure) if failure.is_retryable() => return Err(failure),
            Err(failure) => {
                let known = self.properties(&self.base, "0");
                known.map_err(|_| failure)?;
            }
            Ok(_) => {}
        }
        self.is_made.get_or_init(|| ());
        Ok(())
    }

    fn properties(&self, url: &Url, depth: &'static str) -> Result<Vec<RemoteFile>, TargetFailure> {
        let answer = self.client.ask(propfind(url, depth))?;
        if answer.status != 207 {
            return Err(unexpected(answer.status.to_string()));
        }
        listing::parse(answer.text()?, url)
    }

    /// The length of a file, if it is there.
    fn length(&self, name: &str) -> Result<Option<u64>, TargetFailure> {
        match self.properties(&self.url(name), "0") {
            Ok(files) => match files.first() {
                Some(file) => Ok(Some(file.bytes)),
                None => Err(unexpected("without the length of a file")),
            },
            Err(TargetFailure::NotFound) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn put_once(&self, upload: &Upload<'_>) -> Result<Receipt, TargetFailure> {
        self.make_folder()?;
        if !upload.replace && self.length(upload.name)?.is_some() {
            return Err(TargetFailure::Taken);
        }
        let answer = match &self.uploads {
            Some(uploads) if upload.bytes > self.client.limits.part => {
                uploads.put(&self.client, upload, &self.url(upload.name))?
            }
            _ => self.put_and_move(upload)?,
        };
        match self.length(upload.name)? {
            Some(length) if length == upload.bytes => Ok(answer),
            there => Err(TargetFailure::Differs {
                expected: format!("{} bytes", upload.bytes),
                actual: there
                    .map_or_else(|| "nothing".to_owned(), |length| format!("{length} bytes")),
            }),
        }
    }

    fn put_and_move(&self, upload: &Upload<'_>) -> Result<Receipt, TargetFailure> {
        let partial = self.url(&partial_name(upload.name));
        let asked = Asked::new("PUT", &partial)
            .header("X-Hash", "sha256")
            .header("Content-Type", "application/octet-stream")
            .body(Body::Part(upload, 0..upload.bytes));
        let answer = self.client.ask(asked)?;
        let is_hash_confirmed = confirmed(&answer, upload)?;
        self.rename(&partial, &self.url(upload.name), upload.replace)?;
        Ok(Receipt { answer: answer.status.to_string(), is_hash_confirmed })
    }

    /// Moves a file. A server behind a proxy that ends TLS may refuse an address that is not its
    /// own, and take a path or the address by which it is asked.
    fn rename(&self, from: &Url, to: &Url, replace: bool) -> Result<(), TargetFailure> {
        let destinations = destinations(to);
        let known = self.naming.load(Ordering::Relaxed);
        let mut refusal = None;
        for (naming, destination) in destinations.iter().enumerate().skip(known) {
            let asked = Asked::new("MOVE", from)
                .header("Destination", destination)
                .header("Overwrite", if replace { "T" } else { "F" });
            match self.client.ask(asked) {
                Ok(_) => {
                    self.naming.store(naming, Ordering::Relaxed);
                    return Ok(());
                }
                // It may be the file that has moved already, and the answer to that was lost.
                Err(TargetFailure::NotFound) if refusal.is_some() => break,
                Err(failure) if is_about_destination(&failure) => {
                    refusal.get_or_insert(failure);
                }
                Err(failure) => return Err(refusal.unwrap_or(failure)),
            }
        }
        Err(refusal.unwrap_or(TargetFailure::NotFound))
    }
}

/// The ways of naming the destination of a move, the usual one first (RFC 4918, section 10.3).
fn destinations(to: &Url) -> Vec<String> {
    let mut ways = vec![to.to_string(), to.path().to_owned()];
    if let Some(rest) = to.as_str().strip_prefix("https:") {
        ways.push(format!("http:{rest}"));
    }
    ways
}

/// How servers refuse a destination that they take for another server's.
fn is_about_destination(failure: &TargetFailure) -> bool {
    match failure {
        TargetFailure::Server { status } => *status == 502,
        TargetFailure::Unexpected { answer } => answer == "400",
        TargetFailure::Forbidden { .. } => true,
        _ => false,
    }
}

/// The question for the names and lengths of files.
fn propfind(url: &Url, depth: &'static str) -> Asked<'static> {
    let mut asked = Asked::new("PROPFIND", url)
        .header("Depth", depth)
        .header("Content-Type", "application/xml")
        .body(Body::Text(PROPERTIES));
    asked.longest = LONGEST_LISTING;
    asked
}

impl Target for WebDav {
    fn place(&self) -> String {
        format!("webdav {}", self.base)
    }

    fn list(&self) -> Result<Vec<RemoteFile>> {
        retry(&self.client.limits, || {
            match self.properties(&self.base, "1") {
                // It is made by the first upload.
                Err(TargetFailure::NotFound) => Ok(Vec::new()),
                result => result,
            }
        })
        .map_err(|failure| failed(self, "list", failure))
    }

    fn put(&self, upload: &Upload<'_>) -> Result<Receipt> {
        retry(&self.client.limits, || self.put_once(upload))
            .map_err(|failure| failed(self, format!("put {}", upload.name), failure))
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let url = self.url(name);
        retry(&self.client.limits, || {
            let answer = self.client.ask(Asked::new("GET", &url).range(&range))?;
            Ok(answer.body)
        })
        .map_err(|failure| failed(self, format!("get {name}"), failure))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let url = self.url(name);
        retry(&self.client.limits, || match self.client.ask(Asked::new("DELETE", &url)) {
            Ok(_) | Err(TargetFailure::NotFound) => Ok(()),
            Err(failure) => Err(failure),
        })
        .map_err(|failure| failed(self, format!("remove {name}"), failure))
    }
}

/// Whether the server says that it stored the right bytes.
///
/// # Errors
/// [`TargetFailure::Differs`] if it says that it did not.
pub(super) fn confirmed(answer: &Answer, upload: &Upload<'_>) -> Result<bool, TargetFailure> {
    match answer.header("x-hash-sha256") {
        None => Ok(false),
        Some(actual) if actual.eq_ignore_ascii_case(upload.sha256) => Ok(true),
        Some(actual) => Err(TargetFailure::Differs {
            expected: format!("the hash {}", upload.sha256),
            actual: actual.to_owned(),
        }),
    }
}

/// An address that ends with `/`, so that names can be added to it.
pub(super) fn folder(base: &str) -> Result<Url> {
    let invalid = |reason: &str| Error::InvalidTarget { reason: reason.to_owned() };
    let mut url = Url::parse(base).map_err(|_| invalid("its address is not a URL"))?;
    if url.cannot_be_a_base() || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("its address is not that of a folder"));
    }
    if url.password().is_some() || !url.username().is_empty() {
        return Err(invalid("its address holds a user or a password"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

pub(super) fn child(folder: &Url, name: &str) -> Url {
    let mut url = folder.clone();
    url.path_segments_mut()
        .expect("the address was checked to be one of a folder")
        .pop_if_empty()
        .push(name);
    url
}
