//! The address of a database, and the role to reach it with.

mod environment;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};

pub(crate) use environment::FOREIGN_LIBPQ_VARIABLES;

use crate::authentication::Authentication;
use crate::error::{Error, Result};
use crate::parameters::{ConnectionParameters, invalid};
use crate::passfile;
use crate::tls::{Connector, Reach, Tls, TlsMode};

/// A database on a server: host, port, role and name, how the connection is encrypted, and a
/// password that is never printed.
///
/// Made of what libpq accepts: a URL (`postgresql://user@host:5432/name`,
/// `postgresql:///name?host=/run/postgresql`) or `key=value` pairs. Exactly one host may be named.
/// Nothing is taken from the environment or the home directory: callers that want `PG*` variables,
/// a service file or certificates from `~/.postgresql` fill them into [`ConnectionParameters`]
/// themselves.
///
/// # Encryption
/// `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `sslnegotiation` and `channel_binding` mean what
/// they mean to libpq, but nothing is ever weaker than it looks:
///
/// | `sslmode` | over the network | on this machine (loopback) |
/// |---|---|---|
/// | not named | `require` | `disable` |
/// | not named, but `sslrootcert` is | `verify-full` | `verify-full` |
/// | `disable` | clear text | clear text |
/// | `allow`, `prefer` | `require`: anybody in between can take the server's offer of TLS away | TLS if offered |
/// | `require` | TLS; verified as by `verify-ca` if `sslrootcert` is named | the same |
/// | `verify-ca` | TLS; the certificate is signed by an authority in `sslrootcert` | the same |
/// | `verify-full` | TLS; and the certificate is for the host that was named | the same |
///
/// `sslrootcert=system` stands for the authorities that the operating system trusts, and needs
/// `verify-full`. Sockets in the file system are never encrypted. Names are looked for in the
/// certificate's subject alternative names only. With a password the connection is also bound to
/// the server's certificate (SCRAM channel binding), where both sides can. Programs of PostgreSQL
/// that are run (`pg_dump`, `psql`) get the same settings.
///
/// # Authentication
/// `require_auth` names the methods that the server may ask for, as for libpq. Without it, a
/// password is never sent in clear text over a connection that is not encrypted.
#[derive(Clone)]
pub struct Database {
    config: Config,
    password: Option<SecretString>,
    tls: Tls,
    channel_binding: Option<&'static str>,
    authentication: Authentication,
    role: Option<ServerRole>,
    event_triggers: Arc<EventTriggers>,
}

/// The firing of event triggers in sessions, among them those that record every login.
///
/// Servers since version 17 know the setting, and superusers may set it. The server tells by
/// refusing the first session that asks for it; all clones of a [`Database`] remember.
#[derive(Debug, Default)]
pub(crate) struct EventTriggers {
    cannot_be_disabled: AtomicBool,
}

impl EventTriggers {
    pub(crate) fn setting(&self) -> Option<&'static str> {
        let is_refused = self.cannot_be_disabled.load(Ordering::Relaxed);
        (!is_refused).then_some("-c event_triggers=off")
    }

    pub(crate) fn note_refusal(&self) {
        self.cannot_be_disabled.store(true, Ordering::Relaxed);
    }
}

/// The demand of `target_session_attrs` on the one server that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerRole {
    Primary,
    Standby,
    /// One whose transactions may write unless they say otherwise.
    ReadWrite,
    /// One whose transactions may not: a standby, or a server or database that is set to be so.
    ReadOnly,
}

/// Sockets of Debian's packages, used when no host is named.
const DEFAULT_SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Keywords that the driver understands as libpq does.
const DRIVER_KEYWORDS: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "user",
    "dbname",
    "options",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "channel_binding",
];

/// Keywords that are dealt with elsewhere.
const OWN_KEYWORDS: &[&str] = &[
    "password",
    "passfile",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslnegotiation",
    "require_auth",
    "target_session_attrs",
];

/// Keywords of libpq that make no difference here: sessions have their own names and settings, one
/// host needs no balance, and Kerberos is not spoken.
const IGNORED_KEYWORDS: &[&str] = &[
    "application_name",
    "fallback_application_name",
    "client_encoding",
    "load_balance_hosts",
    "sslcompression",
    "sslsni",
    "krbsrvname",
    "gsslib",
    "gssdelegation",
];

impl Database {
    /// Reads a connection URL or `key=value` string.
    ///
    /// # Errors
    /// As [`Database::from_parameters`].
    pub fn from_url(url: &str) -> Result<Self> {
        Self::from_parameters(&ConnectionParameters::parse(url)?)
    }

