//! Encoding and collation: whether the server has them, and whether text sorts as before.

use super::Preflight;
use crate::census::Locale;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::name::quote_literal;
use crate::session::Session;

impl Preflight<'_> {
    pub(super) async fn check_locale(&mut self) -> Result<()> {
        match self.inside.take() {
            Some(inside) => {
                let checked = self.check_present_locale(&inside).await;
                self.inside = Some(inside);
                checked
            }
            None => self.check_new_locale().await,
        }
    }

    /// A database that is there has an encoding and a collation already.
    async fn check_present_locale(&mut self, inside: &Session) -> Result<()> {
        let facts = Facts::read(inside).await?;
        let source = &self.manifest.source;
        if facts.encoding != "UTF8" || source.encoding == "SQL_ASCII" || self.has_own_encoding() {
            self.require_encoding(&facts.encoding);
        }
        let describe = |locale: &Locale| {
            let name = locale.locale.as_ref().unwrap_or(&locale.collate);
            format!("{} {name}", locale.provider)
        };
        if (&facts.locale.provider, &facts.locale.collate, &facts.locale.locale)
            != (&source.locale.provider, &source.locale.collate, &source.locale.locale)
        {
            self.plan.warning(format!(
                "database {} has the collation {}, and the backup has {}: text may sort in another way",
                self.plan.database,
                describe(&facts.locale),
                describe(&source.locale)
            ));
        }
        Ok(())
    }

    /// A database with tables takes rows that are in their own encoding only if it has that one.
    pub(super) async fn check_encoding(&mut self) -> Result<()> {
        if let Some(inside) = &self.inside
            && self.has_own_encoding()
        {
            let facts = Facts::read(inside).await?;
            self.require_encoding(&facts.encoding);
        }
        Ok(())
    }

    /// Tells whether rows are wanted that have no exact equivalent in UTF-8.
    fn has_own_encoding(&self) -> bool {
        let mut tables = self.manifest.census.tables.iter();
        self.selection.has_rows()
            && tables.any(|table| table.encoding.is_some() && self.selection.holds_table(table))
    }

    fn require_encoding(&mut self, to: &str) {
        let from = &self.manifest.source.encoding;
        if from != to {
            self.plan.obstacle(
                format!(
                    "database {} has the encoding {to}, and the backup has {from}",
                    self.plan.database
                ),
                format!("have it created with ENCODING '{from}'"),
            );
        }
    }

    /// A new database gets those of the backup, if the server has them. Trying it out is the only
    /// way to know: a temporary collation is made and forgotten.
    async fn check_new_locale(&mut self) -> Result<()> {
        const KNOWN: &str = "SELECT pg_catalog.pg_char_to_encoding($1) >= 0";
        let (server, source) = (self.server, &self.manifest.source);
        let known: bool =
            server.session.row("asking for the encoding", KNOWN, &[&source.encoding]).await?.get(0);
        if !known {
            self.plan.obstacle(
                format!("the server does not know the encoding {}", source.encoding),
                "the backup is not of PostgreSQL, or damaged; use another one",
            );
        }
        let locale = &source.locale;
        if server.facts.in_recovery {
            return Ok(());
        }
        if locale.provider != "libc" && server.facts.server_major() < 15 {
            self.plan.obstacle(
                format!("the server knows no database collations of provider {}", locale.provider),
                "restore into the version of the backup or a newer one",
            );
            return Ok(());
        }
        let mut problems = Vec::new();
        // A libc locale belongs to an encoding, and a collation can only be tried in that of this session's database.
        let libc_can_be_tried = server.facts.encoding == source.encoding;
        if libc_can_be_tried
            || [&locale.collate, &locale.ctype].iter().all(|name| is_portable(name))
        {
            let definition = format!(
                "provider = libc, lc_collate = {}, lc_ctype = {}",
                quote_literal(&locale.collate),
                quote_literal(&locale.ctype)
            );
            match probe(&server.session, &definition).await {
                Ok(version) if locale.provider == "libc" => {
                    self.compare_versions(locale, version.as_deref());
                }
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        } else {
            self.plan.not_checked(format!(
                "whether the server has the locale {} for {}",
                locale.collate, source.encoding
            ));
        }
        if locale.provider != "libc" {
            let name = locale.locale.as_deref().unwrap_or_default();
            let definition =
                format!("provider = {}, locale = {}", locale.provider, quote_literal(name));
            match probe(&server.session, &definition).await {
                Ok(version) => self.compare_versions(locale, version.as_deref()),
                Err(problem) => problems.push(problem),
            }
        }
        for problem in problems {
            let problem = problem?;
            self.plan.obstacle(
                format!("the server lacks the collation of the backup: {problem}"),
                "install the locale on the server (locale-gen, glibc-langpack-…) or a PostgreSQL with ICU, or have an empty \
                 database created with another one and restore into it with --into-existing",
            );
        }
        Ok(())
    }

    fn compare_versions(&mut self, locale: &Locale, version: Option<&str>) {
        if let (Some(before), Some(now)) = (locale.version.as_deref(), version)
            && before != now
        {
            self.plan.warning(format!(
                "the collation {} is of version {now} here and was {before}: text may sort in another way; indexes are built anew",
                locale.locale.as_ref().unwrap_or(&locale.collate)
            ));
        }
    }
}

/// Locales that exist everywhere, in every encoding.
fn is_portable(name: &str) -> bool {
    name == "C" || name == "POSIX"
}

/// Makes a collation in the temporary schema, asks for its version, and undoes it. The inner error
/// is what the server says against it.
async fn probe(
    session: &Session,
    definition: &str,
) -> std::result::Result<Option<String>, Result<String>> {
    const VERSION: &str =
        "SELECT pg_catalog.pg_collation_actual_version(oid) FROM pg_catalog.pg_collation
        WHERE collname = 'pgsnap_probe' AND collnamespace = pg_catalog.pg_my_temp_schema()";
    let context = "trying the collation";
    let create = format!("BEGIN; CREATE COLLATION pg_temp.pgsnap_probe ({definition})");
    let made = session.execute(context, &create).await;
    let version = match &made {
        Ok(()) => session.scalar(context, VERSION).await,
        Err(_) => Ok(None),
    };
    let undone = session.execute(context, "ROLLBACK").await;
    match (made, version, undone) {
        (Ok(()), Ok(version), Ok(())) => Ok(version),
        // Temporary objects are not allowed to everybody; then nothing is known.
        (Err(Error::Server { code, .. }), _, _) if code == "42501" => Ok(None),
        (Err(Error::Server { message, .. }), _, _) => Err(Ok(message)),
        (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => Err(Err(error)),
    }
}
