//! The journal from outside: what it promises, and what is done to it.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod approval;
mod cluster;
mod collecting;
mod concurrency;
mod conditions;
mod crash;
mod damage;
mod example;
mod fake_api;
mod fixture;
mod format;
mod gates;
mod journal;
mod large;
mod rotation;
mod support;