    /// Takes the parameters at their word. A `passfile` is read now, certificates with every
    /// connection.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`], without any value, since one may be a password; [`Error::File`] and
    /// [`Error::Exposed`] for the passfile.
    pub fn from_parameters(parameters: &ConnectionParameters) -> Result<Self> {
        let mut parameters = parameters.clone();
        complete(&mut parameters)?;
        check_keywords(&parameters)?;
        let role = server_role(&parameters)?;
        let authentication = Authentication::of(&parameters)?;
        let mut config = driver_config(&parameters)?;
        let tls = Tls::of(&parameters, reach(&config))?;
        config.ssl_mode(match tls.mode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            _ => SslMode::Require,
        });
        if tls.direct {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        let database = Self {
            config,
            password: parameters.get("password").map(SecretString::from),
            tls,
            channel_binding: ["disable", "prefer", "require"]
                .into_iter()
                .find(|word| parameters.get("channel_binding") == Some(word)),
            authentication,
            role,
            event_triggers: Arc::default(),
        };
        match parameters.get("passfile") {
            Some(path) if !database.has_password() => database.with_passfile(Path::new(path)),
            _ => Ok(database),
        }
    }

    /// The same database with this password.
    #[must_use]
    pub fn with_password(mut self, password: SecretString) -> Self {
        self.password = Some(password);
        self
    }

    /// The same database with the password that libpq's passfile has for it, if it has one.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Exposed`] if others can read it, too.
    pub fn with_passfile(self, path: &Path) -> Result<Self> {
        Ok(match passfile::find(path, &self)? {
            Some(password) => self.with_password(password),
            None => self,
        })
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
    /// The way is taken as it is, also to another machine: whoever names it answers for it. The
    /// encryption stays as it was decided for the first way, and the server's certificate is held
    /// against the first host's name.
    #[must_use]
    pub fn through(&self, host: &str, port: u16) -> Self {
        let mut config = Config::new();
        config
            .host(host)
            .port(port)
            .user(self.user())
            .dbname(self.name())
            .ssl_mode(self.config.get_ssl_mode())
            .ssl_negotiation(self.config.get_ssl_negotiation())
            .channel_binding(self.config.get_channel_binding())
            .connect_timeout(self.connect_timeout());
        if let Ok(address) = host.parse() {
            config.hostaddr(address);
        }
        if let Some(options) = self.options() {
            config.options(options);
        }
        let mut tls = self.tls.clone();
        if tls.mode != TlsMode::Disable {
            tls.server_name.get_or_insert_with(|| self.host());
        }
        Self {
            config,
            password: self.password.clone(),
            tls,
            channel_binding: self.channel_binding,
            authentication: self.authentication.clone(),
            role: self.role,
            event_triggers: Arc::clone(&self.event_triggers),
        }
    }

    /// Returns true if the connection stays on this machine: a socket in the file system, or a
    /// loopback address.
    #[must_use]
    pub fn is_local(&self) -> bool {
        reach(&self.config) != Reach::Network
    }

    /// Returns the encryption of the connection, as decided from the parameters.
    #[must_use]
    pub fn tls_mode(&self) -> TlsMode {
        self.tls.mode
    }

    /// The name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        self.config.get_dbname().expect("from_url always sets a name")
    }

    /// The role to connect as.
    #[must_use]
    pub fn user(&self) -> &str {
        self.config.get_user().expect("from_url always sets a user")
    }

