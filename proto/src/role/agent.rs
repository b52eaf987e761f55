//! The agent: the vehicle's authority over who drives it, and how late is too late.

mod function;
mod guest;
mod halves;
mod stops;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::function::Function;
pub use self::function::FunctionConfig;
use self::guest::Guest;
use self::halves::Halves;
pub use self::stops::StopCounters;
use self::stops::{Heard, Stops, Verdict};
use super::node::{Fact, Node};
use super::record::AgentRecord;
use super::wall::WallClock;
use super::{Input, NodeCounters, PathView, Role, Transmit};
use crate::base::limits::{
    APPLYING_MAX, HANDSHAKE_TTL, PERSIST_PENDING_MAX, SESSION_LIFE, SESSIONS_PER_AGENT_MAX,
    STOP_TTL,
};
use crate::base::{
    ApplicationId, Channel, Class, Entropy, FencingToken, Flow, MonoTime, Name, NodeName, PathId,
    Refusal, SessionId, Stage,
};
use crate::control::{Accepted, ResetOutcome, StopLatch, StopOutcome, TakeStep, gate};
use crate::crypto::{Credential, Fleet, sign_statement};
use crate::path::Health;
use crate::session::{Age, Delivery, Rejection};
use crate::wire::{
    Command, FunctionReport, LegTimes, Outcome, Parcel, Reply, Request, SealedHeader,
    SessionMessage, Signed, Statement, Telemetry,
};

/// How an agent is set up.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The agent's name, as its certificate says it.
    pub me: NodeName,
    /// Its functions; the first is channel 1. At most [`crate::base::limits::FUNCTIONS_MAX`].
    pub functions: Vec<FunctionConfig>,
}

/// What an agent tells its program.
#[derive(Debug)]
pub enum AgentEvent {
    /// A command passed the gate: apply it at once, then call [`Agent::on_verdict`].
    Apply(Box<Apply>),
    /// The emergency stop is latched: stop everything now.
    Stop,
    /// The emergency stop is reset.
    StopReset,
    /// Nobody holds the function's lease any more.
    LeaseEnded {
        /// The function.
        channel: Channel,
    },
    /// A lease is granted.
    LeaseGranted {
        /// The function.
        channel: Channel,
        /// To whom.
        holder: NodeName,
        /// The new token.
        token: FencingToken,
    },
    /// Write these bytes so that they survive a power cut, then give [`Input::Persisted`].
    Persist {
        /// Names the answer.
        ticket: u64,
        /// The whole record; it replaces the one before.
        record: Vec<u8>,
    },
    /// A controller's session stands.
    SessionUp {
        /// The session.
        session: SessionId,
        /// The controller.
        peer: NodeName,
    },
    /// A session has ended.
    SessionDown {
        /// The session.
        session: SessionId,
        /// The controller.
        peer: NodeName,
    },
    /// A relay is reached.
    RelayUp {
        /// The relay.
        relay: NodeName,
    },
    /// A relay ends soon.
    Draining {
        /// The relay.
        relay: NodeName,
    },
    /// A path's health has changed.
    Health {
        /// The path.
        path: PathId,
        /// How it stands.
        health: Health,
    },
}

/// A command to apply.
#[derive(Debug)]
pub struct Apply {
    /// Names the verdict.
    pub ticket: u64,
    /// The function.
    pub channel: Channel,
    /// The flow's promise.
    pub class: Class,
    /// The command's number in its flow.
    pub number: u64,
    /// The command.
    pub accepted: Accepted<Command>,
    /// Where its time went.
    pub journey: Journey,
}

/// Where a command's time went before it was applied; the way parts are estimates of the legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    /// The relay of the copy that came first.
    pub relay: NodeName,
    /// The link of that copy.
    pub link: Option<Name>,
    /// When it was sent, on the controller's clock.
    pub sent_at_us: u64,
    /// Held by the controller.
    pub controller: Duration,
    /// On the way from the controller to the relay.
    pub uplink: Duration,
    /// Held by the relay.
    pub relay_held: Duration,
    /// On the way from the relay to the agent.
    pub downlink: Duration,
    /// When it arrived, on the agent's clock.
    pub arrived: MonoTime,
    /// How old it was then.
    pub age: Option<Age>,
}

