//! The roles: agent, controller, relay, authority, applicant. Each joins the layers below into one state machine with the same surface.

mod agent;
mod applicant;
mod attempt;
mod authority;
mod bulletin;
mod calendar;
mod clock_difference;
mod controller;
mod far_end;
mod halves;
mod hub_line;
mod line;
mod link_budgets;
mod meters;
mod node;
mod public_addresses;
mod rates;
mod record;
mod relay;
mod relay_papers;
mod revoking;
mod seal_counters;
mod visit;
mod wall;
mod ways;

pub use agent::{
    Agent, AgentConfig, AgentCounters, AgentEvent, Apply, Asked, FunctionConfig, Journey,
    LeaseEndReason, SessionEndReason, StopCounters,
};
pub use applicant::{Applicant, ApplicantEvent, authority_of};
pub use authority::{Authority, AuthorityCounters, AuthorityEvent};
pub use clock_difference::ClockDifference;
pub use controller::{
    Controller, ControllerEvent, Order, SendCommandError, SessionLoss, VehicleStatus,
};
pub use meters::MeterView;
pub use node::{NodeCounters, PathView};
pub use public_addresses::SharedAddress;
pub use record::{AgentRecord, RecordError};
pub use relay::{
    Delays, ForwardingDelays, NodeQuality, PathQuality, Relay, RelayConfig, RelayCounters,
    RelayEvent,
};
pub use seal_counters::SealCounters;

use std::net::IpAddr;

use crate::base::{MonoTime, Name, PathId};
use crate::crypto::Peer;

/// A role of the protocol, as a drive loop sees it.
pub trait Role {
    /// What the role tells the program.
    type Event;

    /// Takes one fact. Never fails: bad input from the network is counted and dropped.
    fn handle(&mut self, now: MonoTime, input: Input<'_>);

    /// The next packet to send, if any; only pops.
    fn poll_transmit(&mut self) -> Option<Transmit>;

    /// The next event for the program, if any; only pops.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// The next path whose connection the program shall replace, or shall replace no longer; only pops. A role that never dials
    /// has none.
    fn poll_redial(&mut self) -> Option<Redial>;

    /// When [`Input::Timeout`] is due at the latest.
    fn next_timeout(&self) -> Option<MonoTime>;
}

/// A fact for a role.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection stands; its peer is authenticated.
    PathUp {
        /// The path's number; never used again by this process.
        path: PathId,
        /// The link that carries it, for people; the relay learns it from the hello.
        link: Name,
        /// The other end.
        peer: Peer,
    },
    /// The other end of a connection that stands has this address, now or from now on. Only relays do something with it.
    Remote {
        /// The path.
        path: PathId,
        /// The address.
        address: IpAddr,
    },
    /// A connection is gone.
    PathDown {
        /// The path.
        path: PathId,
    },
    /// A datagram arrived.
    Packet {
        /// On this path.
        path: PathId,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The wall clock, for certificates only.
    Wall {
        /// Milliseconds since 1970.
        unix_ms: u64,
    },
    /// What an event asked to persist is on disk.
    Persisted {
        /// The event's ticket.
        ticket: u64,
    },
    /// [`Role::next_timeout`] is reached.
    Timeout,
}

/// What to do about a path that was dialled: another connection takes its place when it is up; until then the old one stays, as it
/// may recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redial {
    /// The path.
    pub path: PathId,
    /// Whether another connection is wanted; false when the path works again.
    pub wanted: bool,
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// On this path.
    pub path: PathId,
    /// The bytes.
    pub bytes: Vec<u8>,
}
