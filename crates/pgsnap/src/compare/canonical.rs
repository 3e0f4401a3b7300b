//! One form for what PostgreSQL prints in two ways: an expression, before and after it was printed
//! and parsed once.
//!
//! A stored expression is the tree that the parser made of what somebody typed. Its print is parsed
//! into another tree in a few cases, which prints differently from then on. Both prints mean the
//! same, and each rule here is what the parser does:
//!
//! * A cast of an `ARRAY[…]` is a cast of its elements (`transformArrayExpr` in `parse_expr.c`):
//!   `(ARRAY['a'::character varying])::text[]` becomes `ARRAY[('a'::character varying)::text]`.
//! * `AND` and `OR` take up a list of their own kind on their left (`makeAndExpr` in `gram.y`):
//!   what `BETWEEN`, `IN` and comparisons of rows are made of prints as `((a AND b) AND c)` and
//!   becomes `(a AND b AND c)`.
//! * A table that inherits takes up the columns of its parents first.
//!
//! Text is only compared, never run. What no rule knows stays as it is, and therefore differs.

use crate::sql::{Token, TokenKind, tokens};

/// Deeper statements are compared as they are.
const DEEPEST: usize = 200;

/// Key words that an expression in parentheses can follow. After any other word they may be the
/// arguments of a function.
const BEFORE_EXPRESSION: [&str; 14] = [
    "AND", "CASE", "DEFAULT", "DISTINCT", "ELSE", "NOT", "ON", "OR", "RETURN", "SELECT", "THEN",
    "USING", "WHEN", "WHERE",
];

/// Further words of the names of types, as `format_type` prints them.
const TYPE_WORDS: [&str; 13] = [
    "varying",
    "precision",
    "with",
    "without",
    "time",
    "zone",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "to",
];

/// The canonical form of a statement that `pg_dump` printed, with single spaces.
pub(super) fn canonical(statement: &str) -> String {
    match parse(statement) {
        Some(mut nodes) => {
            simplify(&mut nodes);
            sort_inherited(&mut nodes);
            let mut text = String::with_capacity(statement.len());
            print(&nodes, &mut text);
            text
        }
        None => statement.to_owned(),
    }
}

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq)]
enum Node<'a> {
    Atom(&'a str),
    /// The contents of parentheses or brackets.
    Group(Bracket, Vec<Node<'a>>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bracket {
    Round,
    Square,
}

impl Node<'_> {
    fn is(&self, text: &str) -> bool {
        matches!(self, Self::Atom(atom) if *atom == text)
    }

    /// Returns true if this can be the name of a column, function or type, or a part of it.
    fn is_name(&self) -> bool {
        matches!(self, Self::Atom(atom) if atom.starts_with(|c: char| c == '"' || c == '_' || c.is_ascii_lowercase() || !c.is_ascii()))
    }

    fn is_operator(&self) -> bool {
        matches!(self, Self::Atom(atom) if *atom != "::" && atom.starts_with(is_operator))
    }
}

fn is_operator(c: char) -> bool {
    "+-*/<>=~!@#%^&|`?:".contains(c)
}

/// `None` where the brackets do not match, or are too deep.
fn parse(statement: &str) -> Option<Vec<Node<'_>>> {
    let mut open: Vec<(Bracket, Vec<Node<'_>>)> = Vec::new();
    let mut nodes = Vec::new();
    for atom in atoms(statement) {
        let closed = match atom {
            "(" | "[" if open.len() == DEEPEST => return None,
            "(" => {
                open.push((Bracket::Round, std::mem::take(&mut nodes)));
                continue;
            }
            "[" => {
                open.push((Bracket::Square, std::mem::take(&mut nodes)));
                continue;
            }
            ")" => Bracket::Round,
            "]" => Bracket::Square,
            _ => {
                nodes.push(Node::Atom(atom));
                continue;
            }
        };
        let (bracket, before) = open.pop()?;
        if bracket != closed {
            return None;
        }
        let inner = std::mem::replace(&mut nodes, before);
        nodes.push(Node::Group(bracket, inner));
    }
    open.is_empty().then_some(nodes)
}

