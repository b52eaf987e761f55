//! The agent: the vehicle's authority over who drives it, and how late is too late.

mod commands;
mod event;
mod function;
mod guest;
mod journey;
mod leases;
mod metering;
mod papers;
mod persisting;
mod reporting;
mod requests;
mod revocations;
mod sessions;
mod stopping;
mod stops;
mod telling;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::commands::AllApplying;
pub use self::event::{AgentEvent, Apply, Asked, LeaseEndReason, SessionEndReason};
use self::function::Function;
pub use self::function::FunctionConfig;
use self::guest::Guest;

pub use self::journey::Journey;
use self::persisting::Persisting;
use self::reporting::Reporting;
pub use self::stops::StopCounters;
use self::stops::Stops;
use super::calendar::Calendar;
use super::halves::Halves;
use super::hub_line::HubLine;
use super::node::{Fact, Node, Way};
use super::rates::Rates;
use super::record::AgentRecord;
use super::revoking::Revoking;
use super::wall::WallClock;
use super::{Input, NodeCounters, PathView, Redial, Role, Transmit};
use crate::base::limits::{
    HALF_OPEN_PER_RELAY_MAX, HANDSHAKE_WORK_PER_S, TAKE_BURST, TAKES_PER_PEER_PER_S,
};
use crate::base::{Channel, Entropy, Flow, MonoTime, Name, NodeName, Refusal, SessionId, Stage};
use crate::control::{LeaseEnd, Policy, SecondPerson, StopLatch};
use crate::crypto::{Credential, Fleet};
use crate::leg;
use crate::path::Health;
use crate::session::{Dictionaries, FlowStats};
use crate::wire::{Notice, OfferEnd, Parcel, Reply};

/// How an agent is set up.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The agent's name, as its certificate says it.
    pub me: NodeName,
    /// Its functions; the first is channel 1. At most [`crate::base::limits::FUNCTIONS_MAX`].
    pub functions: Vec<FunctionConfig>,
    /// Who may do what.
    pub policy: Policy,
}

/// What an agent dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentCounters {
    /// Envelopes of unknown sessions.
    pub unknown_sessions: u64,
    /// Envelopes whose seal did not open.
    pub forged: u64,
    /// Envelopes seen before.
    pub replayed: u64,
    /// Envelopes below the replay window, or otherwise unusable.
    pub rejected: u64,
    /// Commands refused by the gate.
    pub refused: u64,
    /// First or third messages of a handshake that are none, not genuine, or over the rate of their relay.
    pub refused_handshakes: u64,
    /// Sessions refused because too many stand.
    pub refused_sessions: u64,
    /// Verdicts that were never given.
    pub lost_verdicts: u64,
    /// Messages that could not be decompressed, for want of their dictionary too.
    pub garbled: u64,
}

/// The agent.
pub struct Agent {
    me: NodeName,
    credential: Arc<dyn Credential>,
    /// That its own certificate names.
    groups: Vec<Name>,
    fleet: Fleet,
    entropy: Box<dyn Entropy>,
    wall: WallClock,
    calendar: Calendar,
    node: Node,
    hub: HubLine,
    /// What the hub is told of this vehicle; nothing unless its program wants that.
    reporting: Option<Reporting>,
    halves: Halves,
    guests: BTreeMap<SessionId, Guest>,
    functions: Vec<Function>,
    policy: Policy,
    second_person: SecondPerson,
    dictionaries: Dictionaries,
    revoking: Revoking,
    /// Sessions stand while the newest list of revocations is not older.
    revocations_max_age: Option<Duration>,
    latch: StopLatch,
    stops: Stops,
    takes: Rates<NodeName>,
    record: AgentRecord,
    persisting: Persisting,
    applying: AllApplying,
    /// Sessions with a lease, as the relays were told.
    told_leased: Vec<SessionId>,
    next_ticket: u64,
    counters: AgentCounters,
    events: VecDeque<AgentEvent>,
}

impl Agent {
    /// An agent that stands still, with what it knew before its restart: a latched stop is its first event.
    // [SAFE-5] [SAFE-34]
    pub fn new(
        config: AgentConfig,
        credential: Arc<dyn Credential>,
        fleet: Fleet,
        mut entropy: Box<dyn Entropy>,
        record: AgentRecord,
    ) -> Agent {
        let node = Node::new(entropy.as_mut())
            .reading_addresses()
            .speaking_with_hub();
        let function = |config: FunctionConfig| {
            let token = record.tokens.get(&config.name).copied().unwrap_or_default();
            Function::new(config, token)
        };
        let functions = config.functions.into_iter().map(function).collect();
        let latch = StopLatch::new(record.stop.clone());
        let mut events = VecDeque::new();
        if latch.is_latched() {
            events.push_back(AgentEvent::Stop {
                author: None,
                generation: latch.generation(),
            });
        }
        Agent {
            me: config.me,
            groups: groups_of(&fleet, credential.as_ref()),
            credential,
            fleet,
            entropy,
            wall: WallClock::default(),
            calendar: Calendar::default(),
            node,
            hub: HubLine::default(),
            reporting: None,
            halves: Halves::new(HALF_OPEN_PER_RELAY_MAX, HANDSHAKE_WORK_PER_S),
            guests: BTreeMap::new(),
            functions,
            policy: config.policy,
            second_person: SecondPerson::default(),
            dictionaries: Dictionaries::new(),
            revoking: Revoking::default(),
            revocations_max_age: None,
            latch,
            stops: Stops::new(),
            takes: Rates::new(TAKES_PER_PEER_PER_S, TAKE_BURST),
            record,
            persisting: Persisting::default(),
            applying: AllApplying::new(),
            told_leased: Vec::new(),
            next_ticket: 1,
            counters: AgentCounters::default(),
            events,
        }
    }

