//! The environment in which programs of libpq reach the same database.

use secrecy::ExposeSecret;

use super::Database;
use crate::error::Result;
use crate::tls::TlsMode;

/// A path that no machine has. libpq looks for certificates below the home directory where none are
/// named, and what a child does must not depend on that.
const NO_FILE: &str = "/nonexistent";

impl Database {
    /// Host, role, encryption and password. The password travels here because an environment,
    /// unlike an argument list, is private to the user.
    ///
    /// # Errors
    /// [`Error::Certificate`](crate::Error::Certificate) where `sslrootcert=system` is asked for
    /// and there is no such file.
    pub(crate) fn libpq_environment(&self) -> Result<Vec<(&'static str, String)>> {
        let mut environment = vec![
            ("PGHOST", self.libpq_host()),
            ("PGPORT", self.port().to_string()),
            ("PGUSER", self.user().to_owned()),
            ("PGDATABASE", self.name().to_owned()),
            ("PGCONNECT_TIMEOUT", self.connect_timeout().as_secs().to_string()),
            // Not tried before TLS, where the machine has a ticket.
            ("PGGSSENCMODE", "disable".to_owned()),
        ];
        let address = self.config.get_hostaddrs().first().map(ToString::to_string);
        let optional = [
            ("PGHOSTADDR", address),
            ("PGOPTIONS", self.options().map(str::to_owned)),
            ("PGREQUIREAUTH", self.authentication.for_children(self.tls.mode != TlsMode::Disable)),
            (
                "PGPASSWORD",
                self.password.as_ref().map(|password| password.expose_secret().to_owned()),
            ),
        ];
        environment.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        environment.extend(self.tls_environment()?);
        Ok(environment)
    }

    /// The host as libpq must have it to verify the certificate that we verify.
    fn libpq_host(&self) -> String {
        match &self.tls.server_name {
            Some(name) if !self.config.get_hostaddrs().is_empty() => name.clone(),
            _ => self.host(),
        }
    }

    fn tls_environment(&self) -> Result<Vec<(&'static str, String)>> {
        let tls = &self.tls;
        let mut environment = vec![("PGSSLMODE", tls.mode.to_string())];
        if tls.mode == TlsMode::Disable {
            return Ok(environment);
        }
        let root = match &tls.authorities {
            // The file, since libpq knows the word `system` from version 16 on only.
            Some(authorities) => authorities.path()?.display().to_string(),
            None => NO_FILE.to_owned(),
        };
        let (certificate, key) = tls.client_files().map_or_else(
            || (NO_FILE.to_owned(), NO_FILE.to_owned()),
            |(certificate, key)| (certificate.display().to_string(), key.display().to_string()),
        );
        environment.extend([
            ("PGSSLROOTCERT", root),
            ("PGSSLCERT", certificate),
            ("PGSSLKEY", key),
        ]);
        if tls.direct {
            environment.push(("PGSSLNEGOTIATION", "direct".to_owned()));
        }
        if let Some(binding) = self.channel_binding {
            environment.push(("PGCHANNELBINDING", binding.to_owned()));
        }
        Ok(environment)
    }
}

/// Variables of libpq that must not leak from the caller into a child program.
pub(crate) const FOREIGN_LIBPQ_VARIABLES: &[&str] = &[
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGHOSTADDR",
    "PGOPTIONS",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGREQUIRESSL",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLROOTCERT",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLNEGOTIATION",
    "PGSSLSNI",
    "PGSSLCOMPRESSION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGMINPROTOCOLVERSION",
    "PGMAXPROTOCOLVERSION",
    "PGSSLCERTMODE",
    "PGGSSENCMODE",
    "PGGSSDELEGATION",
    "PGGSSLIB",
    "PGKRBSRVNAME",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGCHANNELBINDING",
    "PGLOADBALANCEHOSTS",
    "PGTARGETSESSIONATTRS",
    "PGSYSCONFDIR",
    "PGLOCALEDIR",
    "PGCLIENTENCODING",
    "PGDATESTYLE",
    "PGTZ",
    "PGGEQO",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn value(database: &Database, name: &str) -> Option<String> {
        let environment = database.libpq_environment().unwrap();
        environment.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    #[test]
    fn options_and_timeout_reach_children_too() {
        let url = "postgresql://hub@localhost/hub?options=-c%20role%3Dapp&connect_timeout=3";
        let database = Database::from_url(url).unwrap();
        for database in [database.clone(), database.through("127.0.0.1", 6543)] {
            assert_eq!(value(&database, "PGOPTIONS").unwrap(), "-c role=app");
            assert_eq!(value(&database, "PGCONNECT_TIMEOUT").unwrap(), "3");
            assert_eq!(database.config("t").get_options(), Some("-c role=app"));
        }
    }

    #[test]
    fn children_are_as_strict_as_we_are() {
        let url = "postgresql://hub@db.example/hub?sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k.pem&channel_binding=require";
        let database = Database::from_url(url).unwrap();
        for (name, expected) in [
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
            ("PGSSLCERT", "/c.pem"),
            ("PGSSLKEY", "/k.pem"),
            ("PGCHANNELBINDING", "require"),
        ] {
            assert_eq!(value(&database, name).as_deref(), Some(expected), "{name}");
        }
        let unverified = Database::from_url("postgresql://hub@db.example/hub").unwrap();
        assert_eq!(value(&unverified, "PGSSLMODE").as_deref(), Some("require"));
        // Otherwise a file in the home directory would decide.
        assert_eq!(value(&unverified, "PGSSLROOTCERT").as_deref(), Some("/nonexistent"));
    }

    #[test]
    fn a_way_around_keeps_the_name_that_is_verified() {
        let url = "postgresql://hub@db.example/hub?sslrootcert=/ca.pem";
        let forwarded = Database::from_url(url).unwrap().through("127.0.0.1", 6543);
        assert_eq!(value(&forwarded, "PGHOST").as_deref(), Some("db.example"));
        assert_eq!(value(&forwarded, "PGHOSTADDR").as_deref(), Some("127.0.0.1"));
        assert_eq!(value(&forwarded, "PGPORT").as_deref(), Some("6543"));
        assert_eq!(forwarded.to_string(), "hub@127.0.0.1:6543/hub");
    }
}