impl Journey {
    fn times(&self) -> LegTimes {
        LegTimes {
            controller_10us: in_tens(self.controller),
            uplink_10us: in_tens(self.uplink),
            relay_10us: in_tens(self.relay_held),
            downlink_10us: in_tens(self.downlink),
            agent_10us: 0,
        }
    }
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
    /// Sessions refused because too many stand.
    pub refused_sessions: u64,
    /// Verdicts that were never given.
    pub lost_verdicts: u64,
}

/// The agent.
pub struct Agent {
    me: NodeName,
    credential: Arc<dyn Credential>,
    fleet: Fleet,
    entropy: Box<dyn Entropy>,
    wall: WallClock,
    node: Node,
    halves: Halves,
    guests: BTreeMap<SessionId, Guest>,
    functions: Vec<Function>,
    latch: StopLatch,
    stops: Stops,
    record: AgentRecord,
    persisting: VecDeque<(u64, Pending)>,
    applying: BTreeMap<u64, Applying>,
    next_ticket: u64,
    counters: AgentCounters,
    events: VecDeque<AgentEvent>,
}

/// What waits for the disk.
#[derive(Debug)]
enum Pending {
    Grant {
        channel: Channel,
        token: FencingToken,
        session: SessionId,
        ask: u32,
    },
    Apply(Box<Apply>),
    Stopped {
        heard: Heard,
        latched: bool,
    },
    Reset {
        session: SessionId,
        ask: u32,
    },
}

/// A command that the program has.
#[derive(Debug)]
struct Applying {
    session: SessionId,
    flow: Flow,
    number: u64,
    arrived: MonoTime,
    /// The agent's own part is not known yet.
    times: LegTimes,
}

impl Applying {
    fn times(&self, applied: MonoTime) -> LegTimes {
        LegTimes {
            agent_10us: in_tens(applied.since(self.arrived)),
            ..self.times
        }
    }
}

impl Agent {
    /// An agent that stands still, with what it knew before its restart.
    pub fn new(
        config: AgentConfig,
        credential: Arc<dyn Credential>,
        fleet: Fleet,
        mut entropy: Box<dyn Entropy>,
        record: AgentRecord,
    ) -> Agent {
        let node = Node::new(entropy.as_mut());
        let function = |config: FunctionConfig| {
            let token = record.tokens.get(&config.name).copied().unwrap_or_default();
            Function::new(config, token)
        };
        let functions = config.functions.into_iter().map(function).collect();
        let latch = StopLatch::new(record.stop.clone());
        let mut events = VecDeque::new();
        if latch.is_latched() {
            events.push_back(AgentEvent::Stop);
        }
        Agent {
            me: config.me,
            credential,
            fleet,
            entropy,
            wall: WallClock::default(),
            node,
            halves: Halves::default(),
            guests: BTreeMap::new(),
            functions,
            latch,
            stops: Stops::new(),
            record,
            persisting: VecDeque::new(),
            applying: BTreeMap::new(),
            next_ticket: 1,
            counters: AgentCounters::default(),
            events,
        }
    }

    /// What became at `at` of a command that the program was given.
    pub fn on_verdict(&mut self, at: MonoTime, ticket: u64, verdict: Result<(), Refusal>) {
        let Some(applying) = self.applying.remove(&ticket) else {
            return;
        };
        if verdict.is_ok()
            && let Some(guest) = self.guests.get_mut(&applying.session)
        {
            guest.times = Some(applying.times(at));
        }
        let outcome = match verdict {
            Ok(()) => Outcome::Applied,
            Err(why) => {
                self.counters.refused += 1;
                outcome_of(why)
            }
        };
        self.resolve(applying.session, applying.flow, applying.number, outcome);
    }

    /// A function's watchdog has entered a stage.
    pub fn on_stage(&mut self, now: MonoTime, channel: Channel, stage: Stage) {
        if let Some(function) = function_mut(&mut self.functions, channel) {
            function.stage = stage;
            self.hasten_beats(now);
        }
    }

