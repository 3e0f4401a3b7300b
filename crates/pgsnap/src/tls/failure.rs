//! The reason why there is no TLS connection, from the driver's error.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// The reason why a TLS connection could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The server has no TLS, and clear text was not allowed.
    NotOffered,
    /// The server's certificate is not signed by an authority that is known.
    Untrusted,
    /// The server's certificate is for another host.
    WrongName,
    /// The server's certificate is not valid any more, or not yet.
    OutOfDate,
    /// The server's certificate is of X.509 version 1, which cannot be verified.
    OldVersion,
    /// The server asks for a client certificate, and there was none.
    ClientCertificateRequired,
    /// The server does not accept the client certificate.
    ClientCertificateRefused,
    /// Something else, in the words of the TLS library.
    Other(String),
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOffered => "the server does not offer TLS",
            Self::Untrusted => "the server's certificate is not signed by a trusted authority",
            Self::WrongName => "the server's certificate is for another host",
            Self::OutOfDate => "the server's certificate has expired, or is not valid yet",
            Self::OldVersion => {
                "the server's certificate is of X.509 version 1, and only version 3 can be verified"
            }
            Self::ClientCertificateRequired => "the server asks for a client certificate",
            Self::ClientCertificateRefused => "the server does not accept the client certificate",
            Self::Other(words) => words,
        })
    }
}

impl TlsFailure {
    /// Returns the remedy.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NotOffered => {
                "switch `ssl` on in the server, go through an SSH forward, or add sslmode=disable if the network is trusted"
            }
            Self::Untrusted => "name the authority that signed it with sslrootcert=FILE",
            Self::WrongName => {
                "connect by a name in the certificate's subject alternative names (the common name does not count), \
                 or be content with sslmode=verify-ca; hostaddr=ADDRESS goes another way to the same name"
            }
            Self::OutOfDate => "renew the server's certificate; is the clock of this machine right?",
            Self::OldVersion => {
                "issue it again with extensions, such as the subject alternative name, or be content with sslmode=require over TLS 1.3"
            }
            Self::ClientCertificateRequired => "give one with sslcert=FILE and sslkey=FILE",
            Self::ClientCertificateRefused => {
                "it must be signed by the authority in the server's ssl_ca_file, be valid today, and not be revoked"
            }
            Self::Other(_) => "is it PostgreSQL that listens there, with a certificate of X.509 version 3?",
        }
        .to_owned()
    }

    /// `None` where the error is not about TLS.
    pub(crate) fn of(error: &tokio_postgres::Error) -> Option<Self> {
        if let Some(refusal) = error.as_db_error() {
            // pg_hba.conf asks for it; the SQLSTATE is that of any refused authentication.
            return refusal
                .message()
                .contains("valid client certificate")
                .then_some(Self::ClientCertificateRequired);
        }
        let source = error.source()?;
        if let Some(said) = rustls_error(source) {
            return Some(Self::of_rustls(said));
        }
        let is_tls = error.to_string().contains("TLS");
        is_tls.then(|| match source.to_string() {
            words if words.contains("does not support TLS") => Self::NotOffered,
            words => Self::Other(words),
        })
    }

    fn of_rustls(error: &rustls::Error) -> Self {
        use CertificateError as C;
        match error {
            rustls::Error::InvalidCertificate(reason) => match reason {
                C::UnknownIssuer => Self::Untrusted,
                C::NotValidForName | C::NotValidForNameContext { .. } => Self::WrongName,
                C::Expired
                | C::ExpiredContext { .. }
                | C::NotValidYet
                | C::NotValidYetContext { .. } => Self::OutOfDate,
                C::UnsupportedSignatureAlgorithmContext { .. }
                | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::Other(
                    "the server's certificate is signed with an algorithm that is not supported, or by another authority of \
                     the same name"
                        .to_owned(),
                ),
                other if is_of_old_version(other) => Self::OldVersion,
                other => Self::Other(format!("the server's certificate cannot be used: {other}")),
            },
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
                Self::ClientCertificateRequired
            }
            rustls::Error::AlertReceived(
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                // Its authority has the name of a known one, but another key.
                | AlertDescription::DecryptError,
            ) => Self::ClientCertificateRefused,
            rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => Self::Other(
                "the server finds no signature or cipher in common: certificates with RSA, P-256, P-384 and Ed25519 keys \
                 are supported, those with P-521 over TLS 1.3 only, and those with RSA-PSS and Ed448 keys are not"
                    .to_owned(),
            ),
            other => Self::Other(other.to_string()),
        }
    }
}

/// True if webpki, which reads version 3 only, found an older one. Its error has no public type.
pub(super) fn is_of_old_version(reason: &CertificateError) -> bool {
    format!("{reason:?}").contains("UnsupportedCertVersion")
}

/// The TLS library's error, which travels inside of one of the operating system.
fn rustls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    inner.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_cannot_be_used_say_why() {
        let said = |error: rustls::Error| TlsFailure::of_rustls(&error).to_string();
        let alert = rustls::Error::AlertReceived(AlertDescription::HandshakeFailure);
        assert!(said(alert.clone()).contains("P-521"));
        assert!(said(alert).contains("RSA-PSS"));
        let algorithm = CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: b"an identifier".to_vec(),
            supported_algorithms: Vec::new(),
        };
        let algorithm = said(rustls::Error::InvalidCertificate(algorithm));
        assert!(algorithm.contains("not supported"), "{algorithm}");
        #[derive(Debug)]
        struct UnsupportedCertVersion;
        impl fmt::Display for UnsupportedCertVersion {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("UnsupportedCertVersion")
            }
        }
        impl StdError for UnsupportedCertVersion {}
        let source = rustls::OtherError(std::sync::Arc::new(UnsupportedCertVersion));
        let version = rustls::Error::InvalidCertificate(CertificateError::Other(source));
        assert!(said(version).contains("X.509 version 1"));
    }
}
