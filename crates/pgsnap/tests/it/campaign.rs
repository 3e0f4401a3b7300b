//! The length of a test: short as a test, long as a campaign (`cargo xtask campaign`, which sets
//! these variables).

/// Returns the number of rounds.
pub(crate) fn rounds(in_a_test: u64) -> u64 {
    number("CAMPAIGN_ROUNDS").unwrap_or(in_a_test)
}

/// The seed of the first round. The tests have one of their own, so that they are the same
/// everywhere.
pub(crate) fn seed(in_a_test: u64) -> u64 {
    number("CAMPAIGN_SEED").unwrap_or(in_a_test)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("the variable of a campaign is a number"))
}