    /// Sends telemetry of a function to every session.
    pub fn telemetry(
        &mut self,
        now: MonoTime,
        channel: Channel,
        class: Class,
        telemetry: &Telemetry,
    ) {
        let bytes = telemetry.encode();
        for guest in self.guests.values_mut() {
            // A session that takes no more loses telemetry first; its counters say so.
            let _ = guest
                .line
                .session
                .send(now, Flow::new(channel, class), TELEMETRY_TTL, &bytes);
            guest.line.flush(now, &mut self.node);
        }
    }

    /// Sends telemetry to the holder of the function's lease only: the answer of a device behind a tunnel.
    pub fn telemetry_to_holder(
        &mut self,
        now: MonoTime,
        channel: Channel,
        class: Class,
        telemetry: &Telemetry,
    ) {
        let holder =
            function_mut(&mut self.functions, channel).and_then(|function| function.session());
        if let Some(guest) = holder.and_then(|session| self.guests.get_mut(&session)) {
            let bytes = telemetry.encode();
            let _ = guest
                .line
                .session
                .send(now, Flow::new(channel, class), TELEMETRY_TTL, &bytes);
            guest.line.flush(now, &mut self.node);
        }
    }

    /// How each path stands.
    pub fn paths(&self) -> Vec<PathView> {
        self.node.paths()
    }

    /// What was dropped, by reason.
    pub fn counters(&self) -> (AgentCounters, NodeCounters, StopCounters) {
        (self.counters, self.node.counters(), self.stops.counters())
    }

    /// Whether the emergency stop is latched.
    pub fn is_stopped(&self) -> bool {
        self.latch.is_latched()
    }

    /// Ends every session, and tells the controllers, as the program ends.
    pub fn end(&mut self, now: MonoTime) {
        let sessions: Vec<SessionId> = self.guests.keys().copied().collect();
        for id in sessions {
            if let Some(guest) = self.guests.get_mut(&id) {
                // A session that takes no more ends without a word, as by a lost connection.
                let _ = guest.line.send_message(now, &SessionMessage::Bye);
                guest.line.flush(now, &mut self.node);
            }
            self.end_session(now, id);
        }
    }

    fn take_facts(&mut self, now: MonoTime) {
        while let Some(fact) = self.node.poll_fact() {
            match fact {
                Fact::LegUp { relay } => {
                    for guest in self.guests.values_mut() {
                        guest.line.offer_to(now, &mut self.node, &relay);
                        guest.line.hasten_beat(now);
                    }
                    self.events.push_back(AgentEvent::RelayUp { relay });
                }
                Fact::Health { path, health } => {
                    self.events.push_back(AgentEvent::Health { path, health })
                }
                Fact::Arrival {
                    relay,
                    path,
                    parcel,
                    trail,
                    transit,
                } => {
                    let (up, held) = trail.relayed.unwrap_or_default();
                    let journey = Journey {
                        link: self.node.link_of(path).cloned(),
                        relay,
                        sent_at_us: 0,
                        controller: tens(trail.sender_10us),
                        uplink: tens(up),
                        relay_held: tens(held),
                        downlink: transit,
                        arrived: now,
                        age: None,
                    };
                    self.on_parcel(now, journey, &parcel);
                }
            }
        }
    }

    fn on_parcel(&mut self, now: MonoTime, journey: Journey, parcel: &[u8]) {
        match Parcel::decode(parcel) {
            Ok(Parcel::Sealed { header, ciphertext }) => {
                self.on_sealed(now, journey, header, &ciphertext)
            }
            Ok(Parcel::Handshake {
                session,
                step: 1,
                to,
                body,
            }) if to.as_ref() == Some(&self.me) => {
                self.on_step1(now, &journey.relay, session, &body);
            }
            Ok(Parcel::Handshake {
                session,
                step: 3,
                body,
                ..
            }) => self.on_step3(now, session, &body),
            Ok(Parcel::Signed { to, body }) if to == self.me => {
                self.on_statement(now, &journey.relay, &body)
            }
            Ok(Parcel::Notice(crate::wire::Notice::Draining)) => {
                self.events.push_back(AgentEvent::Draining {
                    relay: journey.relay,
                });
            }
            Ok(Parcel::Handshake { .. } | Parcel::Signed { .. } | Parcel::Notice(_)) | Err(_) => {
                self.node.count_malformed_parcel();
            }
        }
    }

