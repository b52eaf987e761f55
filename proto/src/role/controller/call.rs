//! One vehicle as a controller sees it: a session that stands, and the attempt at the next one.

mod live;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rustls_pki_types::UnixTime;

use self::live::Live;
use super::{ControllerEvent, Order, SendCommandError, SessionLoss};
use crate::base::limits::{DOUBT_INTERVAL, SESSION_SILENCE};
use crate::base::{Channel, Entropy, FencingToken, MonoTime, NodeName, SessionId};
use crate::crypto::{Credential, Fleet};
use crate::role::attempt::Attempt;
use crate::role::line::Line;
use crate::role::node::Node;
use crate::role::wall::WallClock;
use crate::session::{Dictionaries, Rejection};
use crate::wire::{Request, RouteRefusal, SealedHeader};

/// One vehicle.
#[derive(Debug)]
pub(super) struct Call {
    vehicle: NodeName,
    dictionaries: Dictionaries,
    attempt: Option<Attempt>,
    live: Option<Live>,
    /// Relays that had an attempt give up its number since the last session began.
    refused_by: BTreeSet<NodeName>,
    /// Whether the vehicle is connected to each relay, as the relay said last.
    presence: BTreeMap<NodeName, bool>,
    /// A relay said that the vehicle went or came, so that the session may be over; not looked into yet.
    doubted: bool,
    /// When the next doubt is looked into.
    next_doubt: MonoTime,
    events: VecDeque<ControllerEvent>,
}

/// What a call needs of the controller to do its work.
pub(super) struct Calling<'a> {
    pub(super) node: &'a mut Node,
    pub(super) entropy: &'a mut dyn Entropy,
    /// The fleet, and the time for certificates.
    pub(super) believing: (&'a Fleet, UnixTime),
    pub(super) wall: &'a WallClock,
}

impl Call {
    pub(super) fn new(vehicle: NodeName, dictionaries: Dictionaries) -> Call {
        Call {
            vehicle,
            dictionaries,
            attempt: None,
            live: None,
            refused_by: BTreeSet::new(),
            presence: BTreeMap::new(),
            doubted: false,
            next_doubt: MonoTime::ZERO,
            events: VecDeque::new(),
        }
    }

    pub(super) fn has_session(&self, id: SessionId) -> bool {
        self.live.as_ref().is_some_and(|live| live.session() == id) || self.attempts(id)
    }

    pub(super) fn channel(&self, function: &str) -> Option<Channel> {
        self.live.as_ref()?.channel(function)
    }

    pub(super) fn clock_error(&self, now: MonoTime) -> Option<Duration> {
        self.live.as_ref()?.line.session.clock().error(now)
    }

    pub(super) fn take_events(&mut self) -> VecDeque<ControllerEvent> {
        std::mem::take(&mut self.events)
    }

