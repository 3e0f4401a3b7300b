//! How people write a folder of an SSH server: as `scp` does, or as a URL.

use std::path::PathBuf;

use url::{Host, Url};

use crate::{Error, Result};

/// A folder on a machine that `ssh` reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// `USER@HOST` or `HOST`, as `ssh` takes it.
    pub(super) destination: String,
    pub(super) port: Option<u16>,
    /// A folder without a `/` at its beginning is in the home directory.
    pub(super) folder: PathBuf,
}

impl Address {
    /// Reads `[USER@]HOST:FOLDER` or `sftp://[USER@]HOST[:PORT]/FOLDER`.
    ///
    /// # Errors
    /// [`Error::InvalidTarget`], which repeats nothing of the place: there may be a password in it.
    pub(super) fn parse(place: &str) -> Result<Self> {
        let address = match place.split_once("://") {
            Some(("sftp" | "ssh", _)) => Self::of_url(place)?,
            Some(_) => return Err(invalid("its place is not an address of sftp://")),
            None => Self::of_scp(place)?,
        };
        let host = address.destination.rsplit('@').next().unwrap_or_default();
        if host.is_empty() || address.destination.starts_with('-') {
            return Err(invalid("its place names no host"));
        }
        Ok(address)
    }

    fn of_url(place: &str) -> Result<Self> {
        let url = Url::parse(place).map_err(|_| invalid("its place is not a URL"))?;
        if url.password().is_some() {
            return Err(invalid("its place holds a password; `ssh` logs in with keys"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("its place is not that of a folder"));
        }
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => decoded(&host.to_string())?,
            None => return Err(invalid("its place names no host")),
        };
        let user = decoded(url.username())?;
        let path = decoded(url.path())?;
        // As curl has it: `/~/x` is in the home directory.
        let folder = path.strip_prefix("/~").map_or(path.as_str(), |_| &path[1..]);
        Ok(Self { destination: joined(&user, &host), port: url.port(), folder: folder_of(folder)? })
    }

    fn of_scp(place: &str) -> Result<Self> {
        let (user, rest) = match place.split_once('@') {
            Some((user, rest)) if !user.contains(['/', '[']) => (user, rest),
            _ => ("", place),
        };
        if user.contains(':') {
            return Err(invalid("its place is not HOST:FOLDER"));
        }
        let split = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once("]:"),
            None => rest.split_once(':'),
        };
        let (host, folder) = split.ok_or_else(|| invalid("its place is not HOST:FOLDER"))?;
        if !rest.starts_with('[') && is_ipv6_bare(rest) {
            return Err(invalid(
                "its place is not [ADDRESS]:FOLDER, as an IPv6 address is written",
            ));
        }
        Ok(Self { destination: joined(user, host), port: None, folder: folder_of(folder)? })
    }
}

/// `::1:/srv` or `fe80::1:backups`: which colon ends the address nobody knows.
fn is_ipv6_bare(rest: &str) -> bool {
    let address = rest.split('/').next().unwrap_or_default();
    let is_hex = |part: &str| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = address.split(':').collect();
    parts.len() > 2 && parts[..parts.len() - 1].iter().all(|part| is_hex(part))
}

fn joined(user: &str, host: &str) -> String {
    if user.is_empty() { host.to_owned() } else { format!("{user}@{host}") }
}

fn decoded(text: &str) -> Result<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    Ok(decoded.map_err(|_| invalid("its place is not a URL in UTF-8"))?.into_owned())
}

/// SFTP knows no `~`, and begins in the home directory.
fn folder_of(folder: &str) -> Result<PathBuf> {
    let folder = match folder.strip_prefix('~') {
        None => folder,
        Some("") => ".",
        Some(rest) => match rest.trim_start_matches('/') {
            "" => ".",
            within if rest.starts_with('/') => within,
            _ => {
                return Err(invalid(
                    "its folder is in the home directory of another user; name it by its path",
                ));
            }
        },
    };
    if folder.is_empty() {
        return Err(invalid("its place names no folder"));
    }
    Ok(PathBuf::from(folder))
}

fn invalid(reason: &str) -> Error {
    Error::InvalidTarget { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_scp_and_curl_read_them() {
        for (place, destination, port, folder) in [
            ("nas:/srv", "nas", None, "/srv"),
            ("hub@nas:backups", "hub@nas", None, "backups"),
            ("nas:~/backups", "nas", None, "backups"),
            ("nas:~", "nas", None, "."),
            ("[::1]:/srv", "::1", None, "/srv"),
            ("hub@[fe80::1%eth0]:~/x", "hub@fe80::1%eth0", None, "x"),
            ("nas:2222/x", "nas", None, "2222/x"),
            ("nas:/srv/a@b", "nas", None, "/srv/a@b"),
            ("sftp://nas/srv/x", "nas", None, "/srv/x"),
            ("sftp://hub@nas:2222/srv", "hub@nas", Some(2222), "/srv"),
            ("sftp://hub@[::1]:2222/srv", "hub@::1", Some(2222), "/srv"),
            ("ssh://nas/~/my%20backups", "nas", None, "my backups"),
            ("sftp://nas/~", "nas", None, "."),
        ] {
            let expected = Address {
                destination: destination.to_owned(),
                port,
                folder: PathBuf::from(folder),
            };
            assert_eq!(Address::parse(place).unwrap(), expected, "{place}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for place in [
            "nas",
            ":/x",
            "nas:",
            "-oProxyCommand=x:/y",
            "::1:/srv",
            "hub@fe80::1:backups",
            "nas:~other/x",
            "hub:secret@nas:/x",
            "sftp://hub:secret@nas/x",
            "sftp:///x",
            "ftp://secret@nas/x",
            "sftp://-oProxyCommand=secret/x",
        ] {
            let error = Address::parse(place).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{place}: {error}");
        }
    }
}
