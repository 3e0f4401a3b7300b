//! The verdicts as CI systems read results of tests: a failure is a failure, "could not ask" an
//! error, and what waits is skipped.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use gates::{Answer, Verdict, Verdicts};

pub(super) fn write(path: &Path, names: &[&str], verdicts: &Verdicts) -> anyhow::Result<()> {
    let text = document(names, verdicts);
    regularfile::replace(path, text).context("the results for CI could not be written")
}

fn document(names: &[&str], verdicts: &Verdicts) -> String {
    let asked: Vec<(&str, &Verdict)> =
        names.iter().filter_map(|name| Some((*name, verdicts.get(*name)?))).collect();
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
        let verdicts: Verdicts = [
            ("a", Verdict::pass("fine")),
            ("b", Verdict::fail("<no> & \"never\"")),
            ("c", Verdict::unknown("nobody answered\u{1b}")),
            ("d", Verdict::waiting("soon")),
        ]
        .map(|(name, verdict)| (name.to_owned(), verdict))
        .into();
        insta::assert_snapshot!(document(&["a", "b", "c", "d"], &verdicts), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuite name="hubctl gates" tests="4" failures="1" errors="1" skipped="1">
          <testcase classname="gates" name="a"/>
          <testcase classname="gates" name="b">
            <failure message="fail: &lt;no&gt; &amp; &quot;never&quot;"/>
          </testcase>
          <testcase classname="gates" name="c">
            <error message="unknown: nobody answered?"/>
          </testcase>
          <testcase classname="gates" name="d">
            <skipped message="waiting: soon"/>
          </testcase>
        </testsuite>
        "#);
    }
}
