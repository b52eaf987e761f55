//! Sessions whose handshake is not complete.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rustls_pki_types::UnixTime;

use crate::base::limits::ATTEMPT_LIFE;
use crate::base::{Entropy, MonoTime, NodeName, SessionId};
use crate::crypto::{Credential, Established, Fleet, Responder, RunKey};
use crate::leg::Budget;
use crate::wire::Parcel;

/// Half-open sessions, oldest first.
///
/// A relay can make up first messages, so each relay has a bounded share of memory and work, and several halves may carry
/// the same session number: the seal decides which is genuine. A half stays while one of the relays that brought its
/// first message has room for it: none can crowd out what came through another.
// [WIRE-117]
#[derive(Debug)]
pub(super) struct Halves {
    halves: VecDeque<Half>,
    /// None before the first answer.
    run: Option<RunKey>,
    work: BTreeMap<NodeName, Budget>,
    per_relay_max: usize,
    work_per_s: u64,
}

#[derive(Debug)]
struct Half {
    session: SessionId,
    /// Relays that brought its first message and have not crowded it out.
    relays: Vec<NodeName>,
    responder: Responder,
    step2: Arc<[u8]>,
    ends: MonoTime,
}

impl Halves {
    /// So many for each relay, and so many steps that are worked on a second.
    pub(super) fn new(per_relay_max: usize, work_per_s: u64) -> Halves {
        Halves {
            halves: VecDeque::new(),
            run: None,
            work: BTreeMap::new(),
            per_relay_max,
            work_per_s,
        }
    }

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
            .position(|half| half.session == session && half.responder.answers(step1));
        if let Some(known) = known {
            let half = self.halves.get(known)?;
            let step2 = half.step2.clone();
            if !half.relays.contains(relay) {
                self.make_room(relay);
                self.claim(session, step1, relay);
            }
            return Some(step2);
        }
        if !self.spend(now, relay, 1) {
            return None;
        }
        let run = self.run.get_or_insert_with(|| RunKey::new(entropy));
        let (responder, step2) =
            Responder::new(now, session, me, step1, credential, run, entropy).ok()?;
        let step2 = Parcel::Handshake {
            session,
            step: 2,
            to: None,
            body: step2.into(),
        }
        .encode();
        self.make_room(relay);
        self.halves.push_back(Half {
            session,
            relays: vec![relay.clone()],
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
        relay: &NodeName,
        (session, step3): (SessionId, &[u8]),
        (fleet, at): (&Fleet, UnixTime),
    ) -> Option<Established> {
        // A genuine third message mostly comes by a relay that brought the first one too.
        for own in [true, false] {
            for index in 0..self.halves.len() {
                let half = self.halves.get(index)?;
                if half.session != session || half.relays.contains(relay) != own {
                    continue;
                }
                if !self.spend(now, relay, 1) {
                    return None;
                }
                let responder = &mut self.halves.get_mut(index)?.responder;
                if let Ok(established) = responder.on_step3(now, step3, fleet, at) {
                    self.halves.retain(|half| half.session != session);
                    return Some(established);
                }
            }
        }
        None
    }

    /// Another relay brought the same first message.
    fn claim(&mut self, session: SessionId, step1: &[u8], relay: &NodeName) {
        let same = |half: &&mut Half| half.session == session && half.responder.answers(step1);
        if let Some(half) = self.halves.iter_mut().find(same) {
            half.relays.push(relay.clone());
        }
    }

    /// Takes the oldest half from a relay that has its share.
    fn make_room(&mut self, relay: &NodeName) {
        let share = |half: &Half| half.relays.contains(relay);
        if self.halves.iter().filter(|half| share(half)).count() < self.per_relay_max {
            return;
        }
        if let Some(oldest) = self.halves.iter_mut().find(|half| share(half)) {
            oldest.relays.retain(|other| other != relay);
        }
        self.halves.retain(|half| !half.relays.is_empty());
    }

    fn spend(&mut self, now: MonoTime, relay: &NodeName, work: usize) -> bool {
        let per_s = self.work_per_s;
        let budget = self
            .work
            .entry(relay.clone())
            .or_insert_with(|| Budget::new(now, per_s, per_s));
        budget.try_spend(now, work)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::limits::{HALF_OPEN_PER_RELAY_MAX, HANDSHAKE_WORK_PER_S};
    use crate::crypto::test_authority::{KeyType, NOW, TestAuthority};
    use crate::crypto::{Initiator, KeyPair};

    /// Distinct bytes for each draw.
    struct Counting(u8);

    impl Entropy for Counting {
        fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                self.0 = self.0.wrapping_mul(5).wrapping_add(113);
                *byte = self.0;
            }
        }
    }

