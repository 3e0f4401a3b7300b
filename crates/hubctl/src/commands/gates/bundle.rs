//! What was read, in a file to send to somebody: evidence, gates and verdicts, without secrets.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use gates::{Evidence, Gate, Gates, Verdicts};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::approvals::Copies;
use crate::failure::Refusal;
use crate::settings::Settings;

const EVIDENCE: &str = "evidence.json";
const GATES: &str = "gates.json";
const VERDICTS: &str = "verdicts.json";
const APPROVALS: &str = "approvals.json";
/// The first bytes of a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Nothing in a bundle is longer.
const MOST: u64 = 256 << 20;

/// Evidence, the gates that it was read for, and who agreed to them.
pub(super) struct Bundle {
    pub(super) gates: Gates,
    pub(super) evidence: Evidence,
    /// None where this is evidence alone.
    pub(super) approvals: Option<Copies>,
}

impl Bundle {
    /// The gates with these names and their parts.
    pub(super) fn new(
        settings: &Settings,
        gates: &Gates,
        names: &[&str],
        evidence: Evidence,
        judged_at: Timestamp,
    ) -> anyhow::Result<Self> {
        let kept = gates.with_parts(names).into_iter();
        let kept: BTreeMap<String, Gate> = kept
            .filter_map(|name| Some((name.to_owned(), gates.get(name)?.clone())))
            .collect();
        let gates = Gates::new(kept).expect("gates with all their parts were checked before");
        let approvals = Some(Copies::of(settings, judged_at, gates.iter())?);
        Ok(Self {
            gates,
            evidence,
            approvals,
        })
    }

    /// Writes it whole, or not at all.
    pub(super) fn write(&self, path: &Path, verdicts: &Verdicts) -> anyhow::Result<()> {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let file =
            tempfile::NamedTempFile::new_in(directory).context("the bundle cannot be written")?;
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        let gates: BTreeMap<&str, &Gate> = self.gates.iter().collect();
        append(&mut archive, EVIDENCE, &self.evidence)?;
        append(&mut archive, GATES, &gates)?;
        append(&mut archive, VERDICTS, verdicts)?;
        append(&mut archive, APPROVALS, &self.approvals)?;
        let mut file = archive.into_inner()?.finish()?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(path).context("the bundle cannot be written")?;
        Ok(())
    }

    /// Reads a bundle; or the evidence alone, to be judged by `configured`.
    pub(super) fn read(path: &Path, configured: &Gates) -> anyhow::Result<Self> {
        let unreadable = |error: std::io::Error| {
            Refusal::usage(format!("what was read cannot be read back: {error}"))
        };
        let bytes = regularfile::read(path, MOST).map_err(unreadable)?;
        if !bytes.starts_with(&GZIP) {
            let text = String::from_utf8_lossy(&bytes);
            return Ok(Self {
                gates: configured.clone(),
                evidence: Evidence::parse(&text)?,
                approvals: None,
            });
        }
        let mut texts = BTreeMap::new();
        let mut archive = tar::Archive::new(GzDecoder::new(&bytes[..]));
        for entry in archive.entries().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.path().map_err(unreadable)?.display().to_string();
            let mut text = String::new();
            entry
                .take(MOST)
                .read_to_string(&mut text)
                .map_err(unreadable)?;
            texts.insert(name, text);
        }
        let text = |name: &str| {
            let missing = || {
                Refusal::usage(format!(
                    "{} is no bundle: it holds no {name}",
                    path.display()
                ))
            };
            texts.get(name).ok_or_else(missing)
        };
        let gates: BTreeMap<String, Gate> = parse(GATES, text(GATES)?)?;
        Ok(Self {
            gates: Gates::new(gates)?,
            evidence: Evidence::parse(text(EVIDENCE)?)?,
            approvals: Some(parse(APPROVALS, text(APPROVALS)?)?),
        })
    }
}

fn parse<T: DeserializeOwned>(name: &str, text: &str) -> anyhow::Result<T> {
    Ok(serde_json::from_str(text)
        .map_err(|error| Refusal::usage(format!("{name} of the bundle cannot be read: {error}")))?)
}

fn append(
    archive: &mut tar::Builder<GzEncoder<tempfile::NamedTempFile>>,
    name: &str,
    value: &impl Serialize,
) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(value)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    archive.append_data(&mut header, name, &text[..])?;
    Ok(())
}
