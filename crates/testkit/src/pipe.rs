//! Named pipes that nobody writes to: whoever opens one as a file waits for ever.

use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Makes a named pipe of mode 0600.
///
/// # Panics
/// Where it cannot be made.
pub fn pipe(path: &Path) {
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, path, FileType::Fifo, mode, 0)
        .unwrap_or_else(|error| panic!("no pipe at {}: {error}", path.display()));
}
