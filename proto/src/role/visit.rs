//! A session between the authority and a node: its only messages are requests and replies.

use rustls_pki_types::UnixTime;

use super::line::Line;
use super::node::Node;
use crate::base::limits::SESSION_SILENCE;
use crate::base::{Channel, Class, MonoTime, NodeName, Refusal, SessionId};
use crate::crypto::{Established, Peer};
use crate::session::{Delivery, Dictionaries, Rejection};
use crate::wire::{ControllerBeat, Enrolment, Outcome, SealedHeader};

/// A session between the authority and a node, at either end.
#[derive(Debug)]
pub(super) struct Visit {
    line: Line,
}

impl Visit {
    /// At the called end; its first beat tells the other one that the session stands.
    pub(super) fn answered(
        now: MonoTime,
        id: SessionId,
        established: Established,
        at: UnixTime,
    ) -> (Peer, Visit) {
        let peer = established.peer.clone();
        let line = Line::new(now, id, established, at, &Dictionaries::new());
        (peer, Visit { line })
    }

    /// At the calling end.
    pub(super) const fn called(line: Line) -> Visit {
        Visit { line }
    }

    pub(super) const fn heard_at(&self) -> MonoTime {
        self.line.heard_at
    }

    pub(super) fn is_silent(&self, now: MonoTime) -> bool {
        self.line.heard_at + SESSION_SILENCE <= now
    }

    /// Takes an envelope; no state is kept for other channels than the session's own.
    pub(super) fn on_sealed(
        &mut self,
        now: MonoTime,
        header: SealedHeader,
        ciphertext: &[u8],
    ) -> Result<(), Rejection> {
        if header.flow.channel != Channel::SESSION {
            return Err(Rejection::Malformed);
        }
        self.line.session.on_sealed(now, header, ciphertext)
    }

    /// The next message, if any came.
    pub(super) fn poll_message(&mut self, now: MonoTime) -> Option<Enrolment> {
        loop {
            let delivery = self.line.session.poll_delivery()?;
            self.line.on_delivery(now, &delivery);
            if delivery.flow.class == Class::Latest {
                self.on_beat(now, &delivery);
                continue;
            }
            let message = Enrolment::decode(&delivery.bytes);
            let outcome = match message {
                Ok(_) => Outcome::Applied,
                Err(_) => Outcome::Refused(Refusal::Malformed),
            };
            let session = &mut self.line.session;
            session.on_outcome(delivery.flow, delivery.number, outcome);
            self.line.hasten_beat(now);
            if let Ok(message) = message {
                return Some(message);
            }
        }
    }

    /// Sends a message; a session that takes no more loses it, and whoever waits for it asks again.
    pub(super) fn say(&mut self, now: MonoTime, message: &Enrolment) {
        let _ = self.line.send_bytes(now, &message.encode());
    }

    /// Sends what is due.
    pub(super) fn work(&mut self, now: MonoTime, node: &mut Node) {
        self.line.session.on_timeout(now);
        if self.line.beat_due(now, None) {
            let (echo, flows) = self.line.session.report();
            let beat = ControllerBeat {
                echo,
                renewals: Vec::new(),
                flows,
            };
            self.line.send_beat(now, &beat.encode());
        }
        self.line.flush(now, node);
        self.line.offer_if_due(now, node);
        // Only the replies say what became of requests.
        while self.line.session.poll_receipt().is_some() {}
    }

    /// A relay is new or came back.
    pub(super) fn on_leg_up(&mut self, now: MonoTime, relay: &NodeName, node: &mut Node) {
        self.line.offer_to(now, node, relay);
        self.line.hasten_beat(now);
    }

    pub(super) fn next_timeout(&self) -> MonoTime {
        self.line.next_timeout()
    }

    fn on_beat(&mut self, now: MonoTime, delivery: &Delivery) {
        if let Ok(beat) = ControllerBeat::decode(&delivery.bytes) {
            let session = &mut self.line.session;
            session.on_report(now, delivery.sent_at_us, beat.echo, &beat.flows);
        }
    }
}
