//! TLS: what is asked of a connection, decided from libpq's parameters.

mod algorithms;
mod certificates;
mod connector;
mod failure;
mod stream;
mod verifier;

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use connector::Connector;
pub use failure::TlsFailure;
pub(crate) use stream::Encrypted;

use crate::error::Result;
use crate::parameters::{ConnectionParameters, invalid};

/// The encryption of a connection and the proof required of the server: the modes of libpq, weakest
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsMode {
    /// Clear text.
    Disable,
    /// Encrypted if the server offers it. Only on this machine: a network could take the offer
    /// away.
    Prefer,
    /// Encrypted, whoever the server is.
    Require,
    /// Encrypted, and the server's certificate is signed by a known authority.
    VerifyCa,
    /// As [`TlsMode::VerifyCa`], and the certificate is for the host that was named.
    VerifyFull,
}

/// The value of `sslmode` that children are given.
impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

/// The authorities whose signature counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authorities {
    /// Those that the operating system trusts (`sslrootcert=system`).
    System,
    File(PathBuf),
}

/// The certificate that we show, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Everything that is asked of the encryption of a connection. The files are read when a connection
/// is made, so that renewed certificates count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) mode: TlsMode,
    pub(crate) authorities: Option<Authorities>,
    pub(crate) client: Option<ClientCertificate>,
    /// TLS from the first byte on (`sslnegotiation=direct`, servers of version 17 and newer).
    pub(crate) direct: bool,
    /// The name the certificate must be for, where the way leads through another host.
    pub(crate) server_name: Option<String>,
}

/// The destination of a connection, as far as it matters for its encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Through a socket in the file system, which libpq never encrypts.
    Socket,
    Loopback,
    Network,
}

impl Tls {
    /// Takes the parameters at their word where they say something, and is at least as strict as
    /// libpq where they do not: see [`Database`](crate::Database).
    pub(crate) fn of(parameters: &ConnectionParameters, reach: Reach) -> Result<Self> {
        let tls = Self {
            mode: mode(parameters, reach)?,
            authorities: parameters.get("sslrootcert").map(|root| match root {
                "system" => Authorities::System,
                path => Authorities::File(path.into()),
            }),
            client: client(parameters)?,
            direct: is_direct(parameters)?,
            server_name: None,
        };
        if reach == Reach::Socket {
            return Ok(Self { mode: TlsMode::Disable, ..tls });
        }
        tls.check()?;
        Ok(tls)
    }

    fn check(&self) -> Result<()> {
        if self.mode >= TlsMode::VerifyCa && self.authorities.is_none() {
            return Err(invalid(format!(
                "sslmode={} needs sslrootcert: a file with the certificate of the authority, or `system`",
                self.mode
            )));
        }
        // Anybody gets a certificate from a public authority.
        if self.authorities == Some(Authorities::System) && self.mode != TlsMode::VerifyFull {
            return Err(invalid("sslrootcert=system proves nothing without sslmode=verify-full"));
        }
        if self.direct && self.mode < TlsMode::Require {
            return Err(invalid("sslnegotiation=direct needs sslmode=require or a stricter one"));
        }
        Ok(())
    }

    pub(crate) fn client_files(&self) -> Option<(&Path, &Path)> {
        let client = self.client.as_ref()?;
        Some((&client.certificate, &client.key))
    }
}

