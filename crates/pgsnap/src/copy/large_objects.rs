//! Large objects on their way: read by the leader of the snapshot, written by one session.

use crate::census::LargeObjects;
use crate::error::Result;
use crate::large_object::{self, DEFINITIONS_MOVED, PieceSink};
use crate::restore::run_statements;
use crate::session::Session;
use crate::sql;
use crate::tools::PgDump;

const CONTEXT: &str = "the large objects";

/// Copies every large object; counts and digests them.
pub(crate) async fn copy(
    source: &Session,
    tool: &PgDump,
    target: &Session,
) -> Result<LargeObjects> {
    let ours = tool.major >= DEFINITIONS_MOVED;
    if ours {
        let definitions = large_object::definitions(source).await?;
        run_statements(target, sql::statements(&definitions), CONTEXT).await?;
    }
    let mut writer = Writer::new(target);
    let found = large_object::read(source, &mut writer).await?;
    writer.flush().await?;
    if ours {
        // An owner may have revoked his own rights, so they come after the contents.
        let privileges = large_object::privileges(source).await?;
        run_statements(target, sql::statements(&privileges), CONTEXT).await?;
    }
    Ok(found)
}

/// Gathers statements: a round trip for each small object would take longer than its contents.
pub(crate) struct Writer<'a> {
    target: &'a Session,
    statements: String,
    count: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(target: &'a Session) -> Self {
        Self { target, statements: String::new(), count: 0 }
    }

    pub(crate) async fn flush(&mut self) -> Result<()> {
        if self.statements.is_empty() {
            return Ok(());
        }
        self.target.execute(CONTEXT, &self.statements).await?;
        self.statements.clear();
        self.count = 0;
        Ok(())
    }
}

impl PieceSink for Writer<'_> {
    async fn piece(&mut self, oid: u32, position: i64, bytes: &[u8]) -> Result<()> {
        /// One query is one transaction, which locks every object it writes.
        const OBJECTS: usize = 100;
        /// Bytes of statements per query.
        const BLOCK: usize = 2 << 20;
        if bytes.is_empty() {
            return Ok(());
        }
        self.statements.push_str(&large_object::put_statement(oid, position, bytes));
        self.count += 1;
        if self.count >= OBJECTS || self.statements.len() >= BLOCK {
            self.flush().await?;
        }
        Ok(())
    }
}