    fn on_step1(&mut self, now: MonoTime, relay: &NodeName, session: SessionId, body: &[u8]) {
        let step2 = self.halves.on_step1(
            now,
            relay,
            (session, body),
            &self.me,
            self.credential.as_ref(),
            self.entropy.as_mut(),
        );
        match step2 {
            Some(step2) => self.node.send(now, relay, &step2, now, now + HANDSHAKE_TTL),
            None => self.node.count_malformed_parcel(),
        }
    }

    fn on_step3(&mut self, now: MonoTime, session: SessionId, body: &[u8]) {
        if self.guests.contains_key(&session) {
            return;
        }
        let at = self.wall.at(now);
        let Some(established) = self.halves.on_step3(now, session, body, &self.fleet, at) else {
            return;
        };
        if self.guests.len() >= SESSIONS_PER_AGENT_MAX && !self.evict_idle_guest(now) {
            self.counters.refused_sessions += 1;
            return;
        }
        let functions = self
            .functions
            .iter()
            .map(|f| (f.config.name.clone(), f.config.kind))
            .collect();
        let guest = Guest::new(now, session, established, functions);
        self.events.push_back(AgentEvent::SessionUp {
            session,
            peer: guest.peer.clone(),
        });
        self.guests.insert(session, guest);
    }

    /// Makes room for a session by ending the one that was silent longest and holds no lease.
    fn evict_idle_guest(&mut self, now: MonoTime) -> bool {
        let holds = |id: &SessionId| {
            self.functions
                .iter()
                .any(|function| function.session() == Some(*id))
        };
        let idle = self
            .guests
            .iter()
            .filter(|(id, _)| !holds(id))
            .min_by_key(|(_, guest)| guest.line.heard_at);
        let Some(id) = idle.map(|(id, _)| *id) else {
            return false;
        };
        self.end_session(now, id);
        true
    }

    fn on_sealed(
        &mut self,
        now: MonoTime,
        journey: Journey,
        header: SealedHeader,
        ciphertext: &[u8],
    ) {
        let Some(guest) = self.guests.get_mut(&header.session) else {
            self.counters.unknown_sessions += 1;
            return;
        };
        match guest.line.session.on_sealed(now, header, ciphertext) {
            Ok(()) => guest.line.heard_at = now,
            Err(Rejection::Forged) => self.counters.forged += 1,
            Err(Rejection::Replayed) => self.counters.replayed += 1,
            Err(_) => self.counters.rejected += 1,
        }
        self.take_deliveries(now, header.session, &journey);
    }

    fn take_deliveries(&mut self, now: MonoTime, id: SessionId, journey: &Journey) {
        while let Some(delivery) = self
            .guests
            .get_mut(&id)
            .and_then(|guest| guest.line.session.poll_delivery())
        {
            if delivery.flow.channel != Channel::SESSION {
                self.on_command(now, id, delivery, journey.clone());
            } else if delivery.flow.class == Class::Latest {
                self.on_beat(now, id, &delivery);
            } else {
                self.on_message(now, id, &delivery);
            }
        }
    }

    /// [SAFE-20] Only commands that pass the gate leave the agent's role, each as an `Accepted`.
    fn on_command(
        &mut self,
        now: MonoTime,
        id: SessionId,
        delivery: Delivery,
        mut journey: Journey,
    ) {
        let flow = delivery.flow;
        let number = delivery.number;
        journey.sent_at_us = delivery.sent_at_us;
        journey.age = delivery.age;
        match self.judge(now, id, &delivery) {
            Err(why) => {
                self.counters.refused += 1;
                let outcome = outcome_of(why);
                self.resolve(id, flow, number, outcome);
            }
            Ok((accepted, application_id)) => {
                let ticket = self.take_ticket();
                self.applying.insert(
                    ticket,
                    Applying {
                        session: id,
                        flow,
                        number,
                        arrived: journey.arrived,
                        times: journey.times(),
                    },
                );
                while self.applying.len() > APPLYING_MAX {
                    self.applying.pop_first();
                    self.counters.lost_verdicts += 1;
                }
                let (channel, class) = (flow.channel, flow.class);
                let apply = Box::new(Apply {
                    ticket,
                    channel,
                    class,
                    number,
                    accepted,
                    journey,
                });
                match application_id {
                    Some(application_id) => {
                        // [SAFE-21] Applied at most once, also when the power fails right now.
                        self.record.note_applied(application_id);
                        self.persist(Pending::Apply(apply));
                    }
                    None => self.events.push_back(AgentEvent::Apply(apply)),
                }
            }
        }
    }

