//! WebDAV (RFC 4918), and Nextcloud's upload in chunks where the server is one.

mod chunked;
mod listing;

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use url::Url;

use super::http::{Answer, Asked, Body, Client, Credentials, unexpected};
use super::retry::retry;
use super::{
    Limits, Receipt, RemoteFile, Target, TargetFailure, Upload, failed, local, partial_name,
};
use crate::{Error, Result};
use chunked::Uploads;

/// What the server is asked about a file.
const PROPERTIES: &str = r#"<?xml version="1.0"?><d:propfind xmlns:d="DAV:"><d:prop><d:getcontentlength/><d:resourcetype/></d:prop></d:propfind>"#;

/// A folder of a WebDAV server.
///
/// A file is sent under another name and moved when it is all there, with its length compared. Where the server computes the
/// hash of what it stored (Nextcloud answers `X-Hash-SHA256`), that is compared as well. Nextcloud's chunked upload is used for files
/// longer than [`Limits::part`]; an interrupted one goes on with the chunks that are missing.
#[derive(Debug)]
pub struct WebDav {
    client: Client,
    /// Ends with `/`.
    base: Url,
    uploads: Option<Uploads>,
    is_made: OnceLock<()>,
}

impl WebDav {
    /// The folder `base`; its last part is made if it does not exist. `authority` is a PEM file with the certificates to trust instead of
    /// the system's.
    ///
    /// # Errors
    /// [`Error::InvalidTarget`] for an address that is no URL, or not https (but for one on this machine).
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

    fn properties(&self, url: &Url, depth: &str) -> Result<Vec<RemoteFile>, TargetFailure> {
        let asked = Asked::new("PROPFIND", url)
            .header("Depth", depth)
            .header("Content-Type", "application/xml")
            .body(Body::Text(PROPERTIES));
        let answer = self.client.ask(asked)?;
        if answer.status != 207 {
            return Err(unexpected(answer.status.to_string()));
        }
        listing::parse(answer.text()?, url)
    }

    /// The length of a file, if it is there.
    fn length(&self, name: &str) -> Result<Option<u64>, TargetFailure> {
        match self.properties(&self.url(name), "0") {
            Ok(files) => Ok(files.first().map(|file| file.bytes)),
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
        let mut reader = upload.part(0..upload.bytes).map_err(local)?;
        let asked = Asked::new("PUT", &partial)
            .header("X-Hash", "sha256")
            .header("Content-Type", "application/octet-stream")
            .body(Body::Stream {
                reader: &mut reader,
                bytes: upload.bytes,
            });
        let answer = self.client.ask(asked)?;
        let is_hash_confirmed = confirmed(&answer, upload)?;
        self.rename(&partial, &self.url(upload.name), upload.replace)?;
        Ok(Receipt {
            answer: answer.status.to_string(),
            is_hash_confirmed,
        })
    }

    fn rename(&self, from: &Url, to: &Url, replace: bool) -> Result<Answer, TargetFailure> {
        let asked = Asked::new("MOVE", from)
            .header("Destination", to.as_str())
            .header("Overwrite", if replace { "T" } else { "F" });
        self.client.ask(asked)
    }
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
        let url = self.url(name);
        retry(&self.client.limits, || {
            read_range(&self.client, &url, &range)
        })
        .map_err(|failure| failed(self, format!("get {name}"), failure))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let url = self.url(name);
        retry(&self.client.limits, || {
            match self.client.ask(Asked::new("DELETE", &url)) {
                Ok(_) | Err(TargetFailure::NotFound) => Ok(()),
                Err(failure) => Err(failure),
            }
        })
        .map_err(|failure| failed(self, format!("remove {name}"), failure))
    }
}

/// A part of a file by a range request (RFC 9110, section 14).
pub(super) fn read_range(
    client: &Client,
    url: &Url,
    range: &Range<u64>,
) -> Result<Vec<u8>, TargetFailure> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = range.end - range.start;
    let mut asked =
        Asked::new("GET", url).header("Range", format!("bytes={}-{}", range.start, range.end - 1));
    asked.longest = wanted;
    let answer = client.ask(asked)?;
    let begin = format!("bytes {}-{}/", range.start, range.end - 1);
    let is_range = answer.status == 206
        && answer
            .header("content-range")
            .is_some_and(|range| range.starts_with(&begin));
    // A server that knows no ranges sends the whole, which is right if that was meant.
    let is_whole = answer.status == 200 && range.start == 0;
    if !is_range && !is_whole {
        return Err(unexpected(
            "another part of the file than the one asked for",
        ));
    }
    if answer.body.len() as u64 != wanted {
        return Err(TargetFailure::Differs {
            expected: format!("{wanted} bytes"),
            actual: format!("{} bytes", answer.body.len()),
        });
    }
    Ok(answer.body)
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
    let invalid = |reason: &str| Error::InvalidTarget {
        reason: reason.to_owned(),
    };
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