    /// Sends what is due: handshake messages, beats, offers.
    pub(super) fn work(&mut self, now: MonoTime, calling: &mut Calling<'_>) {
        if let Some(live) = &mut self.live {
            live.line.tell_clock(now, calling.wall);
            live.work(now, calling.node, &mut self.events);
            live.compare_clocks(now, calling.wall, &mut self.events);
            if let Some(Err(_)) = live.line.far.look(now, calling.believing.0) {
                calling.node.count_refused_papers();
            }
        }
        self.end_if_expired(now, calling.node);
        self.end_if_over(now, calling.node);
        self.call_if_due(now, calling);
        if let Some(attempt) = &mut self.attempt {
            attempt.work(now, calling.node);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        let attempt = self.attempt.as_ref().map(Attempt::next_timeout);
        let live = self.live.as_ref().map(|live| {
            let own = live.next_timeout();
            match (attempt, self.doubted) {
                (Some(_), _) => own,
                (None, false) => own.min(live.line.heard_at + SESSION_SILENCE),
                (None, true) => own.min(self.next_doubt),
            }
        });
        attempt.into_iter().chain(live).min()
    }

    /// A relay that is new or came back: show it the way, and what has no receipt yet.
    pub(super) fn on_leg_up(&mut self, now: MonoTime, relay: &NodeName, node: &mut Node) {
        if let Some(live) = &mut self.live {
            live.on_leg_up(now, relay, node);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.on_leg_up(now, relay, node);
        }
    }

    /// A relay knows the way of a session, and whether the vehicle is there.
    pub(super) fn on_routed(&mut self, relay: &NodeName, session: SessionId, present: bool) {
        self.on_answer(relay, session);
        let before = self.presence.insert(relay.clone(), present);
        // [WIRE-168] A run that ends, or another one that begins in its place, looks like this.
        self.doubted |= before.is_some_and(|before| before != present);
        if before != Some(present) {
            self.events.push_back(ControllerEvent::Presence {
                vehicle: self.vehicle.clone(),
                relay: relay.clone(),
                present,
            });
        }
    }

    /// A relay gives a session no way. Where its number is another's, another number may have one; but a relay that keeps
    /// saying so must not keep the session from standing through the others.
    // [WIRE-114]
    pub(super) fn on_route_refused(
        &mut self,
        now: MonoTime,
        relay: &NodeName,
        session: SessionId,
        why: RouteRefusal,
    ) {
        if why == RouteRefusal::TooMany {
            return;
        }
        self.on_answer(relay, session);
        if why == RouteRefusal::SessionTaken
            && let Some(attempt) = self.attempt.as_mut().filter(|a| a.session() == session)
            && !attempt.is_answered()
            && self.refused_by.insert(relay.clone())
        {
            attempt.ends = now;
        }
    }

    pub(super) fn on_step2(
        &mut self,
        now: MonoTime,
        session: SessionId,
        body: &[u8],
        believing: (&Fleet, UnixTime),
        credential: &dyn Credential,
        node: &mut Node,
    ) {
        if let Some(attempt) = self.attempt.as_mut().filter(|a| a.session() == session) {
            let mine = (credential, &self.dictionaries);
            let live = self.live.as_ref().filter(|live| !live.is_silent(now));
            let standing = live.map(|live| &live.line);
            attempt.on_step2(now, body, believing, mine, standing, node);
        }
    }

    pub(super) fn on_sealed(
        &mut self,
        now: MonoTime,
        header: SealedHeader,
        ciphertext: &[u8],
        credential: &dyn Credential,
        node: &mut Node,
    ) -> Result<(), Rejection> {
        let session = header.session;
        if let Some(live) = self.live.as_mut().filter(|live| live.session() == session) {
            live.line.session.on_sealed(now, header, ciphertext)?;
        } else if let Some(attempt) = &mut self.attempt {
            let mut line = attempt.on_sealed(now, header, ciphertext)?;
            line.heard_at = now;
            // The handshake began with the certificate of then.
            line.far.show(credential);
            self.replace_session(now, line, node);
        }
        if let Some(live) = &mut self.live {
            live.take_deliveries(now, &mut self.events);
            let lives = |attempt: &mut Attempt| {
                attempt.is_answered() && !attempt.is_of_another_run(&live.line)
            };
            if !live.is_silent(now)
                && let Some(attempt) = self.attempt.take_if(lives)
            {
                // The old session lives after all.
                attempt.ways.close(now, node);
            }
        }
        self.end_if_over(now, node);
        Ok(())
    }

    pub(super) fn command(
        &mut self,
        now: MonoTime,
        channel: Channel,
        order: Order,
    ) -> Result<u64, SendCommandError> {
        let live = self.live.as_mut().ok_or(SendCommandError::NoSession)?;
        live.command(now, channel, order)
    }

    pub(super) fn request(&mut self, now: MonoTime, ask: u32, request: Request) -> Option<()> {
        let live = self.live.as_mut()?;
        live.request(now, ask, request, &mut self.events)
    }

    /// Shows the vehicle the own certificate, if it has seen an older one.
    pub(super) fn show(&mut self, credential: &dyn Credential) {
        if let Some(live) = &mut self.live {
            live.line.far.show(credential);
        }
    }

    /// Stops renewing a lease.
    pub(super) fn drop_lease(&mut self, channel: Channel) -> Option<FencingToken> {
        self.live.as_mut()?.drop_lease(channel)
    }

    pub(super) fn hang_up(&mut self, now: MonoTime, node: &mut Node) {
        if let Some(live) = &mut self.live {
            live.say_bye(now, node);
            live.end(now, node, &mut self.events);
        }
        if let Some(attempt) = &self.attempt {
            attempt.ways.close(now, node);
        }
    }

    fn on_answer(&mut self, relay: &NodeName, session: SessionId) {
        if let Some(live) = self.live.as_mut().filter(|live| live.session() == session) {
            live.ways.on_answer(relay);
        }
        if let Some(attempt) = self.attempt.as_mut().filter(|a| a.session() == session) {
            attempt.ways.on_answer(relay);
        }
    }

    fn attempts(&self, id: SessionId) -> bool {
        self.attempt
            .as_ref()
            .is_some_and(|attempt| attempt.session() == id)
    }

    /// Calls the vehicle when there is no session, or none that surely stands. The one that there is goes on meanwhile.
    // [WIRE-168]
    fn call_if_due(&mut self, now: MonoTime, calling: &mut Calling<'_>) {
        if let Some(over) = self.attempt.take_if(|attempt| attempt.ends <= now) {
            over.ways.close(now, calling.node);
        }
        let silent = self.live.as_ref().is_none_or(|live| live.is_silent(now));
        let doubted = self.doubted && self.next_doubt <= now;
        if (silent || doubted) && self.attempt.is_none() {
            self.doubted = false;
            self.next_doubt = now + DOUBT_INTERVAL;
            self.attempt = Some(Attempt::new(
                now,
                &self.vehicle,
                calling.node,
                calling.entropy,
            ));
        }
    }

    /// The agent has sealed something under the new session: the old one ends.
    fn replace_session(&mut self, now: MonoTime, line: Line, node: &mut Node) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        let outlived = self
            .live
            .as_ref()
            .is_some_and(|old| old.line.is_outlived(line.run));
        let why = match outlived {
            true => SessionLoss::AgentStartedAgain,
            false => SessionLoss::Replaced,
        };
        self.end_session(now, why, node);
        self.refused_by.clear();
        let mut live = Live::new(self.vehicle.clone(), attempt.ways, line);
        live.line.announce_dictionaries(now);
        self.live = Some(live);
    }

