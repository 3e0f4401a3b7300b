//! SQL text that is split into statements.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgsnap::fuzzing::statements(bytes));
