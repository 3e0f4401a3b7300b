//! A deterministic mutator: fuzzing in small, with the same inputs on every run.

use crate::Dice;

/// Makes damaged versions of sound inputs, always the same ones in the same order.
#[derive(Debug, Clone)]
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
    dice: Dice,
}

impl Mutator {
    /// `seeds` are sound inputs; `tokens` are words that mean something to the reader.
    ///
    /// # Panics
    /// Without a seed or a token.
    #[must_use]
    pub fn new(seeds: Vec<Vec<u8>>, tokens: &[&[u8]]) -> Self {
        assert!(!seeds.is_empty() && !tokens.is_empty());
        Self {
            seeds,
            tokens: tokens.iter().map(|token| token.to_vec()).collect(),
            dice: Dice::new(1),
        }
    }

    /// The next input: a seed with one to eight changes.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.dice.pick(&self.seeds).clone();
        for _ in 0..1 + self.dice.below(8) {
            self.change(&mut input);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input.len());
        match self.dice.below(8) {
            0 if from < input.len() => input[from] ^= 1 << self.dice.below(8),
            1 if from < input.len() => {
                input[from] = *self.dice.pick(&[0, 1, 0x7f, 0x80, 0xff, b'\n', b'9']);
            }
            2 => drop(input.drain(from..to)),
            3 => {
                let copy = input[from..to].to_vec();
                let at = self.dice.below(input.len() + 1);
                input.splice(at..at, copy);
            }
            4 => input.truncate(to),
            5 => {
                let token = self.dice.pick(&self.tokens).clone();
                input.splice(from..from, token);
            }
            6 => {
                let token = self.dice.pick(&self.tokens).clone();
                input.splice(from..to, token);
            }
            _ => self.change_number(input),
        }
    }

    /// Another number in place of one: lengths and counts are where readers go wrong.
    fn change_number(&mut self, input: &mut Vec<u8>) {
        let is_start = |at: &usize| {
            input[*at].is_ascii_digit() && (*at == 0 || !input[*at - 1].is_ascii_digit())
        };
        let starts: Vec<usize> = (0..input.len()).filter(is_start).collect();
        if starts.is_empty() {
            return;
        }
        let start = *self.dice.pick(&starts);
        let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = *self.dice.pick(&[
            "0",
            "1",
            "-1",
            "4294967296",
            "9223372036854775808",
            "18446744073709551615",
            "1e9",
        ]);
        input.splice(start..start + digits, number.bytes());
    }

    /// A short range within `length` bytes.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.dice.below(length + 1);
        let to = (from + 1 + self.dice.below(40)).min(length);
        (from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mutators_make_the_same_inputs() {
        let mut one = Mutator::new(vec![b"length=10".to_vec()], &[b"x"]);
        let mut two = one.clone();
        let inputs: Vec<_> = (0..2000).map(|_| one.next_input()).collect();
        assert!(inputs.iter().all(|input| input == &two.next_input()));
        assert!(inputs.iter().any(|input| input.starts_with(b"length=184467")));
    }
}
