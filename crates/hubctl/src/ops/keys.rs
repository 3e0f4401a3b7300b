//! Prove that the keys open the backups: those at hand, and the one kept elsewhere.

mod check;
mod escrow;

pub use self::check::{KeysReport, OpenedBackup, RecipientKey, check_keys};
pub use self::escrow::{
    EscrowAnswerOrder, EscrowAnswerReport, EscrowChallengeOrder, EscrowChallengeReport,
    escrow_answer, escrow_challenge,
};
