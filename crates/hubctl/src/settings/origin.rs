//! The origin of a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

/// The place that set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag(&'static str),
    Argument,
    Environment(&'static str),
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::Argument => f.write_str("argument"),
            Self::Environment(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// The origins of all settings, by their keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    file: Option<PathBuf>,
    /// The keys of the file.
    written: BTreeSet<String>,
    /// The keys that flags and variables set, whatever the file says.
    overridden: BTreeMap<&'static str, Origin>,
}

impl Origins {
    pub(super) fn of_file(file: Option<PathBuf>, written: BTreeSet<String>) -> Self {
        Self { file, written, overridden: BTreeMap::new() }
    }

    pub(super) fn set(&mut self, key: &'static str, origin: Origin) {
        self.overridden.insert(key, origin);
    }

    /// The origin of a key; an item of a list has that of the list.
    pub(super) fn of(&self, key: &str) -> Origin {
        let list = key.split('[').next().unwrap_or(key);
        match (self.overridden.get(key).or_else(|| self.overridden.get(list)), &self.file) {
            (Some(origin), _) => origin.clone(),
            (None, Some(file)) if self.is_written(key) => Origin::File(file.clone()),
            (None, _) => Origin::Default,
        }
    }

    pub(super) fn sourced<T>(&self, key: &str, value: T) -> Sourced<T> {
        Sourced { value, origin: self.of(key) }
    }

    /// Returns true if the file has the key, or one in its table or list.
    fn is_written(&self, key: &str) -> bool {
        let mut below = self.written.iter().filter_map(|written| written.strip_prefix(key));
        below.any(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_from_where_it_was_set_last() {
        let written = ["a.list[0]", "a.list-2", "b.c.d"].map(str::to_owned).into();
        let file = PathBuf::from("/etc/hubctl.toml");
        let mut origins = Origins::of_file(Some(file.clone()), written);
        for (key, is_written) in
            [("a.list[0]", true), ("a.list", true), ("a.lis", false), ("b.c", true), ("b.e", false)]
        {
            let expected = if is_written { Origin::File(file.clone()) } else { Origin::Default };
            assert_eq!(origins.of(key), expected, "{key}");
        }
        origins.set("a.list", Origin::Flag("--list"));
        assert_eq!(origins.of("a.list[3]"), Origin::Flag("--list"));
    }
}
