//! SSH forwards that stay up, and a status that cannot lie.
//!
//! A [`Tunnel`] is a destination, as `ssh` takes it, and the [`Forward`]s over one connection to
//! it. A [`Supervisor`] makes tunnels and keeps them: each `ssh` is a child of its own, each
//! forward is proven by a [`Probe`] that waits for an answer only the other side can give, and the
//! state of a forward is `up` only while the last probe was answered, by whom it should be.
//!
//! ```no_run
//! use std::time::Duration;
//! use tunnel::{Expected, Forward, Probe, Supervisor, Tunnel};
//!
//! # async fn example() -> tunnel::Result<()> {
//! let health = Expected::json("identity", "hub-1");
//! let forward = Forward::to("127.0.0.1:8000".parse()?, "10.43.7.1:8000".parse()?)
//!     .with_probe(Probe::http("/state/health", health));
//! let supervisor = Supervisor::open("/run/user/1000/example")?;
//! supervisor.start("hub", Tunnel::new("node1").with_forward(forward)).await?;
//!
//! let status = supervisor.settled("hub", Duration::from_secs(10)).await?;
//! for forward in &status.forwards {
//!     println!("{} {} {}", forward.local, forward.way, forward.state.word());
//! }
//! let mut events = supervisor.events();
//! while let Ok(event) = events.recv().await {
//!     println!("{} {}: {}", event.at, event.tunnel, event.state.word());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - **`up` is a proof.** It was true when the last probe was answered, at most one interval and
//!   one timeout ago. A port that accepts, a process that runs and a master that says "running"
//!   prove nothing and are not asked.
//! - **The port is the one that was named.** It stays bound while one `ssh` is replaced by another;
//!   a taken port is [`State::Blocked`], names who has it, and is tried again. No other port is
//!   ever taken instead.
//! - **Nobody is connected to somebody else.** Where the probe asks for an identity, no connection
//!   is handed on before it was proven, and the port is closed while another one answers, unless
//!   [`OnMismatch::Report`] says otherwise.
//! - **Make before break.** Silence makes a forward [`State::Degraded`] at once and starts a second
//!   `ssh` beside the first; whichever answers first takes new connections. Connections that are
//!   open stay on theirs, and survive a short interruption as they do with plain `ssh`;
//!   [`Profile::silence`] says when a silent peer is cut.
//! - **What cannot help is not repeated.** An unknown or changed host key, a refused key or a
//!   forbidden forward is [`State::Failed`] with a remedy, until [`Supervisor::restart`]. No host
//!   key is accepted on the way: [`HostKey`] is for a human's decision.
//! - **Nothing outlives the supervisor.** A guard ends each `ssh` and removes its sockets when the
//!   supervisor is gone, also after SIGKILL: it holds one end of a pipe, and the kernel closes the
//!   other.
//!
//! # How it works
//!
//! The local end of a forward is a listener of this process; each `ssh` forwards from a unix socket
//! in the runtime directory, and connections are handed on to the one that serves. That is one more
//! copy of each byte, and it is what keeps the port through a reconnect, counts the bytes, and
//! holds new connections for a moment instead of refusing them. `ssh` itself is started with a
//! configuration that begins with ours (`ServerAliveInterval`, `ExitOnForwardFailure`,
//! `ControlPersist no`, `StrictHostKeyChecking yes` and so on) and then includes the user's, so
//! that `ProxyJump`, agents, certificates and everything else works as it does at the prompt. While
//! a host cannot be reached, a TCP connection that waits for its greeting decides when an `ssh` is
//! worth starting.
//!
//! Other processes ask a supervisor over its socket: [`Supervisor::serve`] and [`Client`].
//!
//! A target may be a Kubernetes [`Service`]: where it is is asked of the cluster's name server,
//! through the session itself, at each connection and whenever a probe fails.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod control;
mod endpoint;
mod error;
mod front;
mod machine;
mod network;
mod probe;
mod service;
mod spec;
mod ssh;
mod state;
mod supervision;
mod supervisor;
mod wake;

pub use control::{Change, Client, Overview, Watch};
pub use endpoint::Endpoint;
pub use error::{Error, ErrorClass};
pub use front::holder;
pub use probe::{Expected, PostgresProbe, Probe, Question};
pub use service::{ClusterDns, Service};
pub use spec::{Bind, Forward, OnMismatch, Profile, Tunnel, Way};
pub use ssh::HostKey;
pub use state::{Event, ForwardStatus, State, TunnelStatus};
pub use supervisor::Supervisor;
pub use wake::is_wsl;

/// The result of every operation of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;
