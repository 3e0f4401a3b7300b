//! Signatures that the real `ssh-keygen` made, and its opinion of them, beside ours.

#![allow(clippy::unwrap_used)]

mod hardware;
mod kinds;
mod oracle;
mod refused;
mod signing;
mod support;
