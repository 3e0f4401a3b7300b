//! Keeps the tunnels of a TOML file until Ctrl-C, and prints each change.
//!
//! ```sh
//! cargo run --example keep -- tunnels.toml
//! ```
//!
//! ```toml
//! [hub]
//! destination = "node1"
//! [[hub.forwards]]
//! local = "127.0.0.1:8000"
//! target = "127.0.0.1:8000"
//! ```
#![allow(clippy::print_stdout, reason = "this is a program")]

use std::collections::BTreeMap;
use std::error::Error;

use tunnel::{Supervisor, Tunnel};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let tunnels: BTreeMap<String, Tunnel> = toml::from_str(&fs_err::read_to_string(path)?)?;
    let directory = tempfile::tempdir()?;
    let supervisor = Supervisor::open(directory.path().join("run"))?;
    let mut events = supervisor.events();
    for (name, tunnel) in tunnels {
        supervisor.start(&name, tunnel).await?;
    }
    // One for all turns of the loop: a signal that came while nobody waited would be lost.
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            event = events.recv() => {
                let event = event?;
                let reason = event.state.reason().unwrap_or_default();
                println!("{} {} {} {reason}", event.tunnel, event.local, event.state.word());
            }
            _ = &mut stop => break,
        }
    }
    supervisor.close().await;
    Ok(())
}
