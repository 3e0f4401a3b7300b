//! The tokens of one statement, as far as finding a name in it needs them.

use std::ops::Range;

use super::{Scanner, is_word};

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// An unquoted word or number.
    Word,
    /// An identifier in double quotes.
    Quoted,
    /// A string, in single quotes or dollar quotes.
    String,
    /// Anything else, one byte each.
    Symbol,
}

/// One token: what it is, where it stands, and in how many parentheses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'a str,
    pub(crate) at: usize,
    pub(crate) depth: u32,
}

impl Token<'_> {
    /// Returns true if this is a key word, which no quoted name is.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// The name that this token spells, if it can be one.
    pub(crate) fn identifier(&self) -> Option<String> {
        match self.kind {
            TokenKind::Quoted => {
                let inner = self.text.strip_prefix('"')?.strip_suffix('"')?;
                Some(inner.replace("\"\"", "\""))
            }
            TokenKind::Word if !self.text.starts_with(|c: char| c.is_ascii_digit()) => {
                Some(self.text.to_ascii_lowercase())
            }
            _ => None,
        }
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }
}

/// The tokens of a statement; white space and comments are none.
pub(crate) fn tokens(statement: &str) -> Vec<Token<'_>> {
    let mut scanner = Scanner { bytes: statement.as_bytes(), at: 0 };
    let mut found = Vec::new();
    let mut depth = 0u32;
    loop {
        scanner.skip_blank();
        let at = scanner.at;
        if at >= statement.len() {
            return found;
        }
        let kind = scanner.skip_token();
        let text = &statement[at..scanner.at];
        if text == ")" {
            depth = depth.saturating_sub(1);
        }
        found.push(Token { kind, text, at, depth });
        if text == "(" {
            depth += 1;
        }
    }
}

impl Scanner<'_> {
    fn skip_token(&mut self) -> TokenKind {
        match self.peek(0) {
            b'\'' => {
                self.skip_literal(false);
                TokenKind::String
            }
            b'"' => {
                self.skip_identifier();
                TokenKind::Quoted
            }
            b'$' => {
                let start = self.at;
                self.skip_dollar();
                if self.at > start + 1 { TokenKind::String } else { TokenKind::Symbol }
            }
            byte if is_word(byte) => {
                let start = self.at;
                while is_word(self.peek(0)) && self.at < self.bytes.len() {
                    self.at += 1;
                }
                if self.peek(0) == b'\'' && self.bytes[start..self.at].eq_ignore_ascii_case(b"e") {
                    self.skip_literal(true);
                    return TokenKind::String;
                }
                TokenKind::Word
            }
            _ => {
                self.at += 1;
                TokenKind::Symbol
            }
        }
    }

    /// A name with doubled quotes in it is one token.
    fn skip_identifier(&mut self) {
        self.skip_quoted(b'"', false);
        while self.peek(0) == b'"' {
            self.skip_quoted(b'"', false);
        }
    }

    fn skip_literal(&mut self, backslashes: bool) {
        self.skip_quoted(b'\'', backslashes);
        while self.peek(0) == b'\'' {
            self.skip_quoted(b'\'', backslashes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_strings_and_words_are_told_apart() {
        let found = tokens("GRANT a ON \"x \"\"y\" (TO 'it''s', $$;$$, E'\\'') -- TO\n TO B;");
        let texts: Vec<&str> = found.iter().map(|token| token.text).collect();
        assert_eq!(
            texts,
            [
                "GRANT",
                "a",
                "ON",
                "\"x \"\"y\"",
                "(",
                "TO",
                "'it''s'",
                ",",
                "$$;$$",
                ",",
                "E'\\''",
                ")",
                "TO",
                "B",
                ";"
            ]
        );
        assert_eq!(found[3].identifier().as_deref(), Some("x \"y"));
        assert_eq!(found[13].identifier().as_deref(), Some("b"));
        assert_eq!((found[5].depth, found[12].depth), (1, 0));
    }

    proptest! {
        #[test]
        fn any_text_is_cut_without_panic(text in "\\PC{0,200}") {
            for token in tokens(&text) {
                prop_assert_eq!(&text[token.range()], token.text);
            }
        }
    }
}
