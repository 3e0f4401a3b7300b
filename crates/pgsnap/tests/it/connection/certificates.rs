//! An authority of our own, and what it signs.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

/// A directory with certificates and keys in PEM.
pub(crate) struct Certificates {
    directory: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    /// Files: `ca.crt`, and `other-ca.crt` of an authority that signed nothing.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Self {
            directory,
            authority: authority("authority"),
        };
        certificates.write("ca.crt", &certificates.authority.pem());
        certificates.write("other-ca.crt", &authority("somebody else").pem());
        certificates
    }

    /// Signs a certificate for these host names, with the common name, as `NAME.crt` and `NAME.key`.
    pub(crate) fn sign(&self, name: &str, common_name: &str, hosts: &[&str]) {
        self.write_signed(name, parameters(common_name, hosts));
    }

    /// The same, but it expired years ago.
    pub(crate) fn sign_expired(&self, name: &str, common_name: &str, hosts: &[&str]) {
        let mut parameters = parameters(common_name, hosts);
        parameters.not_before = date_time_ymd(2019, 1, 1);
        parameters.not_after = date_time_ymd(2020, 1, 1);
        self.write_signed(name, parameters);
    }

    /// A certificate that signed itself, as `openssl req -x509` makes it.
    pub(crate) fn sign_itself(&self, name: &str, hosts: &[&str]) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = parameters(name, hosts);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn write_signed(&self, name: &str, parameters: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.authority).unwrap();
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        write_private(&self.path(name), text);
    }

    /// Copies a file to where a server can read it: into its directory, as its own.
    pub(crate) fn give_to_server(&self, name: &str, directory: &Path) -> PathBuf {
        let path = directory.join(name);
        write_private(&path, &fs_err::read_to_string(self.path(name)).unwrap());
        let owner = fs_err::metadata(directory).unwrap();
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        path
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = parameters(name, &[]);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn parameters(common_name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).unwrap();
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    parameters
}

fn write_private(path: &Path, text: &str) {
    fs_err::write(path, text).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
