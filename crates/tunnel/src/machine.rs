//! The state machine of a tunnel. It does no I/O and has no clock: events and the time come in,
//! actions go out.
//!
//! A tunnel has links, each one `ssh`. One of them serves: it takes new connections. While its
//! probes meet silence a challenger is started beside it, and whichever answers first stays. A link
//! that was replaced keeps the connections that are open on it, as plain ssh would, until they end
//! or it was silent for as long as the profile says.

mod event;
mod link;
mod moment;
mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

pub(crate) use event::{Action, Event, Generation};
use link::Link;
pub(crate) use moment::Moment;

use crate::front::Bound;
use crate::probe::{Answer, Fault};
use crate::spec::{OnMismatch, Tunnel};
use crate::ssh::{Kind, Reason};

/// From the first pause after a failed start to the longest.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_millis(3500),
    Duration::from_secs(5),
];

/// The reason why there is no connection.
#[derive(Debug, Clone)]
struct Outage {
    reason: Reason,
    until: Timestamp,
}

/// The state of a tunnel.
#[derive(Debug)]
pub(crate) struct Machine {
    tunnel: Tunnel,
    links: BTreeMap<Generation, Link>,
    serving: Option<Generation>,
    bound: Vec<Bound>,
    /// The forwards whose target is silent while the session is not.
    is_target_silent: Vec<bool>,
    is_approaching: bool,
    outage: Option<Outage>,
    failure: Option<Reason>,
    failures: usize,
    starts: u64,
    reconnects: u64,
}

impl Machine {
    pub(crate) fn new(tunnel: Tunnel) -> Self {
        let forwards = tunnel.forwards.len();
        Self {
            tunnel,
            links: BTreeMap::new(),
            serving: None,
            bound: vec![Bound::Closed; forwards],
            is_target_silent: vec![false; forwards],
            is_approaching: false,
            outage: None,
            failure: None,
            failures: 0,
            starts: 0,
            reconnects: 0,
        }
    }

    pub(crate) fn starts(&self) -> u64 {
        self.starts
    }

    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Returns true if an earlier session may hold the port on the destination.
    pub(crate) fn is_taken_remotely(&self) -> bool {
        let outage = self.outage.as_ref().filter(|_| self.serving.is_none());
        outage.is_some_and(|outage| outage.reason.kind == Kind::RemoteTaken)
    }

    /// Returns the answer to the last probe of a forward.
    pub(crate) fn answer(&self, forward: usize) -> Option<&Answer> {
        let link = self.links.get(&self.serving?)?;
        link.verdicts[forward].as_ref()?.as_ref().ok()
    }

