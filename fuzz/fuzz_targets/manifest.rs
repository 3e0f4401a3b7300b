//! The JSON of a manifest and the members it describes, put together with a pointer and a hash that are right.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgsnap::fuzzing::manifest(bytes));
