//! The text around a signature, in exactly the shape in which `ssh-keygen` writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----\n";
/// Characters of one line.
const WIDTH: usize = 70;
/// The longest key that OpenSSH makes, RSA with 16384 bits, stays well below.
const LONGEST: usize = 16 * 1024;

/// The bytes, if the text is what `ssh-keygen` would write for them: each of them can stand there
/// in one way only.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let body = text.strip_prefix(BEGIN)?.strip_suffix(END)?;
    if body.len() > LONGEST {
        return None;
    }
    let joined: String = body.lines().collect();
    let bytes = STANDARD.decode(joined).ok()?;
    (wrapped(&bytes) == body).then_some(bytes)
}

fn wrapped(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut lines = String::with_capacity(text.len() + text.len() / WIDTH + 1);
    for line in text.as_bytes().chunks(WIDTH) {
        lines.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        lines.push('\n');
    }
    lines
}
