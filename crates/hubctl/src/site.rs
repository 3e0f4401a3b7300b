//! From what the operator calls a database to the database, with its password.

mod password;
mod service;
mod surroundings;

use pgsnap::{ConnectionParameters, Database};
use url::Url;

use crate::failure::Refusal;
use crate::human;
use crate::settings::{Settings, SiteSettings};

/// A database and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The site's name, or `host:port/name` of a URL.
    pub(crate) label: String,
    pub(crate) database: Database,
}

/// Whether a word is a connection URL or string, and not a name.
pub(crate) fn is_url(word: &str) -> bool {
    word.contains("://") || word.contains('=')
}

impl Site {
    /// Finds the site of this name, or takes the word as a URL.
    pub(crate) async fn resolve(settings: &Settings, word: &str) -> anyhow::Result<Self> {
        if let Some(site) = settings.sites.get(word) {
            return Self::open(
                word,
                settings,
                &settings.overriding(site),
                "in the configuration",
            )
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
        let label = if label.is_empty() {
            database.to_string()
        } else {
            label.to_owned()
        };
        tracing::info!(%database, tls = %database.tls_mode(), password = database.has_password(), "site {label}");
        Ok(Self { label, database })
    }
}

/// The database that a URL names, completed from the surroundings, and the passfile that is to be looked into.
fn database_of(url: &str) -> anyhow::Result<(Database, Option<String>)> {
    let mut parameters = ConnectionParameters::parse(url)?;
    surroundings::complete(&mut parameters)?;
    let passfile = parameters.remove("passfile");
    Ok((Database::from_parameters(&parameters)?, passfile))
}

/// Whether a database could be reached by this URL, as far as it can be known without asking the server.
pub(crate) fn check(url: &str) -> anyhow::Result<()> {
    database_of(url).map(drop)
}

/// A password in a URL ends up in shell histories, process lists and backups of `/etc`.
pub(crate) fn refuse_password(url: &str, place: &str) -> anyhow::Result<()> {
    let in_authority = Url::parse(url).is_ok_and(|url| url.password().is_some());
    // Also where it does not parse, and as a parameter.
    if in_authority
        || url.to_ascii_lowercase().contains("password=")
        || ConnectionParameters::parse(url).is_ok_and(|p| p.get("password").is_some())
    {
        return Err(Refusal::usage(format!("a connection URL {place} holds a password"))
            .hint("leave it out of the URL, change it if others could see it, and give it by password_file, password_command, PGPASSWORD or ~/.pgpass")
            .into());
    }
    Ok(())
}

fn unknown(settings: &Settings, word: &str) -> Refusal {
    Refusal::usage(format!("there is no site `{word}`")).hint(known(settings))
}

fn known(settings: &Settings) -> String {
    if settings.sites.is_empty() {
        return "no site is configured; give a connection URL".to_owned();
    }
    format!(
        "the configured sites are {}",
        human::quoted(settings.sites.keys().map(String::as_str))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_refused_wherever_they_hide() {
        for url in [
            "postgresql://hub:secret@127.0.0.1/state_hub",
            "postgresql://hub@127.0.0.1/state_hub?password=secret",
            "host=127.0.0.1 user=hub password=secret",
            "postgresql://hub:secret@[broken/state_hub?password=x",
        ] {
            let error = refuse_password(url, "of the test").unwrap_err();
            assert!(!format!("{error:#}").contains("secret"), "{error:#}");
        }
        for url in [
            "postgresql://hub@127.0.0.1/state_hub",
            "postgresql:///state_hub?host=/run/postgresql&user=hub",
        ] {
            refuse_password(url, "of the test").unwrap();
        }
    }
}
