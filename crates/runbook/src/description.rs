//! The pure description of a runbook: its steps, its commit point, its time boxes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A named list of steps, in the order in which they are done.
///
/// A runbook has at most one commit point. Before it, a failure undoes in reverse order what was
/// done; after it, the run only goes forward, and the way back is another runbook.
///
/// The first record of a run holds its runbook, so that a run is judged, and its state is told, by
/// the description that it was begun with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Runbook {
    id: String,
    steps: Vec<StepFacts>,
    time_boxes: Vec<TimeBox>,
}

/// The description of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct StepFacts {
    /// Its name in the records: one word of `a-z`, `0-9`, `.`, `_`, `-`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// The change that an act of the step leaves behind.
    pub effect: Effect,
    /// The consequence of a failure before the commit point.
    pub on_failure: OnFailure,
    /// The treatment of the step by a later process, once it is recorded as done.
    pub on_resume: OnResume,
    /// The approval without which the step is not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

/// The change that an act of a step leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// A change that `undo` takes back.
    Reversible,
    /// Nothing: the step proves or asks something, and is passed over on the way back.
    Nothing,
    /// The commit point: one atomic change, after which nothing is undone.
    ///
    /// Its `check` carries the whole promise. It must answer [`Found::NotDone`](crate::Found) only
    /// where an act that was begun earlier can no longer take effect, such as a `COMMIT` still on
    /// its way to a server. It must answer [`Found::Done`](crate::Found) only for the commit of
    /// this run, and not for a state that merely looks like it. In doubt the answer is
    /// [`Found::Unknown`](crate::Found).
    Commit,
}

/// The consequence of a failure of a step before the commit point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The run turns back and undoes everything.
    TurnBack,
    /// The run stops where it is, to be resumed or turned back later. For long preparations.
    Stop,
}

/// The treatment of a step by a later process, once it is recorded as done. It has no meaning for
/// the commit point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnResume {
    /// The step must still be done. If it is not, what followed was built on sand, and the run
    /// turns back; after the commit point, the step is repeated.
    MustHold,
    /// The effect ends with the process, such as a session or a lock: the step is repeated.
    Repeat,
    /// The record is the result, such as a reading or a rehearsal: the step is not asked again.
    Recorded,
}

/// A limit on the time between two steps, such as "frozen for two minutes at most".
///
/// It opens when the act of one step is begun and closes when another one is done. Once it is over
/// before the commit point, the run turns back by itself; after it, the state only says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TimeBox {
    /// The state that is limited, such as `frozen`: one word, as for steps.
    pub name: String,
    /// The step that opens it.
    pub opens: String,
    /// The step that closes it.
    pub closes: String,
    /// The longest time in between.
    #[serde(with = "humantime_serde")]
    pub at_most: Duration,
}

impl StepFacts {
    /// A reversible step that turns the run back when it fails and must hold once it is done.
    pub fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            effect: Effect::Reversible,
            on_failure: OnFailure::TurnBack,
            on_resume: OnResume::MustHold,
            approval: None,
        }
    }

    /// The step, with this effect.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// The step, with this consequence of a failure.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// The step, treated so by a later run.
    #[must_use]
    pub fn on_resume(mut self, on_resume: OnResume) -> Self {
        self.on_resume = on_resume;
        self
    }

    /// The step, which is not begun without this approval.
    #[must_use]
    pub fn with_approval(mut self, approval: impl Into<String>) -> Self {
        self.approval = Some(approval.into());
        self
    }
}

impl TimeBox {
    /// A limit on the time from the act of `opens` to the end of `closes`.
    pub fn new(
        name: impl Into<String>,
        opens: impl Into<String>,
        closes: impl Into<String>,
        at_most: Duration,
    ) -> Self {
        Self { name: name.into(), opens: opens.into(), closes: closes.into(), at_most }
    }
}

impl Runbook {
    /// A runbook of these steps; `id` names the one run of it in the records.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a name that is not one word or occurs twice, for a second commit
    /// point, for no steps, and for a time box between steps that do not exist or stand in the
    /// other order.
    pub fn new(
        id: impl Into<String>,
        steps: impl IntoIterator<Item = StepFacts>,
        time_boxes: impl IntoIterator<Item = TimeBox>,
    ) -> Result<Self, Error> {
        let runbook = Self {
            id: id.into(),
            steps: steps.into_iter().collect(),
            time_boxes: time_boxes.into_iter().collect(),
        };
        runbook.validate()?;
        Ok(runbook)
    }

    /// The name of the run.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The steps, in their order.
    #[must_use]
    pub fn steps(&self) -> &[StepFacts] {
        &self.steps
    }

    /// The limits on time.
    #[must_use]
    pub fn time_boxes(&self) -> &[TimeBox] {
        &self.time_boxes
    }