    /// Takes in what happened, and tells what to do.
    pub(crate) fn on(&mut self, event: Event, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Begin => self.begin(&mut actions),
            Event::Reachable => self.start(&mut actions),
            Event::Unreachable(reason) => self.unreachable(&reason, now),
            Event::Ready(generation) => {
                if let Some(link) = self.links.get_mut(&generation) {
                    link.ready = Some(now.instant);
                }
            }
            Event::Said(generation, line) => self.said(generation, &line, &mut actions),
            Event::Gone(generation, reason) => self.gone(generation, reason, now, &mut actions),
            Event::Probed(generation, forward, verdict) => {
                self.probed(generation, forward, verdict, now, &mut actions);
            }
            Event::Alive(generation, is_alive) => self.alive(generation, is_alive, &mut actions),
            Event::Bound(forward, bound) => self.bound[forward] = bound,
            Event::Woken => self.woken(&mut actions),
        }
        actions
    }

    fn begin(&mut self, actions: &mut Vec<Action>) {
        self.cut_all(true, actions);
        (self.outage, self.failure) = (None, None);
        self.failures = 0;
        self.approach(Duration::ZERO, actions);
    }

    /// Leaves nothing of what was, and opens or closes the ports.
    fn cut_all(&mut self, is_open: bool, actions: &mut Vec<Action>) {
        for generation in std::mem::take(&mut self.links).into_keys() {
            actions.push(Action::Cut(generation));
        }
        for forward in 0..self.tunnel.forwards.len() {
            actions.push(Action::Serve(forward, None));
            actions.push(Action::SetOpen(forward, is_open));
        }
        self.serving = None;
    }

    fn approach(&mut self, pause: Duration, actions: &mut Vec<Action>) {
        self.is_approaching = true;
        actions.push(Action::Approach(pause));
    }

    fn start(&mut self, actions: &mut Vec<Action>) {
        if !std::mem::replace(&mut self.is_approaching, false) {
            return;
        }
        self.starts += 1;
        let link = Link::new(self.tunnel.forwards.len());
        self.links.insert(self.starts, link);
        actions.push(Action::Start(self.starts));
    }

    fn unreachable(&mut self, reason: &str, now: Moment) {
        if self.serving.is_none() {
            let (reason, until) = (Reason::transient(reason), now.timestamp);
            self.outage = Some(Outage { reason, until });
        }
    }

    fn said(&mut self, generation: Generation, line: &str, actions: &mut Vec<Action>) {
        let Some((_, refusal)) = line.split_once(": open failed: ") else {
            return;
        };
        let reason = Reason::of(line);
        if matches!(reason.kind, Kind::Permanent { .. }) {
            self.fail(reason, actions);
        } else if let Some(link) = self.links.get_mut(&generation) {
            link.refusal = Some(refusal.to_owned());
        }
    }

    /// Nothing helps any more but a human.
    fn fail(&mut self, reason: Reason, actions: &mut Vec<Action>) {
        // Who connects to a tunnel that stays away is told at once.
        self.cut_all(false, actions);
        self.failure = Some(reason);
        self.stop_approach(actions);
    }

    fn stop_approach(&mut self, actions: &mut Vec<Action>) {
        if std::mem::replace(&mut self.is_approaching, false) {
            actions.push(Action::StopApproach);
        }
    }

    fn gone(
        &mut self,
        generation: Generation,
        reason: Reason,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let Some(link) = self.links.remove(&generation) else {
            return;
        };
        if link.is_draining {
            return;
        }
        if self.serving == Some(generation) {
            self.serving = None;
            for forward in 0..self.tunnel.forwards.len() {
                actions.push(Action::Serve(forward, None));
            }
        }
        if matches!(reason.kind, Kind::Permanent { .. }) {
            // A link that still serves is better than none; the next attempt will meet the same.
            if self.serving.is_none() {
                self.fail(reason, actions);
            }
            return;
        }
        if link.is_healthy(now.instant) {
            self.failures = 0;
        }
        // The first attempt after a link that had stood comes at once.
        self.failures += usize::from(link.ready.is_none());
        let pause = self.pause();
        self.failures += usize::from(link.ready.is_some());
        if self.serving.is_none() {
            let until = now.timestamp + pause;
            self.outage = Some(Outage { reason, until });
        }
        self.challenge(pause, actions);
    }

    fn pause(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            failures => PAUSES[(failures - 1).min(PAUSES.len() - 1)],
        }
    }

    /// The link that is to replace the serving one, or to be the first.
    fn challenger(&self) -> Option<Generation> {
        self.links
            .iter()
            .rev()
            .find(|(generation, link)| !link.is_draining && Some(**generation) != self.serving)
            .map(|(generation, _)| *generation)
    }

    fn probed(
        &mut self,
        generation: Generation,
        forward: usize,
        verdict: Result<Answer, Fault>,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let silence = self.tunnel.profile.silence();
        let Some(link) = self.links.get_mut(&generation) else {
            return;
        };
        let is_answered = verdict.is_ok();
        let is_silent = verdict.as_ref().is_err_and(Fault::is_silence);
        if link.take_in(forward, verdict, now.instant) >= silence {
            actions.push(Action::Cut(generation));
            let said = format!("nothing came back for {} s", silence.as_secs());
            return self.gone(generation, Reason::transient(said), now, actions);
        }
        let (is_draining, is_judged) = (link.is_draining, link.is_judged());
        let is_proven = is_answered && link.is_healthy(now.instant);
        if is_silent {
            actions.push(Action::Check(generation));
        }
        if is_draining {
            return;
        }
        if is_proven {
            self.failures = 0;
        }
        if is_answered {
            self.is_target_silent[forward] = false;
        }
        if self.serving == Some(generation) {
            self.open_or_close(generation, forward, actions);
            if is_silent {
                self.doubt(generation, forward, actions);
            } else if is_answered {
                self.trust(actions);
            }
        } else if is_judged {
            self.serve(generation, actions);
        }
    }

    /// The serving link may be dead: while its session is asked, another is begun beside it.
    fn doubt(&mut self, generation: Generation, forward: usize, actions: &mut Vec<Action>) {
        let verdict = &self.links[&generation].verdicts[forward];
        let is_targets =
            self.is_target_silent[forward] && matches!(verdict, Some(Err(Fault::Silent(_))));
        if !is_targets {
            self.challenge(self.pause(), actions);
        }
    }

    /// Begins another link, unless one is on its way.
    fn challenge(&mut self, pause: Duration, actions: &mut Vec<Action>) {
        if self.challenger().is_none() && !self.is_approaching {
            self.approach(pause, actions);
        }
    }

    /// The serving link answers: no other is needed.
    fn trust(&mut self, actions: &mut Vec<Action>) {
        let serving = self.serving.and_then(|serving| self.links.get(&serving));
        if serving.is_some_and(|link| !link.is_silent()) {
            self.call_off(actions);
        }
    }

    fn call_off(&mut self, actions: &mut Vec<Action>) {
        self.stop_approach(actions);
        if let Some(challenger) = self.challenger() {
            self.links.remove(&challenger);
            actions.push(Action::Cut(challenger));
        }
    }

    /// A session that answers while a target is silent: the target is to blame, and another `ssh`
    /// would not help.
    fn alive(&mut self, generation: Generation, is_alive: bool, actions: &mut Vec<Action>) {
        let Some(link) = self.links.get_mut(&generation) else {
            return;
        };
        let silent = link.silent_forwards();
        if is_alive {
            link.silent_since = None;
        }
        if self.serving != Some(generation) || silent.is_empty() {
            return;
        }
        for forward in silent {
            self.is_target_silent[forward] = is_alive;
        }
        if is_alive {
            self.call_off(actions);
        } else {
            self.challenge(self.pause(), actions);
        }
    }

    /// Makes a judged link the serving one.
    fn serve(&mut self, generation: Generation, actions: &mut Vec<Action>) {
        if let Some(old) = self.serving.replace(generation) {
            if let Some(link) = self.links.get_mut(&old) {
                link.is_draining = true;
                actions.push(Action::Drain(old));
            }
            self.reconnects += 1;
        } else if self.outage.is_some() {
            self.reconnects += 1;
        }
        self.outage = None;
        // A new link that meets the same silence is no reason to start the next one at once.
        let is_silent = self.links.get(&generation).is_some_and(Link::is_silent);
        self.failures += usize::from(is_silent);
        for forward in 0..self.tunnel.forwards.len() {
            self.open_or_close(generation, forward, actions);
        }
    }

    /// Connects no client to a forward where the wrong server answers.
    fn open_or_close(&self, generation: Generation, forward: usize, actions: &mut Vec<Action>) {
        let verdict = self.links.get(&generation).and_then(|link| link.verdicts[forward].as_ref());
        let is_wrong = matches!(verdict, Some(Err(Fault::Mismatch { .. })));
        let is_closed = is_wrong && self.tunnel.forwards[forward].on_mismatch == OnMismatch::Close;
        actions.push(Action::Serve(forward, (!is_closed).then_some(generation)));
        actions.push(Action::SetOpen(forward, !is_closed));
    }

    fn woken(&mut self, actions: &mut Vec<Action>) {
        if self.failure.is_some() {
            return;
        }
        let ready = self.links.iter().filter(|(_, link)| link.ready.is_some());
        actions.extend(ready.map(|(generation, _)| Action::ProbeNow(*generation)));
        self.failures = 0;
        if self.is_approaching {
            actions.push(Action::Approach(Duration::ZERO));
        }
    }
}

#[cfg(test)]
mod tests;
