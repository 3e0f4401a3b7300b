//! The table of a folder of an SFTP server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Address, Sftp};
use crate::target::Target;
use crate::target::size::Size;
use crate::target::spec::{Secrets, Spec, Table, limits};
use crate::{Error, Result};

/// The table of a folder of an SFTP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::target) struct SftpSpec {
    /// Folder of an SFTP server: `HOST:PATH` or `sftp://USER@HOST:PORT/PATH`.
    sftp: String,
    /// Configuration of ssh, instead of `~/.ssh/config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    ssh_config: Option<PathBuf>,
    /// SSH key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    identity_file: Option<PathBuf>,
    /// Bytes per second. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("type" = ["string", "integer"], "x-form" = "SIZE")))]
    bandwidth: Option<Size>,
    /// Maximum age of the newest copy. Default: that of `[freshness]`.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("x-form" = "DURATION")))]
    max_age: Option<Duration>,
}

impl Table for SftpSpec {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn check(&self) -> Result<()> {
        Address::parse(&self.sftp).map(drop)
    }

    fn place(&self) -> String {
        self.sftp.clone()
    }

    fn deciding_file(&self) -> Option<&Path> {
        self.ssh_config.as_deref()
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        self.ssh_config.iter_mut().chain(&mut self.identity_file).collect()
    }

    fn max_age(&self) -> Option<Duration> {
        self.max_age
    }
}

impl Spec for SftpSpec {
    const KIND: &'static str = "sftp";

    fn open<E: From<Error>>(
        &self,
        until: Option<Instant>,
        _: &mut Secrets<'_, E>,
    ) -> Result<Arc<dyn Target>, E> {
        let mut options = Vec::new();
        for (option, path) in [("-F", &self.ssh_config), ("-i", &self.identity_file)] {
            if let Some(path) = path {
                options.extend([option.to_owned(), path.display().to_string()]);
            }
        }
        let target = Sftp::new(&self.sftp, options, limits(until, self.bandwidth, None))?;
        Ok(Arc::new(target))
    }
}
