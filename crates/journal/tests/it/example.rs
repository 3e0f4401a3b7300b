//! The shipped example runs.

#[path = "../../examples/append_and_verify.rs"]
mod append_and_verify;

#[test]
fn append_and_verify_runs() {
    append_and_verify::main().unwrap();
}
