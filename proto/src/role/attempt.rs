//! A handshake under way.

use std::sync::Arc;

use rustls_pki_types::UnixTime;

use super::ways::Ways;
use crate::base::limits::{
    ATTEMPT_LIFE, HANDSHAKE_REPEAT_INTERVAL, HANDSHAKE_TTL, HANDSHAKES_PER_ATTEMPT_MAX,
};
use crate::base::{Entropy, MonoTime, NodeName, SessionId};
use crate::crypto::{Credential, Fleet, Initiator};
use crate::role::line::Line;
use crate::role::node::Node;
use crate::session::{Dictionaries, Rejection};
use crate::wire::{Parcel, SealedHeader};

/// A handshake under way, until something arrives that only the agent can have sealed.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) ways: Ways,
    pub(super) ends: MonoTime,
    initiator: Initiator,
    step1: Arc<[u8]>,
    next_send: MonoTime,
    /// After a step 2: sessions that nothing confirms yet. There are several when a relay has had the agent forget its first
    /// answer, and only the agent knows which of them stands.
    made: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    step3: Arc<[u8]>,
    line: Line,
}

impl Attempt {
    pub(super) fn new(
        now: MonoTime,
        vehicle: &NodeName,
        node: &mut Node,
        entropy: &mut dyn Entropy,
    ) -> Attempt {
        let mut number = [0; 4];
        entropy.fill(&mut number);
        let session = SessionId(u32::from_be_bytes(number));
        let (initiator, step1) = Initiator::new(now, session, vehicle, entropy);
        Attempt {
            ways: Ways::new(now, session, vehicle, node),
            ends: now + ATTEMPT_LIFE,
            initiator,
            step1: handshake(session, 1, Some(vehicle.clone()), &step1),
            next_send: now,
            made: Vec::new(),
        }
    }

    pub(super) fn session(&self) -> SessionId {
        self.ways.session
    }

    /// Whether the agent has answered.
    pub(super) fn is_answered(&self) -> bool {
        !self.made.is_empty()
    }

    /// Repeats what may be lost.
    pub(super) fn work(&mut self, now: MonoTime, node: &mut Node) {
        self.ways.work(now, node);
        if now < self.next_send {
            return;
        }
        self.next_send = now + HANDSHAKE_REPEAT_INTERVAL;
        let step1 = self.made.is_empty().then_some(&self.step1);
        let steps = step1.into_iter().chain(self.made.iter().map(|m| &m.step3));
        for step in steps {
            node.send_everywhere(now, step, now, now + HANDSHAKE_TTL);
        }
    }

    pub(super) fn next_timeout(&self) -> MonoTime {
        let ways = self.ways.next_timeout();
        let own = self.next_send.min(self.ends);
        ways.map_or(own, |at| at.min(own))
    }

    pub(super) fn on_leg_up(&mut self, now: MonoTime, relay: &NodeName, node: &mut Node) {
        self.ways.on_leg_up(now, relay, node);
        self.next_send = now;
    }

    /// Whether only agents answered that know nothing of the session that stands, because they are another run.
    pub(super) fn is_of_another_run(&self, standing: &Line) -> bool {
        let mut made = self.made.iter();
        self.is_answered() && made.all(|made| standing.is_outlived(made.line.run))
    }

    /// Takes a step 2; a forged one changes nothing. One of the run that a session stands with makes the attempt needless.
    // [WIRE-168]
    pub(super) fn on_step2(
        &mut self,
        now: MonoTime,
        body: &[u8],
        (fleet, at): (&Fleet, UnixTime),
        (credential, dictionaries): (&dyn Credential, &Dictionaries),
        standing: Option<&Line>,
        node: &mut Node,
    ) {
        if self.made.len() >= HANDSHAKES_PER_ATTEMPT_MAX {
            return;
        }
        let Ok((step3, established)) = self.initiator.on_step2(now, body, fleet, at, credential)
        else {
            return;
        };
        if standing.is_some_and(|line| !line.is_outlived(established.run)) {
            self.ends = now;
            return;
        }
        let step3 = handshake(self.session(), 3, None, &step3);
        node.send_everywhere(now, &step3, now, now + HANDSHAKE_TTL);
        self.next_send = now + HANDSHAKE_REPEAT_INTERVAL;
        let line = Line::new(
            now,
            self.session(),
            established,
            fleet.time(at),
            dictionaries,
        );
        self.made.push(Made { step3, line });
    }

    /// Whether the agent sealed this under one of the sessions that were made: then that one stands.
    pub(super) fn on_sealed(
        &mut self,
        now: MonoTime,
        header: SealedHeader,
        ciphertext: &[u8],
    ) -> Result<Line, Rejection> {
        let mut why = Rejection::UnknownKey;
        for index in 0..self.made.len() {
            let Some(made) = self.made.get_mut(index) else {
                break;
            };
            match made.line.session.on_sealed(now, header, ciphertext) {
                Ok(()) => return Ok(self.made.swap_remove(index).line),
                Err(rejection) => why = rejection,
            }
        }
        Err(why)
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
