//! The parts of clusters, kept in the cache: programs from Go modules, images from Debian's
//! packages, and the images unpacked.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use provision::Cache;

use super::{images, programs, store};

const CACHE: &str = "kubernetes";
const PROGRAMS: &str = "programs";
const IMAGES: &str = "images";
const STORE: &str = "store";

/// The directories of the parts of every cluster.
#[derive(Debug, Clone)]
pub(super) struct Components {
    root: PathBuf,
}

impl Components {
    /// The parts, whether they are there or not.
    pub(super) fn locate() -> anyhow::Result<Self> {
        Ok(Self { root: provision::cache_directory()?.join(CACHE) })
    }

    pub(super) fn programs(&self) -> PathBuf {
        self.root.join(PROGRAMS)
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs().join(name)
    }

    /// The directory of a containerd that has the images, unpacked.
    pub(super) fn store(&self) -> PathBuf {
        self.root.join(STORE)
    }
}

/// Returns true if [`ensure`] would return at once.
pub(super) fn is_warm() -> bool {
    Cache::open(CACHE).is_ok_and(|cache| {
        cache.has(PROGRAMS, &programs::origin())
            && cache.has(IMAGES, &images::origin())
            && cache.has(STORE, &images::origin())
    })
}

/// The parts, made where they are missing.
pub(super) fn ensure() -> anyhow::Result<Components> {
    let cache = Cache::open(CACHE)?;
    // One waits for the processor and the other for the network and the disk.
    let (programs, images) = std::thread::scope(|scope| {
        let images = scope.spawn(|| make(&cache, IMAGES, &images::origin(), images::build));
        let programs =
            make(&cache, PROGRAMS, &programs::origin(), |new| programs::build(&cache, new));
        (programs, images.join().expect("a builder does not panic"))
    });
    programs?;
    let images = images?;
    make(&cache, STORE, &images::origin(), |new| store::fill(new, &images))?;
    Components::locate()
}

fn make(
    cache: &Cache,
    name: &str,
    origin: &str,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    cache
        .ensure(name, origin, |new| {
            let begin = Instant::now();
            fill(new)?;
            eprintln!("cluster: {name} made in {:.0} s", begin.elapsed().as_secs_f64());
            Ok(())
        })
        .with_context(|| format!("could not make the {name} of a cluster"))
}
