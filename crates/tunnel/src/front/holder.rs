//! The process that holds a port.

use procfs::net::TcpState;
use procfs::process::FDTarget;

use crate::endpoint::Endpoint;

/// Returns the names and numbers of the processes that listen at a TCP port of this machine, as far
/// as this user may see them, or `None` if there are none.
pub async fn holder(local: &Endpoint) -> Option<String> {
    let local = local.clone();
    // All processes are looked at.
    tokio::task::spawn_blocking(move || look(&local)).await.ok()?
}

fn look(local: &Endpoint) -> Option<String> {
    let Endpoint::Tcp { port, .. } = local else {
        return None;
    };
    let entries = procfs::net::tcp().into_iter().chain(procfs::net::tcp6()).flatten();
    let inodes: Vec<u64> = entries
        .filter(|entry| entry.state == TcpState::Listen && entry.local_address.port() == *port)
        .map(|entry| entry.inode)
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let processes = procfs::process::all_processes().ok()?.flatten();
    let holders: Vec<String> = processes
        .filter(|process| has_any(process, &inodes))
        .filter_map(|process| Some(format!("{} ({})", process.stat().ok()?.comm, process.pid)))
        .collect();
    Some(if holders.is_empty() {
        "a process of another user".to_owned()
    } else {
        holders.join(", ")
    })
}

fn has_any(process: &procfs::process::Process, inodes: &[u64]) -> bool {
    process.fd().is_ok_and(|descriptors| {
        descriptors.flatten().any(|descriptor| {
            matches!(descriptor.target, FDTarget::Socket(inode) if inodes.contains(&inode))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_held_by_who_listens_on_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let local = Endpoint::tcp("127.0.0.1", port);
        let holder = look(&local).unwrap();
        assert!(holder.contains(&format!("({})", std::process::id())), "{holder}");
        drop(listener);
        assert_eq!(look(&local), None);
    }
}
