//! A file of allowed signers, and a signature that is held against it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sshsig::fuzzing::signers(bytes));
