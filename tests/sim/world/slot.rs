//! What stands at a station.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use longrein_proto::base::{MonoTime, Name, NodeKind, NodeName, PathId};
use longrein_proto::crypto::Peer;
use longrein_proto::role::{
    Agent, AgentEvent, Applicant, ApplicantEvent, Authority, AuthorityEvent, Controller,
    ControllerEvent, Input, Relay, RelayEvent, Role,
};

use crate::account::Arrived;
use crate::hostile_relay::HostileRelay;
use crate::{Audit, Clock, Granted, RawNode, Vehicle};

/// A station: a name, a clock, and whoever lives there.
pub(super) struct Slot {
    pub(super) node: NodeName,
    pub(super) clock: Clock,
    pub(super) body: Body,
    /// Vehicles whose agents died here.
    pub(super) past: Vec<Vehicle>,
    pub(super) frozen: Option<Freeze>,
    /// When its process was stopped, in the world's time.
    pub(super) frozen_spans: Vec<(MonoTime, MonoTime)>,
    pub(super) arrived: Arrived,
    /// What [`Slot::next_wake`] said, until somebody touches the station: worlds have many that sleep.
    next_wake: Option<Option<MonoTime>>,
}

/// Who lives at a station.
pub(super) enum Body {
    Agent(Box<AgentBody>),
    Controller {
        role: Box<Controller>,
        events: Vec<(MonoTime, ControllerEvent)>,
    },
    Relay {
        role: Box<Relay>,
        events: Vec<RelayEvent>,
    },
    Authority {
        role: Box<Authority>,
        events: Vec<AuthorityEvent>,
    },
    Applicant {
        role: Box<Applicant>,
        events: Vec<ApplicantEvent>,
    },
    Hostile(Box<HostileRelay>),
    Raw(Box<RawNode>),
    Dead,
}

/// A living agent.
pub(super) struct AgentBody {
    pub(super) role: Agent,
    pub(super) vehicle: Vehicle,
    /// Writes under way: when they are on disk.
    pub(super) writes: BTreeMap<(MonoTime, u64), Vec<u8>>,
}

/// A stopped process.
pub(super) struct Freeze {
    pub(super) since: MonoTime,
    /// What waits in its sockets.
    pub(super) waiting: Vec<Waiting>,
}

/// A fact for a stopped process.
pub(super) enum Waiting {
    Packet(PathId, Vec<u8>),
    PathUp(PathId, Name, Peer),
    Remote(PathId, IpAddr),
    PathDown(PathId),
}

impl Waiting {
    /// What waits of an input; time and disk do not wait.
    pub(super) fn of(input: &Input<'_>) -> Option<Waiting> {
        match input {
            Input::Packet { path, bytes } => Some(Waiting::Packet(*path, bytes.to_vec())),
            Input::PathUp { path, link, peer } => {
                Some(Waiting::PathUp(*path, link.clone(), peer.clone()))
            }
            Input::Remote { path, address } => Some(Waiting::Remote(*path, *address)),
            Input::PathDown { path } => Some(Waiting::PathDown(*path)),
            Input::Wall { .. } | Input::Persisted { .. } | Input::Timeout => None,
        }
    }

    pub(super) fn input(&self) -> Input<'_> {
        match self {
            Waiting::Packet(path, bytes) => Input::Packet { path: *path, bytes },
            Waiting::PathUp(path, link, peer) => Input::PathUp {
                path: *path,
                link: link.clone(),
                peer: peer.clone(),
            },
            Waiting::Remote(path, address) => Input::Remote {
                path: *path,
                address: *address,
            },
            Waiting::PathDown(path) => Input::PathDown { path: *path },
        }
    }
}

impl Freeze {
    pub(super) fn new(since: MonoTime) -> Freeze {
        Freeze {
            since,
            waiting: Vec::new(),
        }
    }

    /// Keeps what waits; packets that its sockets have no room for are lost.
    pub(super) fn hold(&mut self, input: &Input<'_>) {
        let is_packet = matches!(input, Input::Packet { .. });
        if !is_packet || self.waiting.len() < SOCKET_PACKETS_MAX {
            self.waiting.extend(Waiting::of(input));
        }
    }
}

impl Slot {
    pub(super) fn new(kind: NodeKind, name: &str, clock: Clock, body: Body) -> Slot {
        Slot {
            node: node_name(kind, name),
            clock,
            body,
            past: Vec::new(),
            frozen: None,
            frozen_spans: Vec::new(),
            arrived: Arrived::default(),
            next_wake: None,
        }
    }

    /// Something may be due at another time from now on.
    pub(super) const fn touch(&mut self) {
        self.next_wake = None;
    }

    /// Whether it was touched since it was last asked.
    pub(super) const fn is_touched(&self) -> bool {
        self.next_wake.is_none()
    }

    /// When something is due here, in the world's time.
    pub(super) fn next_wake(&mut self) -> Option<MonoTime> {
        if let Some(known) = self.next_wake {
            return known;
        }
        let next = self.find_next_wake();
        self.next_wake = Some(next);
        next
    }

