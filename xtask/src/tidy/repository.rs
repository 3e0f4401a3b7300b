//! The files of the project as the checks see them.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;

/// Results of building and running, which are in no commit.
const NOT_OURS: [&str; 3] = [".git", "target", "demo"];

/// The same of `cargo xtask fuzz`.
const MADE_BY_FUZZING: [&str; 4] =
    ["fuzz/artifacts", "fuzz/corpus", "fuzz/coverage", "fuzz/target"];

/// All text files, by their path from the root with `/` between its parts.
pub(super) struct Repository {
    files: BTreeMap<String, String>,
}

impl Repository {
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !NOT_OURS.contains(&name.as_str()) {
                read_into(&mut files, &entry.path(), name)?;
            }
        }
        Ok(Self { files })
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Self { files: files.iter().map(owned).collect() }
    }

    /// The text of a file, if there is one at this path.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// All files, as path and text.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files below a directory, given with its final `/`, that have the extension.
    pub(super) fn below(
        &self,
        directory: &str,
        extension: &str,
    ) -> impl Iterator<Item = (&str, &str)> {
        let has = move |path: &str| path.starts_with(directory) && extension_of(path) == extension;
        self.files().filter(move |(path, _)| has(path))
    }

    /// Returns true if a file or a directory of this path exists.
    pub(super) fn exists(&self, path: &str) -> bool {
        let directory = format!("{}/", path.trim_end_matches('/'));
        self.files().any(|(file, _)| file == path || file.starts_with(&directory))
    }
}

fn extension_of(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn read_into(
    files: &mut BTreeMap<String, String>,
    path: &Path,
    name: String,
) -> anyhow::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            if MADE_BY_FUZZING.contains(&name.as_str()) {
                continue;
            }
            read_into(files, &entry.path(), name)?;
        }
    } else if let Ok(text) = String::from_utf8(fs::read(path)?) {
        files.insert(name, text);
    }
    Ok(())
}
