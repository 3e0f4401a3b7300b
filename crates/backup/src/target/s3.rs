//! A bucket of S3, or of anything that speaks its protocol.

mod refusal;
mod spec;

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, DeleteObject, GetObject,
    HeadObject, ListObjectsV2, PutObject, S3Action, UploadPart,
};
use rusty_s3::{Bucket, UrlStyle};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::http::{Answer, Asked, Body, Client, unexpected};
use super::retry::retry;
use super::webdav::folder;
use super::{Limits, Receipt, RemoteFile, Target, TargetFailure, Upload, failed, local};
use crate::{Error, Result, digest};
pub(super) use spec::S3Spec;

/// How long a signed request may be on its way.
const SIGNED_FOR: Duration = Duration::from_secs(3600);
/// S3 takes parts of 5 MiB and more, the last one excepted, and no more than 10 000 of them.
const SHORTEST: u64 = 5 << 20;
const MOST: u64 = 10_000;
/// A page names 1000 files; no folder of backups has more than this many pages.
const MOST_PAGES: usize = 200;
/// No page of a listing is longer.
const LONGEST_PAGE: u64 = 4 << 20;

/// Where a bucket is.
#[derive(Debug, Clone)]
pub struct S3Location {
    /// The address of the service, such as `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// What the names in it begin with; a `/` at the end is not added.
    pub prefix: String,
    /// The region.
    pub region: String,
}

/// A bucket, and a prefix in it.
///
/// A file is there when S3 says so: an object appears as a whole. It is written on the condition
/// that the name is free (`If-None-Match: *`), with its SHA-256 for S3 to check; what is longer
/// than [`Limits::part`] goes in parts, each with its own. Since some servers refuse or ignore
/// conditions, the name is looked up first; one that knows neither conditions nor checksums is
/// asked without them.
pub struct S3 {
    client: Client,
    endpoint: Url,
    bucket: Bucket,
    prefix: String,
    credentials: rusty_s3::Credentials,
    /// Whether the server understands conditions and checksums, as far as is known.
    knows_more: AtomicBool,
}