    fn find_next_wake(&self) -> Option<MonoTime> {
        if self.frozen.is_some() {
            return None;
        }
        let own = match &self.body {
            Body::Agent(body) => body.next_timeout(),
            Body::Controller { role, .. } => role.next_timeout(),
            Body::Relay { role, .. } => role.next_timeout(),
            Body::Authority { role, .. } => role.next_timeout(),
            Body::Applicant { role, .. } => role.next_timeout(),
            Body::Hostile(role) => role.next_timeout(),
            Body::Raw(role) => role.next_timeout(),
            Body::Dead => None,
        };
        own.map(|at| self.clock.world_time(at))
    }

    /// Lets the vehicle's timers ring; when the role's time-out is due.
    pub(super) fn ring(&mut self, now: MonoTime) -> Option<MonoTime> {
        match &mut self.body {
            Body::Agent(body) => {
                body.vehicle.on_timeout(now, &mut body.role);
                body.role.next_timeout()
            }
            Body::Controller { role, .. } => role.next_timeout(),
            Body::Relay { role, .. } => role.next_timeout(),
            Body::Authority { role, .. } => role.next_timeout(),
            Body::Applicant { role, .. } => role.next_timeout(),
            Body::Hostile(role) => role.next_timeout(),
            Body::Raw(role) => role.next_timeout(),
            Body::Dead => None,
        }
    }

    /// Finishes a write that is due; its ticket.
    pub(super) fn finish_write(&mut self, now: MonoTime) -> Option<u64> {
        let Body::Agent(body) = &mut self.body else {
            return None;
        };
        let entry = body.writes.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let ticket = entry.key().1;
        body.vehicle.disk = entry.remove();
        Some(ticket)
    }
}

impl AgentBody {
    pub(super) fn new(role: Agent, vehicle: Vehicle) -> AgentBody {
        AgentBody {
            role,
            vehicle,
            writes: BTreeMap::new(),
        }
    }

    pub(super) fn on_event(&mut self, now: MonoTime, event: AgentEvent) {
        match event {
            AgentEvent::Apply(apply) => self.vehicle.apply(now, *apply, &mut self.role),
            AgentEvent::Stop { author, generation } => {
                self.vehicle.audit.push(Audit::Stop(author, generation));
                self.vehicle.stop(now, &mut self.role);
            }
            AgentEvent::StopReset { author, generation } => {
                self.vehicle.audit.push(Audit::Reset(author, generation));
                self.vehicle.reset(now, &mut self.role);
            }
            AgentEvent::LeaseEnded {
                channel,
                holder,
                token,
                why,
            } => {
                let end = Audit::LeaseEnded(channel, holder, token, why);
                self.vehicle.audit.push(end);
                self.vehicle.lease_ended(now, channel, &mut self.role);
            }
            AgentEvent::LeaseGranted {
                channel,
                holder,
                token,
            } => self.vehicle.grants.push(Granted {
                at: now,
                after: self.vehicle.applied.len(),
                channel,
                holder,
                token,
            }),
            AgentEvent::LeaseHandedOver {
                channel,
                from,
                holder,
                token,
            } => {
                self.vehicle.handovers.push((now, channel, from));
                self.vehicle.handed_over(channel, token);
                self.vehicle.grants.push(Granted {
                    at: now,
                    after: self.vehicle.applied.len(),
                    channel,
                    holder,
                    token,
                });
            }
            AgentEvent::Clock { peer, difference } => self.vehicle.clocks.push((peer, difference)),
            AgentEvent::News { to, news } => self.vehicle.news.push((to, news)),
            AgentEvent::NotAllowed { peer, right } => {
                self.vehicle.audit.push(Audit::NotAllowed(peer, right));
            }
            AgentEvent::Persist { ticket, record } => {
                self.writes.insert((now + WRITE_TIME, ticket), record);
            }
            AgentEvent::SessionRenewed { peer, .. } => {
                self.vehicle.audit.push(Audit::SessionRenewed(peer));
            }
            AgentEvent::SessionDown { peer, why, .. } => {
                self.vehicle.audit.push(Audit::SessionDown(peer, why));
            }
            AgentEvent::Revocations { number, parts } => {
                self.vehicle.revocations = parts;
                self.vehicle.audit.push(Audit::Revocations(number));
            }
            AgentEvent::Hub(event) => self.vehicle.hub_events.push(*event),
            AgentEvent::SessionUp { .. }
            | AgentEvent::Refused { .. }
            | AgentEvent::RelayUp { .. }
            | AgentEvent::Draining { .. }
            | AgentEvent::Health { .. } => {}
            AgentEvent::SharedAddress(news) => self.vehicle.shared_addresses.push(news),
            AgentEvent::Metered { link, news } => self.vehicle.metered.push((link, news)),
        }
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        let write = self.writes.keys().next().map(|(at, _)| *at);
        let own = self.role.next_timeout();
        own.into_iter()
            .chain(self.vehicle.next_timeout())
            .chain(write)
            .min()
    }
}

pub(super) fn node_name(kind: NodeKind, name: &str) -> NodeName {
    NodeName::new(kind, name.parse().expect("a valid name"))
}

/// Packets that a stopped process's sockets keep: what Linux gives a socket by default (`net.core.rmem_default`, 212,992 bytes)
/// in packets of some 800 bytes with their bookkeeping.
const SOCKET_PACKETS_MAX: usize = 256;
/// How long a write takes until it survives a power cut.
const WRITE_TIME: Duration = Duration::from_millis(3);
