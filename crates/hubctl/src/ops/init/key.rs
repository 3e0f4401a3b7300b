//! An age key, made in the form of `age-keygen`.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use anyhow::Context as _;

use super::write_new;

/// A key on disk, and its public half.
pub(crate) struct Key {
    pub(crate) path: PathBuf,
    pub(crate) public: String,
}

/// Makes an X25519 identity in the form of `age-keygen`.
pub(crate) fn generate_key(path: &Path) -> anyhow::Result<Key> {
    let identity = age::x25519::Identity::generate();
    let public = identity.to_public().to_string();
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("the folder {} could not be made", directory.display()))?;
    }
    let text = format!(
        "# created: {:.0}\n# public key: {public}\n{}\n",
        jiff::Timestamp::now(),
        identity.to_string().expose_secret()
    );
    write_new(path, &text, 0o600)?;
    Ok(Key { path: std::path::absolute(path)?, public })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_private_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/key.txt");
        let key = generate_key(&path).unwrap();
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let identities = backup::Identities::load(&path).unwrap();
        assert_eq!(identities.fingerprints().next().unwrap().text, key.public);
        assert!(generate_key(&path).is_err());
    }
}
