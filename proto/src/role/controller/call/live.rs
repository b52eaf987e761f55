//! A session that stands, as the controller sees it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::{ControllerEvent, Order, SendCommandError, VehicleStatus};
use crate::base::limits::{ASKS_MAX, SESSION_SILENCE};
use crate::base::{Channel, Class, FencingToken, Flow, MonoTime, NodeName, Refusal, SessionId};
use crate::control::Handover;
use crate::role::ClockDifference;
use crate::role::line::Line;
use crate::role::node::Node;
use crate::role::wall::WallClock;
use crate::role::ways::Ways;
use crate::session::{Age, Delivery, Receipt, Resolution};
use crate::wire::{
    AgentBeat, Command, ControllerBeat, Description, Granted, News, OfferEnd, Outcome, Removal,
    Renewal, Reply, Request, SessionMessage, Telemetry,
};

/// A session that stands.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) ways: Ways,
    pub(super) line: Line,
    vehicle: NodeName,
    /// Absent until its message has come.
    description: Option<Description>,
    leases: BTreeMap<Channel, Lease>,
    /// Requests without a reply, with their numbers in the session channel's reliable flow.
    asks: BTreeMap<u32, u64>,
    /// What the vehicle's wall clock showed, how old that was as it came, and when that was.
    clock: Option<(u64, Age, MonoTime)>,
    /// The agent has said goodbye.
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    token: FencingToken,
    ttl: Duration,
    /// Accepted, and not in force yet: when it is given up without a word.
    coming: Option<MonoTime>,
}

type Events = VecDeque<ControllerEvent>;

impl Live {
    pub(super) fn new(vehicle: NodeName, ways: Ways, line: Line) -> Live {
        Live {
            ways,
            line,
            vehicle,
            description: None,
            leases: BTreeMap::new(),
            asks: BTreeMap::new(),
            clock: None,
            ended: false,
        }
    }

    pub(super) fn session(&self) -> SessionId {
        self.ways.session
    }

