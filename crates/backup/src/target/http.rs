//! One HTTP server, asked with limits, and its answers by what they mean.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use ureq::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, EXPECT, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use ureq::http::{HeaderMap, HeaderValue, Request, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, AsSendBody, SendBody};
use url::Url;

use super::bandwidth::{Bandwidth, Throttled};
use super::{Limits, TargetFailure, Upload, local};
use crate::{Error, Result};

/// Bodies from this length on are announced first, so that a server can refuse before they are
/// sent.
const ANNOUNCED: u64 = 64 * 1024;
/// No listing of a folder of backups is longer.
pub(super) const LONGEST_LISTING: u64 = 32 << 20;
/// No other answer in text is longer.
const LONGEST_TEXT: u64 = 1 << 20;
/// As much of a refusal is read for what it says.
const LONGEST_REFUSAL: u64 = 16 * 1024;
/// What a text counts for in the time that its answer may take: nobody knows its length before.
const USUAL_TEXT: u64 = 2 << 20;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password, or the application password.
    pub password: SecretString,
}

/// A client of one server.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    authorization: Option<HeaderValue>,
    pub(super) limits: Limits,
    bandwidth: Option<Bandwidth>,
    /// Whether the server understands `Expect: 100-continue`, as far as is known.
    knows_expect: AtomicBool,
    /// Whether the server understands `Range`, as far as is known.
    knows_ranges: AtomicBool,
}

/// Why one attempt brought no answer.
enum Miss {
    /// The server lacks what the request was made for; it is asked in another way.
    Again,
    Failed(TargetFailure),
}

impl From<TargetFailure> for Miss {
    fn from(failure: TargetFailure) -> Self {
        Self::Failed(failure)
    }
}

/// What one request takes for granted.
#[derive(Clone, Copy)]
struct Way {
    announced: bool,
    ranged: bool,
}

/// What is sent.
pub(super) enum Body<'a> {
    Nothing,
    Text(&'a str),
    /// A part of an upload, which is read again where the server wants it announced in another way.
    Part(&'a Upload<'a>, Range<u64>),
}

impl Body<'_> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Text(text) => text.len() as u64,
            Self::Part(_, range) => range.end - range.start,
        }
    }
}

/// An answer that is yes.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn text(&self) -> Result<&str, TargetFailure> {
        std::str::from_utf8(&self.body).map_err(|_| unexpected("what is no text"))
    }
}

/// One request, before it is sent.
pub(super) struct Asked<'a> {
    pub(super) method: &'static str,
    pub(super) url: Url,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body<'a>,
    /// The longest body of an answer that is of any use.
    pub(super) longest: u64,
    /// The bytes of a file that are wanted, where it asks for some.
    pub(super) range: Option<Range<u64>>,
    /// Knows more than the status about a refusal, from what it says.
    pub(super) explain: Option<Explain>,
}

/// What a refusal means: its status, its headers and its text.
pub(super) type Explain = fn(StatusCode, &HeaderMap, &str) -> Option<TargetFailure>;

impl<'a> Asked<'a> {
    pub(super) fn new(method: &'static str, url: &Url) -> Self {
        Self {
            method,
            url: url.clone(),
            headers: Vec::new(),
            body: Body::Nothing,
            longest: LONGEST_TEXT,
            range: None,
            explain: None,
        }
    }

    /// Asks for a part of a file (RFC 9110, section 14).
    pub(super) fn range(mut self, range: &Range<u64>) -> Self {
        self.range = Some(range.clone());
        self.header("Range", format!("bytes={}-{}", range.start, range.end - 1))
    }

    /// How long nothing may be heard of the answer. Servers hash, move and put together whole files
    /// before they speak.
    fn patience(&self, limits: &Limits) -> Duration {
        match self.method {
            "PUT" | "POST" | "MOVE" => limits.answer,
            _ => limits.stall,
        }
    }

    /// How long all of it may take. Without ranges, what lies before one is sent as well.
    fn total(&self, limits: &Limits, way: Way) -> Duration {
        let answer = match &self.range {
            Some(range) if way.ranged => range.end - range.start,
            Some(range) => range.end,
            None => USUAL_TEXT,
        };
        limits.total(limits.connect + self.patience(limits), self.body.bytes() + answer)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }
}