    fn judge(
        &mut self,
        now: MonoTime,
        id: SessionId,
        delivery: &Delivery,
    ) -> Result<(Accepted<Command>, Option<ApplicationId>), Refusal> {
        let command = Command::decode(&delivery.bytes).map_err(|_| Refusal::Malformed)?;
        let guest = self.guests.get(&id).ok_or(Refusal::NotLeased)?;
        let function = function_mut(&mut self.functions, delivery.flow.channel)
            .ok_or(Refusal::NoSuchFunction)?;
        let once = matches!(delivery.flow.class, Class::Reliable | Class::Stop);
        let application_id = command.application_id.filter(|_| once);
        if once && application_id.is_none() {
            return Err(Refusal::Malformed);
        }
        let accepted = gate(
            now,
            function.config.kind,
            command,
            &guest.peer,
            delivery.deadline,
            &function.lease,
            &self.latch,
        )?;
        if application_id.is_some_and(|id| self.record.applied.contains(&id)) {
            return Err(Refusal::AlreadyApplied);
        }
        if once && self.persisting.len() >= PERSIST_PENDING_MAX {
            return Err(Refusal::TooOften);
        }
        Ok((accepted, application_id))
    }

    fn on_beat(&mut self, now: MonoTime, id: SessionId, delivery: &Delivery) {
        let Some(guest) = self.guests.get_mut(&id) else {
            return;
        };
        let Some(renewals) = guest.on_beat(now, delivery) else {
            return;
        };
        for renewal in renewals {
            if let Some(function) = function_mut(&mut self.functions, renewal.channel) {
                function.lease.on_renew(now, &guest.peer, renewal.token);
            }
        }
    }

    fn on_message(&mut self, now: MonoTime, id: SessionId, delivery: &Delivery) {
        match SessionMessage::decode(&delivery.bytes) {
            Ok(SessionMessage::Request { ask, request }) => {
                self.resolve(id, delivery.flow, delivery.number, Outcome::Applied);
                if let Some(reply) = self.on_request(now, id, ask, request) {
                    self.reply(now, id, ask, reply);
                }
            }
            Ok(SessionMessage::Bye) => self.end_session(now, id),
            Ok(SessionMessage::Reply { .. } | SessionMessage::Description(_)) | Err(_) => {
                let outcome = Outcome::Refused(Refusal::Malformed);
                self.resolve(id, delivery.flow, delivery.number, outcome);
            }
        }
    }

    /// The reply, unless it has to wait for the disk.
    fn on_request(
        &mut self,
        now: MonoTime,
        id: SessionId,
        ask: u32,
        request: Request,
    ) -> Option<Reply> {
        let who = self.guests.get(&id)?.peer.clone();
        let room = self.persisting.len() < PERSIST_PENDING_MAX;
        match request {
            Request::Take { .. } | Request::ResetStop { .. } if !room => {
                Some(Reply::Refused(Refusal::TooOften))
            }
            Request::Take { channel } => {
                let Some(function) = function_mut(&mut self.functions, channel) else {
                    return Some(Reply::Refused(Refusal::NoSuchFunction));
                };
                match function.take(now, &who, id) {
                    Err(why) => Some(Reply::Refused(why)),
                    Ok(TakeStep::Persist(token)) => {
                        self.record
                            .tokens
                            .insert(function.config.name.clone(), token);
                        self.persist(Pending::Grant {
                            channel,
                            token,
                            session: id,
                            ask,
                        });
                        None
                    }
                }
            }
            Request::Release { channel, token } => {
                let function = function_mut(&mut self.functions, channel);
                let released = function
                    .is_some_and(|function| function.lease.on_release(&who, token).is_some());
                if released {
                    self.events.push_back(AgentEvent::LeaseEnded { channel });
                    self.hasten_beats(now);
                }
                Some(if released {
                    Reply::Done
                } else {
                    Reply::Refused(Refusal::NotLeased)
                })
            }
            Request::ResetStop { generation } => match self.latch.on_reset(generation) {
                ResetOutcome::Cleared(_) => {
                    self.record.stop = self.latch.record();
                    self.persist(Pending::Reset { session: id, ask });
                    None
                }
                ResetOutcome::NotLatched => Some(Reply::Done),
                ResetOutcome::OtherGeneration => Some(Reply::Refused(Refusal::Stopped)),
            },
        }
    }

