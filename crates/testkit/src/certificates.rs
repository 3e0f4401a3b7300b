//! A certificate authority of the tests, and what it signs.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

/// The reason why nothing here can fail except writing.
const VALID: &str = "the names are written in the tests, and are valid";

/// A directory with certificates and keys in PEM: `ca.crt`, and `other-ca.crt` of an authority that
/// signed nothing.
#[derive(Debug)]
pub struct Certificates {
    directory: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    /// Makes both authorities.
    ///
    /// # Errors
    /// Where no file can be written.
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let certificates = Self { directory, authority: authority("authority") };
        certificates.write("ca.crt", &certificates.authority.pem())?;
        certificates.write("other-ca.crt", &authority("somebody else").pem())?;
        Ok(certificates)
    }

    /// Signs a certificate for these host names, with the common name, as `NAME.crt` and
    /// `NAME.key`.
    ///
    /// # Errors
    /// Where no file can be written.
    pub fn sign(&self, name: &str, common_name: &str, hosts: &[&str]) -> io::Result<()> {
        self.write_signed(name, parameters(common_name, hosts))
    }

    /// The same, but it expired years ago.
    ///
    /// # Errors
    /// Where no file can be written.
    pub fn sign_expired(&self, name: &str, common_name: &str, hosts: &[&str]) -> io::Result<()> {
        let mut parameters = parameters(common_name, hosts);
        parameters.not_before = date_time_ymd(2019, 1, 1);
        parameters.not_after = date_time_ymd(2020, 1, 1);
        self.write_signed(name, parameters)
    }

    /// A certificate that signed itself, as `openssl req -x509` makes it.
    ///
    /// # Errors
    /// Where no file can be written.
    pub fn sign_itself(&self, name: &str, hosts: &[&str]) -> io::Result<()> {
        let key = key_pair();
        let mut parameters = parameters(name, hosts);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).expect(VALID);
        self.write(&format!("{name}.crt"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    fn write_signed(&self, name: &str, parameters: CertificateParams) -> io::Result<()> {
        let key = key_pair();
        let certificate = parameters.signed_by(&key, &self.authority).expect(VALID);
        self.write(&format!("{name}.crt"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    /// Returns the path of the file of this name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        write_private(&self.path(name), text)
    }

    /// Copies a file to where a server can read it: into its directory, as its own.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub fn give_to_server(&self, name: &str, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join(name);
        write_private(&path, &fs_err::read_to_string(self.path(name))?)?;
        let owner = fs_err::metadata(directory)?;
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        Ok(path)
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = parameters(name, &[]);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, key_pair()).expect(VALID)
}

fn parameters(common_name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).expect(VALID);
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters
}

fn key_pair() -> KeyPair {
    KeyPair::generate().expect("a key of the default kind can be made")
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    fs_err::write(path, text)?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}
