//! How servers are reached: encrypted, through poolers, as standbys.

mod pooler;
mod standby;
mod tls;