/// Tokens, with the symbols of an operator put together, and a string with the letter before it.
fn atoms(statement: &str) -> Vec<&str> {
    let is_part_of_operator =
        |token: &Token<'_>| token.kind == TokenKind::Symbol && token.text.starts_with(is_operator);
    let mut atoms: Vec<&str> = Vec::new();
    let mut last: Option<Token<'_>> = None;
    let mut start = 0;
    for token in tokens(statement) {
        let joins = last.as_ref().is_some_and(|last| {
            last.range().end == token.at
                && (is_part_of_operator(last) && is_part_of_operator(&token)
                    || last.kind == TokenKind::Word && token.kind == TokenKind::String)
        });
        if joins {
            atoms.pop();
        } else {
            start = token.at;
        }
        atoms.push(&statement[start..token.range().end]);
        last = Some(token);
    }
    atoms
}

fn print(nodes: &[Node<'_>], text: &mut String) {
    for node in nodes {
        match node {
            Node::Atom(atom) => text.push_str(atom),
            Node::Group(bracket, inner) => {
                let (open, close) = match bracket {
                    Bracket::Round => ("( ", ")"),
                    Bracket::Square => ("[ ", "]"),
                };
                text.push_str(open);
                print(inner, text);
                text.push_str(close);
            }
        }
        text.push(' ');
    }
}

/// Applies the rules for expressions, inside before outside.
fn simplify(nodes: &mut Vec<Node<'_>>) {
    for node in nodes.iter_mut() {
        if let Node::Group(bracket, inner) = node {
            simplify(inner);
            if *bracket == Bracket::Round {
                flatten(inner, "AND", "OR");
                flatten(inner, "OR", "AND");
            }
        }
    }
    let mut at = 0;
    while at < nodes.len() {
        if let Some((end, array)) = cast_array(nodes, at) {
            nodes.splice(at..end, array);
        }
        at += 1;
    }
    strip_casts(nodes);
}

/// Takes up the list that the first operand is, if it is one of the same kind.
fn flatten(nodes: &mut Vec<Node<'_>>, word: &str, other: &str) {
    let is_list = |nodes: &[Node<'_>]| {
        let is_foreign = |node: &Node<'_>| {
            [other, ",", ";", "BETWEEN", "SELECT"].iter().any(|text| node.is(text))
        };
        nodes.iter().any(|node| node.is(word)) && !nodes.iter().any(is_foreign)
    };
    let takes_up = match nodes.as_slice() {
        [Node::Group(Bracket::Round, first), second, ..] => {
            second.is(word) && is_list(first) && is_list(nodes)
        }
        _ => false,
    };
    if takes_up && let Node::Group(_, first) = nodes.remove(0) {
        nodes.splice(0..0, first);
    }
}

/// A cast of an array at a position: where it ends, and the array of casts that it is.
fn cast_array<'a>(nodes: &[Node<'a>], at: usize) -> Option<(usize, Vec<Node<'a>>)> {
    let (elements, after) = match &nodes[at..] {
        [Node::Group(Bracket::Round, inner), ..] if can_begin(nodes, at) => {
            (array_elements(inner)?, at + 1)
        }
        [array, Node::Group(Bracket::Square, _), ..] if array.is("ARRAY") => {
            (array_elements(&nodes[at..at + 2])?, at + 2)
        }
        _ => return None,
    };
    if !nodes.get(after)?.is("::") {
        return None;
    }
    let name_end = type_end(nodes, after + 1)?;
    let is_array = matches!(nodes.get(name_end), Some(Node::Group(Bracket::Square, dimension)) if dimension.is_empty());
    let goes_on = match nodes.get(name_end + 1) {
        Some(Node::Group(bracket, _)) => *bracket == Bracket::Square,
        Some(next) => next.is("::"),
        None => false,
    };
    (is_array && !goes_on).then(|| {
        let name = &nodes[after + 1..name_end];
        (name_end + 1, cast_elements(elements, name))
    })
}

