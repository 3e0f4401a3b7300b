//! The sides of a comparison: a live database or a backup.

use backup::Identities;
use pgsnap::{Archive, Census, CensusOptions, RowSource};

use super::CompareDepth;
use crate::failure::Refusal;
use crate::keys;
use crate::ops::{Ops, blocking, phases};
use crate::site::{Site, is_url};
use crate::store::{self, Contents};

/// One side, before anything is counted.
pub(in crate::ops) enum Side {
    Live(Box<Site>),
    Backup { label: String, archive: Archive },
}

/// The way in which two sides are read.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ops) struct Reading {
    pub(super) depth: CompareDepth,
    pub(super) jobs: Option<u16>,
}

/// Finds both sides.
pub(super) async fn sides(ops: &Ops, a: &str, b: &str) -> anyhow::Result<(Side, Side)> {
    let identities = keys::opening(ops.settings(), ops.console())?;
    let a = Side::resolve(ops, &identities, a).await?;
    let b = Side::resolve(ops, &identities, b).await?;
    Ok((a, b))
}

impl Side {
    /// A URL, else a site of this name, else a backup.
    pub(in crate::ops) async fn resolve(
        ops: &Ops,
        identities: &Identities,
        word: &str,
    ) -> anyhow::Result<Self> {
        let (settings, console) = (ops.settings(), &**ops.console());
        if settings.sites.contains_key(word) || is_url(word) {
            return Self::live(ops, word).await;
        }
        let could_be_a_backup = settings.vault.is_some() || std::path::Path::new(word).is_file();
        if !could_be_a_backup {
            // Without a vault the word can only have been meant as a site.
            return Self::live(ops, word).await;
        }
        let (vault, entry) = store::find_good_entry(settings, word, console)?;
        let label = format!("{}-{}", vault.service(), entry.id());
        let identities = keys::for_entry(identities, &entry, console);
        match store::contents(vault, entry, identities).await? {
            Contents::Archive(archive) => Ok(Self::Backup { label, archive }),
            Contents::PlainDump(_) => {
                Err(Refusal::could_not_ask("a plain dump has no manifest to compare with")
                    .hint("restore it, and compare the databases")
                    .into())
            }
        }
    }

    async fn live(ops: &Ops, word: &str) -> anyhow::Result<Self> {
        let (settings, console) = (ops.settings(), &**ops.console());
        let site = Site::resolve(settings, word).await?.readable(settings, console).await?;
        Ok(Self::Live(Box::new(site)))
    }

    pub(in crate::ops) fn label(&self) -> String {
        match self {
            Self::Live(site) => site.label.clone(),
            Self::Backup { label, .. } => label.clone(),
        }
    }

    /// Returns true if both lead to the same place: a comparison with itself proves nothing.
    pub(in crate::ops) async fn is_same(&self, other: &Self) -> anyhow::Result<bool> {
        Ok(match (self, other) {
            (Self::Live(a), Self::Live(b)) => {
                pgsnap::is_same_database(&a.database, &b.database).await?
            }
            (Self::Backup { label: a, .. }, Self::Backup { label: b, .. }) => a == b,
            _ => false,
        })
    }

    pub(super) fn source(&self) -> RowSource {
        match self {
            Self::Live(site) => RowSource::Database(site.database.clone()),
            Self::Backup { archive, .. } => RowSource::Archive(archive.clone()),
        }
    }

    /// Counts this side, with columns in the order of `like`: a digest depends on the order of
    /// the fields.
    pub(in crate::ops) async fn census(
        &self,
        ops: &Ops,
        reading: Reading,
        like: Option<&Census>,
    ) -> anyhow::Result<Census> {
        match self {
            Self::Live(site) => {
                let mut options = CensusOptions::default();
                options.jobs = reading.jobs.map_or(options.jobs, usize::from);
                options.content = reading.depth == CompareDepth::Content;
                options.columns_like = like.cloned();
                let progress = ops.progress(phases::CENSUS);
                Ok(pgsnap::census(&site.database, &options, &progress).await?)
            }
            Self::Backup { archive, .. } => {
                let archive = archive.clone();
                blocking(move || {
                    let mut census = archive.manifest().census.clone();
                    if let Some(schema) = &mut census.schema {
                        schema.statements = archive.schema_statements()?;
                    }
                    Ok(census)
                })
                .await
            }
        }
    }
}

/// Counts both sides. Backups come first: their order of columns is given, and a database can
/// follow it.
pub(super) async fn censuses(
    ops: &Ops,
    reading: Reading,
    a: &Side,
    b: &Side,
) -> anyhow::Result<(Census, Census)> {
    if matches!((a, b), (Side::Live(_), Side::Backup { .. })) {
        let second = b.census(ops, reading, None).await?;
        let first = a.census(ops, reading, Some(&second)).await?;
        return Ok((first, second));
    }
    let first = a.census(ops, reading, None).await?;
    let second = b.census(ops, reading, Some(&first)).await?;
    Ok((first, second))
}
