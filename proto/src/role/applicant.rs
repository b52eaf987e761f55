//! The applicant: asks the fleet's authority for a certificate, once.

use std::collections::VecDeque;
use std::sync::Arc;

use super::attempt::Attempt;
use super::node::{Fact, Node};
use super::visit::Visit;
use super::wall::WallClock;
use super::ways::Ways;
use super::{Input, NodeCounters, Redial, Role, Transmit};
use crate::base::limits::SESSION_SILENCE;
use crate::base::{Entropy, MonoTime, NodeKind, NodeName};
use crate::crypto::{Credential, Fleet};
use crate::session::Dictionaries;
use crate::wire::{EnrolRefusal, Enrolment, Notice, Parcel, RouteRefusal, SealedHeader};

/// What an applicant tells its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplicantEvent {
    /// A relay is reached.
    RelayUp {
        /// The relay.
        relay: NodeName,
    },
    /// Whether the authority is connected to a relay.
    Presence {
        /// The relay.
        relay: NodeName,
        /// Whether it is.
        present: bool,
    },
    /// The authority gives this certificate (DER); nobody has looked at it yet.
    Certified(Vec<u8>),
    /// The authority gives none.
    Refused(EnrolRefusal),
}

/// Asks the authority for a certificate until it answers.
pub struct Applicant {
    authority: NodeName,
    ask: Enrolment,
    credential: Arc<dyn Credential>,
    fleet: Fleet,
    entropy: Box<dyn Entropy>,
    wall: WallClock,
    node: Node,
    attempt: Option<Attempt>,
    live: Option<(Ways, Visit)>,
    is_answered: bool,
    events: VecDeque<ApplicantEvent>,
}

impl Applicant {
    /// Asks with the identity of `credential`, which may be a token's, for a certificate of `node` with the key of a
    /// signing request (PKCS#10, DER).
    pub fn new(
        node: NodeName,
        request: Vec<u8>,
        credential: Arc<dyn Credential>,
        fleet: Fleet,
        mut entropy: Box<dyn Entropy>,
    ) -> Applicant {
        Applicant {
            authority: authority_of(&fleet),
            ask: Enrolment::Certify { node, request },
            credential,
            fleet,
            node: Node::visiting(entropy.as_mut()),
            entropy,
            wall: WallClock::default(),
            attempt: None,
            live: None,
            is_answered: false,
            events: VecDeque::new(),
        }
    }

    /// What was dropped, by reason.
    pub fn counters(&self) -> NodeCounters {
        self.node.counters()
    }

    fn take_facts(&mut self, now: MonoTime) {
        while let Some(fact) = self.node.poll_fact() {
            match fact {
                Fact::LegUp { relay, .. } => {
                    if let Some(attempt) = &mut self.attempt {
                        attempt.on_leg_up(now, &relay, &mut self.node);
                    }
                    if let Some((ways, visit)) = &mut self.live {
                        ways.on_leg_up(now, &relay, &mut self.node);
                        visit.on_leg_up(now, &relay, &mut self.node);
                    }
                    self.events.push_back(ApplicantEvent::RelayUp { relay });
                }
                Fact::Health { .. } | Fact::Delivered { .. } => {}
                Fact::Arrival { way, parcel } => self.on_parcel(now, &way.relay, &parcel),
            }
        }
    }

    fn on_parcel(&mut self, now: MonoTime, relay: &NodeName, parcel: &[u8]) {
        match Parcel::decode(parcel) {
            Ok(Parcel::Sealed { header, ciphertext }) => self.on_sealed(now, header, &ciphertext),
            Ok(Parcel::Handshake {
                session,
                step: 2,
                body,
                ..
            }) => {
                let at = self.wall.at(now);
                let attempt = self.attempt.as_mut();
                if let Some(attempt) = attempt.filter(|attempt| attempt.session() == session) {
                    let mine = (self.credential.as_ref(), &Dictionaries::new());
                    attempt.on_step2(now, &body, (&self.fleet, at), mine, None, &mut self.node);
                }
            }
            Ok(Parcel::Notice(notice)) => self.on_notice(now, relay, &notice),
            // Here for a moment, it speaks with nobody but the authority.
            Ok(Parcel::Revocations(_)) => {}
            Ok(Parcel::Handshake { .. } | Parcel::Signed { .. } | Parcel::Hub(_)) | Err(_) => {
                self.node.count_malformed_parcel();
            }
        }
    }

