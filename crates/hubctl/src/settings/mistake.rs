//! A value that the configuration does not take: where it is, and how it is taken out.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_path_to_error::{Path, Segment};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The number of items of each array that were taken out already.
pub(super) type Shifts = BTreeMap<String, usize>;

/// One step from a table or an array to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

/// The answer of a parser, and the place that it is about.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) steps: Vec<Step>,
    pub(super) message: String,
    pub(super) span: Option<Range<usize>>,
    /// True if the message itself named the last step.
    pub(super) is_of_member: bool,
    /// True if a library says why, and not a parser.
    pub(super) is_reasoned: bool,
}

impl Mistake {
    pub(super) fn new(error: &toml::de::Error, path: &Path) -> Self {
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        let mut steps: Vec<Step> = steps.collect();
        let message = error.message().trim().replace('\n', ", ");
        let member = message.strip_prefix('`').and_then(|rest| rest.split_once("`: "));
        let is_of_member = member.is_some();
        let message = match member {
            Some((member, reason)) => {
                steps.push(Step::Key(member.to_owned()));
                reason.to_owned()
            }
            None => message,
        };
        let is_reasoned = is_of_member && !message.starts_with("invalid ");
        Self { steps, message, span: error.span(), is_of_member, is_reasoned }
    }

    /// The key as a person writes it, where items are counted as they are in the file.
    pub(super) fn key(&self, shifts: &Shifts) -> String {
        key(&self.steps, shifts)
    }

    /// The names on the way, unless the last step is an item of an array, which has a form of its
    /// own.
    pub(super) fn names(&self) -> Option<Vec<&str>> {
        let names = self.steps.iter().filter_map(|step| match step {
            Step::Key(name) => Some(name.as_str()),
            Step::Item(_) => None,
        });
        let is_item = matches!(self.steps.last(), Some(Step::Item(_)));
        (!is_item).then(|| names.collect())
    }

    /// The place in the file: that of the last step, if the message named it.
    pub(super) fn place(&self, table: &DeTable<'_>) -> Option<Range<usize>> {
        let of_member = self.is_of_member.then(|| span(table, &self.steps));
        of_member.flatten().or_else(|| self.span.clone())
    }

    /// Returns true if it is about several keys of a table.
    pub(super) fn is_of_several(&self) -> bool {
        self.message.starts_with("exactly one") || self.message.ends_with("required together")
    }

    /// The key that is missing, if one is.
    pub(super) fn missing(&self) -> Option<&str> {
        self.message.strip_prefix("missing field `")?.strip_suffix('`')
    }
}

/// The key at the end of these steps, where items are counted as they are in the file.
pub(super) fn key(steps: &[Step], shifts: &Shifts) -> String {
    steps.iter().fold(String::new(), |key, step| match step {
        Step::Key(name) if key.is_empty() => name.clone(),
        Step::Key(name) => format!("{key}.{name}"),
        Step::Item(item) => {
            let shift = shifts.get(&key).copied().unwrap_or_default();
            format!("{key}[{}]", item + shift)
        }
    })
}

/// Takes a value out, or the nearest table around it that is there. Returns the steps
/// to what is out; `None` if nothing is left to take.
pub(super) fn take(table: &mut Spanned<DeTable<'_>>, steps: &[Step]) -> Option<Vec<Step>> {
    (1..=steps.len())
        .rev()
        .map(|length| &steps[..length])
        .find_map(|steps| from_table(table.get_mut(), steps).then(|| steps.to_vec()))
}

/// The place of the value at the end of these steps.
fn span(table: &DeTable<'_>, steps: &[Step]) -> Option<Range<usize>> {
    let (first, rest) = steps.split_first()?;
    let Step::Key(name) = first else { return None };
    let found = rest.iter().try_fold(table.get(name.as_str())?, |value, step| {
        match (value.get_ref(), step) {
            (DeValue::Table(table), Step::Key(name)) => table.get(name.as_str()),
            (DeValue::Array(array), Step::Item(item)) => array.get(*item),
            _ => None,
        }
    });
    found.map(Spanned::span)
}

fn from_table(table: &mut DeTable<'_>, steps: &[Step]) -> bool {
    match steps {
        [Step::Key(name)] => table.remove(name.as_str()).is_some(),
        [Step::Key(name), rest @ ..] => {
            table.get_mut(name.as_str()).is_some_and(|value| from_value(value.get_mut(), rest))
        }
        _ => false,
    }
}

fn from_value(value: &mut DeValue<'_>, steps: &[Step]) -> bool {
    match (value, steps) {
        (DeValue::Table(table), steps) => from_table(table, steps),
        (DeValue::Array(array), [Step::Item(item)]) => {
            let length = array.len();
            let others = array.iter().enumerate().filter(|(index, _)| index != item);
            *array = others.map(|(_, value)| value.clone()).collect();
            array.len() < length
        }
        (DeValue::Array(array), [Step::Item(item), rest @ ..]) => {
            array.get_mut(*item).is_some_and(|value| from_value(value.get_mut(), rest))
        }
        _ => false,
    }
}
