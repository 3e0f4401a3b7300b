//! A sidecar, and the names of files in a vault.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| backup::fuzzing::sidecar(bytes));