    fn reply(&mut self, now: MonoTime, id: SessionId, ask: u32, reply: Reply) {
        if let Some(guest) = self.guests.get_mut(&id) {
            // Without a reply in time the asker's request ends as unknown.
            let _ = guest
                .line
                .send_message(now, &SessionMessage::Reply { ask, reply });
            guest.line.flush(now, &mut self.node);
        }
    }

    fn on_statement(&mut self, now: MonoTime, relay: &NodeName, body: &[u8]) {
        let at = self.wall.at(now);
        match self
            .stops
            .on_statement(now, relay, &self.me, body, (&self.fleet, at))
        {
            Verdict::Drop => {}
            Verdict::Answer(answer) => self.node.send(now, relay, &answer, now, now + STOP_TTL),
            Verdict::Stop(heard) => {
                self.stops.note(&heard, None);
                let outcome = self.latch.on_stop(heard.id, heard.generation);
                let latched = match outcome {
                    StopOutcome::Latched => {
                        // [SAFE-30] The stop takes effect before anything is written.
                        self.events.push_back(AgentEvent::Stop);
                        self.hasten_beats(now);
                        true
                    }
                    StopOutcome::Joined | StopOutcome::Repeat => self.latch.is_latched(),
                    StopOutcome::OldGeneration => false,
                };
                self.record.stop = self.latch.record();
                self.persist(Pending::Stopped { heard, latched });
            }
        }
    }

    fn persist(&mut self, pending: Pending) {
        let ticket = self.take_ticket();
        self.persisting.push_back((ticket, pending));
        self.events.push_back(AgentEvent::Persist {
            ticket,
            record: self.record.encode(),
        });
    }

    /// A record holds everything before it, so its ticket answers the earlier ones too.
    fn on_persisted(&mut self, now: MonoTime, ticket: u64) {
        while self
            .persisting
            .front()
            .is_some_and(|(oldest, _)| *oldest <= ticket)
        {
            let Some((_, pending)) = self.persisting.pop_front() else {
                return;
            };
            match pending {
                Pending::Apply(apply) => self.events.push_back(AgentEvent::Apply(apply)),
                Pending::Grant {
                    channel,
                    token,
                    session,
                    ask,
                } => {
                    self.grant(now, channel, token, session, ask);
                }
                Pending::Stopped { heard, latched } => self.answer_stop(now, &heard, latched),
                Pending::Reset { session, ask } => {
                    self.events.push_back(AgentEvent::StopReset);
                    self.hasten_beats(now);
                    self.reply(now, session, ask, Reply::Done);
                }
            }
        }
    }

