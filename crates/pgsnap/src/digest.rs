//! The digest of a set of rows.
//!
//! A canonical row is one line of `COPY … TO STDOUT` in text format, without its
//! newline, of the named columns, under the fixed settings of [`crate::session`].
//! Its hash is XXH3-128 (seed 0). The digest of a set is the sum of the hashes modulo
//! 2^128, so it depends neither on the order of the rows nor on how they were split, and two
//! equal rows do not cancel as they would under XOR.
//!
//! Rows are also spread over buckets by the hash of their key, so that a difference
//! can be localised without looking at every row again: see [`Buckets`].

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// The sum of 128-bit row hashes, modulo 2^128.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(u128);

impl Digest {
    /// Adds the hash of one more row or part.
    pub(crate) fn add(&mut self, other: Digest) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Takes out what was added before.
    pub(crate) fn remove(&mut self, other: Digest) {
        self.0 = self.0.wrapping_sub(other.0);
    }

    /// The hash of some bytes in one of several ways.
    pub(crate) fn seeded(bytes: &[u8], seed: u64) -> Self {
        Self(xxh3_128_with_seed(bytes, seed))
    }

    /// The hash of some bytes, as a digest of one element.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != 32 {
            return Err(de::Error::custom("a digest has 32 hexadecimal digits"));
        }
        u128::from_str_radix(&text, 16).map(Self).map_err(de::Error::custom)
    }
}

/// Rows and digest of one bucket of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket(pub u64, pub Digest);

/// A power of two of buckets; a row belongs to bucket `hash(key) mod len`.
///
/// Because `len` is a power of two, a longer vector folds exactly into a shorter one, so tables of
/// different sizes stay comparable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Buckets(Vec<Bucket>);

/// Rows per bucket that are aimed at: small enough to fetch, large enough for a short vector.
const ROWS_PER_BUCKET: u64 = 4096;
/// The number of buckets rows are collected into before they are folded.
const MAX_BUCKETS: usize = 4096;

impl Buckets {
    /// Returns the number of buckets. Zero for tables that fit one bucket.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if the table fits one bucket, in which case none are kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if this crate could have written them for a table of so many rows.
    pub(crate) fn are_of(&self, rows: u64) -> bool {
        let mut counts = self.0.iter().map(|bucket| bucket.0);
        self.0.is_empty()
            || (self.0.len().is_power_of_two()
                && self.0.len() <= MAX_BUCKETS
                && counts.try_fold(0, u64::checked_add) == Some(rows))
    }

    /// The buckets in which two tables differ, with the modulus they refer to.
    ///
    /// Returns the number of buckets and the differing ones. If one side keeps no buckets, the
    /// whole table is one: `(1, [0])`.
    #[must_use]
    pub fn differing(&self, other: &Buckets) -> (usize, Vec<usize>) {
        let modulus = self.len().min(other.len()).max(1);
        if self.is_empty() || other.is_empty() {
            return (1, vec![0]);
        }
        let (a, b) = (self.folded(modulus), other.folded(modulus));
        (modulus, (0..modulus).filter(|&i| a[i] != b[i]).collect())
    }

    fn folded(&self, modulus: usize) -> Vec<Bucket> {
        let mut out = vec![Bucket::default(); modulus];
        for (index, bucket) in self.0.iter().enumerate() {
            let target = &mut out[index % modulus];
            target.0 += bucket.0;
            target.1.add(bucket.1);
        }
        out
    }
}

/// Which fields of a row are its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// The first `n` fields.
    Prefix(usize),
    /// These fields, by position.
    Fields(Vec<usize>),
    /// The table has no key: the whole row stands for it.
    WholeRow,
}

impl Key {
    /// The key columns' positions in the column list.
    pub(crate) fn new(columns: &[String], key: &[String]) -> Self {
        let positions: Option<Vec<usize>> =
            key.iter().map(|name| columns.iter().position(|column| column == name)).collect();
        match positions {
            Some(positions) if !positions.is_empty() => {
                if positions.iter().copied().eq(0..positions.len()) {
                    Self::Prefix(positions.len())
                } else {
                    Self::Fields(positions)
                }
            }
            _ => Self::WholeRow,
        }
    }

    /// The key's text within a row.
    pub(crate) fn of<'a>(&self, row: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Self::WholeRow => row,
            Self::Prefix(n) => match memchr::memchr_iter(b'\t', row).nth(n - 1) {
                Some(end) => &row[..end],
                None => row,
            },
            Self::Fields(positions) => {
                scratch.clear();
                let fields: Vec<&[u8]> = row.split(|&byte| byte == b'\t').collect();
                for &position in positions {
                    scratch.extend_from_slice(fields.get(position).copied().unwrap_or_default());
                    scratch.push(b'\t');
                }
                scratch.pop();
                scratch
            }
        }
    }

    /// The bucket of a row under a modulus.
    pub(crate) fn bucket(&self, row: &[u8], scratch: &mut Vec<u8>, modulus: usize) -> usize {
        (xxh3_64(self.of(row, scratch)) as usize) & (modulus - 1)
    }
}

