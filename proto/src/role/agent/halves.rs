//! Sessions whose handshake is not complete.

use std::collections::VecDeque;
use std::sync::Arc;

use rustls_pki_types::UnixTime;

use crate::base::limits::{ATTEMPT_LIFE, HALF_OPEN_PER_RELAY_MAX};
use crate::base::{Entropy, MonoTime, NodeName, SessionId};
use crate::crypto::{Credential, Established, Fleet, Responder};
use crate::wire::Parcel;

/// Half-open sessions, oldest first. A relay can forge a first message, so each relay has a bounded share and several
/// may carry the same session number: the seal decides which is genuine.
#[derive(Debug, Default)]
pub(super) struct Halves {
    halves: VecDeque<Half>,
}

#[derive(Debug)]
struct Half {
    session: SessionId,
    relay: NodeName,
    step1: Vec<u8>,
    responder: Responder,
    step2: Arc<[u8]>,
    ends: MonoTime,
}

impl Halves {
    /// Answers a first message: the same message gets the same answer.
    pub(super) fn on_step1(
        &mut self,
        now: MonoTime,
        relay: &NodeName,
        (session, step1): (SessionId, &[u8]),
        me: &NodeName,
        credential: &dyn Credential,
        entropy: &mut dyn Entropy,
    ) -> Option<Arc<[u8]>> {
        self.halves.retain(|half| now < half.ends);
        let known = self
            .halves
            .iter()
            .find(|half| half.session == session && half.step1 == step1);
        if let Some(known) = known {
            return Some(known.step2.clone());
        }
        let (responder, step2) =
            Responder::new(now, session, me, step1, credential, entropy).ok()?;
        let step2 = Parcel::Handshake {
            session,
            step: 2,
            to: None,
            body: step2.into(),
        }
        .encode();
        if self
            .halves
            .iter()
            .filter(|half| half.relay == *relay)
            .count()
            >= HALF_OPEN_PER_RELAY_MAX
            && let Some(oldest) = self.halves.iter().position(|half| half.relay == *relay)
        {
            self.halves.remove(oldest);
        }
        self.halves.push_back(Half {
            session,
            relay: relay.clone(),
            step1: step1.to_vec(),
            responder,
            step2: step2.clone(),
            ends: now + ATTEMPT_LIFE,
        });
        Some(step2)
    }

    /// The session that a third message opens, if it is genuine.
    pub(super) fn on_step3(
        &mut self,
        now: MonoTime,
        session: SessionId,
        step3: &[u8],
        fleet: &Fleet,
        at: UnixTime,
    ) -> Option<Established> {
        let of_session = self
            .halves
            .iter_mut()
            .filter(|half| half.session == session);
        let established = of_session
            .filter_map(|half| half.responder.on_step3(now, step3, fleet, at).ok())
            .next()?;
        self.halves.retain(|half| half.session != session);
        Some(established)
    }
}
