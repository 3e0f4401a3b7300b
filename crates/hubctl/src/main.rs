//! The program `hubctl`. Everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    hubctl::main(std::env::args_os())
}
