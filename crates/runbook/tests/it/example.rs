//! The shipped example runs.

#[path = "../../examples/move_directory.rs"]
pub(crate) mod move_directory;

#[test]
fn move_directory_runs() {
    move_directory::main().unwrap();
}
