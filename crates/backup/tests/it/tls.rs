//! Targets over TLS: a real server with a certificate of an authority of our own.

use std::path::Path;

use backup::{Error, Target as _, TargetFailure, WebDav};
use testkit::{Certificates, WebServer, installed};

use crate::targets::{keeps_its_promises, limits};

/// Apache with this certificate, and its address as `localhost`; `more` goes into its
/// configuration.
fn server(certificates: &Certificates, name: &str, more: &str) -> Option<(WebServer, String)> {
    let modules = "/usr/lib/apache2/modules";
    let file = |end: &str| certificates.path(&format!("{name}.{end}"));
    let directives = format!(
        "LoadModule socache_shmcb_module {modules}/mod_socache_shmcb.so\nLoadModule ssl_module {modules}/mod_ssl.so\n\
         SSLEngine on\nSSLCertificateFile {}\nSSLCertificateKeyFile {}\n{more}",
        file("crt").display(),
        file("key").display()
    );
    let server = installed("Apache", WebServer::apache(&directives))?;
    let address = server.url().replace("http://127.0.0.1", "https://localhost");
    Some((server, address))
}

fn target(address: &str, authority: Option<&Path>) -> Result<WebDav, Error> {
    WebDav::new(&format!("{address}/backups"), None, authority, limits())
}

/// Returns the reason why nothing is sent to this server.
fn distrust(address: &str, authority: Option<&Path>) -> String {
    match target(address, authority).unwrap().list().unwrap_err() {
        Error::Target { failure: failure @ TargetFailure::Untrusted { .. }, .. } => {
            assert!(!failure.is_retryable());
            failure.to_string()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_authority_that_is_named_is_trusted_and_no_other() {
    let certificates = Certificates::new().unwrap();
    certificates.sign("server", "server", &["localhost"]).unwrap();
    let Some((_server, address)) = server(&certificates, "server", "") else {
        return;
    };
    let authority = certificates.path("ca.crt");
    keeps_its_promises(&target(&address, Some(&authority)).unwrap());

    distrust(&address, Some(&certificates.path("other-ca.crt")));
    distrust(&address, None);
    // The same server by an address that its certificate does not name.
    let other = address.replace("localhost", "127.0.0.1");
    distrust(&other, Some(&authority));

    let key = certificates.path("server.key");
    let error = target(&address, Some(&key)).map(drop).unwrap_err();
    assert!(error.to_string().contains("no certificate"), "{error}");
}

#[test]
fn apache_behind_a_proxy_that_ends_tls_takes_the_destination_in_another_way() {
    let certificates = Certificates::new().unwrap();
    certificates.sign("server", "server", &["localhost"]).unwrap();
    let Some(backend) = installed("Apache", WebServer::apache("")) else {
        return;
    };
    let modules = "/usr/lib/apache2/modules";
    let proxy = format!(
        "LoadModule proxy_module {modules}/mod_proxy.so\nLoadModule proxy_http_module {modules}/mod_proxy_http.so\n\
         ProxyPreserveHost On\nProxyPass / {}/",
        backend.url()
    );
    let Some((_proxy, address)) = server(&certificates, "server", &proxy) else {
        return;
    };
    // To the server behind it, a destination with https is that of another server.
    let authority = certificates.path("ca.crt");
    keeps_its_promises(&target(&address, Some(&authority)).unwrap());
    assert!(backend.files().join("backups/hub-1.age").exists());
}

#[test]
fn a_certificate_that_expired_is_not_believed() {
    let certificates = Certificates::new().unwrap();
    certificates.sign_expired("expired", "expired", &["localhost"]).unwrap();
    let Some((_server, address)) = server(&certificates, "expired", "") else {
        return;
    };
    let reason = distrust(&address, Some(&certificates.path("ca.crt")));
    assert!(reason.to_lowercase().contains("expired"), "{reason}");
}

#[test]
fn what_is_not_encrypted_stays_on_this_machine() {
    for address in ["http://192.0.2.1", "http://cloud.example.org", "ftp://localhost"] {
        let error = target(address, None).map(drop).unwrap_err();
        assert!(matches!(error, Error::InvalidTarget { .. }), "{error}");
    }
}
