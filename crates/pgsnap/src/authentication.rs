//! Which ways to prove who we are a server may ask for (`require_auth`).

use std::fmt;
use std::io;

use crate::error::Result;
use crate::parameters::{ConnectionParameters, invalid};

/// A method of authentication, as libpq names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    Password,
    Md5,
    Scram,
    /// The server asks for nothing: `trust`, `peer` or a client certificate.
    None,
    /// Methods that are not spoken here; the driver refuses them.
    Other,
}

const NAMES: &[(&str, AuthMethod)] = &[
    ("password", AuthMethod::Password),
    ("md5", AuthMethod::Md5),
    ("scram-sha-256", AuthMethod::Scram),
    ("none", AuthMethod::None),
    ("gss", AuthMethod::Other),
    ("sspi", AuthMethod::Other),
    ("oauth", AuthMethod::Other),
];

impl AuthMethod {
    /// The method that an authentication request of the server asks for, if it asks for one.
    pub(crate) fn of_request(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            3 => Some(Self::Password),
            5 => Some(Self::Md5),
            10 => Some(Self::Scram),
            // The rest of an exchange that has begun.
            8 | 11 | 12 => None,
            _ => Some(Self::Other),
        }
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password => "the server asks for the password in clear text",
            Self::Md5 => "the server asks for a password by md5",
            Self::Scram => "the server asks for a password by scram-sha-256",
            Self::None => "the server asks for no authentication",
            Self::Other => "the server asks for an authentication that is not supported",
        })
    }
}

/// The methods that are allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Authentication {
    /// The text of `require_auth`, for children.
    text: Option<String>,
    allowed: Option<Vec<AuthMethod>>,
}

impl Authentication {
    pub(crate) fn of(parameters: &ConnectionParameters) -> Result<Self> {
        let Some(text) = parameters.get("require_auth") else {
            return Ok(Self::default());
        };
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        let negated = words.iter().filter(|word| word.starts_with('!')).count();
        if negated != 0 && negated != words.len() {
            return Err(invalid("require_auth mixes methods with and without `!`"));
        }
        let mut named = Vec::with_capacity(words.len());
        for word in words {
            let name = word.trim_start_matches('!');
            let known = NAMES.iter().find(|(known, _)| *known == name);
            let (_, method) = known.ok_or_else(|| {
                invalid("require_auth names none of password, md5, scram-sha-256, gss, sspi, oauth and none")
            })?;
            named.push(*method);
        }
        let allowed = match negated {
            0 => named,
            _ => {
                let others = NAMES.iter().map(|(_, method)| *method);
                others.filter(|method| !named.contains(method)).collect()
            }
        };
        Ok(Self { text: Some(text.to_owned()), allowed: Some(allowed) })
    }

    /// Returns the setting for child programs of libpq. Versions before 16 ignore it.
    pub(crate) fn for_children(&self, may_be_encrypted: bool) -> Option<String> {
        let default = || (!may_be_encrypted).then(|| "!password".to_owned());
        self.text.clone().or_else(default)
    }

    /// Judges a method that the server asks for.
    pub(crate) fn check(&self, method: AuthMethod, is_encrypted: bool) -> Result<(), RefusedAuth> {
        let is_allowed = match &self.allowed {
            Some(allowed) => allowed.contains(&method),
            None => method != AuthMethod::Password || is_encrypted,
        };
        is_allowed.then_some(()).ok_or(RefusedAuth { method, is_required: self.allowed.is_some() })
    }
}

/// The server asked for a method that is not allowed. Nothing was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefusedAuth {
    method: AuthMethod,
    is_required: bool,
}

impl fmt::Display for RefusedAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = if self.is_required {
            "require_auth does not allow that"
        } else {
            "the connection is not encrypted"
        };
        write!(f, "{}, and {reason}", self.method)
    }
}

impl std::error::Error for RefusedAuth {}

impl From<RefusedAuth> for io::Error {
    fn from(refused: RefusedAuth) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authentication(text: &str) -> Result<Authentication> {
        let mut parameters = ConnectionParameters::new();
        parameters.set("require_auth", text);
        Authentication::of(&parameters)
    }

    #[test]
    fn methods_are_allowed_and_forbidden_as_by_libpq() {
        use AuthMethod::{Md5, None, Password, Scram};
        for (text, allowed) in [
            ("scram-sha-256", vec![Scram]),
            ("scram-sha-256, none", vec![Scram, None]),
            ("!password,!md5", vec![Scram, None]),
            ("password", vec![Password]),
        ] {
            let authentication = authentication(text).unwrap();
            for method in [Password, Md5, Scram, None] {
                let verdict = authentication.check(method, false).is_ok();
                assert_eq!(verdict, allowed.contains(&method), "{text}: {method:?}");
            }
        }
        for text in ["scram", "md5,!password", "!", "md5,"] {
            assert!(authentication(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_clear_text_needs_an_encrypted_connection() {
        let default = Authentication::default();
        assert!(default.check(AuthMethod::Password, true).is_ok());
        let refused = default.check(AuthMethod::Password, false).unwrap_err();
        assert!(refused.to_string().contains("not encrypted"), "{refused}");
        assert!(default.check(AuthMethod::Md5, false).is_ok());
    }
}