/// The elements of `ARRAY[…]`, if that is all there is.
fn array_elements<'n, 'a>(nodes: &'n [Node<'a>]) -> Option<&'n [Node<'a>]> {
    match nodes {
        [array, Node::Group(Bracket::Square, elements)]
            if array.is("ARRAY") && !elements.is_empty() =>
        {
            Some(elements)
        }
        _ => None,
    }
}

fn cast_elements<'a>(elements: &[Node<'a>], name: &[Node<'a>]) -> Vec<Node<'a>> {
    let mut casts = Vec::new();
    for (index, element) in elements.split(|node| node.is(",")).enumerate() {
        if index > 0 {
            casts.push(Node::Atom(","));
        }
        match array_elements(element) {
            Some(nested) => casts.extend(cast_elements(nested, name)),
            None => {
                let mut cast =
                    vec![Node::Group(Bracket::Round, element.to_vec()), Node::Atom("::")];
                cast.extend_from_slice(name);
                strip_casts(&mut cast);
                casts.extend(cast);
            }
        }
    }
    vec![Node::Atom("ARRAY"), Node::Group(Bracket::Square, casts)]
}

/// Takes the parentheses from what is cast where it needs none: extended statistics print without
/// them.
fn strip_casts(nodes: &mut Vec<Node<'_>>) {
    let mut at = 0;
    while at < nodes.len() {
        let strips = match &nodes[at..] {
            [Node::Group(Bracket::Round, inner), cast, ..] => {
                cast.is("::") && can_begin(nodes, at) && is_simple(inner)
            }
            _ => false,
        };
        if strips && let Node::Group(_, inner) = nodes.remove(at) {
            nodes.splice(at..at, inner);
        }
        at += 1;
    }
}

/// Returns true if parentheses at this position are those of an expression, and not of a function's
/// arguments.
fn can_begin(nodes: &[Node<'_>], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).and_then(|before| nodes.get(before)) else {
        return true;
    };
    before.is(",") || before.is_operator() || BEFORE_EXPRESSION.iter().any(|word| before.is(word))
}

/// Returns true if this is a constant or a name, cast or not.
fn is_simple(nodes: &[Node<'_>]) -> bool {
    let Some(first) = nodes.first() else {
        return false;
    };
    let is_constant = matches!(first, Node::Atom(atom) if atom.ends_with('\'') || *atom == "NULL" || atom.bytes().all(|byte| byte.is_ascii_digit()));
    let mut at = 1;
    if !is_constant {
        if !first.is_name() {
            return false;
        }
        while nodes.get(at).is_some_and(|node| node.is("."))
            && nodes.get(at + 1).is_some_and(Node::is_name)
        {
            at += 2;
        }
    }
    while nodes.get(at).is_some_and(|node| node.is("::")) {
        let Some(end) = type_end(nodes, at + 1) else {
            return false;
        };
        at = end;
        if matches!(nodes.get(at), Some(Node::Group(Bracket::Square, inner)) if inner.is_empty()) {
            at += 1;
        }
    }
    at == nodes.len()
}

/// Returns the end of the type name that begins at a position, without the brackets of an array.
fn type_end(nodes: &[Node<'_>], at: usize) -> Option<usize> {
    nodes.get(at).filter(|node| node.is_name())?;
    let mut end = at + 1;
    if nodes.get(end).is_some_and(|node| node.is(".")) {
        nodes.get(end + 1).filter(|node| node.is_name())?;
        end += 2;
    }
    loop {
        match nodes.get(end) {
            Some(Node::Atom(word)) if TYPE_WORDS.contains(word) => end += 1,
            Some(Node::Group(Bracket::Round, inner)) if is_modifier(inner) => end += 1,
            _ => return Some(end),
        }
    }
}

/// Returns true if this is what stands in the parentheses of `numeric(10,2)`.
fn is_modifier(nodes: &[Node<'_>]) -> bool {
    let is_part = |node: &Node<'_>| matches!(node, Node::Atom(atom) if *atom == "," || *atom == "-" || atom.bytes().all(|byte| byte.is_ascii_digit()));
    !nodes.is_empty() && nodes.iter().all(is_part)
}

/// Puts the columns and constraints of a table that inherits in the order of their text.
fn sort_inherited(nodes: &mut [Node<'_>]) {
    let creates = nodes.first().is_some_and(|node| node.is("CREATE"))
        && nodes.iter().take(3).any(|node| node.is("TABLE"));
    let inherits = nodes.iter().position(|node| node.is("INHERITS"));
    let Some(before) = inherits.filter(|_| creates).and_then(|at| at.checked_sub(1)) else {
        return;
    };
    let Node::Group(Bracket::Round, inner) = &mut nodes[before] else {
        return;
    };
    let mut items: Vec<&[Node<'_>]> = inner.split(|node| node.is(",")).collect();
    items.sort_by_cached_key(|item| {
        let mut text = String::new();
        print(item, &mut text);
        text
    });
    *inner = items.join(&Node::Atom(","));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Prints of PostgreSQL, before and after one round trip. The tests with a server find more of
    /// them.
    const ROUND_TRIPS: [(&str, &str); 9] = [
        (
            "CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'archived'::character varying])::text[])))",
            "CHECK (((status)::text = ANY (ARRAY[('active'::character varying)::text, ('archived'::character varying)::text])))",
        ),
        (
            "CHECK (((status)::text = ANY ((ARRAY['a'::character varying(20), NULL::character varying])::text[])))",
            "CHECK (((status)::text = ANY (ARRAY[('a'::character varying(20))::text, (NULL::character varying)::text])))",
        ),
        (
            "CHECK (((ARRAY[ARRAY['a'::character varying, b], ARRAY[c, d]])::text[] <> x))",
            "CHECK ((ARRAY[ARRAY[('a'::character varying)::text, (b)::text], ARRAY[(c)::text, (d)::text]] <> x))",
        ),
        (
            "CHECK ((n = ANY ((ARRAY[1, 2])::numeric(10,2)[])))",
            "CHECK ((n = ANY (ARRAY[(1)::numeric(10,2), (2)::numeric(10,2)])))",
        ),
        (
            "CHECK ((((a >= 1) AND (a <= 5)) AND (b > 0)))",
            "CHECK (((a >= 1) AND (a <= 5) AND (b > 0)))",
        ),
        (
            "CHECK (((((a = 1) AND (b = 2)) OR ((a = 3) AND (b = 4))) OR (b > 8)))",
            "CHECK ((((a = 1) AND (b = 2)) OR ((a = 3) AND (b = 4)) OR (b > 8)))",
        ),
        (
            "WHERE (((t.a >= 1) AND (t.a <= 5)) AND ((t.s)::text = ANY ((ARRAY['a'::character varying])::text[])));",
            "WHERE ((t.a >= 1) AND (t.a <= 5) AND ((t.s)::text = ANY (ARRAY[('a'::character varying)::text])));",
        ),
        (
            "CREATE STATISTICS st ON (s::text = ANY (ARRAY['a'::character varying, 'b'::character varying]::text[])) FROM t;",
            "CREATE STATISTICS st ON (s::text = ANY (ARRAY['a'::character varying::text, 'b'::character varying::text])) FROM t;",
        ),
        (
            "CREATE TABLE c (\n    b integer DEFAULT 4,\n    a smallint,\n    CONSTRAINT k CHECK ((b > 1))\n)\nINHERITS (p);",
            "CREATE TABLE c (\n    a smallint,\n    b integer DEFAULT 4,\n    CONSTRAINT k CHECK ((b > 1))\n)\nINHERITS (p);",
        ),
    ];

    #[test]
    fn a_round_trip_changes_nothing() {
        for (before, after) in ROUND_TRIPS {
            assert_eq!(canonical(before), canonical(after));
        }
    }

    #[test]
    fn what_means_something_else_differs() {
        for (one, other) in [
            // Another value, one more, one less, another order.
            ("(ARRAY['a'::character varying])::text[]", "ARRAY[('b'::character varying)::text]"),
            (
                "(ARRAY['a'::character varying, 'b'::character varying])::text[]",
                "ARRAY[('a'::character varying)::text]",
            ),
            ("(ARRAY[a, b])::text[]", "ARRAY[(b)::text, (a)::text]"),
            // Another case of a value, white space in it, a comma or bracket in it.
            ("(ARRAY['a'::character varying])::text[]", "ARRAY[('A'::character varying)::text]"),
            (
                "(ARRAY['a  b'::character varying])::text[]",
                "ARRAY[('a b'::character varying)::text]",
            ),
            ("(ARRAY['a'', ''b'::text])::text[]", "ARRAY[('a'::text)::text, ('b'::text)::text]"),
            // Another type, length, or depth.
            ("(ARRAY['a'::character varying])::text[]", "ARRAY[('a'::character varying)::bpchar]"),
            (
                "(ARRAY['a'::character varying(3)])::text[]",
                "ARRAY[('a'::character varying(4))::text]",
            ),
            ("(ARRAY['a'::character varying])::text[]", "ARRAY['a'::character varying]"),
            ("(ARRAY['a'::character varying])::text[]", "ARRAY['a'::text]"),
            ("(ARRAY[a])::text[]", "(ARRAY[ARRAY[a]])::text[]"),
            ("(ARRAY[a])::text[]", "(ARRAY[a])::text"),
            ("(ARRAY[a])::public.t[]", "(ARRAY[a])::other.t[]"),
            // The arguments of a function are not an expression in parentheses.
            ("f(ARRAY[a])::text[]", "f ARRAY[(a)::text]"),
            ("f(a)::text", "f a::text"),
            ("((- 1))::text", "(- 1::text)"),
            ("(NOT (a))::text", "NOT (a)::text"),
            // Another operator, and other brackets where they matter.
            ("(x = ANY (ARRAY[a]))", "(x = ALL (ARRAY[a]))"),
            ("(x = ANY (ARRAY[a]))", "(x <> ANY (ARRAY[a]))"),
            ("(((a) AND (b)) OR (c))", "((a) AND ((b) OR (c)))"),
            ("(((a) OR (b)) AND (c))", "((a) OR (b) AND (c))"),
            ("((a) AND ((b) AND (c)))", "((a) AND (b) AND (c))"),
            ("(((a) AND (b)) AND (c))", "((a) AND (c) AND (b))"),
            ("(((a) AND (b)), (c))", "((a) AND (b), (c))"),
            ("((a >= 1) AND (a <= 5))", "((a > 1) AND (a <= 5))"),
            ("(a < = b)", "(a <= b)"),
            ("(a = \"B\")", "(a = b)"),
            ("(a = B'1')", "(a = X'1')"),
            // A table that inherits: other columns, and one that does not inherit.
            (
                "CREATE TABLE c (a int, b int) INHERITS (p);",
                "CREATE TABLE c (a int, b text) INHERITS (p);",
            ),
            (
                "CREATE TABLE c (a int, b int) INHERITS (p);",
                "CREATE TABLE c (a int, b int) INHERITS (q);",
            ),
            (
                "CREATE TABLE c (a int, b int) INHERITS (p, q);",
                "CREATE TABLE c (a int, b int) INHERITS (q, p);",
            ),
            ("CREATE TABLE c (a int, b int);", "CREATE TABLE c (b int, a int);"),
            // What is inside of a string is not looked at.
            ("SELECT '(ARRAY[a])::text[]'", "SELECT 'ARRAY[(a)::text]'"),
            ("AS $$(ARRAY[a])::text[]$$", "AS $$ARRAY[(a)::text]$$"),
        ] {
            assert_ne!(canonical(one), canonical(other));
        }
    }

    #[test]
    fn brackets_that_do_not_match_or_are_too_deep_are_left_alone() {
        let deep = "(".repeat(100_000) + &")".repeat(100_000);
        for text in ["(a", "a)", "(a]", "[", &deep] {
            assert_eq!(canonical(text), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[aAB '\"$()\\[\\],;:.=<1-]{0,40}|(\\(|\\)|\\[|\\]|ARRAY|::|text| AND | OR |,|'a'|a|1|\\[\\]){0,20}") {
            canonical(&text);
        }
    }
}
