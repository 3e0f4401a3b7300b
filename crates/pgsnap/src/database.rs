//! Where a database is and as whom to reach it.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::error::{Error, Result};

/// A database on a server: host, port, role and name, and a password that is never printed.
///
/// Parsed from what libpq accepts: a URL (`postgresql://user@host:5432/name`,
/// `postgresql:///name?host=/run/postgresql`) or `key=value` pairs. Exactly one host
/// may be named. Nothing is taken from the environment: callers that want `PG*`
/// variables or a passfile look there themselves and call [`Database::with_password`].
///
/// TLS is not spoken. A host other than this machine must therefore be named together with
/// `sslmode=disable`: passwords and rows cross the network in clear text only where somebody said so.
#[derive(Clone)]
pub struct Database {
    config: Config,
    password: Option<SecretString>,
}

/// Sockets of Debian's packages, used when no host is named.
const DEFAULT_SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Database {
    /// Reads a connection URL or `key=value` string.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`]. The text itself is not repeated: it may hold a password.
    /// [`Error::PlainText`] for another machine without `sslmode=disable`.
    pub fn from_url(url: &str) -> Result<Self> {
        let mut config = parse(url)?;
        let password = match config.get_password() {
            Some(bytes) => Some(SecretString::from(
                String::from_utf8(bytes.to_vec())
                    .map_err(|_| invalid("the password is not UTF-8"))?,
            )),
            None => None,
        };
        if config.get_hosts().len() + config.get_hostaddrs().len() > 1 {
            return Err(invalid(
                "name exactly one host: a backup must know which server it came from",
            ));
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            if Path::new(DEFAULT_SOCKET_DIRECTORY).is_dir() {
                config.host_path(DEFAULT_SOCKET_DIRECTORY);
            } else {
                config.host("localhost");
            }
        }
        if config.get_user().is_none() {
            return Err(invalid("name the role to connect as (postgresql://ROLE@…)"));
        }
        if config.get_dbname().is_none() {
            let user = config.get_user().expect("checked just above").to_owned();
            config.dbname(user);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(DEFAULT_CONNECT_TIMEOUT);
        }
        if matches!(config.get_ssl_mode(), SslMode::Require) {
            return Err(invalid(
                "sslmode=require needs TLS, which this version does not speak; \
                 use an SSH forward or a unix socket",
            ));
        }
        // `prefer`, the default, promises nothing: it would end in clear text without a word.
        let is_accepted = matches!(config.get_ssl_mode(), SslMode::Disable);
        config.ssl_mode(SslMode::Disable);
        let database = Self { config, password };
        if is_accepted || database.is_on_this_machine() {
            Ok(database)
        } else {
            Err(Error::PlainText {
                host: database.host(),
            })
        }
    }

    /// The same database with this password.
    #[must_use]
    pub fn with_password(mut self, password: SecretString) -> Self {
        self.password = Some(password);
        self
    }

    /// Another database on the same server, with the same role and password.
    #[must_use]
    pub fn with_name(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    /// The same database by another way: through a forward or a proxy.
    ///
    /// The way is taken as it is, also to another machine: whoever names it answers for it.
    #[must_use]
    pub fn through(&self, host: &str, port: u16) -> Self {
        let mut config = Config::new();
        config
            .host(host)
            .port(port)
            .user(self.user())
            .dbname(self.name())
            .ssl_mode(self.config.get_ssl_mode());
        config.connect_timeout(self.connect_timeout());
        if let Some(options) = self.options() {
            config.options(options);
        }
        Self {
            config,
            password: self.password.clone(),
        }
    }

    /// The name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        self.config
            .get_dbname()
            .expect("from_url always sets a name")
    }

    /// The role to connect as.
    #[must_use]
    pub fn user(&self) -> &str {
        self.config.get_user().expect("from_url always sets a user")
    }

    /// Host name, address or socket directory.
    #[must_use]
    pub fn host(&self) -> String {
        match (
            self.config.get_hosts().first(),
            self.config.get_hostaddrs().first(),
        ) {
            (Some(Host::Tcp(name)), _) => name.clone(),
            (Some(Host::Unix(path)), _) => path.display().to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => String::new(),
        }
    }

    /// The port, 5432 unless told otherwise.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }

    /// Whether a password is known.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// What `options=` of the URL asks for, to be passed on to child programs.
    pub(crate) fn options(&self) -> Option<&str> {
        self.config.get_options()
    }

    /// How long a connection may take until it can be used.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.config
            .get_connect_timeout()
            .copied()
            .unwrap_or(DEFAULT_CONNECT_TIMEOUT)
    }

    fn is_on_this_machine(&self) -> bool {
        let is_loopback = |address: &IpAddr| address.to_canonical().is_loopback();
        let is_local = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost"
                    || name
                        .trim_matches(['[', ']'])
                        .parse()
                        .is_ok_and(|address| is_loopback(&address))
            }
        };
        self.config.get_hosts().iter().all(is_local)
            && self.config.get_hostaddrs().iter().all(is_loopback)
    }

    /// The driver's configuration, with the password set, for one connection.
    pub(crate) fn config(&self, application_name: &str) -> Config {
        let mut config = self.config.clone();
        config.application_name(application_name);
        watch_peer(&mut config);
        if let Some(password) = &self.password {
            config.password(password.expose_secret());
        }
        config
    }

    /// The environment that makes libpq programs reach the same database. The password
    /// travels here because an environment, unlike an argument list, is private to the user.
    pub(crate) fn libpq_environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("PGHOST", self.host()),
            ("PGPORT", self.port().to_string()),
            ("PGUSER", self.user().to_owned()),
            ("PGDATABASE", self.name().to_owned()),
            ("PGSSLMODE", "disable".to_owned()),
            (
                "PGCONNECT_TIMEOUT",
                self.connect_timeout().as_secs().to_string(),
            ),
        ];
        if let Some(options) = self.options() {
            environment.push(("PGOPTIONS", options.to_owned()));
        }
        if let Some(password) = &self.password {
            environment.push(("PGPASSWORD", password.expose_secret().to_owned()));
        }
        environment
    }
}

