//! A run as the journal tells it.

use journal::{Journal, Record};

use crate::entry::KIND;
use crate::{Entry, Error, Event, Runbook};

/// The description of a run, and everything that was recorded of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// The description that the run was begun with.
    pub runbook: Runbook,
    /// Its records, oldest first.
    pub entries: Vec<Entry>,
}

impl Run {
    /// Reads all runs of a journal, in the order in which they were begun.
    ///
    /// # Errors
    ///
    /// [`Error::Journal`] where the journal cannot be read or is damaged, and the errors of
    /// [`Run::of_records`].
    pub fn read(journal: &Journal) -> Result<Vec<Self>, Error> {
        Self::of_records(&journal.read()?)
    }

    /// Finds the runs among the records of a journal, in the order in which they were begun.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownVersion`] where a newer version of this library wrote a record of a run:
    /// what it says is not known, so nothing may be done. [`Error::InvalidRecord`] where a record
    /// cannot stand where it does.
    pub fn of_records(records: &[Record]) -> Result<Vec<Self>, Error> {
        let mut runs: Vec<Self> = Vec::new();
        for record in records.iter().filter(|record| record.kind == KIND) {
            let entry = Entry::of_record(record)?;
            let run = runs.iter_mut().find(|run| run.runbook.id() == record.subject);
            let added = match (run, &entry.event) {
                (Some(run), _) => run.follow(entry),
                (None, Event::Begun { runbook }) if runbook.id() == record.subject => {
                    runs.push(Self { runbook: runbook.clone(), entries: vec![entry] });
                    Ok(())
                }
                (None, Event::Begun { .. }) => Err("it begins a run of another name".to_owned()),
                (None, _) => Err("it belongs to a run that was not begun".to_owned()),
            };
            added.map_err(|reason| Error::InvalidRecord { seq: record.seq, reason })?;
        }
        Ok(runs)
    }

    /// Returns whether the run is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.entries.last(), Some(Entry { event: Event::Ended { .. }, .. }))
    }

    fn follow(&mut self, entry: Entry) -> Result<(), String> {
        if self.is_ended() {
            return Err("it follows the end of its run".to_owned());
        }
        if matches!(entry.event, Event::Begun { .. }) {
            return Err("it begins a run a second time".to_owned());
        }
        if let Some(step) = entry.event.step()
            && self.runbook.position(step).is_none()
        {
            return Err(format!("its run has no step `{step}`"));
        }
        self.entries.push(entry);
        Ok(())
    }
}
