//! From what is asked for to a connector of the driver.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;

use super::algorithms::provider;
use super::certificates::unusable;
use super::stream::Encrypted;
use super::verifier::Verifier;
use super::{Tls, TlsMode};
use crate::authentication::Authentication;
use crate::error::Result;
use crate::session::{Coalescing, Guard};

/// Makes TLS connections to one server.
pub(crate) struct Connector {
    rustls: TlsConnector,
    server_name: Option<String>,
    authentication: Authentication,
}

impl Tls {
    /// `None` where the connection is in clear text. Reads the files of certificates.
    pub(crate) fn connector(&self, authentication: &Authentication) -> Result<Option<Connector>> {
        if self.mode == TlsMode::Disable {
            return Ok(None);
        }
        Ok(Some(Connector {
            rustls: TlsConnector::from(Arc::new(self.client_config()?)),
            server_name: self.server_name.clone(),
            authentication: authentication.clone(),
        }))
    }

    fn client_config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(provider());
        let verifier = match &self.authorities {
            Some(authorities) => Verifier::of_authorities(
                authorities.read()?,
                self.mode == TlsMode::VerifyFull,
                Arc::clone(&provider),
            ),
            None => Verifier::of_anything(Arc::clone(&provider)),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.client {
            Some(client) => {
                let (chain, key) = client.read()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| unusable(&client.key, error.to_string()))?
            }
            None => builder.with_no_client_auth(),
        };
        // Direct negotiation requires it, and older servers do not look.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(config)
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Coalescing<Encrypted<Socket>>;
    type TlsConnect = Handshake;
    type Error = InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, InvalidDnsNameError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        Ok(Handshake {
            rustls: self.rustls.clone(),
            server_name: ServerName::try_from(name)?.to_owned(),
            authentication: self.authentication.clone(),
        })
    }
}

/// One connection that is about to be encrypted.
pub(crate) struct Handshake {
    rustls: TlsConnector,
    server_name: ServerName<'static>,
    authentication: Authentication,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Coalescing<Encrypted<Socket>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = self.rustls.connect(self.server_name, socket).await?;
            let guard = Guard::new(&self.authentication, true);
            Ok(Coalescing::new(Encrypted(stream), guard))
        })
    }
}
