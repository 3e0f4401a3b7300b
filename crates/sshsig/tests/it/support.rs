//! Keys, signatures and the verdicts of `ssh-keygen`, in a directory of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sshsig::{AllowedSigners, Prompt, PublicKey, TimeZone, Timestamp};
use tempfile::TempDir;

pub(crate) const NAMESPACE: &str = "hub-test";
pub(crate) const MESSAGE: &[u8] = b"the plan\nand its evidence\0\xff";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn noon() -> Timestamp {
    at("2026-11-21T12:00:00Z")
}

pub(crate) struct Bench {
    directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new key of the kind that these arguments of `ssh-keygen` name.
    pub(crate) fn key(&self, name: &str, kind: &[&str]) -> PathBuf {
        let path = self.path(name);
        let mut command = Command::new("ssh-keygen");
        if !kind.contains(&"-N") {
            command.args(["-N", ""]);
        }
        command.args(["-q", "-C", "nobody@example.org", "-f"]);
        run(command.arg(&path).args(kind));
        path
    }

    pub(crate) fn ed25519(&self, name: &str) -> PathBuf {
        self.key(name, &["-t", "ed25519"])
    }

    /// The verdict of `ssh-keygen -Y verify`.
    pub(crate) fn oracle(&self, signers: &str, asked: &Asked<'_>) -> bool {
        fs_err::write(self.path("signers"), signers).unwrap();
        fs_err::write(self.path("signature"), asked.signature).unwrap();
        fs_err::write(self.path("message"), asked.message).unwrap();
        let at = asked.at.strftime("%Y%m%d%H%M%SZ");
        let status = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", asked.principal, "-n", asked.namespace])
            .arg(format!("-Overify-time={at}"))
            .arg("-f")
            .arg(self.path("signers"))
            .arg("-s")
            .arg(self.path("signature"))
            .env("TZ", "UTC")
            .stdin(fs_err::File::open(self.path("message")).unwrap().into_file())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        status.success()
    }
}

/// One question, for both.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) principal: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) message: &'a [u8],
    pub(crate) signature: &'a str,
    pub(crate) at: Timestamp,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(signature: &'a str) -> Self {
        Self { principal: "anna", namespace: NAMESPACE, message: MESSAGE, signature, at: noon() }
    }

    /// Our verdict.
    pub(crate) fn ours(&self, signers: &str) -> sshsig::Result<sshsig::Signer> {
        parse(signers)?.verify_as(
            self.principal,
            self.namespace,
            self.message,
            self.signature,
            self.at,
        )
    }
}

pub(crate) fn parse(signers: &str) -> sshsig::Result<AllowedSigners> {
    AllowedSigners::parse(signers, "signers", &TimeZone::UTC)
}

pub(crate) fn sign(key: &Path) -> String {
    sshsig::sign(key, NAMESPACE, MESSAGE, Prompt::Never).unwrap()
}

/// `TYPE KEY` of the public half.
pub(crate) fn public(key: &Path) -> String {
    let text = fs_err::read_to_string(key.with_extension("pub")).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

pub(crate) fn fingerprint(key: &Path) -> String {
    PublicKey::of_file(key).unwrap().fingerprint()
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
