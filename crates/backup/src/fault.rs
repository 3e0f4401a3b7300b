//! Places at which a file operation may fail. Nothing happens there but in the crash campaign of
//! this crate's own tests.

use std::io;

/// Stands before a file operation.
#[cfg(not(test))]
#[inline(always)]
#[expect(clippy::unnecessary_wraps, reason = "the tests let it fail")]
pub(crate) fn point() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use injected::{Fault, count, inject, point};

#[cfg(test)]
mod injected {
    use std::cell::Cell;

    use rustix::process::{Signal, getpid, kill_process};

    use super::io;

    /// The fault at one place.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// The operation fails, and those after it do not.
        Once,
        /// So do all that come after it.
        FromThereOn,
        /// The process dies.
        Kill,
    }

    thread_local! {
        static PASSED: Cell<u64> = const { Cell::new(0) };
        static FAULT: Cell<Option<(u64, Fault)>> = const { Cell::new(None) };
    }

    /// From now on, the place with this number, counted from 1, has a fault; none without.
    pub(crate) fn inject(fault: Option<(u64, Fault)>) {
        PASSED.set(0);
        FAULT.set(fault);
    }

    /// Returns the number of places passed since.
    pub(crate) fn count() -> u64 {
        PASSED.get()
    }

    pub(crate) fn point() -> io::Result<()> {
        let passed = PASSED.get() + 1;
        PASSED.set(passed);
        match FAULT.get() {
            Some((at, Fault::Kill)) if passed == at => Ok(kill_process(getpid(), Signal::KILL)?),
            Some((at, Fault::Once)) if passed == at => Err(rustix::io::Errno::IO.into()),
            Some((at, Fault::FromThereOn)) if passed >= at => Err(rustix::io::Errno::NOSPC.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
