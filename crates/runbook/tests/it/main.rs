//! The library from outside: any crash, any answer, and real processes that are killed.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod any_crash;
mod example;
mod format;
mod killed;
mod running;
mod support;
