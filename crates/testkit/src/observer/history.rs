//! The record of an observer.

use std::fmt;
use std::time::Duration;

/// Everything that an [`Observer`](crate::Observer) was told. All times are since it began.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The writes that were acknowledged, in the order of their acknowledgements.
    pub acknowledged: Vec<Acknowledgement>,
    /// The events that the stream delivered: their sequence numbers and keys.
    pub streamed: Vec<(u64, String)>,
    /// The moves, in their order. The first one is the time before any.
    pub legs: Vec<Leg>,
}

/// A write, and when it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The key, which is in the row as well.
    pub key: String,
    /// How it was sent.
    pub way: Way,
    /// The site that acknowledged it; unknown for what the relay took.
    pub site: Option<String>,
    /// Time at which the attempt began that was answered.
    pub began: Duration,
    /// Time of the answer.
    pub answered: Duration,
}

/// The way that a write takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Over HTTP to the address of the clients, again and again with one key until it succeeds.
    Front,
    /// Over HTTP to the API of a site.
    Api,
    /// By SQL to the database of a site, under its name.
    Sql,
    /// To the relay, which delivers it later.
    Relay,
}

/// A part of a history in which the service may move from one site to another once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The site that is left.
    pub from: String,
    /// The site that took over; the same one if the service did not move.
    pub to: String,
    /// Begin of this leg, and end of the one before.
    pub since: Duration,
}

impl fmt::Display for Acknowledgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, way, site, began, answered } = self;
        let site = site.as_deref().unwrap_or("?");
        write!(f, "{key} at {site} ({way:?}, {began:.3?} to {answered:.3?})")
    }
}
