//! The check of a server's certificate, as strict as libpq's modes ask for.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::certificates::Roots;
use super::failure::is_of_old_version;

/// Verifies what the mode asks for. That the server holds the key of its certificate is verified in
/// every mode: otherwise channel binding, which ties a password to the certificate, would prove
/// nothing.
#[derive(Debug)]
pub(super) struct Verifier {
    authority: Option<Authority>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Authority {
    chains: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
    checks_name: bool,
}

impl Verifier {
    /// Accepts any certificate (`sslmode=require`).
    pub(super) fn of_anything(provider: Arc<CryptoProvider>) -> Self {
        Self { authority: None, provider }
    }

    /// Requires a certificate of these authorities, and the right name in it if `checks_name`.
    pub(super) fn of_authorities(
        roots: Roots,
        checks_name: bool,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        let chains = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots.store),
            Arc::clone(&provider),
        )
        .build()
        .expect("the store is not empty, and there are no revocation lists");
        Self {
            authority: Some(Authority { chains, certificates: roots.certificates, checks_name }),
            provider,
        }
    }
}

impl Authority {
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let verdict = self.chains.verify_server_cert(
            certificate,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            Ok(_) => Ok(()),
            // The name is looked at last: everything else is in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(()),
            // A certificate that signed itself, as many servers have one, is its own authority, which
            // rustls calls no server's certificate. Its dates were looked at before that.
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if self.certificates.iter().any(|known| known == certificate) => {
                if self.checks_name {
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
                }
                Ok(())
            }
            // A known authority's name and another's key: the signature of the handshake is looked at later.
            Err(Error::InvalidCertificate(CertificateError::BadSignature)) => {
                Err(CertificateError::UnknownIssuer.into())
            }
            Err(error) => Err(error),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(authority) = &self.authority {
            authority.verify(certificate, intermediates, server_name, ocsp_response, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match verify_tls13_signature(message, certificate, signature, algorithms) {
            // Where nothing of a certificate counts but its key, its version does not either.
            Err(Error::InvalidCertificate(reason))
                if self.authority.is_none() && is_of_old_version(&reason) =>
            {
                let key = public_key(certificate).ok_or(reason)?;
                verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
            }
            verdict => verdict,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn public_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let key = certificate.tbs_certificate.subject_public_key_info;
    key.to_der().ok().map(Into::into)
}
