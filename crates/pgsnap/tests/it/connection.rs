//! How servers are reached: encrypted, through poolers, as standbys.

mod login;
mod pooler;
mod standby;
mod tls;
