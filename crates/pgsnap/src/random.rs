//! Secrets that nobody can guess: passwords of scratch servers, keys that guard psql.

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// 128 random bits of the operating system (`/dev/urandom`), as 32 hexadecimal digits.
pub(crate) fn random_digits() -> Result<String> {
    let path = Path::new("/dev/urandom");
    let mut bits = [0; 16];
    fs_err::File::open(path)
        .and_then(|mut source| source.read_exact(&mut bits))
        .map_err(|error| Error::file(path, error))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_equal() {
        let (a, b) = (random_digits().unwrap(), random_digits().unwrap());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.chars().all(|c| c.is_ascii_hexdigit()));
    }
}
