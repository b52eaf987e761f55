//! One vehicle as a controller sees it: the handshake, the session, the leases.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::{ControllerEvent, Order, SendCommandError, VehicleStatus};
use crate::base::limits::{
    ATTEMPT_LIFE, BEAT_INTERVAL_IDLE, HANDSHAKE_REPEAT_INTERVAL, HANDSHAKE_TTL, RENEWALS_PER_TTL,
    SESSION_SILENCE,
};
use crate::base::{Channel, Class, Entropy, FencingToken, Flow, MonoTime, NodeName, SessionId};
use crate::crypto::{Credential, Fleet, Initiator};
use crate::role::line::{Line, session};
use crate::role::node::Node;
use crate::session::Delivery;
use crate::wire::{
    AgentBeat, Command, ControllerBeat, Description, Notice, Parcel, Renewal, Reply, Request,
    SealedHeader, SessionMessage, Telemetry,
};

/// One vehicle.
#[derive(Debug)]
pub(super) struct Call {
    vehicle: NodeName,
    attempt: Option<Attempt>,
    live: Option<Live>,
    events: VecDeque<ControllerEvent>,
}

/// A handshake under way.
#[derive(Debug)]
struct Attempt {
    session: SessionId,
    initiator: Initiator,
    step1: Arc<[u8]>,
    next_send: MonoTime,
    ends: MonoTime,
    /// After step 2: the session, not yet confirmed by anything that the agent sealed.
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    step3: Arc<[u8]>,
    line: Line,
}

/// A session that stands.
#[derive(Debug)]
struct Live {
    id: SessionId,
    line: Line,
    /// Repeated until the first beat shows that the agent needs it no more.
    description: Option<Description>,
    leases: BTreeMap<Channel, Lease>,
    /// Requests without reply, by their number in the session channel's reliable flow.
    asks: BTreeMap<u32, Request>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    token: FencingToken,
    ttl: Duration,
}

/// What a call needs of the controller to do its work.
pub(super) struct Calling<'a> {
    pub(super) node: &'a mut Node,
    pub(super) entropy: &'a mut dyn Entropy,
}

impl Call {
    pub(super) fn new(vehicle: NodeName) -> Call {
        Call {
            vehicle,
            attempt: None,
            live: None,
            events: VecDeque::new(),
        }
    }

    pub(super) fn vehicle(&self) -> &NodeName {
        &self.vehicle
    }

    pub(super) fn has_session(&self, id: SessionId) -> bool {
        self.live.as_ref().is_some_and(|live| live.id == id)
            || self
                .attempt
                .as_ref()
                .is_some_and(|attempt| attempt.session == id)
    }

    pub(super) fn channel(&self, function: &str) -> Option<Channel> {
        let functions = &self.live.as_ref()?.description.as_ref()?.functions;
        let index = functions
            .iter()
            .position(|(name, _)| name.as_str() == function)?;
        Channel::new(u8::try_from(index + 1).ok()?)
    }

    pub(super) fn clock_error(&self, now: MonoTime) -> Option<Duration> {
        self.live.as_ref()?.line.session.clock().error(now)
    }

    pub(super) fn take_events(&mut self) -> VecDeque<ControllerEvent> {
        std::mem::take(&mut self.events)
    }

    /// Sends what is due: handshake messages, beats, offers.
    pub(super) fn work(&mut self, now: MonoTime, calling: &mut Calling<'_>) {
        self.call_if_silent(now, calling);
        if let Some(attempt) = &mut self.attempt
            && attempt.next_send <= now
        {
            attempt.next_send = now + HANDSHAKE_REPEAT_INTERVAL;
            let step = attempt
                .made
                .as_ref()
                .map_or(&attempt.step1, |made| &made.step3);
            calling
                .node
                .send_everywhere(now, step, now, now + HANDSHAKE_TTL);
        }
        let Some(live) = &mut self.live else { return };
        live.line.session.on_timeout(now);
        let beat_interval = live.beat_interval();
        if live.line.beat_due(now, beat_interval) {
            live.send_beat(now);
        }
        live.line.flush(now, calling.node);
        live.line.offer_if_due(now, calling.node);
        self.take_receipts();
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        let attempt = self
            .attempt
            .as_ref()
            .map(|attempt| attempt.next_send.min(attempt.ends));
        let live = self.live.as_ref().map(|live| {
            let silent_at = live.line.heard_at + SESSION_SILENCE;
            let own = live.line.next_timeout();
            if self.attempt.is_some() {
                own
            } else {
                own.min(silent_at)
            }
        });
        attempt.into_iter().chain(live).min()
    }

    /// A relay that is new or came back: show it the way, and what has no receipt yet.
    pub(super) fn on_leg_up(&mut self, now: MonoTime, relay: &NodeName, node: &mut Node) {
        let sessions = [
            self.live.as_ref().map(|live| live.id),
            self.attempt.as_ref().map(|a| a.session),
        ];
        for session in sessions.into_iter().flatten() {
            node.notify(
                now,
                relay,
                Notice::Route {
                    session,
                    to: self.vehicle.clone(),
                },
            );
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.next_send = now;
        }
        if let Some(live) = &mut self.live {
            live.line.offer_to(now, node, relay);
            live.line.hasten_beat(now);
        }
    }