fn mode(parameters: &ConnectionParameters, reach: Reach) -> Result<TlsMode> {
    let has_root = parameters.get("sslrootcert").is_some();
    let is_asked_for = parameters.get("sslcert").is_some() || is_direct(parameters)?;
    Ok(match parameters.get("sslmode") {
        Some("disable") => TlsMode::Disable,
        // As libpq: who names an authority wants its signature.
        Some("allow" | "prefer" | "require") if has_root => {
            if parameters.get("sslrootcert") == Some("system") {
                return Err(invalid(
                    "sslrootcert=system proves nothing without sslmode=verify-full",
                ));
            }
            TlsMode::VerifyCa
        }
        Some("allow" | "prefer") if reach != Reach::Network => TlsMode::Prefer,
        Some("allow" | "prefer" | "require") => TlsMode::Require,
        Some("verify-ca") => TlsMode::VerifyCa,
        Some("verify-full") => TlsMode::VerifyFull,
        Some(_) => {
            return Err(invalid(
                "sslmode is none of disable, allow, prefer, require, verify-ca and verify-full",
            ));
        }
        None if has_root => TlsMode::VerifyFull,
        None if reach == Reach::Network || is_asked_for => TlsMode::Require,
        None => TlsMode::Disable,
    })
}

fn client(parameters: &ConnectionParameters) -> Result<Option<ClientCertificate>> {
    match (parameters.get("sslcert"), parameters.get("sslkey")) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(ClientCertificate { certificate: certificate.into(), key: key.into() }))
        }
        (Some(_), None) => Err(invalid("sslcert needs sslkey, the file with its key")),
        (None, Some(_)) => Err(invalid("sslkey needs sslcert, the file with its certificate")),
    }
}

fn is_direct(parameters: &ConnectionParameters) -> Result<bool> {
    match parameters.get("sslnegotiation") {
        None | Some("postgres") => Ok(false),
        Some("direct") => Ok(true),
        Some(_) => Err(invalid("sslnegotiation is neither postgres nor direct")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(text: &str, reach: Reach) -> Result<TlsMode> {
        let parameters = ConnectionParameters::parse(text).unwrap();
        Ok(Tls::of(&parameters, reach)?.mode)
    }

    #[test]
    fn a_connection_over_the_network_is_encrypted_unless_that_is_refused() {
        for (text, expected) in [
            ("", TlsMode::Require),
            ("sslmode=disable", TlsMode::Disable),
            ("sslmode=allow", TlsMode::Require),
            ("sslmode=prefer", TlsMode::Require),
            ("sslmode=require", TlsMode::Require),
            ("sslrootcert=/ca", TlsMode::VerifyFull),
            ("sslrootcert=system", TlsMode::VerifyFull),
            ("sslmode=prefer sslrootcert=/ca", TlsMode::VerifyCa),
            ("sslmode=require sslrootcert=/ca", TlsMode::VerifyCa),
            ("sslmode=verify-ca sslrootcert=/ca", TlsMode::VerifyCa),
            ("sslmode=verify-full sslrootcert=/ca", TlsMode::VerifyFull),
        ] {
            assert_eq!(decided(text, Reach::Network).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn on_this_machine_only_what_is_asked_for_is_encrypted() {
        for (text, expected) in [
            ("", TlsMode::Disable),
            ("sslmode=prefer", TlsMode::Prefer),
            ("sslmode=require", TlsMode::Require),
            ("sslrootcert=/ca", TlsMode::VerifyFull),
            ("sslcert=/c sslkey=/k", TlsMode::Require),
            ("sslnegotiation=direct", TlsMode::Require),
        ] {
            assert_eq!(decided(text, Reach::Loopback).unwrap(), expected, "{text}");
        }
        assert_eq!(decided("sslmode=verify-full", Reach::Socket).unwrap(), TlsMode::Disable);
    }

    #[test]
    fn what_would_promise_more_than_it_keeps_is_refused() {
        for text in [
            "sslmode=verify-full",
            "sslmode=verify-ca",
            "sslmode=require sslrootcert=system",
            "sslmode=verify-ca sslrootcert=system",
            "sslmode=disable sslnegotiation=direct",
            "sslmode=verify_full",
            "sslcert=/c",
            "sslkey=/k",
        ] {
            let error = decided(text, Reach::Network).unwrap_err();
            assert_eq!(error.class(), crate::ErrorClass::Usage, "{text}: {error}");
        }
    }
}
