//! `[targets.NAME]`: where copies of the backups are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, Sourced};
use crate::failure::Refusal;

/// The table, of which one key says what kind of target it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TargetTable {
    folder: Option<String>,
    webdav: Option<String>,
    filedrop: Option<String>,
    sftp: Option<String>,
    s3: Option<String>,
    user: Option<String>,
    password_file: Option<String>,
    token_file: Option<String>,
    ca_file: Option<String>,
    ssh_config: Option<String>,
    identity_file: Option<String>,
    bucket: Option<String>,
    prefix: Option<String>,
    region: Option<String>,
    access_key: Option<String>,
    secret_key_file: Option<String>,
    bandwidth: Option<ByteSize>,
    part: Option<ByteSize>,
    #[serde(with = "humantime_serde")]
    max_age: Option<Duration>,
}

/// A place for copies of the backups.
#[derive(Debug, Clone)]
pub(crate) struct TargetSettings {
    pub(crate) kind: Sourced<TargetKind>,
    /// Bytes per second.
    pub(crate) bandwidth: Option<u64>,
    /// How long a file may be that is sent in one piece.
    pub(crate) part: Option<u64>,
    /// How old the data of its newest copy may be; as that of the newest backup unless told
    /// otherwise.
    pub(crate) max_age: Option<Duration>,
}

/// Where it is, and what opens it. Secrets are in files.
#[derive(Debug, Clone)]
pub(crate) enum TargetKind {
    Folder(PathBuf),
    WebDav {
        url: String,
        login: Option<(String, PathBuf)>,
        ca_file: Option<PathBuf>,
    },
    FileDrop {
        url: String,
        token_file: PathBuf,
        password_file: Option<PathBuf>,
        ca_file: Option<PathBuf>,
    },
    Sftp {
        place: String,
        ssh_config: Option<PathBuf>,
        identity_file: Option<PathBuf>,
    },
    S3 {
        endpoint: String,
        bucket: String,
        prefix: String,
        region: String,
        access_key: String,
        secret_key_file: PathBuf,
        ca_file: Option<PathBuf>,
    },
}

impl TargetKind {
    /// The place in a word or two, without secrets.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::WebDav { url, .. } | Self::FileDrop { url, .. } => gates::shown_url(url),
            Self::Sftp { place, .. } => gates::shown_url(place),
            Self::S3 { endpoint, bucket, prefix, .. } => {
                let endpoint = gates::shown_url(endpoint.trim_end_matches('/'));
                format!("{endpoint}/{bucket}/{prefix}")
            }
        }
    }

    /// Whoever asks there, and where; without secrets, which may be replaced.
    pub(crate) fn definition(&self) -> Value {
        let account = match self {
            Self::WebDav { login: Some((user, _)), .. } => json!({ "user": user }),
            Self::S3 { region, access_key, .. } => {
                json!({ "region": region, "access_key": access_key })
            }
            _ => Value::Null,
        };
        json!({ "kind": self.key(), "place": self.place(), "account": account })
    }

    /// The files that decide where it leads and who is believed there.
    pub(crate) fn deciding_files(&self) -> impl Iterator<Item = &Path> {
        let file = match self {
            Self::Folder(_) => None,
            Self::WebDav { ca_file, .. }
            | Self::FileDrop { ca_file, .. }
            | Self::S3 { ca_file, .. } => ca_file.as_deref(),
            Self::Sftp { ssh_config, .. } => ssh_config.as_deref(),
        };
        file.into_iter()
    }

    /// The key of the configuration that names it.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::WebDav { .. } => "webdav",
            Self::FileDrop { .. } => "filedrop",
            Self::Sftp { .. } => "sftp",
            Self::S3 { .. } => "s3",
        }
    }
}

impl TargetTable {
    pub(super) fn settings(self, name: &str, base: &Place) -> anyhow::Result<TargetSettings> {
        if name.is_empty() || name.contains([':', '/']) || name.starts_with('-') {
            return Err(Refusal::usage(format!("`{name}` cannot name a target")).into());
        }
        let (bandwidth, part, max_age) = (self.bandwidth, self.part, self.max_age);
        Ok(TargetSettings {
            kind: base.sourced(self.kind(name, base)?),
            bandwidth: bandwidth.map(|bandwidth| bandwidth.as_u64()),
            part: part.map(|part| part.as_u64()),
            max_age,
        })
    }

