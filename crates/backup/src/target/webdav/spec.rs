//! The table of a folder of a WebDAV server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{WebDav, folder};
use crate::target::Credentials;
use crate::target::Target;
use crate::target::size::Size;
use crate::target::spec::{Secrets, Spec, Table, limits};
use crate::{Error, Result};

/// The table of a folder of a WebDAV server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::target) struct WebDavSpec {
    /// Folder of a WebDAV server or Nextcloud.
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "URL")))]
    webdav: String,
    /// User name; requires `password_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Password of the user.
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
    /// Nextcloud gets longer files in parts of this size. Default: 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("type" = ["string", "integer"], "x-form" = "SIZE")))]
    part: Option<Size>,
    /// Maximum age of the newest copy. Default: that of `[freshness]`.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("x-form" = "DURATION")))]
    max_age: Option<Duration>,
}

impl Table for WebDavSpec {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn check(&self) -> Result<()> {
        folder(&self.webdav)?;
        if self.user.is_some() != self.password_file.is_some() {
            let reason = "`user` and `password_file` are required together".to_owned();
            return Err(Error::InvalidTarget { reason });
        }
        Ok(())
    }

    fn place(&self) -> String {
        self.webdav.clone()
    }

    fn account(&self) -> Value {
        self.user.as_ref().map_or(Value::Null, |user| json!({ "user": user }))
    }

    fn deciding_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        self.password_file.iter_mut().chain(&mut self.ca_file).collect()
    }

    fn max_age(&self) -> Option<Duration> {
        self.max_age
    }
}

impl Spec for WebDavSpec {
    const KIND: &'static str = "webdav";

    fn open<E: From<Error>>(
        &self,
        until: Option<Instant>,
        secrets: &mut Secrets<'_, E>,
    ) -> Result<Arc<dyn Target>, E> {
        let credentials = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => {
                Some(Credentials { user: user.clone(), password: secrets(file, "password")? })
            }
            _ => None,
        };
        let limits = limits(until, self.bandwidth, self.part);
        let target =
            WebDav::new(&self.webdav, credentials.as_ref(), self.ca_file.as_deref(), limits)?;
        Ok(Arc::new(target))
    }
}
