//! Connections: encrypted, through poolers, to standbys.

mod login;
mod pooler;
mod standby;
mod tls;
