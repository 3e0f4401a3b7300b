//! How servers are reached: encrypted, through poolers, as standbys.

mod certificates;
mod pooler;
mod standby;
mod tls;