    fn kind(mut self, name: &str, base: &Place) -> anyhow::Result<TargetKind> {
        let refuse = |fact: String| Refusal::usage(format!("[targets.{name}] {fact}"));
        let kinds = [
            ("folder", self.folder.take()),
            ("webdav", self.webdav.take()),
            ("filedrop", self.filedrop.take()),
            ("sftp", self.sftp.take()),
            ("s3", self.s3.take()),
        ];
        let mut named = kinds.into_iter().filter_map(|(kind, place)| Some((kind, place?)));
        let (Some((kind, place)), None) = (named.next(), named.next()) else {
            return Err(refuse("must name exactly one place".to_owned())
                .hint("give one of folder, webdav, filedrop, sftp or s3")
                .into());
        };
        let path = |path: Option<String>| path.map(|path| base.path(&path));
        let needed = |key: &str, value: Option<String>| {
            value.ok_or_else(|| refuse(format!("is of kind {kind} and requires `{key}`")))
        };
        let target = match kind {
            "folder" => TargetKind::Folder(base.path(&place)),
            "webdav" => TargetKind::WebDav {
                url: place,
                login: match (self.user.take(), self.password_file.take()) {
                    (Some(user), Some(file)) => Some((user, base.path(&file))),
                    (None, None) => None,
                    _ => {
                        let fact = "requires both `user` and `password_file`, or neither";
                        return Err(refuse(fact.to_owned()).into());
                    }
                },
                ca_file: path(self.ca_file.take()),
            },
            "filedrop" => TargetKind::FileDrop {
                url: place,
                token_file: base.path(&needed("token_file", self.token_file.take())?),
                password_file: path(self.password_file.take()),
                ca_file: path(self.ca_file.take()),
            },
            "sftp" => TargetKind::Sftp {
                place,
                ssh_config: path(self.ssh_config.take()),
                identity_file: path(self.identity_file.take()),
            },
            _ => TargetKind::S3 {
                endpoint: place,
                bucket: needed("bucket", self.bucket.take())?,
                prefix: self.prefix.take().unwrap_or_default(),
                region: self.region.take().unwrap_or_else(|| "us-east-1".to_owned()),
                access_key: needed("access_key", self.access_key.take())?,
                secret_key_file: base
                    .path(&needed("secret_key_file", self.secret_key_file.take())?),
                ca_file: path(self.ca_file.take()),
            },
        };
        match self.left() {
            None => Ok(target),
            Some(key) => Err(refuse(format!("is {kind}, which has no `{key}`")).into()),
        }
    }

    /// A key that the kind of target did not take.
    fn left(&self) -> Option<&'static str> {
        let keys = [
            ("user", &self.user),
            ("password_file", &self.password_file),
            ("token_file", &self.token_file),
            ("ca_file", &self.ca_file),
            ("ssh_config", &self.ssh_config),
            ("identity_file", &self.identity_file),
            ("bucket", &self.bucket),
            ("prefix", &self.prefix),
            ("region", &self.region),
            ("access_key", &self.access_key),
            ("secret_key_file", &self.secret_key_file),
        ];
        keys.into_iter().find(|(_, value)| value.is_some()).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> anyhow::Result<TargetSettings> {
        let table: TargetTable = toml::from_str(text).unwrap();
        table.settings("cloud", &Place::default())
    }

    #[test]
    fn every_kind_is_understood() {
        for (text, key) in [
            ("folder = '/mnt/x'\nmax_age = '2h'", "folder"),
            (
                "webdav = 'https://c.example/dav'\nuser = 'u'\npassword_file = 'p'\nbandwidth = '2 MiB'",
                "webdav",
            ),
            ("filedrop = 'https://c.example'\ntoken_file = 't'\npart = '900MB'", "filedrop"),
            ("sftp = 'nas:/srv'\nidentity_file = '~/.ssh/id'", "sftp"),
            (
                "s3 = 'https://s3.example'\nbucket = 'b'\naccess_key = 'a'\nsecret_key_file = 's'",
                "s3",
            ),
        ] {
            assert_eq!(settings(text).unwrap().kind.value.key(), key);
        }
        let limited = settings("webdav = 'https://c.example'\nbandwidth = '2 MiB'").unwrap();
        assert_eq!(limited.bandwidth, Some(2 << 20));
    }

    #[test]
    fn secrets_in_a_place_are_not_shown() {
        for text in [
            "webdav = 'https://hub:hunter2@c.example/dav'",
            "webdav = 'https://c.example/dav?token=hunter2'",
            "webdav = 'https://hunter2@c.example/dav'",
            "filedrop = 'https://hub:hunter2@c.example/'\ntoken_file = 't'",
            "sftp = 'sftp://hub:hunter2@nas/srv'",
            "sftp = 'hub:hunter2@nas:/srv'",
            "s3 = 'https://AKID:hunter2@s3.example/'\nbucket = 'b'\naccess_key = 'a'\nsecret_key_file = 's'",
        ] {
            let kind = settings(text).unwrap().kind.value;
            let shown = format!("{} {}", kind.place(), kind.definition());
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
            assert!(shown.contains("(removed-"), "{text}: {shown}");
        }
        let place = |text: &str| settings(text).unwrap().kind.value.place();
        assert_eq!(place("sftp = 'hub@nas:/srv'"), "hub@nas:/srv");
        assert_eq!(place("webdav = 'https://c.example/dav'"), "https://c.example/dav");
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let refusal = |text: &str| settings(text).unwrap_err().to_string();
        insta::assert_snapshot!(refusal("folder = '/x'\nsftp = 'nas:/y'"), @"[targets.cloud] must name exactly one place");
        insta::assert_snapshot!(refusal("max_age = '2h'"), @"[targets.cloud] must name exactly one place");
        insta::assert_snapshot!(refusal("folder = '/x'\nuser = 'u'"), @"[targets.cloud] is folder, which has no `user`");
        insta::assert_snapshot!(refusal("webdav = 'https://c.example'\nuser = 'u'"), @"[targets.cloud] requires both `user` and `password_file`, or neither");
        insta::assert_snapshot!(refusal("s3 = 'https://s3.example'\nbucket = 'b'"), @"[targets.cloud] is of kind s3 and requires `access_key`");
    }
}