/// Notices within about a minute that the other end is gone, where TCP by itself takes two hours
/// (nothing to send) or a quarter of one (unacknowledged data). What the URL says wins.
fn watch_peer(config: &mut Config) {
    /// The driver's default, which is that of Linux.
    const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);
    if config.get_keepalives_idle() == TWO_HOURS {
        config.keepalives_idle(Duration::from_secs(30));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(10));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(3);
    }
    if config.get_tcp_user_timeout().is_none() {
        // Linux also counts a peer that lives but does not read, such as a server in a long checkpoint.
        config.tcp_user_timeout(Duration::from_secs(300));
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
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGSSLCERTMODE",
    "PGGSSENCMODE",
    "PGGSSDELEGATION",
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

fn parse(url: &str) -> Result<Config> {
    // The driver knows three of libpq's TLS modes and would call the others unknown values.
    for mode in ["sslmode=verify-full", "sslmode=verify-ca", "sslmode=allow"] {
        if url.contains(mode) {
            return Err(invalid(&format!(
                "{mode} needs TLS, which this version does not speak; use an SSH forward or a unix socket"
            )));
        }
    }
    Config::from_str(url).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        invalid(&cause.unwrap_or_else(|| "it cannot be parsed".to_owned()))
    })
}

fn invalid(reason: &str) -> Error {
    Error::InvalidUrl {
        reason: reason.to_owned(),
    }
}

/// Prints `host:port/name`, never a password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}@{}:{}/{}",
            self.user(),
            self.host(),
            self.port(),
            self.name()
        )
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