    /// Whether nothing came for so long that it is to be replaced.
    pub(super) fn is_silent(&self, now: MonoTime) -> bool {
        self.line.heard_at + SESSION_SILENCE <= now
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn channel(&self, function: &str) -> Option<Channel> {
        let functions = &self.description.as_ref()?.functions;
        let index = functions
            .iter()
            .position(|known| known.name.as_str() == function)?;
        Channel::new(u8::try_from(index + 1).ok()?)
    }

    pub(super) fn command(
        &mut self,
        now: MonoTime,
        channel: Channel,
        order: Order,
    ) -> Result<u64, SendCommandError> {
        let lease = self.leases.get(&channel).ok_or(SendCommandError::NoLease)?;
        let command = Command {
            token: lease.token,
            dead_man: order.dead_man,
            resume: order.resume,
            application_id: order.application_id,
            picture_age: order.picture_age,
            body: order.body,
        };
        let flow = Flow::new(channel, order.class);
        let message = command.encode();
        Ok(self.line.session.send(now, flow, order.ttl, &message)?)
    }

    pub(super) fn request(
        &mut self,
        now: MonoTime,
        ask: u32,
        request: Request,
        events: &mut Events,
    ) -> Option<()> {
        let message = SessionMessage::Request { ask, request };
        let number = self.line.send_message(now, &message).ok()?;
        self.asks.insert(ask, number);
        while self.asks.len() > ASKS_MAX {
            if let Some((oldest, _)) = self.asks.pop_first() {
                events.push_back(self.unanswered(oldest));
            }
        }
        Some(())
    }

    /// Stops renewing a lease.
    pub(super) fn drop_lease(&mut self, channel: Channel) -> Option<FencingToken> {
        self.leases.remove(&channel).map(|lease| lease.token)
    }

    /// Sends what is due.
    pub(super) fn work(&mut self, now: MonoTime, node: &mut Node, events: &mut Events) {
        self.ways.work(now, node);
        self.line.session.on_timeout(now);
        self.take_deliveries(now, events);
        let lease_ttl = self.leases.values().map(|lease| lease.ttl).min();
        if self.line.beat_due(now, lease_ttl) {
            self.send_beat(now);
        }
        self.line.flush(now, node);
        self.line.offer_if_due(now, node);
        self.take_receipts(events);
    }

    pub(super) fn next_timeout(&self) -> MonoTime {
        let line = self.line.next_timeout();
        self.ways.next_timeout().map_or(line, |at| at.min(line))
    }

    pub(super) fn on_leg_up(&mut self, now: MonoTime, relay: &NodeName, node: &mut Node) {
        self.ways.on_leg_up(now, relay, node);
        self.line.offer_to(now, node, relay);
        self.line.hasten_beat(now);
    }

    pub(super) fn take_deliveries(&mut self, now: MonoTime, events: &mut Events) {
        while let Some(delivery) = self.line.session.poll_delivery() {
            self.line.on_delivery(now, &delivery);
            let (flow, number) = (delivery.flow, delivery.number);
            let outcome = if flow.channel != Channel::SESSION {
                self.on_telemetry(delivery, events)
            } else if flow.class == Class::Latest {
                self.on_beat(now, &delivery, events)
            } else {
                self.on_session_message(now, &delivery, events)
            };
            // [WIRE-98] Without a receipt the agent keeps what it sent reliably, and has no room for more.
            self.line.session.on_outcome(flow, number, outcome);
        }
        self.take_receipts(events);
    }

    /// Says how far the vehicle's wall clock is off the own one, when it told what it shows.
    pub(super) fn compare_clocks(&mut self, now: MonoTime, wall: &WallClock, events: &mut Events) {
        let Some(own) = wall.shown_ms(now) else {
            return;
        };
        if let Some((theirs, mut age, came)) = self.clock.take() {
            age.age += now.since(came);
            events.push_back(ControllerEvent::Clock {
                vehicle: self.vehicle.clone(),
                difference: ClockDifference::new(theirs, age, own),
            });
        }
    }

    /// Ends the session; what has no receipt is unknown then.
    pub(super) fn end(&mut self, now: MonoTime, node: &mut Node, events: &mut Events) {
        self.line.session.end();
        self.take_receipts(events);
        self.ways.close(now, node);
    }

    /// Tells the agent that the session ends.
    pub(super) fn say_bye(&mut self, now: MonoTime, node: &mut Node) {
        // Best effort: the vehicle forgets a silent session anyway.
        let _ = self.line.send_message(now, &SessionMessage::Bye);
        self.line.flush(now, node);
    }

    fn on_telemetry(&self, delivery: Delivery, events: &mut Events) -> Outcome {
        let Ok(telemetry) = Telemetry::decode(&delivery.bytes) else {
            return MALFORMED;
        };
        events.push_back(ControllerEvent::Telemetry {
            vehicle: self.vehicle.clone(),
            channel: delivery.flow.channel,
            telemetry,
            age: delivery.age,
        });
        Outcome::Applied
    }

    fn on_session_message(
        &mut self,
        now: MonoTime,
        delivery: &Delivery,
        events: &mut Events,
    ) -> Outcome {
        match SessionMessage::decode(&delivery.bytes) {
            Ok(SessionMessage::WallClock(unix_ms)) => {
                self.clock = delivery.age.map(|age| (unix_ms, age, now));
                Outcome::Applied
            }
            Ok(message) => self.on_message(now, message, events),
            Err(_) => MALFORMED,
        }
    }

    fn on_beat(&mut self, now: MonoTime, delivery: &Delivery, events: &mut Events) -> Outcome {
        let Ok(beat) = AgentBeat::decode(&delivery.bytes) else {
            return MALFORMED;
        };
        self.line
            .session
            .on_report(now, delivery.sent_at_us, beat.echo, &beat.flows);
        for (channel, lease) in &mut self.leases {
            let report = usize::from(channel.number()).checked_sub(1);
            let report = report.and_then(|index| beat.functions.get(index));
            if report.is_some_and(|report| report.token == lease.token) {
                lease.coming = None;
            }
        }
        let lost = |(channel, lease): (&Channel, &Lease)| {
            let index = usize::from(channel.number()).checked_sub(1)?;
            let report = beat.functions.get(index)?;
            let gone = lease.coming.is_some_and(|until| until <= now)
                || report.token > lease.token
                || (report.token == lease.token && report.holder.is_none());
            gone.then_some(*channel)
        };
        let lost: Vec<Channel> = self.leases.iter().filter_map(lost).collect();
        for channel in lost {
            self.lose(channel, None, events);
        }
        events.push_back(ControllerEvent::Status {
            vehicle: self.vehicle.clone(),
            status: VehicleStatus {
                beat,
                age: delivery.age,
            },
        });
        Outcome::Applied
    }

    // [WIRE-98]
    fn on_message(
        &mut self,
        now: MonoTime,
        message: SessionMessage,
        events: &mut Events,
    ) -> Outcome {
        let vehicle = self.vehicle.clone();
        match message {
            SessionMessage::Description(description) => {
                let known = self.description.replace(description.clone()).is_some();
                events.push_back(if known {
                    ControllerEvent::Described {
                        vehicle,
                        description,
                    }
                } else {
                    self.line.name_functions(&description.functions);
                    ControllerEvent::SessionUp {
                        vehicle,
                        description,
                    }
                });
            }
            SessionMessage::News(news) => self.on_news(news, events),
            SessionMessage::Reply { ask, reply } => {
                if self.asks.remove(&ask).is_some() {
                    events.push_back(self.answer(now, ask, reply));
                }
            }
            SessionMessage::Bye => self.ended = true,
            SessionMessage::Papers(papers) => self.line.far.on_papers(papers),
            SessionMessage::Dictionaries(tags) => self.line.session.on_dictionaries(&tags),
            // Only controllers ask; the clock is read with its age.
            SessionMessage::Request { .. } | SessionMessage::WallClock(_) => {
                return MALFORMED;
            }
        }
        Outcome::Applied
    }

    fn answer(&mut self, now: MonoTime, ask: u32, reply: Reply) -> ControllerEvent {
        let vehicle = self.vehicle.clone();
        match reply {
            Reply::Granted(granted) => {
                let (channel, token) = self.hold(now, granted, None);
                ControllerEvent::Granted {
                    vehicle,
                    channel,
                    ask,
                    token,
                }
            }
            Reply::Coming(granted) => {
                let until = now + Handover::OVERLAP + Handover::TAKE_UP + SESSION_SILENCE;
                let (channel, token) = self.hold(now, granted, Some(until));
                ControllerEvent::Coming {
                    vehicle,
                    channel,
                    ask,
                    token,
                }
            }
            Reply::Offered(offer) => ControllerEvent::Offered {
                vehicle,
                ask,
                offer,
            },
            Reply::Done => ControllerEvent::Done { vehicle, ask },
            Reply::Refused(why) => ControllerEvent::Refused { vehicle, ask, why },
        }
    }

    /// Commands and renewals go under this lease from now on.
    fn hold(
        &mut self,
        now: MonoTime,
        granted: Granted,
        coming: Option<MonoTime>,
    ) -> (Channel, FencingToken) {
        let Granted {
            channel,
            token,
            ttl_ms,
        } = granted;
        let ttl = Duration::from_millis(u64::from(ttl_ms));
        let lease = Lease { token, ttl, coming };
        self.leases.insert(channel, lease);
        self.line.hasten_beat(now);
        (channel, token)
    }

    // [WIRE-134]
    fn on_news(&mut self, news: News, events: &mut Events) {
        let lost = match &news {
            News::Lost {
                channel,
                token,
                how,
            } => {
                let ours = self.leases.get(channel).is_some_and(|l| l.token == *token);
                ours.then(|| (*channel, Some(how.clone())))
            }
            News::Over { channel, how, .. } => match self.leases.get_mut(channel) {
                Some(lease) if lease.coming.is_some() && *how == OfferEnd::HandedOver => {
                    lease.coming = None;
                    None
                }
                Some(lease) => lease.coming.map(|_| (*channel, None)),
                None => None,
            },
            News::Ring { .. } | News::Accepted { .. } => None,
        };
        let vehicle = self.vehicle.clone();
        events.push_back(ControllerEvent::News { vehicle, news });
        if let Some((channel, how)) = lost {
            self.lose(channel, how, events);
        }
    }

    fn lose(&mut self, channel: Channel, how: Option<Removal>, events: &mut Events) {
        self.leases.remove(&channel);
        events.push_back(ControllerEvent::LeaseLost {
            vehicle: self.vehicle.clone(),
            channel,
            how,
        });
    }

    fn take_receipts(&mut self, events: &mut Events) {
        while let Some(receipt) = self.line.session.poll_receipt() {
            if receipt.flow.channel == Channel::SESSION {
                events.extend(self.on_own_receipt(&receipt));
            } else {
                events.push_back(ControllerEvent::Receipt {
                    vehicle: self.vehicle.clone(),
                    channel: receipt.flow.channel,
                    number: receipt.number,
                    outcome: receipt.outcome,
                });
            }
        }
    }

    /// A request that did not get through has no reply to wait for.
    fn on_own_receipt(&mut self, receipt: &Receipt) -> Option<ControllerEvent> {
        if receipt.outcome == Resolution::Applied {
            return None;
        }
        let of_number = |(ask, number): (&u32, &u64)| (*number == receipt.number).then_some(*ask);
        let ask = self.asks.iter().find_map(of_number)?;
        self.asks.remove(&ask);
        Some(match &receipt.outcome {
            Resolution::Refused(why) => ControllerEvent::Refused {
                vehicle: self.vehicle.clone(),
                ask,
                why: why.clone(),
            },
            Resolution::Applied | Resolution::Expired | Resolution::Unknown => self.unanswered(ask),
        })
    }

    fn unanswered(&self, ask: u32) -> ControllerEvent {
        ControllerEvent::Refused {
            vehicle: self.vehicle.clone(),
            ask,
            why: Refusal::Expired,
        }
    }

    fn send_beat(&mut self, now: MonoTime) {
        let (echo, flows) = self.line.session.report();
        let renewal = |(channel, lease): (&Channel, &Lease)| Renewal {
            channel: *channel,
            token: lease.token,
        };
        let renewals = self.leases.iter().map(renewal).collect();
        let beat = ControllerBeat {
            echo,
            renewals,
            flows,
        };
        self.line.send_beat(now, &beat.encode());
    }
}

/// Of what cannot be read, or is not for a controller.
const MALFORMED: Outcome = Outcome::Refused(Refusal::Malformed);