    /// Host name, address or socket directory.
    #[must_use]
    pub fn host(&self) -> String {
        match (self.config.get_hosts().first(), self.config.get_hostaddrs().first()) {
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

    /// Returns true if a password is known.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Returns the `options=` of the URL, for child programs.
    pub(crate) fn options(&self) -> Option<&str> {
        self.config.get_options()
    }

    /// Which ways to prove who we are the server may ask for.
    pub(crate) fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// The server that must answer, where `target_session_attrs` asks for one.
    pub(crate) fn server_role(&self) -> Option<ServerRole> {
        self.role
    }

    pub(crate) fn event_triggers(&self) -> &EventTriggers {
        &self.event_triggers
    }

    /// Returns the time limit for a connection to become usable.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.config.get_connect_timeout().copied().unwrap_or(DEFAULT_CONNECT_TIMEOUT)
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

    /// The server's socket in the file system, if that is the way to it.
    pub(crate) fn socket_file(&self) -> Option<PathBuf> {
        match self.config.get_hosts().first() {
            Some(Host::Unix(directory)) if self.config.get_hostaddrs().is_empty() => {
                Some(directory.join(format!(".s.PGSQL.{}", self.port())))
            }
            _ => None,
        }
    }

    /// Makes the driver's connections encrypted; `None` where they are in clear text.
    pub(crate) fn connector(&self) -> Result<Option<Connector>> {
        self.tls.connector(&self.authentication)
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

/// Fills in libpq's defaults, as far as they need no environment.
fn complete(parameters: &mut ConnectionParameters) -> Result<()> {
    if parameters.get("host").is_none() && parameters.get("hostaddr").is_none() {
        let is_local = Path::new(DEFAULT_SOCKET_DIRECTORY).is_dir();
        let host = if is_local { DEFAULT_SOCKET_DIRECTORY } else { "localhost" };
        parameters.set("host", host);
    }
    let Some(user) = parameters.get("user").map(str::to_owned) else {
        return Err(invalid("name the role to connect as (postgresql://ROLE@…)"));
    };
    parameters.set_default("dbname", user);
    // The driver's name for it.
    if let Some(count) = parameters.remove("keepalives_count") {
        parameters.set("keepalives_retries", count);
    }
    Ok(())
}

/// The server that `target_session_attrs` asks for. The driver knows half of the values, and cannot
/// ask over a socket file. With one host, `prefer-standby` asks for nothing.
fn server_role(parameters: &ConnectionParameters) -> Result<Option<ServerRole>> {
    Ok(match parameters.get("target_session_attrs") {
        None | Some("any" | "prefer-standby") => None,
        Some("primary") => Some(ServerRole::Primary),
        Some("standby") => Some(ServerRole::Standby),
        Some("read-write") => Some(ServerRole::ReadWrite),
        Some("read-only") => Some(ServerRole::ReadOnly),
        Some(_) => {
            return Err(invalid(
                "target_session_attrs is none of any, read-write, read-only, primary, standby and prefer-standby",
            ));
        }
    })
}

/// A parameter that is not understood is refused: it may be one that protects.
fn check_keywords(parameters: &ConnectionParameters) -> Result<()> {
    for keyword in parameters.keywords() {
        let value = parameters.get(keyword).unwrap_or_default();
        match keyword {
            "gssencmode" if value != "require" => {}
            // The oldest that is spoken anyway.
            "ssl_min_protocol_version" if value != "TLSv1.3" => {}
            known if DRIVER_KEYWORDS.contains(&known) => {}
            known if OWN_KEYWORDS.contains(&known) => {}
            known if IGNORED_KEYWORDS.contains(&known) => {}
            "service" | "servicefile" => {
                return Err(invalid("a service is looked up by the program, not by this library"));
            }
            other => return Err(invalid(format!("`{other}` is not supported"))),
        }
    }
    for keyword in ["host", "hostaddr", "port"] {
        if parameters.get(keyword).is_some_and(|value| value.contains(',')) {
            return Err(several_hosts());
        }
    }
    Ok(())
}

/// A backup must know which server it came from.
pub(crate) fn several_hosts() -> Error {
    invalid("name exactly one host: a backup must know which server it came from")
}

fn driver_config(parameters: &ConnectionParameters) -> Result<Config> {
    let mut config = Config::from_str(&parameters.conninfo(DRIVER_KEYWORDS)).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        invalid(cause.unwrap_or_else(|| "it cannot be parsed".to_owned()))
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(DEFAULT_CONNECT_TIMEOUT);
    }
    // A certificate is held against the host; without one, against the address.
    if let (None, Some(address)) = (config.get_hosts().first(), config.get_hostaddrs().first()) {
        config.host(address.to_string());
    }
    Ok(config)
}

/// The address decides where there is one: `host` is only a name then.
fn reach(config: &Config) -> Reach {
    let of_address = |address: IpAddr| {
        if address.to_canonical().is_loopback() { Reach::Loopback } else { Reach::Network }
    };
    if let Some(address) = config.get_hostaddrs().first() {
        return of_address(*address);
    }
    match config.get_hosts().first() {
        Some(Host::Unix(_)) => Reach::Socket,
        Some(Host::Tcp(name)) if name == "localhost" => Reach::Loopback,
        Some(Host::Tcp(name)) => name.parse().map_or(Reach::Network, of_address),
        None => Reach::Network,
    }
}

/// Prints `host:port/name`, never a password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}/{}", self.user(), self.host(), self.port(), self.name())
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
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn a_socket_directory_may_be_the_host() {
        let database =
            Database::from_url("postgresql://hub@/hub?host=/tmp/sockets&port=5544").unwrap();
        assert_eq!((database.host().as_str(), database.port()), ("/tmp/sockets", 5544));
        assert_eq!(database.with_name("other").to_string(), "hub@/tmp/sockets:5544/other");
    }

    #[test]
    fn several_hosts_and_unknown_parameters_are_refused() {
        for (url, reason) in [
            ("postgresql://hub@a,b/hub", "exactly one host"),
            ("host=a,b user=hub", "exactly one host"),
            ("postgresql://hub@a/hub?port=1,2", "exactly one host"),
            ("postgresql://hub@a/hub?sslcrl=/crl.pem", "`sslcrl` is not supported"),
            ("postgresql://hub@a/hub?service=hub", "looked up by the program"),
            ("postgresql://hub@a/hub?gssencmode=require", "`gssencmode`"),
            ("postgresql://a/hub", "name the role"),
        ] {
            let error = Database::from_url(url).unwrap_err();
            assert!(error.to_string().contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn what_makes_no_difference_is_accepted() {
        let url = "postgresql://hub@a/hub?application_name=x&client_encoding=UTF8&gssencmode=prefer&keepalives_count=7&sslmode=allow";
        let database = Database::from_url(url).unwrap();
        assert_eq!(database.config("t").get_keepalives_retries(), Some(7));
    }

    #[test]
    fn every_kind_of_server_that_libpq_knows_can_be_asked_for() {
        let role = |word: &str| {
            let url = format!("postgresql://hub@a/hub?target_session_attrs={word}");
            Database::from_url(&url).map(|database| database.server_role())
        };
        assert_eq!(role("primary").unwrap(), Some(ServerRole::Primary));
        assert_eq!(role("standby").unwrap(), Some(ServerRole::Standby));
        assert_eq!(role("read-write").unwrap(), Some(ServerRole::ReadWrite));
        assert_eq!(role("read-only").unwrap(), Some(ServerRole::ReadOnly));
        for word in ["any", "prefer-standby"] {
            assert_eq!(role(word).unwrap(), None, "{word}");
        }
        let error = role("master").unwrap_err();
        assert!(error.to_string().contains("prefer-standby"), "{error}");
    }

    #[test]
    fn what_leaves_this_machine_is_encrypted() {
        for url in [
            "postgresql://hub:s3cret@db.example/hub",
            "postgresql://hub:s3cret@192.0.2.10/hub?sslmode=prefer",
            "postgresql://hub:s3cret@[2001:db8::1]/hub",
            "hostaddr=192.0.2.10 user=hub password=s3cret",
            "host=localhost hostaddr=192.0.2.10 user=hub",
            "postgresql://hub:s3cret@localhost.example/hub",
        ] {
            let database = Database::from_url(url).unwrap();
            assert_eq!(database.tls_mode(), TlsMode::Require, "{url}");
        }
        for url in [
            "postgresql://hub@db.example/hub?sslmode=disable",
            "postgresql://hub@localhost/hub",
            "postgresql://hub@127.8.0.1/hub",
            "postgresql://hub@[::1]/hub",
            "hostaddr=127.0.0.1 user=hub",
            "host=db.example hostaddr=127.0.0.1 user=hub",
            "postgresql:///hub?host=/run/postgresql&user=hub",
            "postgresql://hub@%2Frun%2Fpostgresql/hub",
            "postgresql://hub@/hub",
        ] {
            let database = Database::from_url(url).unwrap();
            assert_eq!(database.tls_mode(), TlsMode::Disable, "{url}");
        }
    }

    #[test]
    fn a_passfile_may_be_named_as_to_libpq() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), "db.example:*:*:hub:s3cret\n").unwrap();
        let url = |user: &str| {
            format!("postgresql://{user}@db.example/x?passfile={}", file.path().display())
        };
        assert!(Database::from_url(&url("hub")).unwrap().has_password());
        assert!(!Database::from_url(&url("other")).unwrap().has_password());
        fs_err::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Database::from_url(&url("hub")).unwrap_err();
        assert!(matches!(error, Error::Exposed { .. }), "{error}");
    }

    #[test]
    fn a_vanished_peer_is_noticed() {
        let config = |url: &str| Database::from_url(url).unwrap().config("t");
        let default = config("postgresql://hub@localhost/hub");
        assert!(default.get_keepalives());
        assert_eq!(default.get_keepalives_idle(), Duration::from_secs(30));
        assert_eq!(default.get_keepalives_interval(), Some(Duration::from_secs(10)));
        assert_eq!(default.get_keepalives_retries(), Some(3));
        assert_eq!(default.get_tcp_user_timeout(), Some(&Duration::from_secs(300)));
        let chosen = config("postgresql://hub@localhost/hub?tcp_user_timeout=600");
        assert_eq!(chosen.get_tcp_user_timeout(), Some(&Duration::from_secs(600)));
    }
}
