//! Connection parameters as libpq names them: read from a URL or a `key=value` string, completed
//! by the caller, and only then made into a [`Database`](crate::Database).

mod pairs;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The parameters of a connection URL or string, keyword by keyword (`host`, `sslmode`, …).
///
/// A program that also wants a service file, variables or defaults of its own fills in what is
/// still missing with [`ConnectionParameters::set_default`] and then calls
/// [`Database::from_parameters`](crate::Database::from_parameters): this crate looks nowhere by
/// itself.
///
/// ```
/// # use pgsnap::{ConnectionParameters, Database};
/// let mut parameters: ConnectionParameters = "postgresql://hub@/state_hub".parse()?;
/// parameters.set_default("host", "/run/postgresql");
/// parameters.set_default("user", "somebody else");
/// let database = Database::from_parameters(&parameters)?;
/// assert_eq!(database.to_string(), "hub@/run/postgresql:5432/state_hub");
/// # Ok::<(), pgsnap::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectionParameters {
    values: BTreeMap<String, String>,
}

impl ConnectionParameters {
    /// No parameter at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `postgresql://…` or `key=value …`. Keywords are not judged yet.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`]. The text itself is not repeated: it may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        let pairs = match url::without_scheme(text) {
            Some(rest) => url::parse(rest)?,
            None => pairs::parse(text)?,
        };
        let mut parameters = Self::new();
        for (keyword, value) in pairs {
            parameters.set(keyword, value);
        }
        Ok(parameters)
    }

    /// The value of a keyword; an empty one counts as not set, as in libpq.
    #[must_use]
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.values.get(keyword).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Sets a keyword, whatever it was before.
    pub fn set(&mut self, keyword: impl Into<String>, value: impl Into<String>) {
        self.values.insert(keyword.into(), value.into());
    }

    /// Sets a keyword that is not set yet; returns whether it was not.
    pub fn set_default(&mut self, keyword: &str, value: impl Into<String>) -> bool {
        let is_missing = self.get(keyword).is_none();
        if is_missing {
            self.set(keyword, value);
        }
        is_missing
    }

    /// Takes a keyword out.
    pub fn remove(&mut self, keyword: &str) -> Option<String> {
        self.values.remove(keyword).filter(|value| !value.is_empty())
    }

    /// The keywords that are set, in alphabetical order, without their values.
    pub fn keywords(&self) -> impl Iterator<Item = &str> {
        let set = self.values.iter().filter(|(_, value)| !value.is_empty());
        set.map(|(keyword, _)| keyword.as_str())
    }

    /// Those of `keywords` that are set, as the driver's `key='value'` string.
    pub(crate) fn conninfo(&self, keywords: &[&str]) -> String {
        let quote = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        let set = keywords.iter().filter_map(|keyword| Some((keyword, self.get(keyword)?)));
        set.map(|(keyword, value)| format!("{keyword}='{}' ", quote(value))).collect()
    }
}

impl FromStr for ConnectionParameters {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// Names the keywords only: among the values is a password.
impl fmt::Debug for ConnectionParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionParameters")?;
        f.debug_set().entries(self.keywords()).finish()
    }
}

pub(crate) fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidUrl { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_stays_and_what_is_empty_is_filled() {
        let mut parameters = ConnectionParameters::parse("host=a user='' port=1").unwrap();
        assert!(!parameters.set_default("host", "b"));
        assert!(parameters.set_default("user", "hub"));
        assert_eq!(parameters.get("host"), Some("a"));
        assert_eq!(parameters.get("user"), Some("hub"));
        assert_eq!(parameters.remove("port").as_deref(), Some("1"));
        assert_eq!(parameters.keywords().collect::<Vec<_>>(), ["host", "user"]);
    }

    #[test]
    fn debug_output_has_no_values() {
        let parameters = ConnectionParameters::parse("user=hub password=s3cret").unwrap();
        assert_eq!(format!("{parameters:?}"), "ConnectionParameters{\"password\", \"user\"}");
    }

    #[test]
    fn what_the_driver_reads_is_what_was_meant() {
        let mut parameters = ConnectionParameters::new();
        parameters.set("user", "o'hara \\ sons");
        parameters.set("sslrootcert", "/ca.pem");
        assert_eq!(parameters.conninfo(&["user", "dbname"]), "user='o\\'hara \\\\ sons' ");
    }
}