    /// The session's number is another's at a relay: try with another number.
    pub(super) fn on_route_refused(&mut self, now: MonoTime, session: SessionId) {
        if let Some(attempt) = &mut self.attempt
            && attempt.session == session
        {
            attempt.ends = now;
        }
    }

    pub(super) fn on_step2(
        &mut self,
        now: MonoTime,
        body: &[u8],
        fleet: &Fleet,
        at: UnixTime,
        credential: &dyn Credential,
        node: &mut Node,
    ) {
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        if attempt.made.is_some() {
            return;
        }
        // A forged step 2 is counted by the initiator and does not spoil the handshake.
        let Ok((step3, established)) = attempt.initiator.on_step2(now, body, fleet, at, credential)
        else {
            return;
        };
        let step3 = handshake(attempt.session, 3, None, &step3);
        node.send_everywhere(now, &step3, now, now + HANDSHAKE_TTL);
        attempt.next_send = now + HANDSHAKE_REPEAT_INTERVAL;
        let session = session(attempt.session, established);
        attempt.made = Some(Made {
            step3,
            line: Line::new(now, session),
        });
    }

    pub(super) fn on_sealed(&mut self, now: MonoTime, header: SealedHeader, ciphertext: &[u8]) {
        if let Some(live) = &mut self.live
            && live.id == header.session
        {
            if live.line.session.on_sealed(now, header, ciphertext).is_ok() {
                live.line.heard_at = now;
                // The old session lives after all.
                self.attempt = None;
            }
        } else {
            let confirmed = self
                .attempt
                .as_mut()
                .and_then(|attempt| attempt.made.as_mut())
                .is_some_and(|made| made.line.session.on_sealed(now, header, ciphertext).is_ok());
            if !confirmed {
                return;
            }
            self.replace_session(now);
        }
        self.take_deliveries(now);
    }

    pub(super) fn command(
        &mut self,
        now: MonoTime,
        channel: Channel,
        order: Order,
    ) -> Result<u64, SendCommandError> {
        let live = self.live.as_mut().ok_or(SendCommandError::NoSession)?;
        let lease = live.leases.get(&channel).ok_or(SendCommandError::NoLease)?;
        let command = Command {
            token: lease.token,
            dead_man: order.dead_man,
            resume: order.resume,
            application_id: order.application_id,
            body: order.body,
        };
        let flow = Flow::new(channel, order.class);
        Ok(live
            .line
            .session
            .send(now, flow, order.ttl, &command.encode())?)
    }

    pub(super) fn request(&mut self, now: MonoTime, ask: u32, request: Request) -> Option<()> {
        let live = self.live.as_mut()?;
        live.line
            .send_message(now, &SessionMessage::Request { ask, request })
            .ok()?;
        live.asks.insert(ask, request);
        Some(())
    }

    /// Stops renewing a lease.
    pub(super) fn drop_lease(&mut self, channel: Channel) -> Option<FencingToken> {
        self.live
            .as_mut()?
            .leases
            .remove(&channel)
            .map(|lease| lease.token)
    }

    pub(super) fn hang_up(&mut self, now: MonoTime, node: &mut Node) {
        if let Some(live) = &mut self.live {
            // Best effort: the vehicle forgets a silent session anyway.
            let _ = live.line.send_message(now, &SessionMessage::Bye);
            live.line.flush(now, node);
            node.notify_all(now, &Notice::Unroute { session: live.id });
            live.line.session.end();
        }
        self.take_receipts();
    }

