//! A controller's session at the agent.

use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::function::Function;
use crate::base::limits::{SESSION_LIFE, TELEMETRY_TTL};
use crate::base::{
    Channel, FencingToken, Flow, MonoTime, NodeName, Right, Rights, SessionId, Stage,
};
use crate::control::{Allowed, Policy};
use crate::crypto::Established;
use crate::role::line::Line;
use crate::role::node::{Node, Way};
use crate::session::{Delivery, Dictionaries};
use crate::wire::{
    AgentBeat, ControllerBeat, Description, FunctionDescription, FunctionReport, LegTimes, News,
    Renewal, SessionMessage,
};

/// A controller's session.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) peer: NodeName,
    /// What the policy lets it do, and was told to it.
    description: Description,
    priorities: Vec<u8>,
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
        (established, at): (Established, UnixTime),
        (functions, policy): (&[Function], &Policy),
        dictionaries: &Dictionaries,
    ) -> Guest {
        let peer = established.peer.node.clone();
        let line = Line::new(now, id, established, at, dictionaries);
        let mut guest = Guest {
            peer,
            description: Description::default(),
            priorities: Vec::new(),
            line,
            way: None,
            times: None,
        };
        guest.judge(functions, policy);
        guest.line.name_functions(&guest.description.functions);
        guest.describe(now);
        guest.line.announce_dictionaries(now);
        guest
    }

    /// Looks up anew what it may do; true when that has changed.
    pub(super) fn judge(&mut self, functions: &[Function], policy: &Policy) -> bool {
        let groups = &self.line.far.peer().groups;
        let of_vehicle = |right: &Right| policy.with_vehicle(&self.peer, groups, *right);
        let rights: Rights = [Right::Stop, Right::Reset]
            .into_iter()
            .filter(of_vehicle)
            .collect();
        let with =
            |function: &Function| policy.with_function(&self.peer, groups, &function.config.name);
        let allowed: Vec<Allowed> = functions.iter().map(with).collect();
        let described = functions.iter().zip(&allowed);
        let description = Description {
            rights,
            functions: described
                .map(|(function, allowed)| FunctionDescription {
                    name: function.config.name.clone(),
                    kind: function.config.kind,
                    rights: allowed.rights.only_function(),
                })
                .collect(),
        };
        self.priorities = allowed.iter().map(|allowed| allowed.priority).collect();
        let changed = description != self.description;
        self.description = description;
        changed
    }

    /// Tells it what the agent is, and what it may do.
    pub(super) fn describe(&mut self, now: MonoTime) {
        let description = SessionMessage::Description(self.description.clone());
        // The first messages of a session always fit its window; later it only knows less of its rights.
        let _ = self.line.send_message(now, &description);
    }

    /// Whether the policy lets it do this with a function.
    pub(super) fn may(&self, right: Right, channel: Channel) -> bool {
        let function = place(channel).and_then(|place| self.description.functions.get(place));
        function.is_some_and(|function| function.rights.has(right))
    }

    /// Whether the policy lets it reset the vehicle's stop.
    pub(super) fn may_reset(&self) -> bool {
        self.description.rights.has(Right::Reset)
    }

    /// With which priority it commands a function.
    pub(super) fn priority(&self, channel: Channel) -> u8 {
        let priority = place(channel).and_then(|place| self.priorities.get(place));
        priority.copied().unwrap_or_default()
    }

    /// Tells it something of a lease. A session that takes no more sees the lease's end in the next beat.
    pub(super) fn tell_news(&mut self, now: MonoTime, news: News, node: &mut Node) {
        let _ = self.line.send_message(now, &SessionMessage::News(news));
        self.line.flush(now, node);
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
        self.report(now, flow, TELEMETRY_TTL, bytes, node);
    }

    /// The same with another time to live.
    pub(super) fn report(
        &mut self,
        now: MonoTime,
        flow: Flow,
        ttl: Duration,
        bytes: &[u8],
        node: &mut Node,
    ) {
        let _ = self.line.session.send(now, flow, ttl, bytes);
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
            let functions = self.seen(functions());
            let beat = AgentBeat {
                echo,
                stopped,
                stop_generation,
                functions,
                flows,
                times: self.times,
            };
            self.line.send_beat(now, &beat.encode());
        }
        self.line.flush(now, node);
        self.line.offer_if_due(now, node);
    }

    /// The reports of the functions that it may observe; the others say nothing.
    // [SAFE-81]
    fn seen(&self, mut reports: Vec<FunctionReport>) -> Vec<FunctionReport> {
        for (report, function) in reports.iter_mut().zip(&self.description.functions) {
            if !function.rights.has(Right::Observe) {
                *report = FunctionReport {
                    stage: Stage::MinimalRisk,
                    token: FencingToken::default(),
                    holder: None,
                };
            }
        }
        reports
    }

    pub(super) fn next_timeout(&self) -> MonoTime {
        self.line
            .next_timeout()
            .min(self.line.heard_at + SESSION_LIFE)
    }
}

/// The place of a function's channel among the functions.
fn place(channel: Channel) -> Option<usize> {
    usize::from(channel.number()).checked_sub(1)
}
