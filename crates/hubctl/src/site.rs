//! From what the operator calls a database to the database, with its password.

mod frozen;
mod identity;
mod password;
mod service;
mod surroundings;
mod url;

use std::collections::BTreeMap;

use pgsnap::{ConnectionParameters, Database, FenceRecord};

use crate::failure::Refusal;
use crate::human;
use crate::settings::{IdentityTable, Settings, SiteSettings};
pub(crate) use identity::{Kinship, kinship, require_pinned, untold};
pub(crate) use url::{holds_password, is_url, refuse_password};

/// A database and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The site's name, or `host:port/name` of a URL.
    pub(crate) label: String,
    /// The database by its real name; behind its fence where [`Site::readable`] found it there.
    pub(crate) database: Database,
    /// The server and the database that the configuration pins the site to.
    pub(crate) pinned: Option<IdentityTable>,
    /// The fence that the database is behind.
    fence: Option<FenceRecord>,
}

impl Site {
    /// Finds the site of this name, or takes the word as a URL.
    pub(crate) async fn resolve(settings: &Settings, word: &str) -> anyhow::Result<Self> {
        if let Some(site) = settings.sites.get(word) {
            return Self::open(word, settings, &settings.overriding(site), "in the configuration")
                .await;
        }
        if is_url(word) {
            let site = settings.overriding(&SiteSettings::of_url(word));
            return Self::open("", settings, &site, "on the command line").await;
        }
        Err(unknown(settings, word).into())
    }

    /// The named one, the one of `[backup] site`, or the only one there is.
    pub(crate) async fn resolve_or_only(
        settings: &Settings,
        word: Option<&str>,
    ) -> anyhow::Result<Self> {
        let configured = settings.backup_site.as_ref();
        if let Some(word) = word.or(configured.map(|site| site.value.as_str())) {
            return Self::resolve(settings, word).await;
        }
        let mut names = settings.sites.keys();
        match (names.next(), names.next()) {
            (Some(only), None) => Self::resolve(settings, only).await,
            (None, _) => match surroundings::variable_that_names_a_database() {
                Some(variable) => {
                    let site = settings.overriding(&SiteSettings::of_environment(variable));
                    Self::open("", settings, &site, "in the environment").await
                }
                None => Err(Refusal::usage("no database was named")
                    .hint("give a URL such as postgresql://hub@127.0.0.1:5432/state_hub, configure [sites.NAME], or set PGSERVICE or PGHOST")
                    .into()),
            },
            _ => Err(Refusal::usage("several sites are configured, and none was named")
                .hint(format!("{}; [backup] site names the one to back up", known(settings)))
                .into()),
        }
    }

    async fn open(
        label: &str,
        settings: &Settings,
        site: &SiteSettings,
        place: &str,
    ) -> anyhow::Result<Self> {
        let url = &site.database.value;
        refuse_password(url, place)?;
        let (database, passfile) = database_of(url)?;
        let database = password::complete(settings, site, database, passfile).await?;
        let database = password::prompted(database).await?;
        let label = if label.is_empty() { database.to_string() } else { label.to_owned() };
        tracing::info!(%database, tls = %database.tls_mode(), password = database.has_password(), "site {label}");
        Ok(Self { label, database, pinned: site.identity.clone(), fence: None })
    }
}

/// The settings of the site of this name.
pub(crate) fn configured<'a>(
    settings: &'a Settings,
    name: &str,
) -> anyhow::Result<&'a SiteSettings> {
    settings.sites.get(name).ok_or_else(|| {
        let fact = format!("there is no site `{}`", url::shown(name));
        Refusal::usage(fact).hint(known(settings)).into()
    })
}

/// The database that a URL names, completed from the surroundings, and the passfile that is to be
/// looked into.
fn database_of(url: &str) -> anyhow::Result<(Database, Option<String>)> {
    let mut parameters = ConnectionParameters::parse(url)?;
    surroundings::complete(&mut parameters)?;
    let passfile = parameters.remove("passfile");
    Ok((Database::from_parameters(&parameters)?, passfile))
}

/// Checks that a database could be reached by this URL, as far as it can be known without asking
/// the server.
pub(crate) fn check(url: &str) -> anyhow::Result<()> {
    database_of(url).map(drop)
}

/// The parameters that say where a connection leads, who connects, and who is believed there.
const LEADING: [&str; 8] = [
    "dbname",
    "host",
    "hostaddr",
    "port",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "user",
];

/// Returns the address of a URL, once services and variables have completed it; without secrets.
pub(crate) fn leads_to(url: &str) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let mut parameters = ConnectionParameters::parse(url)?;
    surroundings::complete(&mut parameters)?;
    parameters.set_default("port", "5432");
    let leading =
        LEADING.iter().filter_map(|keyword| Some((*keyword, parameters.get(keyword)?.to_owned())));
    Ok(leading.collect())
}

fn unknown(settings: &Settings, word: &str) -> Refusal {
    let hint = if word.contains(['@', '/', ':']) {
        "start a connection URL with postgresql://".to_owned()
    } else {
        known(settings)
    };
    Refusal::usage(format!("there is no site `{}`", url::shown(word))).hint(hint)
}

fn known(settings: &Settings) -> String {
    if settings.sites.is_empty() {
        return "no site is configured; give a connection URL".to_owned();
    }
    format!("the configured sites are {}", human::quoted(settings.sites.keys().map(String::as_str)))
}