    /// The position of a step.
    #[must_use]
    pub fn position(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|facts| facts.id == step)
    }

    /// The position of the commit point.
    #[must_use]
    pub fn commit_point(&self) -> Option<usize> {
        self.steps.iter().position(|facts| facts.effect == Effect::Commit)
    }

    /// The first difference that decides something. Titles are for people and may change.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let untitled = |facts: &StepFacts| StepFacts { title: String::new(), ..facts.clone() };
        if self.steps.len() != other.steps.len() {
            return Some(format!("{} steps instead of {}", other.steps.len(), self.steps.len()));
        }
        let mut pairs = self.steps.iter().zip(&other.steps);
        if let Some((old, new)) = pairs.find(|(old, new)| untitled(old) != untitled(new)) {
            return Some(format!("step `{}` in the place of step `{}`", new.id, old.id));
        }
        (self.time_boxes != other.time_boxes).then(|| "other time boxes".to_owned())
    }

    fn validate(&self) -> Result<(), Error> {
        let steps = self.steps.iter().map(|facts| &facts.id);
        let boxes = self.time_boxes.iter().map(|time_box| &time_box.name);
        let approvals = self.steps.iter().filter_map(|facts| facts.approval.as_ref());
        for word in
            [&self.id].into_iter().chain(steps.clone()).chain(boxes.clone()).chain(approvals)
        {
            if !is_word(word) {
                return Err(Error::invalid(format!(
                    "the name `{word}` is not one word of a-z, 0-9, `.`, `_` and `-`"
                )));
            }
        }
        if let Some(twice) = repeated(steps).or_else(|| repeated(boxes)) {
            return Err(Error::invalid(format!("the name `{twice}` occurs twice")));
        }
        if self.steps.is_empty() {
            return Err(Error::invalid("a runbook needs at least one step"));
        }
        if 1 < self.steps.iter().filter(|facts| facts.effect == Effect::Commit).count() {
            return Err(Error::invalid("a runbook has at most one commit point"));
        }
        self.time_boxes.iter().try_for_each(|time_box| self.validate_time_box(time_box))
    }

    fn validate_time_box(&self, time_box: &TimeBox) -> Result<(), Error> {
        let position = |step: &str| {
            self.position(step).ok_or_else(|| {
                Error::invalid(format!("time box `{}` names no step `{step}`", time_box.name))
            })
        };
        if position(&time_box.closes)? < position(&time_box.opens)? {
            let name = &time_box.name;
            return Err(Error::invalid(format!("time box `{name}` closes before it opens")));
        }
        Ok(())
    }
}

/// The members of a runbook as they are written, not validated yet.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    id: String,
    steps: Vec<StepFacts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    time_boxes: Vec<TimeBox>,
}

impl TryFrom<Written> for Runbook {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        Self::new(written.id, written.steps, written.time_boxes)
    }
}

impl From<Runbook> for Written {
    fn from(runbook: Runbook) -> Self {
        let Runbook { id, steps, time_boxes } = runbook;
        Self { id, steps, time_boxes }
    }
}

fn is_word(text: &str) -> bool {
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    !text.is_empty() && text.bytes().all(allowed)
}

fn repeated<'a>(mut names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let mut seen = BTreeSet::new();
    names.find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn steps<const N: usize>(ids: [&str; N]) -> [StepFacts; N] {
        ids.map(|id| StepFacts::new(id, "A step"))
    }

    #[test]
    fn each_flaw_of_a_description_is_refused() {
        let commit = |id| StepFacts::new(id, "").with_effect(Effect::Commit);
        let limit = |opens, closes| TimeBox::new("frozen", opens, closes, MINUTE);
        let new = |steps: &[StepFacts], boxes: &[TimeBox]| {
            Runbook::new("run", steps.to_vec(), boxes.to_vec())
        };
        for (flawed, said) in [
            (Runbook::new("a run", steps(["a"]), []), "`a run` is not one word"),
            (new(&steps(["Ä"]), &[]), "`Ä` is not one word"),
            (new(&[StepFacts::new("a", "").with_approval("")], &[]), "`` is not one word"),
            (new(&steps(["a", "b", "a"]), &[]), "`a` occurs twice"),
            (new(&[], &[]), "at least one step"),
            (new(&[commit("a"), commit("b")], &[]), "at most one commit point"),
            (new(&steps(["a"]), &[limit("a", "z")]), "names no step `z`"),
            (new(&steps(["a", "b"]), &[limit("b", "a")]), "closes before it opens"),
        ] {
            let error = flawed.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_runbook_is_read_as_it_was_written_and_flaws_are_found_then_as_well() {
        let facts = [
            StepFacts::new("fence", "Close the source").with_approval("freeze"),
            StepFacts::new("commit", "Name the new primary").with_effect(Effect::Commit),
        ];
        let limits = [TimeBox::new("frozen", "fence", "commit", MINUTE)];
        let runbook = Runbook::new("move-1", facts, limits).unwrap();
        let written = serde_json::to_value(&runbook).unwrap();
        assert_eq!(serde_json::from_value::<Runbook>(written.clone()).unwrap(), runbook);

        let mut flawed = written;
        flawed["steps"][0]["effect"] = "commit".into();
        let error = serde_json::from_value::<Runbook>(flawed).unwrap_err().to_string();
        assert!(error.contains("at most one commit point"), "{error}");
    }

    #[test]
    fn a_title_may_change_and_nothing_else() {
        let runbook = Runbook::new("run", steps(["a", "b"]), []).unwrap();
        let mut other = runbook.clone();
        other.steps[0].title = "Better words".to_owned();
        assert_eq!(runbook.difference(&other), None);
        other.steps[0].effect = Effect::Nothing;
        assert!(runbook.difference(&other).unwrap().contains("step `a`"));
        let longer = Runbook::new("run", steps(["a", "b", "c"]), []).unwrap();
        assert_eq!(runbook.difference(&longer).unwrap(), "3 steps instead of 2");
        let limited =
            Runbook::new("run", steps(["a", "b"]), [TimeBox::new("x", "a", "b", MINUTE)]).unwrap();
        assert_eq!(runbook.difference(&limited).unwrap(), "other time boxes");
    }
}
