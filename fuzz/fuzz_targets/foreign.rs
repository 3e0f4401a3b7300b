//! A plain dump of another program, on its way to psql.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgsnap::fuzzing::plain_dump(bytes));
