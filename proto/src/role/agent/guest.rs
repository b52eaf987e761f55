//! A controller's session at the agent.

use std::time::Duration;

use crate::base::limits::{SESSION_LIFE, TELEMETRY_TTL};
use crate::base::{Flow, MonoTime, Name, NodeName, SessionId};
use crate::crypto::Established;
use crate::role::line::{Line, session};
use crate::role::node::{Node, Way};
use crate::session::{Delivery, Dictionaries};
use crate::wire::{
    AgentBeat, ControllerBeat, Description, FunctionKind, FunctionReport, LegTimes, Renewal,
    SessionMessage,
};

/// A controller's session.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) peer: NodeName,
    pub(super) line: Line,
    /// How its newest envelope came.
    pub(super) way: Option<Way>,
    /// Where the time of the newest applied command went.
    pub(super) times: Option<LegTimes>,
}

impl Guest {
    /// A session that stands; its first message says what the agent is.
    pub(super) fn new(
        now: MonoTime,
        id: SessionId,
        established: Established,
        functions: Vec<(Name, FunctionKind)>,
        dictionaries: &Dictionaries,
    ) -> Guest {
        let peer = established.peer.node.clone();
        let mut line = Line::new(now, session(id, established, dictionaries));
        line.name_functions(&functions);
        // The first messages of a session always fit its window.
        let _ = line.send_message(now, &SessionMessage::Description(Description { functions }));
        line.announce_dictionaries(now);
        Guest {
            peer,
            line,
            way: None,
            times: None,
        }
    }

    /// Takes a beat; the renewals in it.
    pub(super) fn on_beat(&mut self, now: MonoTime, delivery: &Delivery) -> Option<Vec<Renewal>> {
        let beat = ControllerBeat::decode(&delivery.bytes).ok()?;
        self.line
            .session
            .on_report(now, delivery.sent_at_us, beat.echo, &beat.flows);
        Some(beat.renewals)
    }

    /// Gives up what is over; true when that was due, and something may be delivered that waited for it.
    pub(super) fn on_timeout(&mut self, now: MonoTime) -> bool {
        let due = self.line.session.next_timeout().is_some_and(|at| at <= now);
        if due {
            self.line.session.on_timeout(now);
        }
        due
    }

    /// Sends telemetry. A session that takes no more loses it first; its counters say so.
    pub(super) fn tell(&mut self, now: MonoTime, flow: Flow, bytes: &[u8], node: &mut Node) {
        let _ = self.line.session.send(now, flow, TELEMETRY_TTL, bytes);
        self.line.flush(now, node);
    }

    /// Sends what is due; `lease_ttl` is the shortest of the leases that this session holds.
    pub(super) fn work(
        &mut self,
        now: MonoTime,
        node: &mut Node,
        functions: impl Fn() -> Vec<FunctionReport>,
        (stopped, stop_generation): (bool, u32),
        lease_ttl: Option<Duration>,
    ) {
        if self.line.beat_due(now, lease_ttl) {
            let (echo, flows) = self.line.session.report();
            let beat = AgentBeat {
                echo,
                stopped,
                stop_generation,
                functions: functions(),
                flows,
                times: self.times,
            };
            self.line.send_beat(now, &beat.encode());
        }
        self.line.flush(now, node);
        self.line.offer_if_due(now, node);
    }

    pub(super) fn next_timeout(&self) -> MonoTime {
        self.line
            .next_timeout()
            .min(self.line.heard_at + SESSION_LIFE)
    }
}