    struct Scene {
        me: NodeName,
        fleet: Fleet,
        truck: KeyPair,
        anna: KeyPair,
        entropy: Counting,
        halves: Halves,
        flooded: u64,
    }

    impl Scene {
        fn new() -> Scene {
            let authority = TestAuthority::new("demo");
            Scene {
                me: "agent/truck-17".parse().unwrap(),
                fleet: authority.fleet(),
                truck: authority.credential("agent/truck-17", KeyType::Ed25519),
                anna: authority.credential("controller/anna", KeyType::Ed25519),
                entropy: Counting(1),
                halves: Halves::new(HALF_OPEN_PER_RELAY_MAX, HANDSHAKE_WORK_PER_S),
                flooded: 0,
            }
        }

        fn on_step1(&mut self, now: MonoTime, relay: &str, step1: &[u8]) -> Option<Arc<[u8]>> {
            self.halves.on_step1(
                now,
                &relay.parse().unwrap(),
                (SESSION, step1),
                &self.me,
                &self.truck,
                &mut self.entropy,
            )
        }

        fn on_step3(&mut self, now: MonoTime, relay: &str, step3: &[u8]) -> bool {
            let relay = relay.parse().unwrap();
            let believing = (&self.fleet, NOW);
            self.halves
                .on_step3(now, &relay, (SESSION, step3), believing)
                .is_some()
        }

        /// As many first steps as a relay may bring, and more; none twice.
        fn flood(&mut self, now: MonoTime, relay: &str) {
            for _ in 0..HALF_OPEN_PER_RELAY_MAX + 5 {
                self.flooded += 1;
                let mut forged = [0x40; 32];
                forged[..8].copy_from_slice(&self.flooded.to_be_bytes());
                self.on_step1(now, relay, &forged);
            }
        }
    }

    const SESSION: SessionId = SessionId(7);
    const A: &str = "relay/a";
    const B: &str = "relay/b";

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    // [WIRE-117]
    #[test]
    fn a_relay_does_not_crowd_out_what_came_through_another_too() {
        let mut scene = Scene::new();
        let mut entropy = Counting(9);
        let (mut anna, step1) = Initiator::new(at(0), SESSION, &scene.me, &mut entropy);
        let step2 = scene.on_step1(at(0), A, &step1).unwrap();
        assert_eq!(scene.on_step1(at(1), B, &step1), Some(step2.clone()));
        scene.flood(at(2), A);
        assert_eq!(scene.on_step1(at(3), B, &step1), Some(step2.clone()));
        let Ok(Parcel::Handshake { body, .. }) = Parcel::decode(&step2) else {
            panic!("a handshake")
        };
        let (step3, _) = anna
            .on_step2(at(4), &body, &scene.fleet, NOW, &scene.anna)
            .unwrap();
        assert!(!scene.on_step3(at(5), A, &[3; 700]));
        assert!(scene.on_step3(at(6), B, &step3));
        assert!(!scene.on_step3(at(7), B, &step3));
    }

    // [WIRE-117]
    #[test]
    fn memory_and_work_for_one_relay_are_bounded() {
        let mut scene = Scene::new();
        for _ in 0..40 {
            scene.flood(at(40), A);
        }
        assert_eq!(scene.halves.halves.len(), HALF_OPEN_PER_RELAY_MAX);
        // Relay A has used up its work, and relay B has not.
        assert_eq!(scene.on_step1(at(40), A, &[9; 32]), None);
        assert!(scene.on_step1(at(40), B, &[9; 32]).is_some());
        let later = at(40) + ATTEMPT_LIFE + Duration::from_secs(1);
        assert!(scene.on_step1(later, A, &[10; 32]).is_some());
        assert_eq!(scene.halves.halves.len(), 1);
    }
}