/// Collects rows of one table into counts and digests.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    /// Bytes of COPY text, newlines included.
    pub(crate) bytes: u64,
    pub(crate) digest: Digest,
    /// The digest of the rows with their generated columns.
    pub(crate) generated: Digest,
    key: Key,
    buckets: Vec<Bucket>,
    scratch: Vec<u8>,
}

impl Tally {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            rows: 0,
            bytes: 0,
            digest: Digest::default(),
            generated: Digest::default(),
            key,
            buckets: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds every row of `lines`, which consists of whole lines.
    pub(crate) fn add_lines(&mut self, lines: &[u8]) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            self.add_row(&lines[start..end]);
            start = end + 1;
        }
        debug_assert_eq!(start, lines.len(), "rows end in a newline");
    }

    /// Adds every row of `lines`, which ends in `generated` fields of generated columns, and
    /// returns the rows without those. `columns` is the number of fields that stay.
    pub(crate) fn add_computed_lines(
        &mut self,
        lines: &[u8],
        columns: usize,
        generated: usize,
    ) -> Vec<u8> {
        let mut rows = Vec::with_capacity(lines.len());
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            let line = &lines[start..end];
            start = end + 1;
            self.generated.add(Digest(xxh3_128(line)));
            let row = without_last(line, columns, generated);
            self.add_row(row);
            rows.extend_from_slice(row);
            rows.push(b'\n');
        }
        rows
    }

    /// Adds every row of `lines`, each behind the place that the server keeps it at, and returns
    /// the lines without their generated columns.
    pub(crate) fn add_located_lines(
        &mut self,
        lines: &[u8],
        columns: usize,
        generated: usize,
    ) -> Vec<u8> {
        let mut rows = Vec::with_capacity(lines.len());
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            let line = &lines[start..end];
            start = end + 1;
            let (place, row) = split_place(line);
            let row = match generated {
                0 => row,
                _ => {
                    self.generated.add(Digest(xxh3_128(row)));
                    without_last(row, columns, generated)
                }
            };
            self.add_row(row);
            rows.extend_from_slice(place);
            if columns > 0 {
                rows.push(b'\t');
            }
            rows.extend_from_slice(row);
            rows.push(b'\n');
        }
        rows
    }

    /// Adds one row, given without its newline.
    pub(crate) fn add_row(&mut self, row: &[u8]) {
        let hash = Digest(xxh3_128(row));
        self.rows += 1;
        self.bytes += row.len() as u64 + 1;
        self.digest.add(hash);
        if self.buckets.is_empty() {
            self.buckets.resize(MAX_BUCKETS, Bucket::default());
        }
        let index = self.key.bucket(row, &mut self.scratch, MAX_BUCKETS);
        let bucket = &mut self.buckets[index];
        bucket.0 += 1;
        bucket.1.add(hash);
    }

    /// Adds what another worker collected of the same table.
    pub(crate) fn merge(&mut self, other: &Tally) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.digest.add(other.digest);
        self.generated.add(other.generated);
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for (into, from) in self.buckets.iter_mut().zip(&other.buckets) {
            into.0 += from.0;
            into.1.add(from.1);
        }
    }

    /// The bucket vector, folded to the size the row count deserves.
    pub(crate) fn buckets(&self) -> Buckets {
        let wanted =
            (self.rows / ROWS_PER_BUCKET).next_power_of_two().min(MAX_BUCKETS as u64) as usize;
        if wanted < 2 || self.buckets.is_empty() {
            return Buckets::default();
        }
        Buckets(Buckets(self.buckets.clone()).folded(wanted))
    }
}

/// The row without the fields of its generated columns, which are the last. `columns` is the number
/// of fields that stay.
fn without_last(row: &[u8], columns: usize, generated: usize) -> &[u8] {
    match columns {
        0 => &[],
        _ => memchr::memrchr_iter(b'\t', row).nth(generated - 1).map_or(row, |cut| &row[..cut]),
    }
}

