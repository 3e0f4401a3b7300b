//! Which images the servers are made of.

use std::collections::BTreeSet;

use crate::Unavailable;
use crate::containers::Run;
use crate::plan::{Version, Way};

/// The images that `cargo xtask images` builds.
const LOCAL: &str = "hubctl-drill-postgres:{major}";
const OFFICIAL: &str = "postgres:{major}-alpine";
const PLACE: &str = "{major}";

/// A name for every version.
pub(crate) struct Images {
    template: String,
    are_local: bool,
}

impl Images {
    /// The template that was given; else the local images where all are there; else the official
    /// ones.
    pub(crate) async fn choose(
        run: &Run,
        given: Option<&str>,
        ways: &[Way],
    ) -> anyhow::Result<Self> {
        let template = match given {
            Some(template) => template.to_owned(),
            None => Self::default_for(run, ways).await,
        };
        if !template.contains(PLACE) && versions(ways).len() > 1 {
            return Err(anyhow::anyhow!(
                "`{template}` is one image, and this drill needs several: write {PLACE} for the version"
            ));
        }
        let are_local = template == LOCAL;
        eprintln!("Servers are containers of {template}.");
        if !are_local {
            eprintln!("They are of one C library, so no way leads from one to another.");
        }
        Ok(Self { template, are_local })
    }

    async fn default_for(run: &Run, ways: &[Way]) -> String {
        for version in versions(ways) {
            if !is_here(run, &named(LOCAL, version)).await {
                return OFFICIAL.to_owned();
            }
        }
        LOCAL.to_owned()
    }

    /// Returns true if the images are those of `cargo xtask images`, which have servers of two C
    /// libraries.
    pub(crate) fn are_local(&self) -> bool {
        self.are_local
    }

    /// Name and tag of the image of a version.
    pub(crate) fn of(&self, version: Version) -> (String, String) {
        split(&named(&self.template, version))
    }

    /// Returns the error for a missing image.
    pub(crate) fn unavailable(&self, version: Version, reason: &str) -> Unavailable {
        Unavailable(format!(
            "{} could not be started: {reason}\n  `cargo xtask images` builds images without a registry; --image names others",
            named(&self.template, version)
        ))
    }
}

fn versions(ways: &[Way]) -> BTreeSet<Version> {
    ways.iter().flat_map(|way| [way.from, way.to]).collect()
}

fn named(template: &str, version: Version) -> String {
    template.replace(PLACE, &version.to_string())
}

async fn is_here(run: &Run, image: &str) -> bool {
    run.docker().inspect_image(image).await.is_ok()
}

/// A colon before the last slash belongs to the address of a registry.
fn split(image: &str) -> (String, String) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (image.to_owned(), "latest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_goes_into_the_name() {
        let version: Version = "16-musl".parse().unwrap();
        assert_eq!(named(LOCAL, version), "hubctl-drill-postgres:16-musl");
        assert_eq!(named(OFFICIAL, 17.into()), "postgres:17-alpine");
    }

    #[test]
    fn a_port_is_not_a_tag() {
        let pair = |name: &str, tag: &str| (name.to_owned(), tag.to_owned());
        assert_eq!(split("postgres:17-alpine"), pair("postgres", "17-alpine"));
        assert_eq!(split("192.0.2.10:5000/postgres"), pair("192.0.2.10:5000/postgres", "latest"));
    }
}
