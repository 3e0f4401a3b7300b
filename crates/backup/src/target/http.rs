//! One HTTP server, asked with limits, and its answers by what they mean.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderValue, Request, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, AsSendBody, SendBody};
use url::Url;

use super::bandwidth::{Bandwidth, Throttled};
use super::{Limits, TargetFailure};
use crate::{Error, Result};

/// Bodies from this length on are announced first, so that a server can refuse before they are sent.
const ANNOUNCED: u64 = 64 * 1024;
/// No listing of a folder of backups is longer.
const LONGEST_TEXT: u64 = 64 << 20;

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
}

/// What is sent.
pub(super) enum Body<'a> {
    Nothing,
    Text(&'a str),
    Stream {
        reader: &'a mut (dyn Read + Send),
        bytes: u64,
    },
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
}

impl<'a> Asked<'a> {
    pub(super) fn new(method: &'static str, url: &Url) -> Self {
        Self {
            method,
            url: url.clone(),
            headers: Vec::new(),
            body: Body::Nothing,
            longest: LONGEST_TEXT,
        }
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
    /// A client of the server of `base`; `authority` is a PEM file with the certificates to trust instead of the system's.
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
            limits,
        })
    }

    /// Asks once. What is not a yes is a failure.
    pub(super) fn ask(&self, asked: Asked<'_>) -> Result<Answer, TargetFailure> {
        let mut request = Request::builder()
            .method(asked.method)
            .uri(asked.url.as_str());
        for (name, value) in &asked.headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let invalid = |_| unexpected("nothing: the request cannot be written");
        match asked.body {
            Body::Nothing => {
                let request = request.body(()).map_err(invalid)?;
                self.run(request, self.limits.stall, asked.longest)
            }
            Body::Text(text) => {
                let request = request.body(text).map_err(invalid)?;
                self.run(request, self.limits.answer, asked.longest)
            }
            Body::Stream { reader, bytes } => {
                let mut reader = Throttled {
                    inner: reader,
                    bandwidth: self.bandwidth.clone(),
                };
                // Always with its length: some servers take a body in chunks for an empty one.
                request = request.header(CONTENT_LENGTH, bytes);
                if bytes >= ANNOUNCED {
                    request = request.header(EXPECT, "100-continue");
                }
                let body = SendBody::from_reader(&mut reader);
                let request = request.body(body).map_err(invalid)?;
                self.run(request, self.limits.answer, asked.longest)
            }
        }
    }

    fn run(
        &self,
        request: Request<impl AsSendBody>,
        patience: Duration,
        longest: u64,
    ) -> Result<Answer, TargetFailure> {
        let request = self
            .agent
            .configure_request(request)
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .build();
        let response = self.agent.run(request).map_err(of_transport)?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            return Err(refused(parts.status, &parts.headers));
        }
        let mut throttled = Throttled {
            inner: body.into_with_config().limit(longest + 1).reader(),
            bandwidth: self.bandwidth.clone(),
        };
        let mut body = Vec::new();
        throttled.read_to_end(&mut body).map_err(of_io)?;
        if body.len() as u64 > longest {
            return Err(unexpected("more than was asked for"));
        }
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
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
        _ => Err(Error::InvalidTarget {
            reason: "its address is not https".to_owned(),
        }),
    }
}

/// No list of authorities is larger.
const LARGEST_CA: u64 = 64 * 1024 * 1024;

fn certificates(path: &Path) -> Result<RootCerts> {
    let invalid = || Error::InvalidTarget {
        reason: format!("{} holds no certificate", path.display()),
    };
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
    let pair = format!(
        "{}:{}",
        credentials.user,
        credentials.password.expose_secret()
    );
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
        .expect("base64 is printable ASCII");
    value.set_sensitive(true);
    value
}

fn refused(status: StatusCode, headers: &HeaderMap) -> TargetFailure {
    let header = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let code = status.as_u16();
    match code {
        300..=399 => TargetFailure::Redirected {
            location: without_query(header(LOCATION).unwrap_or("another address")),
        },
        401 => TargetFailure::Unauthorized,
        403 => TargetFailure::Forbidden {
            answer: code.to_string(),
        },
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

/// What follows the `?` may be a signature.
fn without_query(location: &str) -> String {
    location.split('?').next().unwrap_or_default().to_owned()
}

/// The texts are our own where those of the client could repeat an address with a secret in it.
fn of_transport(error: ureq::Error) -> TargetFailure {
    let unreachable = |reason: &str| TargetFailure::Unreachable {
        reason: reason.to_owned(),
    };
    match error {
        ureq::Error::Io(error) => of_io(error),
        ureq::Error::Timeout(_) | ureq::Error::BodyStalled => TargetFailure::TimedOut,
        ureq::Error::HostNotFound => unreachable("its name is not known"),
        ureq::Error::ConnectionFailed => unreachable("no connection"),
        ureq::Error::Rustls(error) => TargetFailure::Untrusted {
            reason: error.to_string(),
        },
        ureq::Error::Tls(reason) => TargetFailure::Untrusted {
            reason: reason.to_owned(),
        },
        ureq::Error::Protocol(error) => unexpected(format!("what is not HTTP: {error}")),
        ureq::Error::BadUri(_) => unexpected("nothing: the address is not valid"),
        error => unexpected(error.to_string()),
    }
}

fn of_io(error: io::Error) -> TargetFailure {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => TargetFailure::TimedOut,
        // How rustls says that it does not like a certificate.
        io::ErrorKind::InvalidData => TargetFailure::Untrusted {
            reason: error.to_string(),
        },
        _ => match error.downcast::<ureq::Error>() {
            Ok(inner @ (ureq::Error::Timeout(_) | ureq::Error::BodyStalled)) => of_transport(inner),
            Ok(inner) => TargetFailure::Unreachable {
                reason: inner.to_string(),
            },
            Err(error) => TargetFailure::Unreachable {
                reason: error.to_string(),
            },
        },
    }
}

pub(super) fn unexpected(answer: impl Into<String>) -> TargetFailure {
    TargetFailure::Unexpected {
        answer: answer.into(),
    }
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
        let credentials = Credentials {
            user: "hub".to_owned(),
            password: "canary-password".into(),
        };
        let base = Url::parse("https://cloud.example/").unwrap();
        let client = Client::new(&base, Some(&credentials), None, Limits::default()).unwrap();
        let shown = format!("{client:?} {credentials:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(!shown.contains(&STANDARD.encode("hub:canary-password")));
        let location = without_query("https://s3.example/b?X-Amz-Signature=canary");
        assert!(!location.contains("canary"));
    }
}
