//! The state of a forward, from all that is known.

use super::link::Link;
use super::{Machine, Outage};
use crate::front::Bound;
use crate::probe::Fault;
use crate::spec::Way;
use crate::ssh::{Kind, Reason};
use crate::state::State;

impl Machine {
    /// The state of a forward, from all that is known.
    pub(crate) fn state(&self, forward: usize) -> State {
        if let Some(Reason { said, kind: Kind::Permanent { remedy } }) = &self.failure {
            return State::Failed { reason: said.clone(), remedy: (*remedy).to_owned() };
        }
        if let Bound::Taken(holder) = &self.bound[forward] {
            let holder = holder.clone();
            return State::Blocked { holder };
        }
        let Some(link) = self.serving.and_then(|serving| self.links.get(&serving)) else {
            return self.outage.as_ref().map_or(State::Starting, Outage::state);
        };
        match &link.verdicts[forward] {
            None => State::Starting,
            // An answer is no proof for clients while the port is not open.
            Some(Ok(_)) if !self.is_listening(forward) => State::Starting,
            Some(Ok(_)) => State::Up,
            Some(Err(Fault::Mismatch { expected, found })) => {
                State::Mismatch { expected: expected.clone(), found: found.clone() }
            }
            Some(Err(fault)) => State::Degraded { reason: self.explain(forward, link, fault) },
        }
    }

    /// Returns true if clients can connect. `sshd` has the other listeners, and their probes go
    /// through them.
    fn is_listening(&self, forward: usize) -> bool {
        let is_remote = matches!(self.tunnel.forwards[forward].way, Way::From(_));
        is_remote || self.bound[forward] == Bound::Open
    }

    /// A fault, with what `ssh` said of it.
    fn explain(&self, forward: usize, link: &Link, fault: &Fault) -> String {
        let way = &self.tunnel.forwards[forward].way;
        match (fault, &link.refusal, way) {
            (Fault::Closed, Some(refusal), Way::To(target))
                if refusal.contains("not known") && target.is_cluster_name() =>
            {
                format!(
                    "{target}: {refusal}: the host of a node does not resolve names of services, only pods do; \
                     say `service = \"NAMESPACE/NAME:PORT\"`, or use its address (kubectl get service)"
                )
            }
            (Fault::Closed, Some(refusal), Way::To(_) | Way::Service(_)) => {
                format!("{way}: {refusal}")
            }
            (Fault::Silent(_), _, Way::To(_) | Way::Service(_))
                if self.is_target_silent[forward] =>
            {
                format!("{way}: {fault}, but the SSH session answers: the target is frozen")
            }
            _ => fault.to_string(),
        }
    }
}

impl Outage {
    fn state(&self) -> State {
        match self.reason.kind {
            Kind::RemoteTaken => State::Blocked {
                // sshd gives both the same answer (RFC 4254, 7.1).
                holder: format!(
                    "another session on the destination, unless its sshd_config forbids the port ({})",
                    self.reason
                ),
            },
            _ => State::Backoff { until: self.until, reason: self.reason.to_string() },
        }
    }
}
