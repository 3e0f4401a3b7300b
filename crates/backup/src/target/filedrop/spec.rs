//! The table of a Nextcloud share that only accepts files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::FileDrop;
use crate::target::Target;
use crate::target::size::Size;
use crate::target::spec::{Secrets, Spec, Table, limits};
use crate::target::webdav::folder;
use crate::{Error, Result};

/// The table of a Nextcloud share that only accepts files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::target) struct FileDropSpec {
    /// Nextcloud server of a share that only accepts files.
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "URL")))]
    filedrop: String,
    /// Token of the share: the part of its address after `/s/`.
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    token_file: PathBuf,
    /// Password of the share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    password_file: Option<PathBuf>,
    /// Certificates to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    ca_file: Option<PathBuf>,
    /// Bytes per second. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("type" = ["string", "integer"], "x-form" = "SIZE")))]
    bandwidth: Option<Size>,
    /// Longer files are sent in parts of this size. Default: 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("type" = ["string", "integer"], "x-form" = "SIZE")))]
    part: Option<Size>,
    /// Maximum age of the newest copy. Default: that of `[freshness]`.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("x-form" = "DURATION")))]
    max_age: Option<Duration>,
}

impl Table for FileDropSpec {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn check(&self) -> Result<()> {
        folder(&self.filedrop).map(drop)
    }

    fn place(&self) -> String {
        self.filedrop.clone()
    }

    fn deciding_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        let files = self.password_file.iter_mut().chain(&mut self.ca_file);
        files.chain([&mut self.token_file]).collect()
    }

    fn max_age(&self) -> Option<Duration> {
        self.max_age
    }
}

impl Spec for FileDropSpec {
    const KIND: &'static str = "filedrop";

    fn open<E: From<Error>>(
        &self,
        until: Option<Instant>,
        secrets: &mut Secrets<'_, E>,
    ) -> Result<Arc<dyn Target>, E> {
        let token = secrets(&self.token_file, "token")?;
        let password = self.password_file.as_deref();
        let password = password.map(|file| secrets(file, "password")).transpose()?;
        let limits = limits(until, self.bandwidth, self.part);
        let target =
            FileDrop::new(&self.filedrop, &token, password, self.ca_file.as_deref(), limits)?;
        Ok(Arc::new(target))
    }
}
