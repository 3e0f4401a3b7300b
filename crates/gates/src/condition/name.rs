//! `NAMESPACE/NAME`, as it is written in the configuration.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The namespace and the name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct NamespacedName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl TryFrom<String> for NamespacedName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("expected NAMESPACE/NAME".to_owned()),
        }
    }
}

impl From<NamespacedName> for String {
    fn from(name: NamespacedName) -> Self {
        name.to_string()
    }
}

/// Returns true for a name that Kubernetes allows; anything else would be another path of the API.
fn is_name(text: &str) -> bool {
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_kubernetes_are_names() {
        let name = NamespacedName::try_from("databases/state-hub-db".to_owned()).unwrap();
        assert_eq!(name.to_string(), "databases/state-hub-db");
        for text in ["", "x", "/x", "x/", "a/b/c", "a/../b", "a/b?c", "A/b", "a/.."] {
            assert!(NamespacedName::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
