//! A Nextcloud public share that takes files and shows none ("file drop").
//!
//! The far end answers PUT only. It never replaces a file: one with a taken name is stored as
//! `name (2).ext`, silently. So a retry after an answer that was lost may leave the same bytes
//! twice, and nothing may depend on a file that changes.

mod spec;

use std::ops::Range;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::http::{Asked, Body, Client, Credentials};
use super::retry::retry;
use super::webdav::{child, confirmed, folder};
use super::{Limits, Receipt, RemoteFile, Target, TargetFailure, Upload, failed};
use crate::Result;
pub(super) use spec::FileDropSpec;

/// A public share for uploads only.
///
/// Files longer than [`Limits::part`] are sent as `NAME.000`, `NAME.001`, …, which `cat` puts
/// together: the share knows no chunks, and what is between may refuse a long one.
#[derive(Debug)]
pub struct FileDrop {
    client: Client,
    /// Without the token of the share, which is as good as a password.
    shown: Url,
    base: Url,
}

impl FileDrop {
    /// The share with this token, of the Nextcloud at `server`, with the share's password if it has
    /// one.
    ///
    /// # Errors
    /// [`Error::InvalidTarget`](crate::Error::InvalidTarget) for an address that is no URL, or not
    /// https (but for one on this machine).
    pub fn new(
        server: &str,
        token: &SecretString,
        password: Option<SecretString>,
        authority: Option<&Path>,
        limits: Limits,
    ) -> Result<Self> {
        let shown = folder(server)?;
        let credentials =
            password.map(|password| Credentials { user: "anonymous".to_owned(), password });
        let mut base = shown.clone();
        base.path_segments_mut()
            .expect("the address was checked to be one of a folder")
            .pop_if_empty()
            .extend(["public.php", "dav", "files", token.expose_secret().trim()]);
        Ok(Self {
            client: Client::new(&shown, credentials.as_ref(), authority, limits)?,
            shown,
            base,
        })
    }

    fn put_part(
        &self,
        name: &str,
        upload: &Upload<'_>,
        range: Range<u64>,
    ) -> Result<Receipt, TargetFailure> {
        let bytes = range.end - range.start;
        let is_whole = bytes == upload.bytes;
        let url = child(&self.base, name);
        let asked = Asked::new("PUT", &url)
            // What is not a GET is refused without it.
            .header("X-Requested-With", "XMLHttpRequest")
            .header("X-Hash", "sha256")
            .header("Content-Type", "application/octet-stream")
            .body(Body::Part(upload, range));
        let answer = self.client.ask(asked)?;
        Ok(Receipt {
            // The hash of a part is not known here.
            is_hash_confirmed: is_whole && confirmed(&answer, upload)?,
            answer: answer.status.to_string(),
        })
    }

    fn put_parts(&self, upload: &Upload<'_>) -> Result<Receipt, TargetFailure> {
        let length = self.client.limits.part.max(1);
        let count = upload.bytes.div_ceil(length);
        let mut receipt = None;
        for number in 0..count {
            let range = number * length..((number + 1) * length).min(upload.bytes);
            let name = format!("{}.{number:03}", upload.name);
            receipt =
                Some(retry(&self.client.limits, || self.put_part(&name, upload, range.clone()))?);
        }
        receipt.ok_or_else(|| super::http::unexpected("nothing: the file is empty"))
    }
}

impl Target for FileDrop {
    fn place(&self) -> String {
        format!("file drop of {}", self.shown)
    }

    fn is_readable(&self) -> bool {
        false
    }

    fn list(&self) -> Result<Vec<RemoteFile>> {
        Err(failed(self, "list", TargetFailure::WriteOnly))
    }

    fn put(&self, upload: &Upload<'_>) -> Result<Receipt> {
        let sent = if upload.bytes > self.client.limits.part {
            self.put_parts(upload)
        } else {
            retry(&self.client.limits, || self.put_part(upload.name, upload, 0..upload.bytes))
        };
        sent.map_err(|failure| failed(self, format!("put {}", upload.name), failure))
    }

    fn read(&self, name: &str, _range: Range<u64>) -> Result<Vec<u8>> {
        Err(failed(self, format!("get {name}"), TargetFailure::WriteOnly))
    }

    fn remove(&self, name: &str) -> Result<()> {
        Err(failed(self, format!("remove {name}"), TargetFailure::WriteOnly))
    }
}
