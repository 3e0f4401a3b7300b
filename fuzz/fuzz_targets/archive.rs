//! A whole archive: opened, verified, and all its text read.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgsnap::fuzzing::archive(bytes));
