//! What all rounds share: three servers, each behind a proxy; and the disks of one round.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use pgsnap::ScratchServer;
use testkit::{Dice, FaultProxy, HomesOptions, Place, Tmpfs, Upstream};

use super::super::scene::{options, place, server};
use crate::support::block_on;

/// The time of a move before one was measured.
const USUAL: Duration = Duration::from_secs(6);

/// Room for the backups of a small service.
const DISK: u64 = 48 * 1024 * 1024;

/// The servers, which outlive the rounds.
pub(super) struct World {
    homes: BTreeMap<String, Home>,
    usual: BTreeMap<&'static str, Duration>,
}

struct Home {
    server: ScratchServer,
    proxy: FaultProxy,
}

impl World {
    pub(super) fn start() -> Self {
        let homes = ["a", "b", "c"].map(|name| {
            let server = server();
            let socket = server.directory().join(format!(".s.PGSQL.{}", server.port()));
            let proxy = block_on(FaultProxy::start(Upstream::Unix(socket))).unwrap();
            (name.to_owned(), Home { server, proxy })
        });
        Self { homes: homes.into(), usual: BTreeMap::new() }
    }

    /// The sites in a random order. The service is at the first one and moves along the line.
    pub(super) fn sites(&self, dice: &mut Dice) -> Vec<String> {
        let mut rest: Vec<String> = self.homes.keys().cloned().collect();
        let mut sites = Vec::new();
        while !rest.is_empty() {
            sites.push(rest.remove(dice.below(rest.len())));
        }
        sites
    }

    pub(super) fn places(&self, sites: &[String]) -> Vec<Place> {
        let places = sites.iter().map(|name| {
            let home = &self.homes[name];
            Place { through: Some(home.proxy.address()), ..place(name, &home.server) }
        });
        places.collect()
    }

    /// A vault and a journal on disks of their own, where this process may mount them.
    pub(super) fn storage(&self) -> Storage {
        Storage { vault: Tmpfs::mount(DISK), journal: Tmpfs::mount(DISK) }
    }

    /// The time that a move in this mode usually takes.
    pub(super) fn usual(&self, mode: &str) -> Duration {
        self.usual.get(mode).copied().unwrap_or(USUAL)
    }

    pub(super) fn took(&mut self, mode: &'static str, time: Duration) {
        self.usual.insert(mode, time);
    }

    /// Kills a process of a server, which ends all sessions and recovers.
    pub(super) fn crash(&self, site: &str) {
        let query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
        let postgres = self.homes[site].server.database("postgres");
        let pid = block_on(pgsnap::query_scalar(&postgres, query)).unwrap().unwrap();
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Cuts hubctl off from a server for a time.
    pub(super) fn cut(&mut self, site: &str, time: Duration) {
        let proxy = &mut self.homes.get_mut(site).unwrap().proxy;
        block_on(async {
            proxy.refuse().await;
            proxy.sever();
            tokio::time::sleep(time).await;
            proxy.accept().await.unwrap();
        });
    }

    /// The site that is neither of these.
    pub(super) fn third(&self, sites: [&str; 2]) -> &str {
        self.homes.keys().find(|name| !sites.contains(&name.as_str())).unwrap()
    }

    /// The address at which hubctl reaches a server.
    pub(super) fn address(&self, site: &str) -> String {
        self.homes[site].proxy.address().to_string()
    }
}

/// The disks of one round.
pub(super) struct Storage {
    vault: Option<Tmpfs>,
    journal: Option<Tmpfs>,
}

/// A disk of hubctl.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disk {
    Vault,
    Journal,
}

impl Storage {
    pub(super) fn options(&self) -> HomesOptions {
        let directory = |disk: &Option<Tmpfs>| disk.as_ref().map(|disk| disk.path().to_owned());
        let (vault, journal) = (directory(&self.vault), directory(&self.journal));
        HomesOptions { vault, journal, freeze_budget: "20s".to_owned(), ..options() }
    }

    /// Fills a disk to its last byte.
    pub(super) fn fill(&self, disk: Disk) {
        let Some(filling) = self.filling(disk) else {
            return;
        };
        let mut file = fs_err::File::create(filling).unwrap();
        let block = [0; 4096];
        while file.write_all(&block).is_ok() {}
    }

    /// Gives the room back.
    pub(super) fn empty(&self, disk: Disk) {
        if let Some(filling) = self.filling(disk) {
            let _ = fs_err::remove_file(filling);
        }
    }

    fn filling(&self, disk: Disk) -> Option<PathBuf> {
        let disk = match disk {
            Disk::Vault => &self.vault,
            Disk::Journal => &self.journal,
        };
        Some(disk.as_ref()?.path().join("filling"))
    }
}
