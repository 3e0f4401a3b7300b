//! The tallies of many tables that several workers count in pieces.
//!
//! A tally has a vector of buckets; it is folded and let go as soon as the last piece of its table
//! has arrived, so memory follows the tables under way and not the tables there are.

use std::sync::Mutex;

use crate::digest::{Buckets, Digest, Tally};

/// The totals of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Total {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) digest: Digest,
    pub(crate) generated: Digest,
    pub(crate) buckets: Buckets,
}

struct Slot {
    missing: usize,
    open: Option<Tally>,
    total: Total,
}

/// One slot per table.
pub(crate) struct Tallies(Vec<Mutex<Slot>>);

impl Tallies {
    /// `pieces` tells for each table how many pieces will be added.
    pub(crate) fn new(pieces: impl IntoIterator<Item = usize>) -> Self {
        let slot = |missing| Mutex::new(Slot { missing, open: None, total: Total::default() });
        Self(pieces.into_iter().map(slot).collect())
    }

    /// Adds one piece. Returns the total if it was the last one of its table.
    pub(crate) fn add(&self, table: usize, piece: Tally) -> Option<Total> {
        let mut slot = self.0[table].lock().expect("nothing panics while it holds a tally");
        slot.missing = slot.missing.saturating_sub(1);
        match slot.open.as_mut() {
            Some(open) => open.merge(&piece),
            None => slot.open = Some(piece),
        }
        if slot.missing > 0 {
            return None;
        }
        let whole = slot.open.take()?;
        slot.total = Total {
            rows: whole.rows,
            bytes: whole.bytes,
            digest: whole.digest,
            generated: whole.generated,
            buckets: whole.buckets(),
        };
        Some(slot.total.clone())
    }

    /// All totals; a table to which nothing was added is empty.
    pub(crate) fn into_totals(self) -> Vec<Total> {
        let total = |slot: Mutex<Slot>| {
            slot.into_inner().expect("nothing panics while it holds a tally").total
        };
        self.0.into_iter().map(total).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Key;

    fn piece(lines: &[u8]) -> Tally {
        let mut tally = Tally::new(Key::WholeRow);
        tally.add_lines(lines);
        tally
    }

    #[test]
    fn the_last_piece_closes_a_table() {
        let tallies = Tallies::new([2, 1, 0]);
        assert!(tallies.add(0, piece(b"a\n")).is_none());
        assert_eq!(tallies.add(0, piece(b"b\nc\n")).unwrap().rows, 3);
        assert_eq!(tallies.add(1, piece(b"")).unwrap().rows, 0);
        let rows: Vec<u64> = tallies.into_totals().iter().map(|total| total.rows).collect();
        assert_eq!(rows, [3, 0, 0]);
    }
}
