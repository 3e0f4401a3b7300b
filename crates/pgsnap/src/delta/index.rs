//! Rows of a table by their hashes: which of them another database has as well.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// The place of a row: its part of the table, and its `ctid` in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

impl Place {
    /// Reads a `ctid` as the server prints it: `(block,offset)`.
    pub(crate) fn parse(part: u16, ctid: &[u8]) -> Result<Self> {
        let numbers = || {
            let text = std::str::from_utf8(ctid).ok()?;
            let (block, offset) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
            Some((block.parse::<u32>().ok()?, offset.parse::<u16>().ok()?))
        };
        let (block, offset) =
            numbers().ok_or_else(|| Error::damaged("the server sent a ctid of another form"))?;
        Ok(Self(u64::from(part) << 48 | u64::from(block) << 16 | u64::from(offset)))
    }

    /// The part of the table.
    pub(crate) fn part(self) -> usize {
        (self.0 >> 48) as usize
    }

    /// The `ctid`, as the server prints it.
    pub(crate) fn ctid(self) -> String {
        format!("({},{})", (self.0 >> 16) as u32, self.0 as u16)
    }
}

/// The hash of a canonical row.
pub(crate) fn row_hash(row: &[u8]) -> u64 {
    xxh3_64(row)
}

/// One row: 16 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    pub(crate) place: Place,
}

/// The rows of a table, sorted by hash. Each can be claimed once, by any thread.
#[derive(Debug)]
pub(crate) struct RowIndex {
    entries: Vec<Entry>,
    /// One bit for each entry. Among entries of one hash, those that are claimed come first.
    claimed: Vec<AtomicU64>,
}

impl RowIndex {
    /// Sorts the rows, in place.
    pub(crate) fn new(mut entries: Vec<Entry>) -> Self {
        entries.shrink_to_fit();
        entries.sort_unstable_by_key(|entry| entry.hash);
        let words = entries.len().div_ceil(64);
        Self { entries, claimed: std::iter::repeat_with(AtomicU64::default).take(words).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.claimed.capacity() * size_of::<AtomicU64>()
    }

    /// Claims a row of this hash that nobody has claimed yet. Returns false if there is none.
    pub(crate) fn claim(&self, hash: u64) -> bool {
        let first = self.first(hash);
        let is_of_hash = |at: usize| self.entries.get(at).is_some_and(|entry| entry.hash == hash);
        let mut at = first + gallop(|n| is_of_hash(first + n) && self.is_claimed(first + n));
        // Another thread may have claimed it since.
        while is_of_hash(at) {
            let bit = 1 << (at % 64);
            if self.claimed[at / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
                return true;
            }
            at += 1;
        }
        false
    }

    /// The number of rows that were not claimed.
    pub(crate) fn unclaimed_len(&self) -> u64 {
        let words = self.claimed.iter();
        let claimed: u64 =
            words.map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum();
        self.entries.len() as u64 - claimed
    }

    /// The places of all rows that were not claimed, in order.
    pub(crate) fn unclaimed(&self) -> Vec<Place> {
        let all = self.entries.iter().enumerate();
        let mut places: Vec<Place> =
            all.filter(|(at, _)| !self.is_claimed(*at)).map(|(_, entry)| entry.place).collect();
        places.sort_unstable();
        places
    }

    fn is_claimed(&self, at: usize) -> bool {
        self.claimed[at / 64].load(Ordering::Relaxed) & (1 << (at % 64)) != 0
    }

    /// The position of the first entry whose hash is not smaller. Hashes are spread evenly, so it
    /// is near to where their proportion says.
    fn first(&self, hash: u64) -> usize {
        let len = self.entries.len();
        let is_smaller = |at: usize| self.entries[at].hash < hash;
        let guess = ((u128::from(hash) * len as u128) >> 64) as usize;
        if guess < len && is_smaller(guess) {
            return guess + gallop(|n| guess + n < len && is_smaller(guess + n));
        }
        guess - gallop(|n| n < guess && !is_smaller(guess - n - 1))
    }
}

/// The number of steps for which something holds, which does not hold again once it has not.
fn gallop(holds: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut to) = (0, 1);
    while holds(to - 1) {
        (from, to) = (to, to * 2);
    }
    // It holds for all steps before `from`, and not for step `to - 1`.
    while from < to - 1 {
        let middle = from + (to - 1 - from) / 2;
        if holds(middle) {
            from = middle + 1;
        } else {
            to = middle + 1;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(hashes: &[u64]) -> RowIndex {
        let entries = hashes.iter().enumerate();
        RowIndex::new(entries.map(|(at, &hash)| Entry { hash, place: Place(at as u64) }).collect())
    }

    #[test]
    fn a_place_is_read_and_written_as_the_server_prints_it() {
        let place = Place::parse(7, b"(4294967295,65535)").unwrap();
        assert_eq!((place.part(), place.ctid().as_str()), (7, "(4294967295,65535)"));
        assert!(Place::parse(0, b"(0,1)").unwrap() < Place::parse(0, b"(1,1)").unwrap());
        for other in [&b"0,1"[..], b"(0,1", b"(0)", b"(-1,1)", b"(0,65536)", b"(a,1)", b""] {
            assert!(Place::parse(0, other).is_err());
        }
    }

    #[test]
    fn equal_rows_are_claimed_as_often_as_they_are_there() {
        let index = index(&[5, 5, 5, 9]);
        let claimed = (0..5).filter(|_| index.claim(5)).count();
        assert_eq!(claimed, 3);
        assert!(!index.claim(4) && !index.claim(6) && !index.claim(u64::MAX));
        assert_eq!((index.unclaimed_len(), &index.unclaimed()[..]), (1, &[Place(3)][..]));
        assert!(index.claim(9) && index.unclaimed().is_empty());
    }

    #[test]
    fn an_empty_table_has_nothing_to_claim() {
        let index = index(&[]);
        assert!(!index.claim(0) && !index.claim(u64::MAX));
    }

    #[test]
    fn threads_claim_each_row_once() {
        let index = index(&[3; 1000]);
        let claimed: usize = std::thread::scope(|scope| {
            let claim = || (0..500).filter(|_| index.claim(3)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(claimed, 1000);
        assert!(index.unclaimed().is_empty());
    }

    proptest! {
        #[test]
        fn it_claims_what_a_bag_of_hashes_would(
            there in prop::collection::vec(prop_oneof![0u64..20, any::<u64>(), Just(u64::MAX)], 0..200),
            asked in prop::collection::vec(prop_oneof![0u64..20, any::<u64>(), Just(u64::MAX)], 0..200),
        ) {
            let index = index(&there);
            let mut bag = there.clone();
            for hash in asked.iter().chain(&there) {
                let at = bag.iter().position(|other| other == hash);
                prop_assert_eq!(index.claim(*hash), at.is_some());
                if let Some(at) = at {
                    bag.swap_remove(at);
                }
            }
            prop_assert!(bag.is_empty() && index.unclaimed().is_empty());
        }
    }
}
