//! Gates and approvals from outside.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod approval;
mod cluster;
mod collecting;
mod conditions;
mod enemies;
mod fake_api;
mod fixture;
mod gates;
mod kubeconfig;
mod large;
mod secrets;
