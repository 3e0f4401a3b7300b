//! One gzip member, and how many bytes it is said to hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgsnap::fuzzing::member(bytes));
