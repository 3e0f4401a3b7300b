//! One `ssh` process: how it is configured and started, what it says, and how it ends.

mod banner;
mod configuration;
mod destination;
mod forwarding;
mod host_key;
mod link;
mod reason;
mod remote_session;

pub(crate) use banner::greets;
pub(crate) use destination::Destination;
pub use host_key::HostKey;
pub(crate) use link::{Link, Report};
pub(crate) use reason::{Kind, Reason};
pub(crate) use remote_session::RemoteSession;
