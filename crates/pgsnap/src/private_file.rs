//! Files with secrets: used only where nobody else could have read or replaced them.

use std::path::Path;

use regularfile::Options;

use crate::error::{Error, Result};

/// No password file and no key is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Reads a file that nobody else may read. A file of root may be readable by its group, as libpq
/// allows: so do machines share the key of a certificate among services.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    Options::read().private().to_vec(path, LARGEST).map_err(|source| {
        match regularfile::Error::of(&source) {
            Some(regularfile::Error::Exposed { path, mode, .. }) => {
                Error::Exposed { path: path.clone(), mode: *mode }
            }
            _ => Error::file(path, source),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let with_mode = |mode| {
            fs_err::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            read(file.path())
        };
        with_mode(0o600).unwrap();
        let error = with_mode(0o644).unwrap_err();
        assert!(error.to_string().ends_with("may be read by others (mode 644)"), "{error}");
        assert!(error.hint().unwrap().starts_with("chmod 600 /"));
        assert!(with_mode(0o602).is_err());
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("passfile");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let error = read(&path).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.ends_with("is a pipe, not a regular file"), "{source}");
        assert!(error.hint().unwrap().starts_with("name a regular file"));
    }
}