impl Client {
    /// A client of the server of `base`; `authority` is a PEM file with the certificates to trust
    /// instead of the system's.
    pub(super) fn new(
        base: &Url,
        credentials: Option<&Credentials>,
        authority: Option<&Path>,
        limits: Limits,
    ) -> Result<Self> {
        check_scheme(base)?;
        let roots = authority.map_or(Ok(RootCerts::PlatformVerifier), certificates)?;
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("hubctl-backup/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_per_write(Some(limits.stall))
            .build();
        Ok(Self {
            agent: config.new_agent(),
            authorization: credentials.map(authorization),
            bandwidth: limits.bandwidth.map(Bandwidth::new),
            knows_expect: AtomicBool::new(true),
            knows_ranges: AtomicBool::new(true),
            limits,
        })
    }

    /// Asks once. What is not a yes is a failure.
    pub(super) fn ask(&self, asked: Asked<'_>) -> Result<Answer, TargetFailure> {
        loop {
            let is_long = asked.body.bytes() >= ANNOUNCED && matches!(asked.body, Body::Part(..));
            let way = Way {
                announced: is_long && self.knows_expect.load(Ordering::Relaxed),
                ranged: self.knows_ranges.load(Ordering::Relaxed),
            };
            match self.ask_once(&asked, way) {
                Ok(answer) => return Ok(answer),
                Err(Miss::Failed(failure)) => return Err(failure),
                // No way is tried twice.
                Err(Miss::Again) => {}
            }
        }
    }

    fn ask_once(&self, asked: &Asked<'_>, way: Way) -> Result<Answer, Miss> {
        let mut request = Request::builder().method(asked.method).uri(asked.url.as_str());
        for (name, value) in &asked.headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let invalid = |_| unexpected("nothing: the request cannot be written");
        match &asked.body {
            Body::Nothing => self.run(request.body(()).map_err(invalid)?, asked, way),
            Body::Text(text) => self.run(request.body(*text).map_err(invalid)?, asked, way),
            Body::Part(upload, range) => {
                let mut reader = Throttled {
                    inner: upload.part(range.clone()).map_err(local)?,
                    bandwidth: self.bandwidth.clone(),
                };
                // Always with its length: some servers take a body in chunks for an empty one.
                request = request.header(CONTENT_LENGTH, asked.body.bytes());
                if way.announced {
                    request = request.header(EXPECT, "100-continue");
                }
                let body = SendBody::from_reader(&mut reader);
                self.run(request.body(body).map_err(invalid)?, asked, way)
            }
        }
    }

    fn run(
        &self,
        request: Request<impl AsSendBody>,
        asked: &Asked<'_>,
        way: Way,
    ) -> Result<Answer, Miss> {
        let patience = asked.patience(&self.limits);
        let total = asked.total(&self.limits, way);
        if total.is_zero() {
            return Err(TargetFailure::TimedOut.into());
        }
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(Some(total))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .build();
        let late = |failure| match failure {
            TargetFailure::TooSlow { .. } => TargetFailure::TooSlow { after: total },
            failure => failure,
        };
        let response = self.agent.run(request).map_err(of_transport).map_err(late)?;
        let (parts, body) = response.into_parts();
        let mut reader = Throttled {
            // What is longer is cut off here, and told by who asked.
            inner: body.into_with_config().limit(u64::MAX).reader(),
            bandwidth: self.bandwidth.clone(),
        };
        if parts.status == StatusCode::EXPECTATION_FAILED && way.announced {
            // RFC 9110, section 10.1.1: the client repeats the request without it.
            self.knows_expect.store(false, Ordering::Relaxed);
            return Err(Miss::Again);
        }
        let is_late = asked.range.as_ref().is_some_and(|range| range.start > 0);
        if parts.status == StatusCode::OK && is_late && way.ranged {
            self.knows_ranges.store(false, Ordering::Relaxed);
            return Err(Miss::Again);
        }
        if !parts.status.is_success() {
            let mut said = Vec::new();
            if asked.explain.is_some() {
                // What was read until then is all there is to say.
                let _ = reader.take(LONGEST_REFUSAL).read_to_end(&mut said);
            }
            let said = String::from_utf8_lossy(&said);
            let explain = asked.explain;
            let explained =
                explain.and_then(|explain| explain(parts.status, &parts.headers, &said));
            let failure = explained.unwrap_or_else(|| refused(parts.status, &parts.headers));
            return Err(failure.into());
        }
        let read = match &asked.range {
            Some(range) => read_part(&mut reader, parts.status, &parts.headers, range),
            None => read_all(&mut reader, asked.longest),
        };
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: read.map_err(late)?,
        })
    }
}