/// The place of a row and the row behind it.
pub(crate) fn split_place(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\t', line) {
        Some(tab) => (&line[..tab], &line[tab + 1..]),
        None => (line, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(lines: &[String]) -> Tally {
        let mut tally = Tally::new(Key::Prefix(1));
        for line in lines {
            tally.add_lines(format!("{line}\n").as_bytes());
        }
        tally
    }

    #[test]
    fn equal_rows_do_not_cancel() {
        let two = tally(&["a\t1".into(), "a\t1".into()]);
        assert_ne!(two.digest, Digest::default());
        assert_eq!(two.rows, 2);
    }

    #[test]
    fn a_zero_column_table_counts_its_empty_lines() {
        let mut tally = Tally::new(Key::WholeRow);
        tally.add_lines(b"\n\n\n");
        assert_eq!((tally.rows, tally.bytes), (3, 3));
    }

    #[test]
    fn generated_columns_are_digested_apart_and_cut_off() {
        let mut tally = Tally::new(Key::Prefix(1));
        let rows = tally.add_computed_lines(b"1\ta\tA\t\\N\n2\tb\tB\tx\n", 2, 2);
        assert_eq!(rows, b"1\ta\n2\tb\n");
        let plain = self::tally(&["1\ta".into(), "2\tb".into()]);
        assert_eq!((tally.digest, tally.bytes), (plain.digest, plain.bytes));
        let with = self::tally(&["1\ta\tA\t\\N".into(), "2\tb\tB\tx".into()]);
        assert_eq!(tally.generated, with.digest);
        let mut alone = Tally::new(Key::WholeRow);
        assert_eq!(alone.add_computed_lines(b"A\nB\n", 0, 1), b"\n\n");
    }

    #[test]
    fn places_in_front_of_rows_are_no_part_of_them() {
        let plain = tally(&["1\ta".into(), "2\tb".into()]);
        let mut located = Tally::new(Key::Prefix(1));
        let lines = located.add_located_lines(b"(0,1)\t1\ta\tA\n(0,2)\t2\tb\tB\n", 2, 1);
        assert_eq!(lines, b"(0,1)\t1\ta\n(0,2)\t2\tb\n");
        assert_eq!((located.digest, located.bytes), (plain.digest, plain.bytes));
        assert_eq!(located.generated, tally(&["1\ta\tA".into(), "2\tb\tB".into()]).digest);
        let mut empty = Tally::new(Key::WholeRow);
        assert_eq!(empty.add_located_lines(b"(0,1)\n", 0, 0), b"(0,1)\n");
        assert_eq!((empty.rows, empty.bytes), (1, 1));
    }

    #[test]
    fn what_is_removed_was_never_there() {
        let mut digest = tally(&["1\ta".into(), "2\tb".into()]).digest;
        digest.remove(tally(&["2\tb".into()]).digest);
        assert_eq!(digest, tally(&["1\ta".into()]).digest);
    }

    #[test]
    fn the_key_is_found_anywhere_in_the_row() {
        let columns = ["a", "b", "c"].map(String::from);
        let mut scratch = Vec::new();
        let prefix = Key::new(&columns, &["a".into(), "b".into()]);
        assert_eq!(prefix.of(b"1\t2\t3", &mut scratch), b"1\t2");
        let fields = Key::new(&columns, &["c".into(), "a".into()]);
        assert_eq!(fields.of(b"1\t2\t3", &mut scratch), b"3\t1");
        let whole = Key::new(&columns, &["missing".into()]);
        assert_eq!(whole.of(b"1\t2\t3", &mut scratch), b"1\t2\t3");
    }

    #[test]
    fn a_changed_row_shows_in_exactly_one_bucket() {
        let rows: Vec<String> = (0..20_000).map(|i| format!("{i}\tvalue {i}")).collect();
        let mut changed = rows.clone();
        changed[777] = "777\tother".into();
        let (modulus, differing) = tally(&rows).buckets().differing(&tally(&changed).buckets());
        assert_eq!(modulus, 4);
        assert_eq!(differing.len(), 1);
    }

    #[test]
    fn tables_of_different_size_stay_comparable() {
        let rows: Vec<String> = (0..40_000).map(|i| format!("{i}\tv")).collect();
        let (modulus, differing) =
            tally(&rows).buckets().differing(&tally(&rows[..16_000]).buckets());
        assert_eq!(modulus, 4);
        assert_eq!(differing, [0, 1, 2, 3]);
    }

    #[test]
    fn buckets_that_do_not_add_up_to_the_rows_are_refused() {
        let bucket = |rows| Bucket(rows, Digest::default());
        assert!(Buckets::default().are_of(7));
        assert!(Buckets(vec![bucket(3), bucket(4)]).are_of(7));
        for buckets in [
            vec![bucket(3), bucket(5)],
            vec![bucket(u64::MAX), bucket(8)],
            vec![bucket(3), bucket(2), bucket(2)],
        ] {
            assert!(!Buckets(buckets).are_of(7));
        }
    }

    proptest! {
        #[test]
        fn the_digest_ignores_order_and_split(mut rows in prop::collection::vec("[a-z\\t]{0,12}", 0..60), cut in 0usize..60) {
            let all = tally(&rows);
            rows.reverse();
            let cut = cut.min(rows.len());
            let mut parts = tally(&rows[..cut]);
            parts.merge(&tally(&rows[cut..]));
            prop_assert_eq!((all.rows, all.bytes, all.digest), (parts.rows, parts.bytes, parts.digest));
            prop_assert_eq!(all.buckets(), parts.buckets());
        }
    }
}
