//! The five answers of a gate, and the logic that combines them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The answer of a gate.
///
/// Only [`Answer::Pass`] opens a gate and only [`Answer::Fail`] says that it is closed; the three
/// between them say that it is not decided, and why. "Could not ask" is neither yes nor no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The condition holds.
    Pass,
    /// The condition does not hold.
    Fail,
    /// It could not be asked, or the answer cannot be believed.
    Unknown,
    /// It does not hold yet, and something is on its way that may change that.
    Waiting,
    /// Everything else holds; a human has to agree.
    NeedsApproval,
}

impl Answer {
    /// All of them hold: one fail decides, else one that is undecided, else it passes. Nothing at
    /// all is unknown.
    pub fn all(answers: impl IntoIterator<Item = Self>) -> Self {
        Self::combine(answers, Self::Fail, Self::Pass)
    }

    /// One of them holds: one pass decides, else one that is undecided, else it fails. Nothing at
    /// all is unknown.
    pub fn any(answers: impl IntoIterator<Item = Self>) -> Self {
        Self::combine(answers, Self::Pass, Self::Fail)
    }

    /// Which part decides what [`Answer::all`] says, for whoever has to name it.
    pub(crate) fn decides_all(self) -> u8 {
        match self {
            Self::Fail => 0,
            other => other.precedence(),
        }
    }

    /// Which part decides what [`Answer::any`] says.
    pub(crate) fn decides_any(self) -> u8 {
        match self {
            Self::Pass => 0,
            other => other.precedence(),
        }
    }

    /// Returns true if it is neither pass nor fail.
    #[must_use]
    pub fn is_undecided(self) -> bool {
        matches!(self, Self::Unknown | Self::Waiting | Self::NeedsApproval)
    }

    /// Among undecided answers the same one wins in `all` and in `any`, so that `not(all(…))` is
    /// `any(not(…))`.
    fn precedence(self) -> u8 {
        match self {
            Self::Unknown => 1,
            Self::Waiting => 2,
            Self::NeedsApproval => 3,
            Self::Pass | Self::Fail => 4,
        }
    }

    fn combine(answers: impl IntoIterator<Item = Self>, deciding: Self, otherwise: Self) -> Self {
        let answers: Vec<Self> = answers.into_iter().collect();
        if answers.is_empty() {
            return Self::Unknown;
        }
        if answers.contains(&deciding) {
            return deciding;
        }
        let undecided = answers.into_iter().filter(|answer| answer.is_undecided());
        undecided.min_by_key(|answer| answer.precedence()).unwrap_or(otherwise)
    }
}

/// Pass and fail change places; what is undecided stays so.
impl std::ops::Not for Answer {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Pass => Self::Fail,
            Self::Fail => Self::Pass,
            undecided => undecided,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
            Self::NeedsApproval => "needs-approval",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Answer::{Fail, NeedsApproval, Pass, Unknown, Waiting};
    use super::*;
    use proptest::prelude::*;

    const EVERY: [Answer; 5] = [Pass, Fail, Unknown, Waiting, NeedsApproval];

    /// The table of `docs/guide/gates.md`, with the rows and columns in this order.
    #[test]
    fn the_tables_of_the_guide() {
        let row = |combine: fn([Answer; 2]) -> Answer, left: Answer| {
            EVERY.map(|right| combine([left, right]))
        };
        let all = |left| row(Answer::all, left);
        assert_eq!(all(Pass), [Pass, Fail, Unknown, Waiting, NeedsApproval]);
        assert_eq!(all(Fail), [Fail; 5]);
        assert_eq!(all(Unknown), [Unknown, Fail, Unknown, Unknown, Unknown]);
        assert_eq!(all(Waiting), [Waiting, Fail, Unknown, Waiting, Waiting]);
        assert_eq!(all(NeedsApproval), [NeedsApproval, Fail, Unknown, Waiting, NeedsApproval]);
        let any = |left| row(Answer::any, left);
        assert_eq!(any(Pass), [Pass; 5]);
        assert_eq!(any(Fail), [Pass, Fail, Unknown, Waiting, NeedsApproval]);
        assert_eq!(any(Unknown), [Pass, Unknown, Unknown, Unknown, Unknown]);
        assert_eq!(any(Waiting), [Pass, Waiting, Unknown, Waiting, Waiting]);
        assert_eq!(any(NeedsApproval), [Pass, NeedsApproval, Unknown, Waiting, NeedsApproval]);
    }

    #[test]
    fn nothing_at_all_does_not_pass() {
        assert_eq!(Answer::all([]), Unknown);
        assert_eq!(Answer::any([]), Unknown);
    }

    fn answers() -> impl Strategy<Value = Vec<Answer>> {
        proptest::collection::vec(proptest::sample::select(&EVERY[..]), 1..8)
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_matter(
            (answers, shuffled) in answers().prop_flat_map(|answers| (Just(answers.clone()), Just(answers).prop_shuffle())),
            again in 0_usize..8,
        ) {
            let repeated = shuffled.iter().chain(shuffled.get(again)).copied();
            prop_assert_eq!(Answer::all(repeated.clone()), Answer::all(answers.clone()));
            prop_assert_eq!(Answer::any(repeated), Answer::any(answers));
        }

        #[test]
        fn not_all_is_any_not(answers in answers()) {
            let not = |answers: &[Answer]| answers.iter().map(|answer| !*answer).collect::<Vec<_>>();
            prop_assert_eq!(!Answer::all(answers.clone()), Answer::any(not(&answers)));
            prop_assert_eq!(!Answer::any(answers.clone()), Answer::all(not(&answers)));
        }

        #[test]
        fn grouping_does_not_matter(a in answers(), b in answers()) {
            let together = a.iter().chain(&b).copied();
            prop_assert_eq!(
                Answer::all([Answer::all(a.clone()), Answer::all(b.clone())]),
                Answer::all(together.clone())
            );
            prop_assert_eq!(
                Answer::any([Answer::any(a.clone()), Answer::any(b.clone())]),
                Answer::any(together)
            );
        }

        #[test]
        fn what_is_undecided_never_becomes_a_pass_by_itself(answers in answers()) {
            if Answer::all(answers.clone()) == Pass {
                prop_assert!(answers.iter().all(|answer| *answer == Pass));
            }
            if Answer::any(answers.clone()) == Pass {
                prop_assert!(answers.contains(&Pass));
            }
        }
    }
}