impl FromStr for Database {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        Self::from_url(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let database =
            Database::from_url("postgresql://hub:s3cret@db.example:6543/hub?sslmode=disable")
                .unwrap();
        assert_eq!(database.to_string(), "hub@db.example:6543/hub");
        assert!(!format!("{database:?}").contains("s3cret"));
        assert!(database.has_password());
    }

    #[test]
    fn a_bad_url_does_not_repeat_itself_in_the_error() {
        let error = Database::from_url("postgresql://hub:s3cret@db:notaport/hub").unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{error:?}"
        );
    }

    #[test]
    fn a_socket_directory_may_be_the_host() {
        let database =
            Database::from_url("postgresql://hub@/hub?host=/tmp/sockets&port=5544").unwrap();
        assert_eq!(
            (database.host().as_str(), database.port()),
            ("/tmp/sockets", 5544)
        );
        assert_eq!(
            database.with_name("other").to_string(),
            "hub@/tmp/sockets:5544/other"
        );
    }

    #[test]
    fn several_hosts_and_unsupported_tls_are_refused() {
        assert!(Database::from_url("postgresql://hub@a,b/hub").is_err());
        for mode in ["require", "verify-full"] {
            let error =
                Database::from_url(&format!("postgresql://hub@a/hub?sslmode={mode}")).unwrap_err();
            assert!(error.to_string().contains("TLS"), "{error}");
        }
    }

    #[test]
    fn clear_text_to_another_machine_must_be_asked_for() {
        for url in [
            "postgresql://hub:s3cret@db.example/hub",
            "postgresql://hub:s3cret@192.0.2.10/hub?sslmode=prefer",
            "postgresql://hub:s3cret@[2001:db8::1]/hub",
            "hostaddr=192.0.2.10 user=hub password=s3cret",
            "postgresql://hub:s3cret@localhost.example/hub",
        ] {
            let error = Database::from_url(url).unwrap_err();
            assert!(matches!(error, Error::PlainText { .. }), "{url}: {error}");
            assert!(error.hint().unwrap().contains("sslmode=disable"), "{url}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        for url in [
            "postgresql://hub@db.example/hub?sslmode=disable",
            "postgresql://hub@localhost/hub",
            "postgresql://hub@127.8.0.1/hub",
            "postgresql://hub@[::1]/hub?sslmode=prefer",
            "hostaddr=127.0.0.1 user=hub",
            "postgresql:///hub?host=/run/postgresql&user=hub",
            "postgresql://hub@/hub",
        ] {
            Database::from_url(url).unwrap();
        }
    }

    #[test]
    fn options_and_timeout_reach_children_too() {
        let url = "postgresql://hub@localhost/hub?options=-c%20role%3Dapp&connect_timeout=3";
        let database = Database::from_url(url).unwrap();
        for database in [database.clone(), database.through("127.0.0.1", 6543)] {
            let environment = database.libpq_environment();
            let value = |name| environment.iter().find(|(key, _)| *key == name);
            assert_eq!(value("PGOPTIONS").unwrap().1, "-c role=app");
            assert_eq!(value("PGCONNECT_TIMEOUT").unwrap().1, "3");
            assert_eq!(database.config("t").get_options(), Some("-c role=app"));
        }
    }

    #[test]
    fn a_vanished_peer_is_noticed() {
        let config = |url: &str| Database::from_url(url).unwrap().config("t");
        let default = config("postgresql://hub@localhost/hub");
        assert!(default.get_keepalives());
        assert_eq!(default.get_keepalives_idle(), Duration::from_secs(30));
        assert_eq!(
            default.get_keepalives_interval(),
            Some(Duration::from_secs(10))
        );
        assert_eq!(default.get_keepalives_retries(), Some(3));
        assert_eq!(
            default.get_tcp_user_timeout(),
            Some(&Duration::from_secs(300))
        );
        let chosen = config("postgresql://hub@localhost/hub?tcp_user_timeout=600");
        assert_eq!(
            chosen.get_tcp_user_timeout(),
            Some(&Duration::from_secs(600))
        );
    }
}
