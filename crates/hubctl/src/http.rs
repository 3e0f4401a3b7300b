//! The client for HTTP of alerts and probes.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

/// A client for one request within a limit. It keeps no connection of an earlier one, and follows
/// nobody elsewhere: a URL may be a secret of its host, and a redirection is an answer.
pub(crate) fn agent(limit: Duration) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier);
    Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(limit))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("hubctl/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}
