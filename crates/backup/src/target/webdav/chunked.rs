//! Nextcloud's chunked upload, version 2 (developer manual, "Chunked file upload").
//!
//! Chunks are put into a folder of their own, and moving its `.file` to the destination makes the
//! file out of them. The folder's name is made from the hash of the file, so an upload that was
//! interrupted finds the chunks that it sent.

use std::collections::BTreeMap;

use url::Url;

use super::super::http::{Asked, Body, Client};
use super::super::{Receipt, TargetFailure, Upload};
use super::{child, confirmed, listing, propfind};

/// Nextcloud takes chunks of 5 MiB and more, the last one excepted, and no more than 10 000 of
/// them.
const SHORTEST: u64 = 5 << 20;
const MOST: u64 = 10_000;

/// Where a user's uploads are collected.
#[derive(Debug)]
pub(super) struct Uploads {
    base: Url,
}

impl Uploads {
    /// The uploads beside `…/remote.php/dav/files/USER/…`; elsewhere there are none.
    pub(super) fn of(base: &Url) -> Option<Self> {
        let (before, after) = base.path().split_once("/remote.php/dav/files/")?;
        let user = after.split('/').next().filter(|user| !user.is_empty())?;
        let mut uploads = base.clone();
        uploads.set_path(&format!("{before}/remote.php/dav/uploads/{user}/"));
        Some(Self { base: uploads })
    }

    pub(super) fn put(
        &self,
        client: &Client,
        upload: &Upload<'_>,
        destination: &Url,
    ) -> Result<Receipt, TargetFailure> {
        let length = chunk_length(upload.bytes, client.limits.part);
        // Chunks of another length are another upload.
        let folder = child(&self.base, &format!("hubctl-{}-{length}", &upload.sha256[..32]));
        let there = chunks_there(client, &folder, destination)?;
        for (number, begin) in (1..).zip((0..upload.bytes).step_by(step(length))) {
            let range = begin..(begin + length).min(upload.bytes);
            let name = format!("{number:05}");
            if there.get(&name) == Some(&(range.end - range.start)) {
                continue;
            }
            let url = child(&folder, &name);
            let asked = Asked::new("PUT", &url)
                .header("Destination", destination.as_str())
                .header("OC-Total-Length", upload.bytes.to_string())
                .body(Body::Part(upload, range));
            client.ask(asked)?;
        }
        assemble(client, &folder, upload, destination)
    }
}

/// The chunks that an earlier attempt sent, with their lengths; the folder is made if there is
/// none.
fn chunks_there(
    client: &Client,
    folder: &Url,
    destination: &Url,
) -> Result<BTreeMap<String, u64>, TargetFailure> {
    match client.ask(propfind(folder, "1")) {
        Ok(answer) => {
            let files = listing::parse(answer.text()?, folder)?;
            Ok(files.into_iter().map(|file| (file.name, file.bytes)).collect())
        }
        Err(TargetFailure::NotFound) => {
            let asked = Asked::new("MKCOL", folder).header("Destination", destination.as_str());
            client.ask(asked)?;
            Ok(BTreeMap::new())
        }
        Err(failure) => Err(failure),
    }
}

fn assemble(
    client: &Client,
    folder: &Url,
    upload: &Upload<'_>,
    destination: &Url,
) -> Result<Receipt, TargetFailure> {
    let all = child(folder, ".file");
    let asked = Asked::new("MOVE", &all)
        .header("Destination", destination.as_str())
        .header("Overwrite", if upload.replace { "T" } else { "F" })
        .header("OC-Total-Length", upload.bytes.to_string())
        .header("X-Hash", "sha256");
    let answer = client.ask(asked)?;
    Ok(Receipt {
        is_hash_confirmed: confirmed(&answer, upload)?,
        answer: answer.status.to_string(),
    })
}

fn chunk_length(bytes: u64, part: u64) -> u64 {
    part.max(SHORTEST).max(bytes.div_ceil(MOST))
}

fn step(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_lie_beside_the_files_of_a_nextcloud_only() {
        let of = |address: &str| {
            Uploads::of(&Url::parse(address).unwrap()).map(|uploads| uploads.base.to_string())
        };
        assert_eq!(
            of("https://c.example/nc/remote.php/dav/files/hub/a/b/").unwrap(),
            "https://c.example/nc/remote.php/dav/uploads/hub/"
        );
        assert!(of("https://c.example/remote.php/dav/files/").is_none());
        assert!(of("https://c.example/dav/hub/").is_none());
    }

    #[test]
    fn chunks_are_as_long_as_the_server_wants_them() {
        assert_eq!(chunk_length(100, 1), SHORTEST);
        assert_eq!(chunk_length(1 << 30, 64 << 20), 64 << 20);
        let long: u64 = 2 << 40;
        assert!(long.div_ceil(chunk_length(long, 64 << 20)) <= MOST);
    }
}
