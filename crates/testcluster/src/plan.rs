//! The name of a cluster and its addresses: everything else follows from these three values.
//!
//! 198.18.0.0/15 is reserved for benchmarks (RFC 2544) and is on no real network. Each of 32
//! clusters has a /20 of it.

use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context as _;

/// One machine has addresses for this many clusters.
pub(super) const MOST_CLUSTERS: u8 = 32;

/// The part of an address that the host and all nodes have in common.
pub(super) const PREFIX: u8 = 24;

/// The identity of a cluster, as it stands in its directory before anything of it exists elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Eight hexadecimal digits, never used again: what outlives a crash is found by them.
    pub(super) id: String,
    pub(super) nodes: u8,
    /// Which of the 32 address ranges. A number is free again as soon as its cluster ends, so it
    /// identifies nothing.
    pub(super) number: u8,
}

impl Plan {
    /// A plan with an identity that nobody has had.
    pub(super) fn new(nodes: u8) -> anyhow::Result<Self> {
        let mut random = [0; 4];
        fs_err::File::open("/dev/urandom")?.read_exact(&mut random)?;
        Ok(Self { id: format!("{:08x}", u32::from_be_bytes(random)), nodes, number: 0 })
    }

    /// All nodes, counted from one.
    pub(super) fn each_node(&self) -> std::ops::RangeInclusive<u8> {
        1..=self.nodes
    }

    /// The host's end of the wire. The kernel lets one cluster have it: that is the lock for the
    /// number.
    pub(super) fn link(&self) -> String {
        format!("hubk{}", self.number)
    }

    /// The hardware address of the host's end: it tells our link from that of a later cluster of
    /// the same number.
    pub(super) fn hardware_address(&self) -> String {
        hardware_address(&self.id)
    }

    pub(super) fn host(&self) -> Ipv4Addr {
        self.address(0, 1)
    }

    pub(super) fn node(&self, node: u8) -> Ipv4Addr {
        self.address(0, 10 + node)
    }

    pub(super) fn pods(&self, node: u8) -> String {
        format!("{}/24", self.address(node, 0))
    }

    pub(super) fn services(&self) -> String {
        format!("{}/21", self.address(8, 0))
    }

    /// The service `kubernetes`: the API server takes the first address of the range.
    pub(super) fn api_service(&self) -> Ipv4Addr {
        self.address(8, 1)
    }

    pub(super) fn dns_service(&self) -> Ipv4Addr {
        self.address(8, 10)
    }

    pub(super) fn cgroup(&self, node: u8) -> String {
        format!("{}{node}", cgroup_prefix(&self.id))
    }

    fn address(&self, third: u8, fourth: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18 + self.number / 16, self.number % 16 * 16 + third, fourth)
    }

    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let Self { id, nodes, number } = self;
        let text = format!("id = \"{id}\"\nnodes = {nodes}\nnumber = {number}\n");
        let new = file.with_extension("new");
        let mut written = fs_err::File::create(&new)?;
        written.write_all(text.as_bytes())?;
        written.sync_all()?;
        fs_err::rename(&new, file)?;
        // What is made after this is found by it, also after a power loss.
        let directory = file.parent().context("a plan is in a directory")?;
        Ok(fs_err::File::open(directory)?.sync_all()?)
    }

    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let table: toml::Table = fs_err::read_to_string(file)?.parse()?;
        let number = |key: &str| u8::try_from(table.get(key)?.as_integer()?).ok();
        let plan = || {
            Some(Self {
                id: table.get("id")?.as_str()?.to_owned(),
                nodes: number("nodes")?,
                number: number("number")?,
            })
        };
        plan().with_context(|| format!("{} is not the plan of a cluster", file.display()))
    }
}

/// Returns the prefix of the names of a cluster's cgroups.
pub(super) fn cgroup_prefix(id: &str) -> String {
    format!("hubk-{id}-")
}

/// Locally administered, and otherwise the identity.
pub(super) fn hardware_address(id: &str) -> String {
    let bytes = id.as_bytes().chunks(2).map(String::from_utf8_lossy);
    let mut address = "02:00".to_owned();
    for byte in bytes {
        address.push(':');
        address.push_str(&byte);
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(number: u8) -> Plan {
        Plan { id: "0a1b2c3d".to_owned(), nodes: 3, number }
    }

    #[test]
    fn addresses_follow_from_the_number() {
        let plan = plan(17);
        assert_eq!(plan.host().to_string(), "198.19.16.1");
        assert_eq!(plan.node(3).to_string(), "198.19.16.13");
        assert_eq!(plan.pods(3), "198.19.19.0/24");
        assert_eq!(plan.services(), "198.19.24.0/21");
        assert_eq!(plan.api_service().to_string(), "198.19.24.1");
        assert_eq!(plan.dns_service().to_string(), "198.19.24.10");
        assert_eq!(plan.link(), "hubk17");
        assert_eq!(plan.cgroup(2), "hubk-0a1b2c3d-2");
        assert_eq!(plan.hardware_address(), "02:00:0a:1b:2c:3d");
    }

    #[test]
    fn no_two_clusters_share_an_address() {
        let ranges: std::collections::BTreeSet<_> = (0..MOST_CLUSTERS)
            .map(|number| plan(number).host().octets())
            .map(|[a, b, c, _]| (a, b, c / 16))
            .collect();
        assert_eq!(ranges.len(), usize::from(MOST_CLUSTERS));
        let last = plan(MOST_CLUSTERS - 1);
        assert_eq!(last.services(), "198.19.248.0/21");
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("plan.toml");
        plan(4).write(&file).unwrap();
        assert_eq!(Plan::read(&file).unwrap(), plan(4));
        fs_err::write(&file, "id = 5").unwrap();
        let error = Plan::read(&file).unwrap_err().to_string();
        assert!(error.ends_with("is not the plan of a cluster"), "{error}");
    }

    #[test]
    fn identities_differ() {
        let [first, second] = [Plan::new(1), Plan::new(1)].map(Result::unwrap);
        assert_ne!(first.id, second.id);
        assert_eq!(first.id.len(), 8);
    }
}