fn read_all(reader: &mut impl Read, longest: u64) -> Result<Vec<u8>, TargetFailure> {
    let mut body = Vec::new();
    let mut reader = reader.take(longest + 1);
    reader.read_to_end(&mut body).map_err(of_io)?;
    if body.len() as u64 > longest {
        return Err(TargetFailure::TooLong { limit: longest, unit: "bytes" });
    }
    Ok(body)
}

/// The part of a file that was asked for. A server that knows no ranges sends the whole, of which
/// the beginning is passed over and the end is not waited for.
fn read_part(
    reader: &mut impl Read,
    status: StatusCode,
    headers: &HeaderMap,
    range: &Range<u64>,
) -> Result<Vec<u8>, TargetFailure> {
    let wanted = range.end - range.start;
    let begin = format!("bytes {}-{}/", range.start, range.end - 1);
    let content_range = headers.get(CONTENT_RANGE);
    let is_range = content_range
        .and_then(|range| range.to_str().ok())
        .is_some_and(|range| range.starts_with(&begin));
    match status {
        StatusCode::OK => {
            let passed = io::copy(&mut reader.take(range.start), &mut io::sink());
            if passed.map_err(of_io)? < range.start {
                return Err(short(wanted, 0));
            }
        }
        StatusCode::PARTIAL_CONTENT if is_range => {}
        _ => {
            return Err(unexpected("another part of the file than the one asked for"));
        }
    }
    let mut body = Vec::new();
    reader.take(wanted).read_to_end(&mut body).map_err(of_io)?;
    // A range that is longer than its header says is wrong as well.
    let is_more =
        status == StatusCode::PARTIAL_CONTENT && reader.read(&mut [0]).map_err(of_io)? > 0;
    if body.len() as u64 != wanted || is_more {
        return Err(short(wanted, body.len() as u64 + u64::from(is_more)));
    }
    Ok(body)
}

fn short(expected: u64, actual: u64) -> TargetFailure {
    TargetFailure::Differs {
        expected: format!("{expected} bytes"),
        actual: format!("{actual} bytes"),
    }
}

/// Credentials and backups go over TLS, or stay on this machine.
fn check_scheme(base: &Url) -> Result<()> {
    let is_here = match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match base.scheme() {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        _ => Err(Error::InvalidTarget { reason: "its address is not https".to_owned() }),
    }
}

/// No list of authorities is larger.
const LARGEST_CA: u64 = 64 * 1024 * 1024;

fn certificates(path: &Path) -> Result<RootCerts> {
    let invalid =
        || Error::InvalidTarget { reason: format!("{} holds no certificate", path.display()) };
    let pem = regularfile::read(path, LARGEST_CA)?;
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| invalid())? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(invalid());
    }
    Ok(RootCerts::from(certificates))
}

fn authorization(credentials: &Credentials) -> HeaderValue {
    let pair = format!("{}:{}", credentials.user, credentials.password.expose_secret());
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
        .expect("base64 is printable ASCII");
    value.set_sensitive(true);
    value
}

fn refused(status: StatusCode, headers: &HeaderMap) -> TargetFailure {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let code = status.as_u16();
    match code {
        300..=399 => TargetFailure::Redirected {
            location: without_query(header(LOCATION).unwrap_or("another address")),
        },
        401 => unauthorized(headers),
        403 => TargetFailure::Forbidden { answer: code.to_string() },
        // A folder that does not exist is a conflict to a PUT (RFC 4918, section 9.7.1).
        404 | 409 | 410 => TargetFailure::NotFound,
        412 => TargetFailure::Taken,
        413 => TargetFailure::TooLarge,
        423 | 429 | 503 => TargetFailure::Busy {
            status: code,
            retry_after: header(RETRY_AFTER)
                .and_then(|value| value.parse().ok())
                .map(Duration::from_secs),
        },
        507 => TargetFailure::Full,
        500.. => TargetFailure::Server { status: code },
        _ => unexpected(code.to_string()),
    }
}

