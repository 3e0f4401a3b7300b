//! A file of `KEY=VALUE` lines, as systemd's `EnvironmentFile`, dotenv and shells read it.
//!
//! Readers differ in much, but not in lines: a line that sets a key is replaced, whatever its
//! value, and every other line stays byte for byte. A value of several lines is not understood.

use crate::settings::{Assignment, ends_elsewhere};

/// The text of a file, all of whose values end in their line.
#[derive(Debug)]
pub(super) struct Assignments<'a>(&'a str);

/// A line that sets a key.
struct Line<'a> {
    /// Spaces, and `export`.
    before: &'a str,
    key: &'a str,
    /// From the key to the end of the line, without that.
    assignment: &'a str,
    value: &'a str,
    ending: &'a str,
}

impl<'a> Assignments<'a> {
    /// Fails with the number of a line whose value goes on in the next one.
    pub(super) fn parse(text: &'a str) -> Result<Self, usize> {
        let lines = text.split_inclusive('\n').enumerate();
        let mut open = lines.filter(|(_, line)| goes_on(line)).map(|(index, _)| index + 1);
        open.next().map_or(Ok(Self(text)), Err)
    }

    /// Returns true if the key is set, and to nothing else.
    pub(super) fn hold(&self, set: &Assignment) -> bool {
        let mut lines = self.of(set).peekable();
        lines.peek().is_some() && lines.all(|line| line.assignment == set.as_str())
    }

    /// The text with this line in the place of every line of its key, or at the end. Where there
    /// are several, readers disagree which one counts.
    pub(super) fn with(&self, set: &Assignment) -> String {
        let mut text = String::with_capacity(self.0.len() + set.as_str().len() + 2);
        for line in self.0.split_inclusive('\n') {
            match Line::parse(line).filter(|line| line.key == set.key()) {
                Some(Line { before, ending, .. }) => {
                    text.extend([before, set.as_str(), ending]);
                }
                None => text.push_str(line),
            }
        }
        if self.of(set).next().is_none() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.extend([set.as_str(), "\n"]);
        }
        text
    }

    fn of(&self, set: &Assignment) -> impl Iterator<Item = Line<'a>> {
        let lines = self.0.split_inclusive('\n').filter_map(Line::parse);
        lines.filter(|line| line.key == set.key())
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let content = line.trim_end_matches(['\n', '\r']);
        let ending = &line[content.len()..];
        // A byte order mark may begin the file.
        let begun = content.trim_start_matches([' ', '\t', '\u{feff}']);
        let assignment = match begun.strip_prefix("export") {
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start_matches([' ', '\t']),
            _ => begun,
        };
        let (key, value) = assignment.split_once('=')?;
        let before = &content[..content.len() - assignment.len()];
        let is_comment = key.starts_with(['#', ';']);
        (!is_comment).then_some(Self { before, key: key.trim_end(), assignment, value, ending })
    }
}

/// Returns true if the next line belongs to this one, for some reader: after a backslash, also in a
/// comment, and in quotes.
fn goes_on(line: &str) -> bool {
    let content = line.trim_end_matches(['\n', '\r']);
    content.ends_with('\\') || Line::parse(line).is_some_and(|line| ends_elsewhere(line.value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(line: &str) -> Assignment {
        line.to_owned().try_into().unwrap()
    }

    fn with(text: &str, line: &str) -> String {
        Assignments::parse(text).unwrap().with(&set(line))
    }

    #[test]
    fn the_line_of_the_key_is_replaced_and_nothing_else() {
        for (text, expected) in [
            ("", "API=new\n"),
            ("API=old", "API=new"),
            ("A=1\n", "A=1\nAPI=new\n"),
            ("A=1", "A=1\nAPI=new\n"),
            ("# API=x\n\nAPI=old\r\nB=2\r\n", "# API=x\n\nAPI=new\r\nB=2\r\n"),
            ("  export  API = \"old\" # why\n", "  export  API=new\n"),
            ("API=1\nB=2\nAPI=3\n", "API=new\nB=2\nAPI=new\n"),
            ("; API=x\nAPI2=x\nMY_API=x\n", "; API=x\nAPI2=x\nMY_API=x\nAPI=new\n"),
            ("exportAPI=1\n", "exportAPI=1\nAPI=new\n"),
            ("\u{feff}API=old\n", "\u{feff}API=new\n"),
            ("B=don't\nAPI=\n", "B=don't\nAPI=new\n"),
            ("no assignment\n", "no assignment\nAPI=new\n"),
        ] {
            assert_eq!(with(text, "API=new"), expected, "{text:?}");
        }
    }

    #[test]
    fn only_the_very_line_counts_and_none_beside_it() {
        let holds = |text: &str| Assignments::parse(text).unwrap().hold(&set("API=http://a"));
        assert!(holds("API=http://a\n") && holds("B=1\n export API=http://a\r\nAPI=http://a"));
        for text in [
            "",
            "API=http://b\n",
            "#API=http://a\n",
            "API=http://a\nAPI=http://b\n",
            "API=http://a/\n",
        ] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn a_value_of_several_lines_is_not_understood() {
        for (text, line) in [
            ("A=1\nAPI=\"one\ntwo\"\n", 2),
            ("A='\nAPI=x\n'", 1),
            ("A=`x\n`\n", 1),
            ("A=x \\\nAPI=y\n", 1),
            ("# a comment \\\nAPI=y\n", 1),
            (r#"A="a\""#, 1),
        ] {
            assert_eq!(Assignments::parse(text).unwrap_err(), line, "{text:?}");
        }
        for text in [r#"A="a\"b" "#, r"A='a\'", r#"A="a" 'b"#, "A=a'b", "A=\"\"", r"A=C:\x"] {
            assert!(Assignments::parse(text).is_ok(), "{text:?}");
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let key =
            prop_oneof![Just("API"), Just("API2"), Just("B"), Just("#API"), Just("export API")];
        prop_oneof![
            "[ -~&&[^\\\\\"'`]]{0,12}",
            (key, "[ -~&&[^\\\\\"'`]]{0,8}").prop_map(|(key, value)| format!("{key}={value}")),
            ("[ \t]{0,2}", "[a-zä]{0,4}").prop_map(|(space, value)| format!("{space}API ={value}")),
        ]
    }

    proptest! {
        #[test]
        fn every_other_line_stays_and_twice_is_once(
            lines in prop::collection::vec((line(), prop_oneof![Just("\n"), Just("\r\n")]), 0..12),
            last in prop::option::of(line()),
        ) {
            let mut text: String = lines.iter().flat_map(|(line, end)| [line.as_str(), end]).collect();
            text.extend(last);
            let wanted = set("API=http://new.example:8000");
            let once = Assignments::parse(&text).unwrap().with(&wanted);
            let others = |text: &str| -> Vec<String> {
                let lines = text.split_inclusive('\n');
                lines
                    .filter(|line| Line::parse(line).is_none_or(|line| line.key != "API"))
                    .map(|line| line.trim_end_matches('\n').to_owned())
                    .collect()
            };
            prop_assert_eq!(others(&text), others(&once));
            let parsed = Assignments::parse(&once).unwrap();
            prop_assert!(parsed.hold(&wanted));
            prop_assert_eq!(parsed.with(&wanted), once);
        }
    }
}
