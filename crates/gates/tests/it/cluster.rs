//! The same on a real Kubernetes: what the API server does with what the fixtures hold, and with
//! real nodes and pods.

mod cloudnative_pg;
mod cloudnative_pg_backups;
mod database;
mod fixtures;
mod power;
mod real;
mod rights;
mod workloads;