    fn call_if_silent(&mut self, now: MonoTime, calling: &mut Calling<'_>) {
        if self
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.ends <= now)
            && let Some(old) = self.attempt.take()
        {
            calling.node.notify_all(
                now,
                &Notice::Unroute {
                    session: old.session,
                },
            );
        }
        let silent = self
            .live
            .as_ref()
            .is_none_or(|live| live.line.heard_at + SESSION_SILENCE <= now);
        if self.attempt.is_some() || !silent {
            return;
        }
        let mut number = [0; 4];
        calling.entropy.fill(&mut number);
        let session = SessionId(u32::from_be_bytes(number));
        let (initiator, step1) = Initiator::new(now, session, &self.vehicle, calling.entropy);
        let step1 = handshake(session, 1, Some(self.vehicle.clone()), &step1);
        calling.node.notify_all(
            now,
            &Notice::Route {
                session,
                to: self.vehicle.clone(),
            },
        );
        let ends = now + ATTEMPT_LIFE;
        self.attempt = Some(Attempt {
            session,
            initiator,
            step1,
            next_send: now,
            ends,
            made: None,
        });
    }

    /// The agent has sealed something under the new session: the old one ends.
    fn replace_session(&mut self, now: MonoTime) {
        let Some(Attempt {
            session,
            made: Some(made),
            ..
        }) = self.attempt.take()
        else {
            return;
        };
        self.end_session();
        let mut line = made.line;
        line.heard_at = now;
        self.live = Some(Live {
            id: session,
            line,
            description: None,
            leases: BTreeMap::new(),
            asks: BTreeMap::new(),
        });
    }

    fn end_session(&mut self) {
        let Some(mut old) = self.live.take() else {
            return;
        };
        old.line.session.end();
        self.live = Some(old);
        self.take_receipts();
        self.live = None;
        self.events.push_back(ControllerEvent::SessionDown {
            vehicle: self.vehicle.clone(),
        });
    }

    fn take_deliveries(&mut self, now: MonoTime) {
        while let Some(delivery) = self
            .live
            .as_mut()
            .and_then(|live| live.line.session.poll_delivery())
        {
            if delivery.flow.channel != Channel::SESSION {
                self.on_telemetry(delivery);
            } else if delivery.flow.class == Class::Latest {
                self.on_beat(now, &delivery);
            } else if let Ok(message) = SessionMessage::decode(&delivery.bytes) {
                self.on_message(now, message);
            }
        }
        self.take_receipts();
    }

    fn on_telemetry(&mut self, delivery: Delivery) {
        if let Ok(telemetry) = Telemetry::decode(&delivery.bytes) {
            self.events.push_back(ControllerEvent::Telemetry {
                vehicle: self.vehicle.clone(),
                channel: delivery.flow.channel,
                telemetry,
                age: delivery.age,
            });
        }
    }

    fn on_beat(&mut self, now: MonoTime, delivery: &Delivery) {
        let (Ok(beat), Some(live)) = (AgentBeat::decode(&delivery.bytes), &mut self.live) else {
            return;
        };
        live.line
            .session
            .on_report(now, delivery.sent_at_us, beat.echo, &beat.flows);
        let lost = live.leases.iter().filter_map(|(channel, lease)| {
            let report = beat
                .functions
                .get(usize::from(channel.number()).checked_sub(1)?)?;
            let gone = report.token > lease.token
                || (report.token == lease.token && report.holder.is_none());
            gone.then_some(*channel)
        });
        let lost: Vec<Channel> = lost.collect();
        for channel in lost {
            live.leases.remove(&channel);
            self.events.push_back(ControllerEvent::LeaseLost {
                vehicle: self.vehicle.clone(),
                channel,
            });
        }
        let status = VehicleStatus {
            beat,
            age: delivery.age,
        };
        self.events.push_back(ControllerEvent::Status {
            vehicle: self.vehicle.clone(),
            status,
        });
    }

    fn on_message(&mut self, now: MonoTime, message: SessionMessage) {
        let Some(live) = &mut self.live else { return };
        let vehicle = self.vehicle.clone();
        match message {
            SessionMessage::Description(description) => {
                live.description = Some(description.clone());
                self.events.push_back(ControllerEvent::SessionUp {
                    vehicle,
                    description,
                });
            }
            SessionMessage::Reply { ask, reply } => {
                if live.asks.remove(&ask).is_none() {
                    return;
                }
                self.events.push_back(match reply {
                    Reply::Granted {
                        channel,
                        token,
                        ttl_ms,
                    } => {
                        let ttl = Duration::from_millis(u64::from(ttl_ms));
                        live.leases.insert(channel, Lease { token, ttl });
                        live.line.hasten_beat(now);
                        ControllerEvent::Granted {
                            vehicle,
                            channel,
                            ask,
                            token,
                        }
                    }
                    Reply::Done => ControllerEvent::Done { vehicle, ask },
                    Reply::Refused(why) => ControllerEvent::Refused { vehicle, ask, why },
                });
            }
            SessionMessage::Bye => self.end_session(),
            // Only controllers ask.
            SessionMessage::Request { .. } => {}
        }
    }

    fn take_receipts(&mut self) {
        let Some(live) = &mut self.live else { return };
        while let Some(receipt) = live.line.session.poll_receipt() {
            if receipt.flow.channel != Channel::SESSION {
                self.events.push_back(ControllerEvent::Receipt {
                    vehicle: self.vehicle.clone(),
                    channel: receipt.flow.channel,
                    number: receipt.number,
                    outcome: receipt.outcome,
                });
            }
        }
    }
}

impl Live {
    /// [SAFE-4] A renewal goes every fifth of the shortest lease.
    fn beat_interval(&self) -> Duration {
        let shortest = self
            .leases
            .values()
            .map(|lease| lease.ttl / RENEWALS_PER_TTL)
            .min();
        shortest.unwrap_or(BEAT_INTERVAL_IDLE)
    }

    fn send_beat(&mut self, now: MonoTime) {
        let (echo, flows) = self.line.session.report();
        let renewal = |(channel, lease): (&Channel, &Lease)| Renewal {
            channel: *channel,
            token: lease.token,
        };
        let renewals = self.leases.iter().map(renewal).collect();
        self.line.send_beat(
            now,
            &ControllerBeat {
                echo,
                renewals,
                flows,
            }
            .encode(),
        );
    }
}

fn handshake(session: SessionId, step: u8, to: Option<NodeName>, body: &[u8]) -> Arc<[u8]> {
    Parcel::Handshake {
        session,
        step,
        to,
        body: body.into(),
    }
    .encode()
}
