//! Refreshes of materialised views, in an order that works.
//!
//! `pg_dump` orders views by what the catalogue knows. It does not know what a function reads, so a
//! view may be refreshed before the one that its function asks, which the server refuses. Such a
//! refresh is put off.

use super::describe;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::sql;

/// A view that is read was not filled yet (`object_not_in_prerequisite_state`).
const NOT_FILLED: &str = "55000";

/// Returns whether a statement, behind its settings, fills a materialised view.
pub(crate) fn is_refresh(statement: &str) -> bool {
    let statement = sql::statements(statement).pop();
    statement.is_some_and(|statement| statement.starts_with("REFRESH MATERIALIZED VIEW "))
}

/// The refreshes that the server refused, each with what it said.
#[derive(Default)]
pub(crate) struct Refreshes {
    put_off: Vec<(String, Error)>,
    is_in_transaction: bool,
}

impl Refreshes {
    /// Fills the views of these refreshes anew, inside of a transaction.
    ///
    /// All of them are emptied first: a view that still holds what it held before would be read,
    /// and nobody would refuse.
    pub(crate) async fn again(session: &Session, statements: Vec<String>) -> Result<()> {
        for statement in &statements {
            let emptied = format!("{} WITH NO DATA", statement.trim_end_matches(';'));
            session.execute(&describe(&emptied), &emptied).await?;
        }
        let mut refreshes = Self { put_off: Vec::new(), is_in_transaction: true };
        for statement in statements {
            refreshes.run(session, statement).await?;
        }
        refreshes.end()
    }

    /// Fills a view, and after it those that may have waited for it.
    pub(crate) async fn run(&mut self, session: &Session, statement: String) -> Result<()> {
        if !self.try_one(session, statement).await? {
            return Ok(());
        }
        loop {
            let waiting = std::mem::take(&mut self.put_off);
            let mut is_any_filled = false;
            for (statement, _) in waiting {
                is_any_filled |= self.try_one(session, statement).await?;
            }
            if !is_any_filled {
                return Ok(());
            }
        }
    }

    /// Ends the refreshes.
    ///
    /// # Errors
    /// The server's refusal of the first view that waits for none that was filled.
    pub(crate) fn end(self) -> Result<()> {
        match self.put_off.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Says whether the view is filled now.
    async fn try_one(&mut self, session: &Session, statement: String) -> Result<bool> {
        self.savepoint(session, "SAVEPOINT refresh").await?;
        match session.execute(&describe(&statement), &statement).await {
            Ok(()) => {
                self.savepoint(session, "RELEASE SAVEPOINT refresh").await?;
                Ok(true)
            }
            Err(error) if matches!(&error, Error::Server { code, .. } if code == NOT_FILLED) => {
                self.put_off.push((statement, error));
                self.savepoint(session, "ROLLBACK TO SAVEPOINT refresh").await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn savepoint(&self, session: &Session, statement: &str) -> Result<()> {
        if self.is_in_transaction {
            session.execute("a savepoint", statement).await?;
        }
        Ok(())
    }
}
