//! From what is asked for to a connector of the driver.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use tokio_postgres::Socket;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::certificates::unusable;
use super::verifier::Verifier;
use super::{Tls, TlsMode};
use crate::error::Result;

/// Makes TLS connections to one server.
pub(crate) struct Connector {
    rustls: MakeRustlsConnect,
    server_name: Option<String>,
}

impl Tls {
    /// `None` where the connection is in clear text. Reads the files of certificates.
    pub(crate) fn connector(&self) -> Result<Option<Connector>> {
        if self.mode == TlsMode::Disable {
            return Ok(None);
        }
        Ok(Some(Connector {
            rustls: MakeRustlsConnect::new(self.client_config()?),
            server_name: self.server_name.clone(),
        }))
    }

    fn client_config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
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
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        let name = self.server_name.as_deref().unwrap_or(host);
        MakeTlsConnect::<Socket>::make_tls_connect(&mut self.rustls, name)
    }
}