    fn grant(
        &mut self,
        now: MonoTime,
        channel: Channel,
        token: FencingToken,
        session: SessionId,
        ask: u32,
    ) {
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return;
        };
        let ttl_ms = u16::try_from(function.config.lease_ttl.as_millis()).unwrap_or(u16::MAX);
        if let Some(grant) = function.lease.on_persisted(now, token) {
            self.events.push_back(AgentEvent::LeaseGranted {
                channel,
                holder: grant.who,
                token,
            });
            self.reply(
                now,
                session,
                ask,
                Reply::Granted {
                    channel,
                    token,
                    ttl_ms,
                },
            );
            self.hasten_beats(now);
        } else {
            self.reply(now, session, ask, Reply::Refused(Refusal::NotLeased));
        }
    }

    fn answer_stop(&mut self, now: MonoTime, heard: &Heard, latched: bool) {
        let generation = self.latch.generation();
        let statement = Statement::Stopped {
            id: heard.id,
            generation,
            latched,
        };
        let signed: Signed =
            sign_statement(self.credential.as_ref(), &self.me, &heard.author, statement);
        let parcel = Parcel::Signed {
            to: heard.author.clone(),
            body: signed.encode().into(),
        }
        .encode();
        self.stops.note(heard, Some(parcel.clone()));
        self.node.send_everywhere(now, &parcel, now, now + STOP_TTL);
    }

    fn resolve(&mut self, id: SessionId, flow: Flow, number: u64, outcome: Outcome) {
        let Some(guest) = self.guests.get_mut(&id) else {
            return;
        };
        guest.line.session.on_outcome(flow, number, outcome);
    }

    fn end_session(&mut self, now: MonoTime, id: SessionId) {
        let Some(guest) = self.guests.remove(&id) else {
            return;
        };
        for (index, function) in self.functions.iter_mut().enumerate() {
            if function.on_session_end(&guest.peer, id)
                && let Some(channel) = u8::try_from(index + 1).ok().and_then(Channel::new)
            {
                self.events.push_back(AgentEvent::LeaseEnded { channel });
            }
        }
        self.events.push_back(AgentEvent::SessionDown {
            session: id,
            peer: guest.peer,
        });
        self.hasten_beats(now);
    }

    /// Leases lapse, silent sessions end, beats go.
    fn work(&mut self, now: MonoTime) {
        let mut lapsed = Vec::new();
        for (index, function) in self.functions.iter_mut().enumerate() {
            if function.lease.on_timeout(now).is_some() {
                lapsed.extend(u8::try_from(index + 1).ok().and_then(Channel::new));
            }
        }
        if !lapsed.is_empty() {
            self.hasten_beats(now);
            self.events.extend(
                lapsed
                    .into_iter()
                    .map(|channel| AgentEvent::LeaseEnded { channel }),
            );
        }
        let silent = |guest: &Guest| guest.line.heard_at + SESSION_LIFE <= now;
        let ended: Vec<SessionId> = self
            .guests
            .iter()
            .filter(|(_, g)| silent(g))
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            self.end_session(now, id);
        }
        let reports: Vec<FunctionReport> = self.functions.iter().map(Function::report).collect();
        let stop = (self.latch.is_latched(), self.latch.generation());
        for (id, guest) in &mut self.guests {
            let held = self
                .functions
                .iter()
                .filter(|function| function.session() == Some(*id));
            guest.work(
                now,
                &mut self.node,
                &reports,
                stop,
                held.map(|f| f.config.lease_ttl).min(),
            );
        }
    }

    fn hasten_beats(&mut self, now: MonoTime) {
        for guest in self.guests.values_mut() {
            guest.line.hasten_beat(now);
        }
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
        match input {
            Input::PathUp { path, link, peer } => self.node.on_path_up(now, path, link, peer),
            Input::PathDown { path } => self.node.on_path_down(now, path),
            Input::Packet { path, bytes } => self.node.on_packet(now, path, bytes),
            Input::Wall { unix_ms } => self.wall.on_reading(now, unix_ms),
            Input::Persisted { ticket } => self.on_persisted(now, ticket),
            Input::Timeout => self.node.on_timeout(now),
        }
        self.take_facts(now);
        self.work(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.node.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<AgentEvent> {
        self.events.pop_front()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        let guests = self.guests.values().map(Guest::next_timeout);
        let leases = self
            .functions
            .iter()
            .filter_map(|function| function.lease.next_timeout());
        guests.chain(leases).chain(self.node.next_timeout()).min()
    }
}

fn function_mut(functions: &mut [Function], channel: Channel) -> Option<&mut Function> {
    functions.get_mut(usize::from(channel.number()).checked_sub(1)?)
}

fn outcome_of(why: Refusal) -> Outcome {
    if why == Refusal::Expired {
        Outcome::Expired
    } else {
        Outcome::Refused(why)
    }
}

fn tens(units: u32) -> Duration {
    Duration::from_micros(u64::from(units) * 10)
}

fn in_tens(span: Duration) -> u32 {
    u32::try_from(span.as_micros() / 10).unwrap_or(u32::MAX)
}

/// Telemetry older than this is worth nothing to a driver.
const TELEMETRY_TTL: Duration = Duration::from_millis(500);