impl S3 {
    /// The bucket at `location`, with an access key and its secret.
    ///
    /// # Errors
    /// [`Error::InvalidTarget`] for an address that is no URL, or not https (but for one on this
    /// machine).
    pub fn new(
        location: &S3Location,
        access_key: &str,
        secret_key: &SecretString,
        authority: Option<&Path>,
        limits: Limits,
    ) -> Result<Self> {
        let endpoint = folder(&location.endpoint)?;
        let bucket = Bucket::new(
            endpoint.clone(),
            UrlStyle::Path,
            location.bucket.clone(),
            location.region.clone(),
        );
        let bucket = bucket.map_err(|_| Error::InvalidTarget {
            reason: "its address is not that of a bucket".to_owned(),
        })?;
        Ok(Self {
            client: Client::new(&endpoint, None, authority, limits)?,
            endpoint,
            bucket,
            prefix: location.prefix.clone(),
            credentials: rusty_s3::Credentials::new(access_key, secret_key.expose_secret().trim()),
            knows_more: AtomicBool::new(true),
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Sends a signed request; its extra headers are signed with it.
    fn send<'a>(
        &self,
        method: &'static str,
        mut action: impl S3Action<'a>,
        headers: &[(&'static str, String)],
        body: Body<'_>,
    ) -> Result<Answer, TargetFailure> {
        for (name, value) in headers {
            action.headers_mut().insert(Cow::Borrowed(*name), Cow::Owned(value.clone()));
        }
        let url = action.sign(SIGNED_FOR);
        let mut asked = Asked::new(method, &url).body(body);
        asked.headers = headers.to_vec();
        self.ask(asked)
    }

    fn ask(&self, mut asked: Asked<'_>) -> Result<Answer, TargetFailure> {
        asked.explain = Some(refusal::explain);
        self.client.ask(asked).map_err(|failure| match failure {
            // Without a code, wrong keys and missing rights are the same.
            TargetFailure::Forbidden { .. } => TargetFailure::Unauthorized,
            failure => failure,
        })
    }

    /// Does something with conditions and checksums, and without them where the server does not
    /// know them.
    fn with_more<T>(
        &self,
        act: impl Fn(bool) -> Result<T, TargetFailure>,
    ) -> Result<T, TargetFailure> {
        let knows_more = self.knows_more.load(Ordering::Relaxed);
        match act(knows_more) {
            Err(failure) if knows_more && refusal::is_not_implemented(&failure) => {
                let result = act(false);
                if result.is_ok() {
                    self.knows_more.store(false, Ordering::Relaxed);
                }
                // What it refuses either way it refuses for another reason.
                result.map_err(|_| failure)
            }
            result => result,
        }
    }

    /// Finds a name that is taken without a condition, which some servers ignore.
    fn check_free(&self, upload: &Upload<'_>) -> Result<(), TargetFailure> {
        if upload.replace {
            return Ok(());
        }
        let key = self.key(upload.name);
        let action = HeadObject::new(&self.bucket, Some(&self.credentials), &key);
        match self.send("HEAD", action, &[], Body::Nothing) {
            Ok(_) => Err(TargetFailure::Taken),
            Err(TargetFailure::NotFound) => Ok(()),
            // To a key that may not list, a file that does not exist is forbidden; the condition still holds.
            Err(TargetFailure::Unauthorized) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    fn put_once(&self, upload: &Upload<'_>) -> Result<Receipt, TargetFailure> {
        self.check_free(upload)?;
        let key = self.key(upload.name);
        let checksum = base64_of_hex(upload.sha256);
        self.with_more(|knows_more| {
            let mut headers = Vec::new();
            if knows_more {
                headers.push((CHECKSUM, checksum.clone()));
                headers.extend(condition(upload));
            }
            let action = PutObject::new(&self.bucket, Some(&self.credentials), &key);
            let body = Body::Part(upload, 0..upload.bytes);
            let answer = self.send("PUT", action, &headers, body)?;
            Ok(receipt(&answer, &checksum))
        })
    }

    fn put_parts(&self, upload: &Upload<'_>) -> Result<Receipt, TargetFailure> {
        let key = self.key(upload.name);
        retry(&self.client.limits, || self.check_free(upload))?;
        let create = CreateMultipartUpload::new(&self.bucket, Some(&self.credentials), &key);
        let algorithm = [("x-amz-checksum-algorithm", "SHA256".to_owned())];
        let answer = retry(&self.client.limits, || {
            self.with_more(|knows_more| {
                let headers = if knows_more { &algorithm[..] } else { &[] };
                self.send("POST", create.clone(), headers, Body::Nothing)
            })
        })?;
        let created = CreateMultipartUpload::parse_response(answer.text()?)
            .map_err(|_| unexpected("no id of an upload"))?;
        let sent = self.send_parts(&key, created.upload_id(), upload);
        if sent.is_err() {
            let abort = AbortMultipartUpload::new(
                &self.bucket,
                Some(&self.credentials),
                &key,
                created.upload_id(),
            );
            // The first failure is the one to tell; parts that stay are a matter of the bucket's life cycle rules.
            let _ = self.send("DELETE", abort, &[], Body::Nothing);
        }
        sent
    }

    fn send_parts(
        &self,
        key: &str,
        id: &str,
        upload: &Upload<'_>,
    ) -> Result<Receipt, TargetFailure> {
        let length = self.client.limits.part.max(SHORTEST).max(upload.bytes.div_ceil(MOST));
        let mut tags = Vec::new();
        let mut begin = 0;
        while begin < upload.bytes {
            let range = begin..(begin + length).min(upload.bytes);
            let number =
                u16::try_from(tags.len() + 1).expect("there are no more than 10 000 parts");
            tags.push(retry(&self.client.limits, || {
                self.send_part(key, id, number, upload, range.clone())
            })?);
            begin = range.end;
        }
        let complete = CompleteMultipartUpload::new(
            &self.bucket,
            Some(&self.credentials),
            key,
            id,
            tags.iter().map(String::as_str),
        );
        let body = complete.clone().body();
        let answer = self.with_more(|knows_more| {
            let condition = condition(upload).filter(|_| knows_more);
            let headers: Vec<_> = condition.into_iter().collect();
            self.send("POST", complete.clone(), &headers, Body::Text(&body))
        })?;
        // S3 may say 200 first and fail afterwards (API reference, CompleteMultipartUpload).
        if !answer.text()?.contains("CompleteMultipartUploadResult") {
            return Err(TargetFailure::Server { status: 500 });
        }
        Ok(Receipt {
            answer: answer.status.to_string(),
            // Each part was checked, and S3 puts them together.
            is_hash_confirmed: false,
        })
    }

    fn send_part(
        &self,
        key: &str,
        id: &str,
        number: u16,
        upload: &Upload<'_>,
        range: Range<u64>,
    ) -> Result<String, TargetFailure> {
        let hash = digest::of_reader(upload.part(range.clone()).map_err(local)?);
        let hash = hash.map_err(TargetFailure::Local)?;
        let checksum = [(CHECKSUM, base64_of_hex(&hash))];
        let answer = self.with_more(|knows_more| {
            let action = UploadPart::new(&self.bucket, Some(&self.credentials), key, number, id);
            let headers = if knows_more { &checksum[..] } else { &[] };
            self.send("PUT", action, headers, Body::Part(upload, range.clone()))
        })?;
        let tag = answer.header("etag");
        tag.map(str::to_owned).ok_or_else(|| unexpected("without a tag of the part"))
    }

    fn list_page(
        &self,
        token: Option<String>,
        files: &mut Vec<RemoteFile>,
    ) -> Result<Option<String>, TargetFailure> {
        let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
        action.with_prefix(self.prefix.clone());
        action.with_delimiter("/");
        if let Some(token) = token {
            action.with_continuation_token(token);
        }
        let mut asked = Asked::new("GET", &action.sign(SIGNED_FOR));
        asked.longest = LONGEST_PAGE;
        let answer = self.ask(asked)?;
        let page = ListObjectsV2::parse_response(answer.text()?)
            .map_err(|_| unexpected("what is no listing of a bucket"))?;
        for object in page.contents {
            let name = object.key.strip_prefix(&self.prefix);
            if let (Some(name), Some(bytes)) = (name, object.size) {
                let name = name.to_owned();
                files.push(RemoteFile { name, bytes });
            }
        }
        Ok(page.next_continuation_token)
    }
}

const CHECKSUM: &str = "x-amz-checksum-sha256";

/// Nothing of that name may exist.
fn condition(upload: &Upload<'_>) -> Option<(&'static str, String)> {
    (!upload.replace).then(|| ("if-none-match", "*".to_owned()))
}

fn receipt(answer: &Answer, checksum: &str) -> Receipt {
    Receipt {
        answer: answer.status.to_string(),
        is_hash_confirmed: answer.header(CHECKSUM) == Some(checksum),
    }
}

/// S3 writes checksums in base64.
fn base64_of_hex(hash: &str) -> String {
    STANDARD.encode(digest::unhex(hash))
}

impl Target for S3 {
    fn place(&self) -> String {
        format!("s3 {}{}/{}", self.endpoint, self.bucket.name(), self.prefix)
    }

    fn list(&self) -> Result<Vec<RemoteFile>> {
        let mut files = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let page = retry(&self.client.limits, || self.list_page(token.clone(), &mut files));
            token = page.map_err(|failure| failed(self, "list", failure))?;
            if token.is_none() {
                return Ok(files);
            }
        }
        let failure = TargetFailure::TooLong { limit: MOST_PAGES as u64, unit: "pages" };
        Err(failed(self, "list", failure))
    }

    fn put(&self, upload: &Upload<'_>) -> Result<Receipt> {
        let sent = if upload.bytes > self.client.limits.part.max(SHORTEST) {
            self.put_parts(upload)
        } else {
            retry(&self.client.limits, || self.put_once(upload))
        };
        sent.map_err(|failure| failed(self, format!("put {}", upload.name), failure))
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let key = self.key(name);
        retry(&self.client.limits, || {
            let action = GetObject::new(&self.bucket, Some(&self.credentials), &key);
            let asked = Asked::new("GET", &action.sign(SIGNED_FOR)).range(&range);
            Ok(self.ask(asked)?.body)
        })
        .map_err(|failure| failed(self, format!("get {name}"), failure))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let key = self.key(name);
        retry(&self.client.limits, || {
            let action = DeleteObject::new(&self.bucket, Some(&self.credentials), &key);
            self.send("DELETE", action, &[], Body::Nothing).map(|_| ())
        })
        .map_err(|failure| failed(self, format!("remove {name}"), failure))
    }
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("place", &self.place()).finish_non_exhaustive()
    }
}