    /// A function's watchdog has entered a stage.
    pub fn on_stage(&mut self, now: MonoTime, channel: Channel, stage: Stage) {
        if let Some(function) = function_mut(&mut self.functions, channel) {
            function.stage = stage;
            self.hasten_beats(now);
            self.work_hub(now);
        }
    }

    /// Envelopes to a function that came before: copies over another relay, and what somebody replayed.
    pub fn replayed(&self, channel: Channel) -> u64 {
        let place = usize::from(channel.number()).checked_sub(1);
        let function = place.and_then(|place| self.functions.get(place));
        function.map_or(0, |function| function.replayed)
    }

    /// Dictionaries for sessions that begin from now on.
    pub fn set_dictionaries(&mut self, dictionaries: Dictionaries) {
        self.dictionaries = dictionaries;
    }

    /// Who may do what from now on. Leases of those who may command no longer end at once.
    // [SAFE-82]
    pub fn set_policy(&mut self, now: MonoTime, policy: Policy) {
        self.policy = policy;
        self.second_person.forget();
        for guest in self.guests.values_mut() {
            if guest.judge(&self.functions, &self.policy) {
                guest.describe(now);
                guest.line.flush(now, &mut self.node);
            }
        }
        self.end_leases_without_right(now);
    }

    /// What a link may carry each way on the wire, shared by its paths; 1,000 when nothing is said.
    pub fn set_link_budget(&mut self, link: Name, kbit_s: u32) {
        self.node.set_link_budget(link, kbit_s);
    }

    /// Forgets what links may carry that are not among these.
    pub fn keep_link_budgets(&mut self, links: &[Name]) {
        self.node.keep_link_budgets(links);
        self.node.meters().keep_only(links);
        self.node.addresses().keep_only(links);
    }

    /// Each function: its name, its stage, and who holds its lease.
    pub fn functions(&self) -> impl Iterator<Item = (&Name, Stage, Option<&NodeName>)> {
        self.functions.iter().map(|function| {
            (
                &function.config.name,
                function.stage,
                function.lease.holder(),
            )
        })
    }

    /// How each path stands.
    pub fn paths(&self) -> Vec<PathView> {
        self.node.paths()
    }

    /// Pairs of links that leave through one public address, as far as relays say so.
    pub fn shared_links(&self) -> Vec<(Name, Name)> {
        self.node.shared_links()
    }

    fn tell_shared_addresses(&mut self) {
        while let Some(news) = self.node.addresses().poll_news() {
            self.events.push_back(AgentEvent::SharedAddress(news));
        }
    }

    /// Parcels that wait on the fullest leg.
    pub fn waiting(&self) -> usize {
        self.node.waiting()
    }

    /// What all legs counted together.
    pub fn leg_counters(&self) -> leg::Counters {
        self.node.leg_counters()
    }

    /// What was dropped, by reason.
    pub fn counters(&self) -> (AgentCounters, NodeCounters, StopCounters) {
        let mut counters = self.counters;
        counters.garbled += self.guests.values().map(|g| g.line.garbled()).sum::<u64>();
        (counters, self.node.counters(), self.stops.counters())
    }

