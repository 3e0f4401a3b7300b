//! The verdict of a gate that is made of others.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::condition::words::list;
use crate::verdict::{Subject, Verdict};

/// A part with its name.
pub(super) type Part<'a> = (&'a str, &'a Verdict);

pub(super) fn all(parts: &[Part<'_>]) -> Verdict {
    let answer = Answer::all(parts.iter().map(|(_, part)| part.answer));
    let deciding = deciding(parts, Answer::decides_all);
    let reason = match answer {
        Answer::Pass => format!("all {} hold", parts.len()),
        _ => said(&deciding),
    };
    let mut verdict = Verdict::new(answer, reason);
    // One is enough: the others cannot make it pass.
    verdict.terminal = answer == Answer::Fail && deciding.iter().any(|(_, part)| part.terminal);
    if answer == Answer::Pass {
        verdict.expires_at = parts.iter().filter_map(|(_, part)| part.expires_at).min();
    }
    finish(verdict, parts)
}

pub(super) fn any(parts: &[Part<'_>]) -> Verdict {
    let answer = Answer::any(parts.iter().map(|(_, part)| part.answer));
    let deciding = deciding(parts, Answer::decides_any);
    let reason = match answer {
        Answer::Pass => format!("{} holds", names(&deciding)),
        _ => said(&deciding),
    };
    let mut verdict = Verdict::new(answer, reason);
    verdict.terminal = answer == Answer::Fail && parts.iter().all(|(_, part)| part.terminal);
    if answer == Answer::Pass {
        let ends: Option<Vec<Timestamp>> =
            deciding.iter().map(|(_, part)| part.expires_at).collect();
        verdict.expires_at = ends.and_then(|ends| ends.into_iter().max());
    }
    finish(verdict, parts)
}

pub(super) fn not(part: Part<'_>) -> Verdict {
    let (name, verdict) = part;
    let reason = match verdict.answer {
        Answer::Pass => format!("{name} passes, and must not"),
        Answer::Fail => format!("{name} fails, as it should ({})", verdict.reason),
        _ => said(&[part]),
    };
    finish(Verdict::new(!verdict.answer, reason), &[part])
}

fn deciding<'a>(parts: &[Part<'a>], order: impl Fn(Answer) -> u8) -> Vec<Part<'a>> {
    let first = parts.iter().map(|(_, part)| order(part.answer)).min();
    let mut deciding: Vec<_> =
        parts.iter().copied().filter(|(_, part)| Some(order(part.answer)) == first).collect();
    deciding.sort_by_key(|(name, _)| *name);
    deciding.dedup_by_key(|(name, _)| *name);
    deciding
}

fn names(parts: &[Part<'_>]) -> String {
    list(parts.iter().map(|(name, _)| *name))
}

fn said(parts: &[Part<'_>]) -> String {
    let word = match parts.first().map(|(_, part)| part.answer) {
        Some(Answer::Fail) => "does not hold",
        Some(Answer::Waiting) => "does not hold yet",
        Some(Answer::NeedsApproval) => "needs an approval",
        Some(Answer::Unknown) | None => "is not known",
        Some(Answer::Pass) => "holds",
    };
    match parts {
        [] => "nothing was asked".to_owned(),
        [(name, _)] => format!("{name} {word}"),
        _ => {
            let plural = word.replace("does", "do").replace("needs", "need").replace("is ", "are ");
            format!("{} {plural}", names(parts))
        }
    }
}

/// The evidence of a whole is what its parts say, each with the digest of what that rests on.
fn finish(verdict: Verdict, parts: &[Part<'_>]) -> Verdict {
    let evidence: Map<String, Value> = parts
        .iter()
        .map(|(name, part)| {
            let said = json!({ "answer": part.answer, "digest": part.digest() });
            ((*name).to_owned(), said)
        })
        .collect();
    let observed_at = parts.iter().filter_map(|(_, part)| part.observed_at).min();
    let mut verdict = verdict
        .about_all(parts.iter().map(|(name, _)| Subject::named("gate", *name)))
        .with_evidence(Value::Object(evidence));
    verdict.observed_at = observed_at;
    verdict
}
