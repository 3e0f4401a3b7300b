//! Test support for the workspace: sample databases and fault injectors. Never published.
//!
//! - **Samples.** [`load_zoo`] fills a database with one of every kind of object and every data
//!   type, each with its edges: what survives the zoo survives a real schema. [`load_hub`] fills
//!   one with the data of a service at any size, with [`HUB_WRITER`] to keep writing and
//!   [`HUB_CHECK`] to find copies torn by it.
//! - **Network faults.** [`FaultProxy`] stands between a client and a server and cuts, freezes or
//!   refuses connections at the exact byte.
//! - **SSH servers.** [`Sshd`] is a real one that can be killed, frozen, given another key, and
//!   brought back.
//! - **Servers of files.** [`WebServer`] is a real Apache, nginx, rclone or moto; [`Cloud`] an
//!   emulated Nextcloud, which fails on demand.
//! - **The sample service.** [`StateHub`] is the API of `examples/state-hub`, [`Relay`] and
//!   [`Sweep`] write beside it.
//! - **A move of the service.** [`Homes`] are places for it and all that a move needs, [`Front`] is
//!   the address of its clients, and [`Observer`] a client that never stops, whose [`History`] is
//!   judged.
//! - **Networks.** [`Network`] is two machines with a wire that can be pulled, or swallow what goes
//!   one way.
//! - **Clusters.** [`cluster`] finds a real Kubernetes, whose nodes can lose their power.
//! - **Terminals.** [`Terminal`] is a real one that is typed to and resized, [`screen`] what is
//!   left on it.
//! - **Full disks.** [`Tmpfs`] is a file system that is as small as the test wants.
//! - **Keys in a token.** [`AgePlugin`] is a real age plugin, which works, hangs, dies or asks.
//! - **Certificates.** [`Certificates`] is an authority and what it signs, expired ones too.
//! - **Damaged input.** [`Mutator`] makes broken versions of sound bytes, [`Dice`] make
//!   reproducible choices.
//!
//! Every fault is exact and counted, so a test can assert that it hit, not only that something
//! failed:
//!
//! ```
//! use testkit::{Fault, FaultProxy, Side, Upstream};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! // A server that greets.
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let upstream = Upstream::Tcp(listener.local_addr()?);
//! tokio::spawn(async move {
//!     while let Ok((mut stream, _)) = listener.accept().await {
//!         let _ = stream.write_all(b"hello, world").await;
//!     }
//! });
//!
//! let proxy = FaultProxy::start(upstream).await?;
//! proxy.inject(Fault::cut(Side::Server, 5));
//!
//! let mut received = Vec::new();
//! let mut client = tokio::net::TcpStream::connect(proxy.address()).await?;
//! client.read_to_end(&mut received).await?;
//! assert_eq!(received, b"hello");
//! assert_eq!(proxy.fired(), 1);
//! # Ok(())
//! # }
//! ```

mod age_plugin;
mod certificates;
mod child;
mod cloud;
pub mod cluster;
mod dice;
mod front;
mod homes;
mod mutator;
mod network;
mod observer;
mod page;
mod pipe;
mod port;
mod proxy;
mod sample;
mod skip;
mod sshd;
mod state_hub;
mod terminal;
mod tmpfs;
mod web_server;

pub use age_plugin::AgePlugin;
pub use certificates::Certificates;
pub use cloud::{
    CLOUD_PASSWORD, CLOUD_TOKEN, CLOUD_USER, Cloud, CloudEffect, CloudFault, CloudRequest,
};
pub use dice::Dice;
pub use front::Front;
pub use homes::{Homes, HomesOptions, HookFault, Place, Service};
pub use mutator::Mutator;
pub use network::{Machine, Network};
pub use observer::{Acknowledgement, History, Leg, Observer, Verdict, Violation, Way};
pub use page::write_between_markers;
pub use pipe::pipe;
pub use port::free_port;
pub use proxy::{Fault, FaultProxy, Side, Upstream};
pub use rustix::process::Signal;
pub use sample::{
    ENUM_HASH, HOSTILE_DEFAULTS, HUB, HUB_CHECK, HUB_WRITER, ZOO, ZOO_ROLES, ZOO_VERSIONS,
    load_hub, load_zoo,
};
pub use skip::{installed, not_applicable, skip};
pub use sshd::{Sshd, signal};
pub use state_hub::{Relay, StateHub, Sweep};
pub use terminal::{Ended, Terminal, screen};
pub use tmpfs::Tmpfs;
pub use web_server::WebServer;
