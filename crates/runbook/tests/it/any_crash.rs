//! Failures, lies, lapses and crashes everywhere: each run ends well and breaks no promise.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use runbook::{
    Decision, Effect, End, Entry, Event, Failure, Found, Intent, OnFailure, OnResume, Runbook,
    Session, StepFacts, TimeBox, next,
};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    NotDone,
    Partly,
    Done,
}

/// The steps as they really are, a run, and a supply of mishaps.
struct World {
    runbook: Runbook,
    states: Vec<State>,
    entries: Vec<Entry>,
    session: Session,
    /// The last finding of this process about each step, until something is done to it.
    answers: Vec<Option<State>>,
    /// The steps that were asked since anything was last changed.
    fresh: Vec<bool>,
    has_lapsed: bool,
    second: i64,
    mishaps: std::vec::IntoIter<u8>,
}

impl World {
    fn new(runbook: Runbook, mishaps: Vec<u8>) -> Self {
        let steps = runbook.steps().len();
        Self {
            runbook,
            states: vec![State::NotDone; steps],
            entries: Vec::new(),
            session: Session::new(),
            answers: vec![None; steps],
            fresh: vec![false; steps],
            has_lapsed: false,
            second: 0,
            mishaps: mishaps.into_iter(),
        }
    }

    /// The next mishap; 255 is none, and so is everything once they are used up.
    fn mishap(&mut self) -> u8 {
        self.mishaps.next().unwrap_or(255)
    }

    fn crash(&mut self) {
        self.session = Session::new();
        self.answers.fill(None);
        self.fresh.fill(false);
    }

    fn commit(&self) -> Option<usize> {
        self.runbook.commit_point()
    }

    fn is_committed(&self) -> bool {
        self.commit().is_some_and(|commit| self.states[commit] == State::Done)
    }

    fn is_touched(&self, step: usize) -> bool {
        let id = &self.runbook.steps()[step].id;
        self.entries.iter().fold(false, |is_touched, entry| match &entry.event {
            Event::Started { step } if step == id => true,
            Event::Undone { step } if step == id => false,
            _ => is_touched,
        })
    }

    fn record(&mut self, event: Event) {
        if matches!(event, Event::TurnedBack { .. }) {
            assert!(!self.is_committed(), "turned back past the commit point");
            self.session.turned_back();
        }
        let at = Timestamp::from_second(self.second).unwrap();
        self.entries.push(Entry { at, event });
    }

    /// Carries out decisions until the run is over, stops, or the process is killed.
    fn execute(&mut self, intent: Intent) -> Option<End> {
        // Each step can be asked, done, asked again, undone and asked again only so often.
        for _ in 0..40 * (self.states.len() + 2) * (self.states.len() + 2) {
            let now = Timestamp::from_second(self.second).unwrap();
            let decision = next(&self.runbook, &self.entries, &self.session, intent, now);
            match decision {
                Decision::Record(event) => self.record(event),
                Decision::Check(step) => self.check(step),
                Decision::Do(step) => self.act(step),
                Decision::Undo(step) => self.undo(step),
                Decision::NeedsApproval { approval, .. } => {
                    self.record(Event::Approved { approval, until: None, evidence: Value::Null });
                    return None;
                }
                Decision::Stuck { .. } => return None,
                Decision::Ended(end) => return Some(end),
            }
            if self.mishap() < 24 {
                return None;
            }
        }
        panic!("no end: {:?}", self.entries);
    }

    fn check(&mut self, step: usize) {
        let mishap = self.mishap();
        // A step lapses; the commit point never does.
        if mishap < 8 && Some(step) != self.commit() && self.states[step] != State::NotDone {
            self.states[step] = State::NotDone;
            self.has_lapsed = true;
        }
        let (found, answer) = match self.states[step] {
            _ if (8..24).contains(&mishap) => (Found::Unknown("silence".to_owned()), None),
            State::NotDone => (Found::NotDone, Some(State::NotDone)),
            State::Partly => (Found::Partly("half".to_owned()), Some(State::Partly)),
            State::Done => (Found::Done(Value::Null), Some(State::Done)),
        };
        self.answers[step] = answer;
        self.fresh[step] = true;
        self.session.found(step, found);
    }

    fn act(&mut self, step: usize) {
        let answer = self.answers[step];
        assert!(matches!(answer, Some(State::NotDone | State::Partly)), "done unasked: {answer:?}");
        if Some(step) == self.commit() {
            let holds = |step: &usize| {
                self.runbook.steps()[*step].on_resume == OnResume::Recorded || self.fresh[*step]
            };
            assert!((0..step).all(|step| holds(&step)), "committed on old answers");
        } else {
            let is_before = self.commit().is_none_or(|commit| step < commit);
            assert!(is_before || self.is_committed(), "after the commit point, before it");
        }
        let id = self.runbook.steps()[step].id.clone();
        self.record(Event::Started { step: id.clone() });
        self.change(step);
        let mishap = self.mishap();
        if mishap < 16 {
            return self.crash();
        }
        self.session.acting(step);
        let is_atomic = Some(step) == self.commit();
        self.states[step] = match mishap {
            16..32 => self.states[step],
            32..48 if !is_atomic => State::Partly,
            _ => State::Done,
        };
        match mishap {
            // It failed, or succeeded and could not say so, or lied.
            16..64 if mishap.is_multiple_of(2) => {
                self.record(Event::Failed { step: id, failure: Failure::retryable("no") });
            }
            64..80 => self.crash(),
            _ => self.session.acted(step, Value::Null),
        }
    }

