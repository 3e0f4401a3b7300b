//! The sum of the records of a run.

use jiff::Timestamp;

use crate::{End, Entry, Event, Failure, Reason, Runbook, TimeBox};

/// Everything that was recorded of a run.
#[derive(Debug)]
pub(crate) struct Past<'a> {
    pub(crate) is_begun: bool,
    /// One for each step, in their order.
    pub(crate) marks: Vec<Mark<'a>>,
    pub(crate) turned_back: Option<&'a Reason>,
    /// Something was undone, or may have been.
    pub(crate) is_undoing: bool,
    pub(crate) end: Option<&'a End>,
    approvals: Vec<(&'a str, Option<Timestamp>)>,
    latest: Option<Timestamp>,
}

/// Everything that was recorded of one step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark<'a> {
    /// The first intent or success since it was last undone.
    pub(crate) since: Option<Timestamp>,
    /// An act of this run may have changed something, and no undo is recorded since.
    pub(crate) is_touched: bool,
    pub(crate) last: Last<'a>,
}

/// The last record of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Last<'a> {
    #[default]
    Nothing,
    Started,
    Done,
    Failed(&'a Failure),
    Undoing,
    Undone,
    UndoFailed(&'a Failure),
}

/// A time box that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// Its name, such as `frozen`.
    pub time_box: String,
    /// The time it opened.
    pub since: Timestamp,
    /// The end of the allowed time.
    pub until: Timestamp,
    /// True once the allowed time is over.
    pub is_overdue: bool,
}

impl<'a> Past<'a> {
    pub(crate) fn of(runbook: &Runbook, entries: &'a [Entry]) -> Self {
        let mut past = Self {
            is_begun: false,
            marks: vec![Mark::default(); runbook.steps().len()],
            turned_back: None,
            is_undoing: false,
            end: None,
            approvals: Vec::new(),
            latest: None,
        };
        for entry in entries {
            past.take_in(runbook, entry);
        }
        past
    }

    fn take_in(&mut self, runbook: &Runbook, entry: &'a Entry) {
        self.latest = self.latest.max(Some(entry.at));
        self.is_undoing |= matches!(entry.event, Event::Undoing { .. } | Event::Undone { .. });
        match &entry.event {
            Event::Begun { .. } => self.is_begun = true,
            Event::Approved { approval, until, .. } => self.approvals.push((approval, *until)),
            Event::TurnedBack { reason } => self.turned_back = Some(reason),
            Event::Ended { end } => self.end = Some(end),
            Event::Started { .. }
            | Event::Done { .. }
            | Event::Failed { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::UndoFailed { .. }
            | Event::Stopped { .. } => {
                let position = entry.event.step().and_then(|step| runbook.position(step));
                if let Some(mark) = position.and_then(|position| self.marks.get_mut(position)) {
                    mark.take_in(entry);
                }
            }
        }
    }

    /// A clock that was set back does not give a time box more time than the records have seen.
    pub(crate) fn not_before_latest(&self, now: Timestamp) -> Timestamp {
        self.latest.map_or(now, |latest| latest.max(now))
    }

    pub(crate) fn is_approved(&self, approval: &str, now: Timestamp) -> bool {
        let is_valid = |until: Option<Timestamp>| until.is_none_or(|until| now <= until);
        self.approvals.iter().any(|(name, until)| *name == approval && is_valid(*until))
    }

    /// The time boxes that are open at `now`, in the order of the runbook.
    pub(crate) fn windows(&self, runbook: &Runbook, now: Timestamp) -> Vec<Window> {
        if self.end.is_some() {
            return Vec::new();
        }
        let now = self.not_before_latest(now);
        runbook
            .time_boxes()
            .iter()
            .filter_map(|time_box| self.window(runbook, time_box, now))
            .collect()
    }

    fn window(&self, runbook: &Runbook, time_box: &TimeBox, now: Timestamp) -> Option<Window> {
        let mark = |step: &str| runbook.position(step).map(|position| &self.marks[position]);
        let since = mark(&time_box.opens)?.since?;
        if mark(&time_box.closes)?.last == Last::Done {
            return None;
        }
        let until = since.saturating_add(time_box.at_most).unwrap_or(Timestamp::MAX);
        let is_overdue = until <= now;
        Some(Window { time_box: time_box.name.clone(), since, until, is_overdue })
    }
}

impl<'a> Mark<'a> {
    pub(crate) fn is_done(&self) -> bool {
        self.last == Last::Done
    }

    fn take_in(&mut self, entry: &'a Entry) {
        self.last = match &entry.event {
            Event::Started { .. } => {
                self.is_touched = true;
                self.since.get_or_insert(entry.at);
                Last::Started
            }
            Event::Done { .. } => {
                self.since.get_or_insert(entry.at);
                Last::Done
            }
            Event::Failed { failure, .. } => Last::Failed(failure),
            Event::Undoing { .. } => Last::Undoing,
            Event::Undone { .. } => {
                (self.is_touched, self.since) = (false, None);
                Last::Undone
            }
            Event::UndoFailed { failure, .. } => Last::UndoFailed(failure),
            _ => self.last,
        };
    }
}
