//! Names of databases on their way, and the moment they change.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::name::{quote_identifier, quote_literal};
use crate::restore::plan::{TargetState, refusal};
use crate::restore::target::Target;

/// PostgreSQL cuts longer names off (`NAMEDATALEN - 1`).
const MAX_NAME: usize = 63;

/// The name a database is built under.
pub(crate) fn restoring_name(name: &str, id: &str) -> String {
    suffixed(name, RESTORING, id)
}

/// The name the database that was there before is kept under.
pub(crate) fn kept_name(name: &str, id: &str) -> String {
    suffixed(name, BEFORE, id)
}

pub(crate) fn suffixed(name: &str, infix: &str, id: &str) -> String {
    format!("{}{infix}{id}", shortened(name, MAX_NAME.saturating_sub(infix.len() + id.len())))
}

fn shortened(name: &str, length: usize) -> &str {
    let mut end = name.len().min(length);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Length of an identifier made by [`Target::connect`]: a time and four random digits.
const ID_LENGTH: usize = 18;

const RESTORING: &str = "__restoring_";
/// A database that a restore or copy took the name of.
pub(crate) const BEFORE: &str = "__before_";
/// A finished copy that could not take the name.
pub(crate) const RESTORED: &str = "__restored_";

/// The part of a name that its left-overs keep. Names that share it also share the restore lock.
pub(crate) fn left_over_stem(name: &str) -> &str {
    shortened(name, MAX_NAME - RESTORING.len() - ID_LENGTH)
}

/// A regular expression for what restores of this name may leave behind.
pub(crate) fn leftover_pattern(name: &str) -> String {
    pattern(name, RESTORING)
}

/// A regular expression for names of this infix that are made of this name.
pub(crate) fn pattern(name: &str, infix: &str) -> String {
    let stem = shortened(name, MAX_NAME - infix.len() - ID_LENGTH);
    let escaped: String = stem
        .chars()
        .flat_map(|c| if c.is_alphanumeric() || c == '_' { vec![c] } else { vec!['\\', c] })
        .collect();
    format!("^{escaped}{infix}[0-9]{{14}}[0-9a-f]{{4}}$")
}

/// A regular expression for names of this infix that belong to this name and to no other. Longer
/// names are cut, at most three bytes below the limit where a character would be split, so a name
/// that is as long as a cut one may be the beginning of another.
pub(crate) fn own_pattern(name: &str, infix: &str) -> Option<String> {
    const SPLIT: usize = 3;
    let shortest_cut = MAX_NAME - infix.len() - ID_LENGTH - SPLIT;
    (name.len() < shortest_cut).then(|| pattern(name, infix))
}

impl Target {
    /// Renames the restored database into place and keeps the old one, in one transaction. Returns
    /// the old one's new name.
    pub(crate) async fn swap(&self, restoring: &str, timeout: Duration) -> Result<Option<String>> {
        let deadline = Instant::now() + timeout;
        loop {
            let error = match self.try_swap(restoring).await {
                Ok(kept) => return Ok(kept),
                Err(error) => error,
            };
            let _ = self.session.execute("the end of the attempt", "ROLLBACK").await;
            // 55006: object in use. Our own workers may still be leaving.
            if error.sqlstate() != Some("55006") {
                return Err(error);
            }
            if Instant::now() >= deadline {
                return Err(self.still_in_use(restoring).await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Gives a finished copy that could not be swapped in a name that no later run takes for a
    /// left-over.
    pub(crate) async fn keep_finished(&self, restoring: &str) -> Result<String> {
        let finished = suffixed(&self.name, RESTORED, self.id());
        let rename = format!(
            "ALTER DATABASE {} RENAME TO {}",
            quote_identifier(restoring),
            quote_identifier(&finished)
        );
        self.session.execute("keeping the restored database", &rename).await?;
        Ok(finished)
    }

    /// Somebody entered the old database during the restore. The finished copy is not thrown away.
    async fn still_in_use(&self, restoring: &str) -> Error {
        let finished = match self.keep_finished(restoring).await {
            Ok(finished) => finished,
            Err(error) => return error,
        };
        let (to, name) = (quote_identifier(&finished), quote_identifier(&self.name));
        refusal(
            format!(
                "sessions stayed connected to database {}, so it could not be replaced and is unchanged; the restored and compared copy is kept as {finished}",
                self.name
            ),
            format!(
                "stop the service that uses it, then rename both: ALTER DATABASE {name} RENAME TO {}; ALTER DATABASE {to} RENAME TO {name};",
                quote_identifier(&kept_name(&self.name, self.id()))
            ),
        )
    }

    async fn try_swap(&self, restoring: &str) -> Result<Option<String>> {
        const EXISTS: &str = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";
        let exists =
            !self.session.rows("looking for the database", EXISTS, &[&self.name]).await?.is_empty();
        let kept = exists.then(|| kept_name(&self.name, self.id()));
        let mut sql = String::from("BEGIN;\n");
        if let Some(kept) = &kept {
            sql.push_str(&format!(
                "ALTER DATABASE {} RENAME TO {};\n",
                quote_identifier(&self.name),
                quote_identifier(kept)
            ));
        }
        sql.push_str(&format!(
            "ALTER DATABASE {} RENAME TO {};\nCOMMIT;",
            quote_identifier(restoring),
            quote_identifier(&self.name)
        ));
        self.session.execute("the swap of the databases", &sql).await?;
        Ok(kept)
    }
}

/// The state of the wanted name decides whether something is kept.
impl TargetState {
    /// Returns true if a database of the wanted name exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        *self != Self::Absent
    }
}

/// The comment that tells a person what an unfinished database is.
pub(crate) fn comment_statement(database: &str, text: &str) -> String {
    format!("COMMENT ON DATABASE {} IS {}", quote_identifier(database), quote_literal(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_exceed_what_postgresql_keeps() {
        let long = "ä".repeat(40);
        let name = restoring_name(&long, "20261121120000abcd");
        assert!(name.len() <= MAX_NAME);
        assert!(name.ends_with("__restoring_20261121120000abcd"));
    }

    #[test]
    fn only_our_own_left_overs_match() {
        assert_eq!(leftover_pattern("state-hub"), "^state\\-hub__restoring_[0-9]{14}[0-9a-f]{4}$");
    }
}
