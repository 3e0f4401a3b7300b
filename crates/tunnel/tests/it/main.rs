//! Tunnels through a real `sshd`.
#![allow(clippy::unwrap_used, missing_docs)]

mod asking;
mod configuration;
mod examples;
mod faults;
mod forwarding;
mod identity;
mod refusals;
mod services;
mod support;
