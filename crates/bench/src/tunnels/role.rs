//! The roles of this program on one of the two machines, as a process of its own.

use clap::Subcommand;

use super::{pace, probing, service};

#[derive(Subcommand)]
pub(crate) enum Role {
    /// The service behind the forward
    Serve { address: String, identity: std::path::PathBuf },
    /// A client that connects again and again
    Probe { port: u16 },
    /// A client that keeps one connection open, and tells when it ended
    Stay { port: u16 },
    /// A client that sends many bytes, and tells how many seconds that took
    Bulk { port: u16, megabytes: usize },
    /// A client that waits for many short answers, and tells how many microseconds one took
    Ping { port: u16, times: usize },
}

impl Role {
    pub(crate) fn play(self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            match self {
                Self::Serve { address, identity } => service::serve(&address, &identity).await,
                Self::Probe { port } => probing::probe(port).await,
                Self::Stay { port } => probing::stay(port).await,
                Self::Bulk { port, megabytes } => pace::bulk(port, megabytes).await,
                Self::Ping { port, times } => pace::ping(port, times).await,
            }
        });
    }
}
