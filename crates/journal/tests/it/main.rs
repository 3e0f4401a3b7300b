//! The journal from outside: its promises, and what is done to it.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod concurrency;
mod crash;
mod damage;
mod evidence;
mod example;
mod fixtures;
mod format;
mod journal;
mod rotation;
mod support;
mod written;