/// Either the credentials are wrong, or the server wants none of this kind.
fn unauthorized(headers: &HeaderMap) -> TargetFailure {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    let mut schemes: Vec<&str> = Vec::new();
    for challenge in challenges.filter_map(|value| value.to_str().ok()) {
        // Several may stand in one line, with parameters that have a `=` (RFC 9110, section 11.6.1).
        let mut is_quoted = false;
        let parts = challenge.split(|c| {
            is_quoted ^= c == '"';
            c == ',' && !is_quoted
        });
        let words = parts.filter_map(|each| {
            let word = each.split_whitespace().next()?;
            (!word.contains('=')).then_some(word)
        });
        schemes.extend(words);
    }
    let is_basic = |scheme: &&str| scheme.eq_ignore_ascii_case("basic");
    if schemes.is_empty() || schemes.iter().any(is_basic) {
        return TargetFailure::Unauthorized;
    }
    TargetFailure::Authentication { offered: schemes.join(" and ") }
}

/// What follows the `?` may be a signature.
fn without_query(location: &str) -> String {
    location.split('?').next().unwrap_or_default().to_owned()
}

/// The texts are our own where those of the client could repeat an address with a secret in it.
fn of_transport(error: ureq::Error) -> TargetFailure {
    let unreachable = |reason: &str| TargetFailure::Unreachable { reason: reason.to_owned() };
    match error {
        ureq::Error::Io(error) => of_io(error),
        // How long that was knows who asked.
        ureq::Error::Timeout(ureq::Timeout::Global) => {
            TargetFailure::TooSlow { after: Duration::ZERO }
        }
        ureq::Error::Timeout(_) | ureq::Error::BodyStalled => TargetFailure::TimedOut,
        ureq::Error::HostNotFound => TargetFailure::NameUnknown,
        ureq::Error::ConnectionFailed => unreachable("no connection"),
        ureq::Error::Rustls(error) => TargetFailure::Untrusted { reason: error.to_string() },
        ureq::Error::Tls(reason) => TargetFailure::Untrusted { reason: reason.to_owned() },
        ureq::Error::Protocol(error) => unexpected(format!("what is not HTTP: {error}")),
        ureq::Error::BadUri(_) => unexpected("nothing: the address is not valid"),
        ureq::Error::BodyExceedsLimit(limit) => TargetFailure::TooLong { limit, unit: "bytes" },
        error => unexpected(error.to_string()),
    }
}

fn of_io(error: io::Error) -> TargetFailure {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock if error.get_ref().is_none() => {
            TargetFailure::TimedOut
        }
        // How rustls says that it does not like a certificate.
        io::ErrorKind::InvalidData => TargetFailure::Untrusted { reason: error.to_string() },
        _ => match error.downcast::<ureq::Error>() {
            Ok(ureq::Error::Io(error)) => TargetFailure::Unreachable { reason: error.to_string() },
            Ok(inner) => of_transport(inner),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => TargetFailure::TimedOut,
            Err(error) => TargetFailure::Unreachable { reason: error.to_string() },
        },
    }
}

pub(super) fn unexpected(answer: impl Into<String>) -> TargetFailure {
    TargetFailure::Unexpected { answer: answer.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_leaves_the_machine() {
        for (address, is_allowed) in [
            ("https://cloud.example/dav/", true),
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]/", true),
            ("http://localhost/", true),
            ("http://cloud.example/dav/", false),
            ("http://localhost.example/", false),
            ("ftp://127.0.0.1/", false),
        ] {
            let url = Url::parse(address).unwrap();
            assert_eq!(check_scheme(&url).is_ok(), is_allowed, "{address}");
        }
    }

    #[test]
    fn statuses_mean_what_there_is_to_do() {
        let refused = |code| refused(StatusCode::from_u16(code).unwrap(), &HeaderMap::new());
        assert!(matches!(refused(401), TargetFailure::Unauthorized));
        assert!(matches!(refused(413), TargetFailure::TooLarge));
        assert!(matches!(refused(507), TargetFailure::Full));
        assert!(matches!(refused(412), TargetFailure::Taken));
        for code in [423, 429, 500, 502, 503, 504] {
            assert!(refused(code).is_retryable(), "{code}");
        }
        for code in [301, 400, 401, 403, 404, 405, 409, 412, 413, 507] {
            assert!(!refused(code).is_retryable(), "{code}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let credentials =
            Credentials { user: "hub".to_owned(), password: "canary-password".into() };
        let base = Url::parse("https://cloud.example/").unwrap();
        let client = Client::new(&base, Some(&credentials), None, Limits::default()).unwrap();
        let shown = format!("{client:?} {credentials:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(!shown.contains(&STANDARD.encode("hub:canary-password")));
        let location = without_query("https://s3.example/b?X-Amz-Signature=canary");
        assert!(!location.contains("canary"));
    }
}
