//! Secrets that nobody can guess: passwords of scratch servers, keys that guard psql.

use std::io;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::{Error, Result};

/// 128 random bits of the operating system, as 32 hexadecimal digits.
pub(crate) fn random_digits() -> Result<String> {
    let failed = |source| Error::file(Path::new("/dev/urandom"), source);
    let mut bits = [0; 16];
    // So few are given all at once, or none.
    match getrandom(&mut bits, GetRandomFlags::empty()) {
        Ok(given) if given == bits.len() => Ok(format!("{:032x}", u128::from_le_bytes(bits))),
        Ok(_) => Err(failed(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(failed(error.into())),
    }
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
