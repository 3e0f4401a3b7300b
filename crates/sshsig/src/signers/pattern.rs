//! Lists of patterns: `*` for any characters, `?` for one, `!` in front for what must not match.

/// Matches a list: one pattern must match, and no negated one may.
pub(super) fn matches(list: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if is_match(negated.as_bytes(), text.as_bytes()) => return false,
            Some(_) => {}
            None => found |= is_match(pattern.as_bytes(), text.as_bytes()),
        }
    }
    found
}

/// Returns true if the list is one name.
pub(super) fn is_literal(list: &str) -> bool {
    !list.is_empty() && !list.contains([',', '*', '?', '!'])
}

/// Goes back to the last `*` where it does not go on, so that it takes no more than the product of
/// both lengths.
fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_negation() {
        for (list, text, expected) in [
            ("anna", "anna", true),
            ("anna", "annab", false),
            ("anna", "ann", false),
            ("*", "", true),
            ("*@example.org", "anna@example.org", true),
            ("*@example.org", "anna@example.com", false),
            ("a*a*a", "aba", false),
            ("a*a*a", "abcaba", true),
            ("?nna,ben", "ben", true),
            ("?nna", "nna", false),
            ("!anna", "ben", false),
            ("*,!anna", "ben", true),
            ("*,!anna", "anna", false),
            ("!anna,*", "anna", false),
            ("", "anna", false),
            ("Anna", "anna", false),
        ] {
            assert_eq!(matches(list, text), expected, "{list} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let pattern = "a*".repeat(2000) + "b";
        assert!(!matches(&pattern, &"a".repeat(4000)));
    }
}
