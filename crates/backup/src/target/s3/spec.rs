//! The table of a bucket of S3.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{S3, S3Location, folder};
use crate::target::Target;
use crate::target::size::Size;
use crate::target::spec::{Secrets, Spec, Table, limits};
use crate::{Error, Result};

/// The table of a bucket of S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::target) struct S3Spec {
    /// Endpoint of an S3 server.
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "URL")))]
    s3: String,
    /// Name of the bucket.
    bucket: String,
    /// Prefix of the names in the bucket. Default: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    prefix: String,
    /// Region of the bucket.
    #[serde(default = "first_region")]
    region: String,
    /// Access key.
    access_key: String,
    /// Secret key.
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    secret_key_file: PathBuf,
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

impl Table for S3Spec {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn check(&self) -> Result<()> {
        folder(&self.s3).map(drop)
    }

    fn place(&self) -> String {
        let endpoint = self.s3.trim_end_matches('/');
        format!("{endpoint}/{}/{}", self.bucket, self.prefix)
    }

    fn account(&self) -> Value {
        json!({ "region": self.region, "access_key": self.access_key })
    }

    fn deciding_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        self.ca_file.iter_mut().chain([&mut self.secret_key_file]).collect()
    }

    fn max_age(&self) -> Option<Duration> {
        self.max_age
    }
}

impl Spec for S3Spec {
    const KIND: &'static str = "s3";

    fn open<E: From<Error>>(
        &self,
        until: Option<Instant>,
        secrets: &mut Secrets<'_, E>,
    ) -> Result<Arc<dyn Target>, E> {
        let location = S3Location {
            endpoint: self.s3.clone(),
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            region: self.region.clone(),
        };
        let secret = secrets(&self.secret_key_file, "secret key")?;
        let limits = limits(until, self.bandwidth, self.part);
        let target =
            S3::new(&location, &self.access_key, &secret, self.ca_file.as_deref(), limits)?;
        Ok(Arc::new(target))
    }
}

fn first_region() -> String {
    "us-east-1".to_owned()
}
