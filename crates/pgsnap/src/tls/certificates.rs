//! PEM files: authorities, our own certificate and its key.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Authorities, ClientCertificate};
use crate::error::{Error, Result};
use crate::private_file;

/// Files in which operating systems keep the authorities they trust.
const SYSTEM_BUNDLES: &[&str] = &[
    // Debian, Ubuntu, Alpine, Arch
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    // macOS, BSD
    "/etc/ssl/cert.pem",
];

impl Authorities {
    /// The file they are in.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::System => {
                SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists()).ok_or_else(
                    || {
                        unusable(
                            Path::new(SYSTEM_BUNDLES[0]),
                            "this machine has no bundle of trusted authorities",
                        )
                    },
                )
            }
        }
    }

    /// Reads them.
    pub(super) fn read(&self) -> Result<Roots> {
        let path = self.path()?;
        let certificates = read_certificates(&path)?;
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(certificates.iter().cloned());
        if added == 0 {
            return Err(unusable(&path, "no certificate in it can be an authority"));
        }
        Ok(Roots { store, certificates })
    }
}

/// Authorities, as such and as the certificates they are.
pub(super) struct Roots {
    pub(super) store: RootCertStore,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

impl ClientCertificate {
    /// Reads certificate chain and key.
    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain = read_certificates(&self.certificate)?;
        let text = private_file::read(&self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let is_locked =
                text.windows(10).any(|word| word == b" ENCRYPTED" || word == b",ENCRYPTED");
            let reason = match error {
                _ if is_locked => {
                    "the key is encrypted, and there is no terminal to ask for its password"
                        .to_owned()
                }
                pem::Error::NoItemsFound => "there is no key in it".to_owned(),
                other => other.to_string(),
            };
            unusable(&self.key, reason)
        })?;
        Ok((chain, key))
    }
}

/// No list of authorities is larger.
const LARGEST: u64 = 64 * 1024 * 1024;

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = regularfile::read(path, LARGEST).map_err(|source| Error::file(path, source))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| unusable(path, error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable(path, "there is no certificate in it"));
    }
    Ok(certificates)
}

pub(super) fn unusable(path: &Path, reason: impl Into<String>) -> Error {
    Error::Certificate { path: path.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(directory: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = directory.path().join(name);
        fs_err::write(&path, text).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    #[test]
    fn a_file_that_holds_something_else_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let empty = file(&directory, "empty.pem", "");
        let error = Authorities::File(empty.clone()).read().err().unwrap();
        assert!(error.to_string().contains("empty.pem: there is no certificate in it"), "{error}");
        assert_eq!(error.class(), crate::ErrorClass::Usage);
        let missing = Authorities::File(directory.path().join("none.pem"));
        assert!(matches!(missing.read(), Err(Error::File { .. })));
    }

    #[test]
    fn keys_that_cannot_be_used_say_why() {
        let directory = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["hub".to_owned()]).unwrap();
        let certificate = file(&directory, "client.crt", &own.cert.pem());
        let reason = |key: &str| {
            let key = file(&directory, "client.key", key);
            let client = ClientCertificate { certificate: certificate.clone(), key };
            client.read().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(reason(&own.signing_key.serialize_pem()), "");
        assert!(reason("").contains("there is no key in it"));
        let locked =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(reason(locked).contains("encrypted"));
    }
}
