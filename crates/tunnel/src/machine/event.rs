//! The events that the machine receives, and the actions it returns.

use std::time::Duration;

use crate::front::Bound;
use crate::probe::{Answer, Fault};
use crate::ssh::Reason;

/// The number of an `ssh`, in the order they were started.
pub(crate) type Generation = u64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The tunnel is to be made, or made anew.
    Begin,
    /// The server can be reached, as far as that is known without `ssh`.
    Reachable,
    /// It cannot, for this reason, and that will be tried again soon.
    Unreachable(String),
    /// An `ssh` is connected and listens.
    Ready(Generation),
    /// An `ssh` wrote a line.
    Said(Generation, String),
    /// An `ssh` is gone.
    Gone(Generation, Reason),
    /// A probe was answered, or not.
    Probed(Generation, usize, Result<Answer, Fault>),
    /// The session of an `ssh` answers, or does not.
    Alive(Generation, bool),
    /// The port of a forward changed its state.
    Bound(usize, Bound),
    /// The machine slept, or its network changed.
    Woken,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// After this pause, find out whether the server can be reached. It replaces what was begun
    /// before.
    Approach(Duration),
    /// No longer.
    StopApproach,
    /// Start an `ssh`.
    Start(Generation),
    /// Ask whether its session answers.
    Check(Generation),
    /// Ask all its probes now.
    ProbeNow(Generation),
    /// Hand new connections of a forward to this one, or let them wait.
    Serve(usize, Option<Generation>),
    /// End it when no connection is open on it any more.
    Drain(Generation),
    /// End it now.
    Cut(Generation),
    /// Open or close the port of a forward.
    SetOpen(usize, bool),
}
