//! The directory that keeps what was fetched. A run that is killed leaves it as it was; two runs
//! take turns.

use std::fs::TryLockError;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// In each tree: what it was made of. It is written last, so a tree without it is not whole.
const ORIGIN: &str = "ORIGIN";

/// A part of the cache, locked for as long as this value lives.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    _lock: fs_err::File,
}

impl Cache {
    /// Opens the part of the cache that has this name, after whoever fills it now.
    ///
    /// # Errors
    ///
    /// If its directory cannot be made or locked.
    pub fn open(name: &str) -> anyhow::Result<Self> {
        let directory = directory()?;
        make(&directory)?;
        Self::at(directory.join(name))
    }

    fn at(directory: PathBuf) -> anyhow::Result<Self> {
        make(&directory)?;
        let lock = fs_err::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join("lock"))?;
        match lock.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("Waiting for another run, which fills the cache …");
                lock.file().lock().context("could not lock the cache")?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context("could not lock the cache");
            }
        }
        Ok(Self { directory, _lock: lock })
    }

    /// Says if the tree of this name is there and of this origin.
    #[must_use]
    pub fn has(&self, name: &str, origin: &str) -> bool {
        let found = fs_err::read_to_string(self.directory.join(name).join(ORIGIN));
        found.is_ok_and(|found| found == origin)
    }

    /// The tree of this name, if it is there and of this origin.
    #[must_use]
    pub fn find(&self, name: &str, origin: &str) -> Option<PathBuf> {
        self.has(name, origin).then(|| self.directory.join(name))
    }

    /// The tree of this name, made by `fill` in an empty directory unless it is there and of this
    /// origin.
    ///
    /// # Errors
    ///
    /// If `fill` fails; the tree that was there stays.
    pub fn ensure(
        &self,
        name: &str,
        origin: &str,
        fill: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let tree = self.directory.join(name);
        if self.has(name, origin) {
            return Ok(tree);
        }
        let [new, old] =
            ["new", "old"].map(|suffix| self.directory.join(format!("{name}.{suffix}")));
        remove(&new)?;
        remove(&old)?;
        make(&new)?;
        fill(&new)?;
        fs_err::write(new.join(ORIGIN), origin)?;
        if tree.exists() {
            fs_err::rename(&tree, &old)?;
        }
        fs_err::rename(&new, &tree)?;
        remove(&old)?;
        Ok(tree)
    }
}

/// Makes a directory that others can enter, whatever our umask.
fn make(directory: &Path) -> anyhow::Result<()> {
    if !directory.is_dir() {
        fs_err::create_dir_all(directory)?;
        fs_err::set_permissions(directory, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        fs_err::remove_dir_all(directory)?;
    }
    Ok(())
}

/// Returns the directory of the cache. PostgreSQL refuses to run as root, and its user has to reach
/// its programs: root's home is closed to others.
///
/// # Errors
///
/// If the environment names no home.
pub fn directory() -> anyhow::Result<PathBuf> {
    // /proc/self belongs to the user that runs us.
    if fs_err::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        return Ok(PathBuf::from("/var/cache/hubctl-dev"));
    }
    let named = |variable| std::env::var_os(variable).map(PathBuf::from);
    let caches = named("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let caches = caches.or_else(|| Some(named("HOME")?.join(".cache")));
    Ok(caches
        .context("there is no place for a cache: neither XDG_CACHE_HOME nor HOME is set")?
        .join("hubctl-dev"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &'static str) -> impl FnOnce(&Path) -> anyhow::Result<()> {
        move |new| Ok(fs_err::write(new.join("file"), text)?)
    }

    #[test]
    fn a_tree_is_made_once_and_again_when_its_pin_moved() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path().join("postgres")).unwrap();
        let read = |tree: &Path| fs_err::read_to_string(tree.join("file")).unwrap();
        let tree = cache.ensure("16", "16.1", file("first")).unwrap();
        assert_eq!(read(&tree), "first");
        cache.ensure("16", "16.1", file("second")).unwrap();
        assert_eq!(read(&tree), "first");
        cache.ensure("16", "16.2", file("third")).unwrap();
        assert_eq!(read(&tree), "third");
    }

    #[test]
    fn what_a_killed_run_left_is_not_taken_for_a_tree() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path().to_owned()).unwrap();
        for half in ["16", "16.new", "16.old"] {
            fs_err::create_dir(place.path().join(half)).unwrap();
            fs_err::write(place.path().join(half).join("half"), "").unwrap();
        }
        let tree = cache.ensure("16", "16.1", file("whole")).unwrap();
        assert!(!tree.join("half").exists());
        let mut names: Vec<_> = fs_err::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["16", "lock"]);
    }

    #[test]
    fn a_failed_fetch_leaves_the_tree_that_was_there() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path().to_owned()).unwrap();
        let tree = cache.ensure("16", "16.1", file("old")).unwrap();
        let failed = cache.ensure("16", "16.2", |_| anyhow::bail!("no network"));
        assert!(failed.is_err());
        assert_eq!(fs_err::read_to_string(tree.join("file")).unwrap(), "old");
    }
}