    fn undo(&mut self, step: usize) {
        let answer = self.answers[step];
        assert!(matches!(answer, Some(State::Done | State::Partly)), "undone unasked: {answer:?}");
        assert!(!self.is_committed(), "undone past the commit point");
        assert_eq!(self.runbook.steps()[step].effect, Effect::Reversible);
        assert!(self.is_touched(step), "undone what others did");
        for later in step + 1..self.states.len() {
            let is_left = self.states[later] != State::NotDone
                && self.runbook.steps()[later].effect == Effect::Reversible
                && self.is_touched(later);
            assert!(!is_left, "{later} was to be undone before {step}");
        }
        let id = self.runbook.steps()[step].id.clone();
        self.record(Event::Undoing { step: id.clone() });
        self.change(step);
        let mishap = self.mishap();
        if mishap < 16 {
            return self.crash();
        }
        self.session.undoing(step);
        self.states[step] = match mishap {
            16..32 => self.states[step],
            32..48 => State::Partly,
            _ => State::NotDone,
        };
        match mishap {
            16..64 if mishap.is_multiple_of(2) => {
                self.record(Event::UndoFailed { step: id, failure: Failure::retryable("no") });
            }
            64..80 => self.crash(),
            _ => {}
        }
    }

    fn change(&mut self, step: usize) {
        self.answers[step] = None;
        self.fresh.fill(false);
    }

    fn assert_good(&self, end: &End) {
        let steps = self.runbook.steps().iter().enumerate();
        match end {
            End::Done => {
                let must_be_done = |step: usize| !self.has_lapsed || Some(step) == self.commit();
                for (step, _) in steps.filter(|(step, _)| must_be_done(*step)) {
                    assert_eq!(self.states[step], State::Done, "step {step} is not done");
                }
            }
            End::RolledBack => {
                assert!(!self.is_committed(), "rolled back, and committed");
                for (step, facts) in steps.filter(|(_, facts)| facts.effect == Effect::Reversible) {
                    assert_eq!(self.states[step], State::NotDone, "{} is left", facts.id);
                }
            }
            End::Abandoned { .. } => panic!("it was abandoned"),
        }
    }
}

fn facts() -> impl Strategy<Value = StepFacts> {
    let effect = prop_oneof![3 => Just(Effect::Reversible), 1 => Just(Effect::Nothing)];
    let on_failure = prop_oneof![Just(OnFailure::TurnBack), Just(OnFailure::Stop)];
    let on_resume = prop_oneof![
        2 => Just(OnResume::MustHold),
        1 => Just(OnResume::Repeat),
        1 => Just(OnResume::Recorded)
    ];
    let approval = prop_oneof![4 => Just(None), 1 => Just(Some("yes".to_owned()))];
    (effect, on_failure, on_resume, approval).prop_map(
        |(effect, on_failure, on_resume, approval)| {
            let mut facts = StepFacts::new("x", "A step");
            (facts.effect, facts.on_failure) = (effect, on_failure);
            (facts.on_resume, facts.approval) = (on_resume, approval);
            facts
        },
    )
}

fn runbooks() -> impl Strategy<Value = Runbook> {
    let steps = prop::collection::vec(facts(), 1..7);
    (steps, any::<prop::sample::Index>(), any::<bool>(), any::<bool>()).prop_map(
        |(mut steps, commit, has_commit, has_time_box)| {
            if has_commit {
                let commit = commit.index(steps.len());
                steps[commit].effect = Effect::Commit;
            }
            for (number, facts) in steps.iter_mut().enumerate() {
                facts.id = number.to_string();
            }
            let last = (steps.len() - 1).to_string();
            let limit = TimeBox::new("frozen", "0", last, Duration::from_secs(4));
            Runbook::new("run", steps, has_time_box.then_some(limit)).unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_run_ends_well_after_any_mishaps(
        runbook in runbooks(),
        mishaps in prop::collection::vec(any::<u8>(), 0..120),
        sessions in prop::collection::vec((any::<bool>(), 0..3_i64), 0..12),
    ) {
        let mut world = World::new(runbook, mishaps);
        let mut ended = None;
        for (is_forward, seconds) in sessions {
            let intent = if is_forward { Intent::Forward } else { Intent::Back };
            // A back that was asked for before anything was begun is no run at all.
            ended = world.execute(intent).filter(|_| !world.entries.is_empty());
            if ended.is_some() {
                break;
            }
            world.crash();
            world.second += seconds;
        }
        // Nothing goes wrong any more: then a few more processes are enough.
        world.mishaps = Vec::new().into_iter();
        for _ in 0..8 {
            if ended.is_some() {
                break;
            }
            world.crash();
            ended = world.execute(Intent::Forward);
        }
        let end = ended.expect("an honest world ends every run");
        world.assert_good(&end);
        world.crash();
        prop_assert_eq!(world.execute(Intent::Forward), Some(end));
    }
}