    fn on_notice(&mut self, now: MonoTime, relay: &NodeName, notice: &Notice) {
        let answered = match notice {
            Notice::Routed { session, present } => {
                self.events.push_back(ApplicantEvent::Presence {
                    relay: relay.clone(),
                    present: *present,
                });
                *session
            }
            Notice::RouteRefused { session, why } => {
                // Another number may have a way.
                if *why == RouteRefusal::SessionTaken
                    && let Some(attempt) = &mut self.attempt
                    && attempt.session() == *session
                    && !attempt.is_answered()
                {
                    attempt.ends = now;
                }
                *session
            }
            Notice::Route { .. }
            | Notice::Unroute { .. }
            | Notice::Query { .. }
            | Notice::Members { .. }
            | Notice::Nodes { .. }
            | Notice::Draining
            | Notice::Leased { .. }
            | Notice::Seen { .. } => return,
        };
        if let Some(attempt) = &mut self.attempt
            && attempt.session() == answered
        {
            attempt.ways.on_answer(relay);
        }
        if let Some((ways, _)) = &mut self.live
            && ways.session == answered
        {
            ways.on_answer(relay);
        }
    }

    fn on_sealed(&mut self, now: MonoTime, header: SealedHeader, ciphertext: &[u8]) {
        let of = header.session;
        if let Some((_, visit)) = self.live.as_mut().filter(|(ways, _)| ways.session == of) {
            // What does not open is of no use to anybody, and a relay can make up any amount of it.
            let _ = visit.on_sealed(now, header, ciphertext);
        } else if let Some(mut attempt) = self.attempt.take_if(|own| own.session() == of) {
            match attempt.on_sealed(now, header, ciphertext) {
                Ok(mut line) => {
                    line.heard_at = now;
                    let mut visit = Visit::called(line);
                    visit.say(now, &self.ask);
                    self.live = Some((attempt.ways, visit));
                }
                Err(_) => self.attempt = Some(attempt),
            }
        }
        let Some((_, visit)) = &mut self.live else {
            return;
        };
        while let Some(message) = visit.poll_message(now) {
            let event = match message {
                Enrolment::Certified(certificate) => ApplicantEvent::Certified(certificate),
                Enrolment::Refused(why) => ApplicantEvent::Refused(why),
                Enrolment::Certify { .. } => continue,
            };
            if !std::mem::replace(&mut self.is_answered, true) {
                self.events.push_back(event);
            }
        }
    }

    /// Calls, and calls again when the authority was silent for long.
    fn work(&mut self, now: MonoTime) {
        if let Some((ways, visit)) = &mut self.live {
            ways.work(now, &mut self.node);
            visit.work(now, &mut self.node);
        }
        if let Some((ways, _)) = self.live.take_if(|(_, visit)| visit.is_silent(now)) {
            ways.close(now, &mut self.node);
        }
        if let Some(over) = self.attempt.take_if(|attempt| attempt.ends <= now) {
            over.ways.close(now, &mut self.node);
        }
        if self.live.is_none() && self.attempt.is_none() && !self.is_answered {
            let entropy = self.entropy.as_mut();
            self.attempt = Some(Attempt::new(now, &self.authority, &mut self.node, entropy));
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.work(now, &mut self.node);
        }
    }
}

/// The node that answers for a fleet's authority.
pub fn authority_of(fleet: &Fleet) -> NodeName {
    NodeName::new(NodeKind::Authority, fleet.name().clone())
}

impl Role for Applicant {
    type Event = ApplicantEvent;

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        match input {
            Input::PathUp { path, link, peer } => self.node.on_path_up(now, path, link, peer),
            Input::Remote { .. } => {}
            Input::PathDown { path } => self.node.on_path_down(now, path),
            Input::Packet { path, bytes } => self.node.on_packet(now, path, bytes),
            Input::Wall { unix_ms } => self.wall.on_reading(now, unix_ms),
            Input::Persisted { .. } => {}
            Input::Timeout => self
                .node
                .on_timeout(now, self.fleet.time(self.wall.at(now))),
        }
        self.take_facts(now);
        self.work(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.node.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<ApplicantEvent> {
        self.events.pop_front()
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        self.node.poll_redial()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        let attempt = self.attempt.as_ref().map(Attempt::next_timeout);
        let live = self.live.as_ref().map(|(ways, visit)| {
            let own = visit.next_timeout().min(visit.heard_at() + SESSION_SILENCE);
            ways.next_timeout().map_or(own, |at| at.min(own))
        });
        let own = attempt.into_iter().chain(live);
        own.chain(self.node.next_timeout()).min()
    }
}
