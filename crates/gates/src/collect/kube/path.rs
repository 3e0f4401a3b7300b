//! Paths of the API. What comes from a configuration must not lead elsewhere.

use crate::evidence::{Absence, Kind};

/// The permission that a request needs.
pub(super) struct Asking {
    pub(super) verb: &'static str,
    pub(super) resource: String,
}

impl Asking {
    pub(super) fn version() -> Self {
        Self { verb: "get", resource: "/version".to_owned() }
    }
}

pub(super) fn asking(verb: &'static str, kind: &Kind, namespace: Option<&str>) -> Asking {
    let resource = kind.resource();
    let resource = match namespace {
        Some(namespace) => format!("{resource} in {namespace}"),
        None => resource,
    };
    Asking { verb, resource }
}

/// `/api/v1/namespaces/NAMESPACE/pods/NAME`.
pub(super) fn object(kind: &Kind, namespace: Option<&str>, name: &str) -> Result<String, Absence> {
    Ok(format!("{}/{}", list(kind, namespace)?, segment(name)?))
}

/// `/api/v1/namespaces/NAMESPACE/pods`.
pub(super) fn list(kind: &Kind, namespace: Option<&str>) -> Result<String, Absence> {
    Ok(kind.path(namespace.map(segment).transpose()?))
}

fn segment(text: &str) -> Result<&str, Absence> {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if text.is_empty() || !text.bytes().all(allowed) || text.bytes().all(|byte| byte == b'.') {
        return Err(Absence::failed(format!("`{text}` is no name of Kubernetes")));
    }
    Ok(text)
}

/// The value of a parameter, such as a selector of labels.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: Kind = Kind::new("", "v1", "pods", "Pod");
    const JOBS: Kind = Kind::new("batch", "v1", "jobs", "Job");

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(object(&PODS, Some("a"), "b").unwrap(), "/api/v1/namespaces/a/pods/b");
        assert_eq!(list(&JOBS, Some("a")).unwrap(), "/apis/batch/v1/namespaces/a/jobs");
        assert_eq!(list(&JOBS, None).unwrap(), "/apis/batch/v1/jobs");
        assert_eq!(encoded("cnpg.io/cluster=db"), "cnpg.io%2Fcluster%3Ddb");
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        for name in ["", "..", "a/../b", "a?b", "a#b", "a%2fb", "a b"] {
            assert!(object(&PODS, None, name).is_err(), "{name}");
            assert!(list(&PODS, Some(name)).is_err(), "{name}");
        }
    }
}
