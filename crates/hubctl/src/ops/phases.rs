//! The phases of each operation, in order, as progress shows them.

use pgsnap::Phase;

/// The phases of a backup.
pub(crate) const BACKUP: &[Phase] = &[Phase::Snapshot, Phase::Dump];
/// The phases of a restore and of a drill.
pub(crate) const RESTORE: &[Phase] =
    &[Phase::Schema, Phase::Load, Phase::Index, Phase::Analyze, Phase::Census, Phase::Swap];
/// The phases of a copy from server to server.
pub(crate) const COPY: &[Phase] = &[
    Phase::Snapshot,
    Phase::Schema,
    Phase::Copy,
    Phase::Index,
    Phase::Analyze,
    Phase::Census,
    Phase::Swap,
];
/// The phases of reading a live database.
pub(crate) const CENSUS: &[Phase] = &[Phase::Snapshot, Phase::Census];
