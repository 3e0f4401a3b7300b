//! Files with secrets: used only where nobody else could have read them.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::{Error, Result};

/// Refuses a file that others may read. A file of root may be readable by its group, as libpq allows: so do
/// machines share the key of a certificate among services.
pub(crate) fn require(path: &Path) -> Result<()> {
    const ROOT: u32 = 0;
    let metadata = fs_err::metadata(path).map_err(|source| Error::file(path, source))?;
    let open = if metadata.uid() == ROOT { 0o037 } else { 0o077 };
    match metadata.mode() & 0o777 {
        mode if mode & open == 0 => Ok(()),
        mode => Err(Error::Exposed {
            path: path.to_owned(),
            mode,
        }),
    }
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
            require(file.path())
        };
        with_mode(0o600).unwrap();
        let error = with_mode(0o644).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("may be read by others (mode 644)"),
            "{error}"
        );
        assert!(error.hint().unwrap().starts_with("chmod 600 /"));
        assert!(with_mode(0o602).is_err());
    }
}