    /// The sessions that stand: whose, and what became of each incoming flow's messages.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &NodeName, Vec<(Flow, FlowStats)>)> {
        self.guests
            .iter()
            .map(|(id, guest)| (*id, &guest.peer, guest.line.session.flow_stats().collect()))
    }

    fn take_facts(&mut self, now: MonoTime) {
        while let Some(fact) = self.node.poll_fact() {
            match fact {
                Fact::LegUp { relay, is_hub } => {
                    self.hub.on_leg_up(&relay, is_hub);
                    for guest in self.guests.values_mut() {
                        guest.line.offer_to(now, &mut self.node, &relay);
                        guest.line.hasten_beat(now);
                    }
                    self.tell_leased_to(now, &relay);
                    self.events.push_back(AgentEvent::RelayUp { relay });
                }
                Fact::Health {
                    relay,
                    path,
                    health,
                } => {
                    if health == Health::Live {
                        self.tell_leased_to(now, &relay);
                    }
                    self.events.push_back(AgentEvent::Health { path, health });
                    self.look_at_links();
                }
                Fact::Delivered { relay, parcel } => self.hub.on_delivered(&relay, &parcel),
                Fact::Arrival { way, parcel } => self.on_parcel(now, way, &parcel),
            }
        }
    }

    fn on_parcel(&mut self, now: MonoTime, way: Way, parcel: &[u8]) {
        match Parcel::decode(parcel) {
            Ok(Parcel::Sealed { header, ciphertext }) => {
                self.on_sealed(now, way, header, &ciphertext);
            }
            Ok(Parcel::Handshake {
                session,
                step: 1,
                to,
                body,
            }) if to.as_ref() == Some(&self.me) => {
                self.on_step1(now, &way.relay, session, &body);
            }
            Ok(Parcel::Handshake {
                session,
                step: 3,
                body,
                ..
            }) => self.on_step3(now, &way.relay, session, &body),
            Ok(Parcel::Signed { to, body }) if to == self.me => {
                self.on_statement(now, &way.relay, &body);
            }
            Ok(Parcel::Revocations(part)) => self.on_revocations(now, &way.relay, &part),
            Ok(Parcel::Notice(Notice::Draining)) => {
                let relay = way.relay;
                self.events.push_back(AgentEvent::Draining { relay });
            }
            Ok(Parcel::Notice(Notice::Seen { link, address })) => {
                self.node.on_seen(&way.relay, link, address);
            }
            // [SAFE-138] [WIRE-196] It leads to the program only.
            Ok(Parcel::Hub(frame)) => self.hub.on_frame(&way.relay, &frame, &mut self.node),
            Ok(Parcel::Handshake { .. } | Parcel::Signed { .. } | Parcel::Notice(_)) | Err(_) => {
                self.node.count_malformed_parcel();
            }
        }
    }

    /// Ends the leases that are over. This comes before everything else that happens at `now`, so that no take or command
    /// overtakes the end.
    // [SAFE-3] [SAFE-26]
    fn lapse(&mut self, now: MonoTime) {
        let lapsed: Vec<(Channel, LeaseEnd)> = self
            .functions_by_channel()
            .filter_map(|(channel, function)| {
                let end = function.lease.on_timeout(now)?;
                Some((channel, end))
            })
            .collect();
        self.end_offers(now);
        for (channel, end) in lapsed {
            let why = if end.granted {
                LeaseEndReason::Lapsed
            } else {
                LeaseEndReason::NotStored
            };
            self.on_lease_end(now, channel, end, why);
        }
    }

    fn on_lease_end(
        &mut self,
        now: MonoTime,
        channel: Channel,
        end: LeaseEnd,
        why: LeaseEndReason,
    ) {
        self.note_lease_end(now, channel, end, why);
        self.give_to_next(now, channel);
    }

    fn note_lease_end(
        &mut self,
        now: MonoTime,
        channel: Channel,
        end: LeaseEnd,
        why: LeaseEndReason,
    ) {
        self.events.push_back(AgentEvent::LeaseEnded {
            channel,
            holder: end.who,
            token: end.token,
            why,
        });
        // [SAFE-92]
        self.end_offer(now, channel, OfferEnd::LeaseEnded);
        // [SAFE-11] Nobody waits for its token any more.
        if let Some((session, ask)) = self.persisting.drop_grant(channel) {
            self.reply(now, session, ask, Reply::Refused(Refusal::NotLeased));
        }
        self.tell_leased(now);
        self.hasten_beats(now);
    }

    fn functions_by_channel(&mut self) -> impl Iterator<Item = (Channel, &mut Function)> {
        let channels = (1..).map_while(Channel::new);
        channels.zip(&mut self.functions)
    }

    fn take_ticket(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        ticket
    }
}

impl Role for Agent {
    type Event = AgentEvent;

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        self.lapse(now);
        match input {
            Input::PathUp { path, link, peer } => {
                self.node.on_path_up(now, path, link, peer);
                self.look_at_links();
            }
            Input::Remote { .. } => {}
            Input::PathDown { path } => {
                self.node.on_path_down(now, path);
                self.look_at_links();
            }
            Input::Packet { path, bytes } => self.node.on_packet(now, path, bytes),
            Input::Wall { unix_ms } => {
                self.wall.on_reading(now, unix_ms);
                self.note_day(now);
            }
            Input::Persisted { ticket } => self.on_persisted(now, ticket),
            Input::Timeout => self
                .node
                .on_timeout(now, self.fleet.time(self.wall.at(now))),
        }
        self.take_facts(now);
        self.tell_metering();
        self.tell_shared_addresses();
        self.work_sessions(now);
        self.work_hub(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.node.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<AgentEvent> {
        self.events.pop_front()
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        self.node.poll_redial()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        let guests = self.guests.values().map(Guest::next_timeout);
        let leases = self.functions.iter().filter_map(Function::next_timeout);
        guests
            .chain(leases)
            .chain(self.node.next_timeout())
            .chain(self.next_hub_timeout())
            .min()
    }
}

/// The groups of the own certificate, whatever its dates.
fn groups_of(fleet: &Fleet, credential: &dyn Credential) -> Vec<Name> {
    let own = fleet.verify_undated(credential.certificate());
    own.map_or_else(|_| Vec::new(), |own| own.groups)
}

fn function_mut(functions: &mut [Function], channel: Channel) -> Option<&mut Function> {
    functions.get_mut(usize::from(channel.number()).checked_sub(1)?)
}
