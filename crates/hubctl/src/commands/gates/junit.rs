//! The verdicts as CI systems read results of tests: a failure is a failure, "could not ask" an
//! error, and what waits is skipped.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use gates::{Answer, Verdict};

use crate::ops::GatesReport;

pub(super) fn write(path: &Path, report: &GatesReport) -> anyhow::Result<()> {
    let asked = report.gates.iter().filter(|gate| gate.asked);
    let asked: Vec<_> = asked.map(|gate| (gate.name.as_str(), &gate.verdict)).collect();
    regularfile::replace(path, document(&asked)).context("the results for CI could not be written")
}

fn document(asked: &[(&str, &Verdict)]) -> String {
    let count = |wanted: &[Answer]| {
        asked.iter().filter(|(_, verdict)| wanted.contains(&verdict.answer)).count()
    };
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"hubctl gates\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
        asked.len(),
        count(&[Answer::Fail]),
        count(&[Answer::Unknown]),
        count(&[Answer::Waiting, Answer::NeedsApproval]),
    );
    for (name, verdict) in asked {
        let element = match verdict.answer {
            Answer::Pass => None,
            Answer::Fail => Some("failure"),
            Answer::Unknown => Some("error"),
            Answer::Waiting | Answer::NeedsApproval => Some("skipped"),
        };
        let name = escaped(name);
        let _ = match element {
            None => writeln!(text, "  <testcase classname=\"gates\" name=\"{name}\"/>"),
            Some(element) => writeln!(
                text,
                "  <testcase classname=\"gates\" name=\"{name}\">\n    <{element} message=\"{}\"/>\n  </testcase>",
                escaped(&format!("{}: {}", verdict.answer, verdict.reason))
            ),
        };
    }
    text.push_str("</testsuite>\n");
    text
}

/// Characters that XML cannot hold at all become question marks.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\n' | '\t' => " ".to_owned(),
            other if other.is_control() => "?".to_owned(),
            other => other.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_element() {
        let verdicts = [
            ("a", Verdict::pass("fine")),
            ("b", Verdict::fail("<no> & \"never\"")),
            ("c", Verdict::unknown("no answer\u{1b}")),
            ("d", Verdict::waiting("soon")),
        ];
        let asked: Vec<_> = verdicts.iter().map(|(name, verdict)| (*name, verdict)).collect();
        insta::assert_snapshot!(document(&asked), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuite name="hubctl gates" tests="4" failures="1" errors="1" skipped="1">
          <testcase classname="gates" name="a"/>
          <testcase classname="gates" name="b">
            <failure message="fail: &lt;no&gt; &amp; &quot;never&quot;"/>
          </testcase>
          <testcase classname="gates" name="c">
            <error message="unknown: no answer?"/>
          </testcase>
          <testcase classname="gates" name="d">
            <skipped message="waiting: soon"/>
          </testcase>
        </testsuite>
        "#);
    }
}