    /// The vehicle's newest certificate has ended: what comes from it is nobody's word any more.
    // [WIRE-160]
    fn end_if_expired(&mut self, now: MonoTime, node: &mut Node) {
        let is_over = |live: &Live| live.line.far.is_over(now);
        if self.live.as_ref().is_some_and(is_over) {
            self.end_session(now, SessionLoss::Expired, node);
        }
    }

    /// The authority has revoked the vehicle.
    // [WIRE-147]
    pub(super) fn end_if_revoked(&mut self, now: MonoTime, fleet: &Fleet, node: &mut Node) {
        let is_revoked = |live: &Live| {
            let peer = live.line.far.peer();
            fleet.is_revoked(&peer.node, peer.not_before)
        };
        if self.live.as_ref().is_some_and(is_revoked) {
            self.end_session(now, SessionLoss::Revoked, node);
        }
    }

    fn end_if_over(&mut self, now: MonoTime, node: &mut Node) {
        if self.live.as_ref().is_some_and(Live::has_ended) {
            self.end_session(now, SessionLoss::AgentEnds, node);
        }
    }

    fn end_session(&mut self, now: MonoTime, why: SessionLoss, node: &mut Node) {
        let Some(mut old) = self.live.take() else {
            return;
        };
        old.end(now, node, &mut self.events);
        self.events.push_back(ControllerEvent::SessionDown {
            vehicle: self.vehicle.clone(),
            why,
        });
    }
}
