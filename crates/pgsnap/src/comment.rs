//! Lines that this crate keeps at the end of a database's comment, where the role may not make
//! settings of its own. They belong to one place of the database and never travel.

/// The beginnings of such lines.
const NAMES: [&str; 2] = [crate::fence::RECORD, crate::marker::SETTING];

/// The comment in words of its owner; `None` where nothing is left.
pub(crate) fn own(comment: &str) -> Option<String> {
    split(comment).0.map(str::to_owned)
}

/// The value of the line of this name.
pub(crate) fn value<'a>(comment: &'a str, name: &str) -> Option<&'a str> {
    split(comment).1.into_iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// The comment without the line of this name; `None` where nothing is left.
pub(crate) fn without(comment: &str, name: &str) -> Option<String> {
    let (own, lines) = split(comment);
    let others = lines.into_iter().filter(|line| !is_named(line, name));
    let parts: Vec<&str> = own.into_iter().chain(others).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

/// The comment with this line instead of another of its name.
pub(crate) fn with(comment: Option<&str>, name: &str, value: &str) -> String {
    let before = comment.and_then(|comment| without(comment, name));
    let before = before.map(|text| format!("{text}\n")).unwrap_or_default();
    format!("{before}{name}={value}")
}

/// The words of the owner, and the lines of this crate behind them.
fn split(comment: &str) -> (Option<&str>, Vec<&str>) {
    let (mut own, mut lines) = (Some(comment), Vec::new());
    while let Some(text) = own {
        let (before, last) = match text.rsplit_once('\n') {
            Some((before, last)) => (Some(before), last),
            None => (None, text),
        };
        if !NAMES.iter().any(|name| is_named(last, name)) {
            break;
        }
        lines.insert(0, last);
        own = before;
    }
    (own, lines)
}

fn is_named(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_and_go_and_the_words_of_the_owner_stay() {
        for words in [None, Some("ours"), Some("two\nlines ä"), Some("hubctl.epoch of ours\n")] {
            let one = with(words, "hubctl.epoch", "7");
            let two = with(Some(&one), "hubctl.fence", "{}");
            let three = with(Some(&two), "hubctl.epoch", "8");
            assert_eq!(value(&three, "hubctl.epoch"), Some("8"), "{three:?}");
            assert_eq!(value(&three, "hubctl.fence"), Some("{}"));
            assert_eq!(own(&three).as_deref(), words);
            let alone = without(&three, "hubctl.epoch").unwrap();
            assert_eq!((value(&alone, "hubctl.epoch"), own(&alone).as_deref()), (None, words));
            assert_eq!(without(&alone, "hubctl.fence").as_deref(), words);
        }
    }

    #[test]
    fn a_line_in_the_middle_or_of_another_name_is_of_the_owner() {
        for comment in ["hubctl.epoch=7\nours", "hubctl.other=1", "hubctl.epochal=7", ""] {
            assert_eq!(own(comment).as_deref(), Some(comment));
            assert_eq!(value(comment, "hubctl.epoch"), None);
        }
    }
}
