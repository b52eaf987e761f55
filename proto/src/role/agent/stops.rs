//! Emergency stops at the agent: who may say it, how often, and the answer to repeats.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ring::digest;

use crate::base::limits::{
    STOP_ANSWERS_MAX, STOP_BURST, STOP_CHECKS_PER_AUTHOR_PER_S, STOP_CHECKS_PER_S,
    STOPS_PER_SENDER_PER_S,
};
use crate::base::{MonoTime, Name, NodeKind, NodeName, Right, StopId};
use crate::control::Policy;
use crate::crypto::{Fleet, verify_statement};
use crate::leg::Budget;
use crate::role::rates::Rates;
use crate::wire::{Signed, Statement};

/// What is known of stops apart from the latch.
#[derive(Debug)]
pub(super) struct Stops {
    /// Answers by the hash of the statement, oldest first: a repeat costs no signature check.
    answers: VecDeque<(Hash, Option<Arc<[u8]>>)>,
    /// Signature checks that each relay may cause.
    checks: BTreeMap<NodeName, Checks>,
    /// Distinct stops of each author.
    authors: Rates<NodeName>,
    counters: StopCounters,
}

/// Signature checks that one relay may cause: of all authors, and of each certificate by its hash.
#[derive(Debug)]
struct Checks {
    all: Budget,
    authors: Rates<Hash>,
}

/// What became of the stops that arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopCounters {
    /// Verified and passed to the latch.
    pub verified: u64,
    /// Dropped as repeats.
    pub repeated: u64,
    /// Not signed by a controller of the fleet for this agent.
    pub forged: u64,
    /// Over the rate of their relay or author.
    pub too_often: u64,
    /// Of a generation that was reset since.
    pub old: u64,
    /// Of a node that may not stop the vehicle.
    pub not_allowed: u64,
    /// Of a group that the agent is not in.
    pub other_group: u64,
}

/// A verified stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) hash: Hash,
    pub(super) author: NodeName,
    pub(super) id: StopId,
    pub(super) generation: Option<u32>,
    /// Only agents of this group are meant.
    pub(super) group: Option<Name>,
}

/// What to do with a statement that arrived.
#[derive(Debug)]
pub(super) enum Verdict {
    /// A new, genuine stop.
    Stop(Heard),
    /// A genuine stop of somebody who may not say it.
    NotAllowed(Heard),
    /// A repeat: send this answer again.
    Answer(Arc<[u8]>),
    /// Nothing.
    Drop,
}

type Hash = [u8; digest::SHA256_OUTPUT_LEN];

impl Stops {
    pub(super) fn new() -> Stops {
        Stops {
            answers: VecDeque::new(),
            checks: BTreeMap::new(),
            authors: Rates::new(STOPS_PER_SENDER_PER_S, STOP_BURST),
            counters: StopCounters::default(),
        }
    }

    pub(super) fn counters(&self) -> StopCounters {
        self.counters
    }

    pub(super) fn count_other_group(&mut self) {
        self.counters.other_group += 1;
    }

    pub(super) fn count_old(&mut self) {
        self.counters.old += 1;
    }

    /// Judges a signed statement that came through a relay.
    // [SAFE-30] [WIRE-35]
    pub(super) fn on_statement(
        &mut self,
        now: MonoTime,
        relay: &NodeName,
        me: &NodeName,
        body: &[u8],
        fleet: &Fleet,
        policy: &Policy,
    ) -> Verdict {
        let hash = hash_of(body);
        if let Some((_, answer)) = self.answers.iter().find(|(known, _)| *known == hash) {
            self.counters.repeated += 1;
            return answer.clone().map_or(Verdict::Drop, Verdict::Answer);
        }
        let Ok(signed) = Signed::decode(body) else {
            self.counters.forged += 1;
            return Verdict::Drop;
        };
        if !self.may_check(now, relay, &signed) {
            self.counters.too_often += 1;
            return Verdict::Drop;
        }
        // [SAFE-37] A wrong clock, here or where it was renewed, must not keep a vehicle from stopping.
        let author = verify_statement(fleet, None, me, &signed).ok();
        let verified = author.and_then(|peer| {
            let says = matches!(peer.node.kind, NodeKind::Controller | NodeKind::Service);
            match &signed.statement {
                Statement::Stop { id, generation } if says => Some((peer, *id, *generation, None)),
                Statement::StopOfGroup { id, group } if says => {
                    Some((peer, *id, None, Some(group.clone())))
                }
                Statement::Stop { .. }
                | Statement::StopOfGroup { .. }
                | Statement::Stopped { .. } => None,
            }
        });
        let Some((peer, id, generation, group)) = verified else {
            self.counters.forged += 1;
            return Verdict::Drop;
        };
        let allowed = policy.with_vehicle(&peer.node, &peer.groups, Right::Stop);
        let author = peer.node;
        if !self.authors.try_spend(now, &author) {
            self.counters.too_often += 1;
            return Verdict::Drop;
        }
        let heard = Heard {
            hash,
            author,
            id,
            generation,
            group,
        };
        if !allowed {
            self.counters.not_allowed += 1;
            return Verdict::NotAllowed(heard);
        }
        self.counters.verified += 1;
        Verdict::Stop(heard)
    }

    /// Whether a signature may be checked. A hostile relay can send any number of forged stops, and an honest one forwards
    /// those of a hostile author: neither is to use up what others need.
    // [SAFE-38]
    fn may_check(&mut self, now: MonoTime, relay: &NodeName, signed: &Signed) -> bool {
        let checks = self.checks.entry(relay.clone()).or_insert_with(|| Checks {
            all: Budget::new(now, STOP_CHECKS_PER_S, STOP_CHECKS_PER_S),
            authors: Rates::new(STOP_CHECKS_PER_AUTHOR_PER_S, STOP_CHECKS_PER_AUTHOR_PER_S),
        });
        let author = hash_of(&signed.certificate);
        checks.authors.try_spend(now, &author) && checks.all.try_spend(now, 1)
    }

    /// Notes a stop as heard, with the answer once there is one.
    pub(super) fn note(&mut self, heard: &Heard, answer: Option<Arc<[u8]>>) {
        self.answers.retain(|(hash, _)| *hash != heard.hash);
        self.answers.push_back((heard.hash, answer));
        while self.answers.len() > STOP_ANSWERS_MAX {
            self.answers.pop_front();
        }
    }
}

fn hash_of(body: &[u8]) -> Hash {
    let mut hash = [0; digest::SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign_statement;
    use crate::crypto::test_authority::{KeyType, NOW, TestAuthority, at};

    struct Scene {
        authority: TestAuthority,
        truck: NodeName,
        stops: Stops,
    }

    impl Scene {
        fn new() -> Scene {
            Scene {
                authority: TestAuthority::new("demo"),
                truck: "agent/truck-17".parse().unwrap(),
                stops: Stops::new(),
            }
        }

        fn say(&mut self, relay: &str, body: &[u8]) -> Verdict {
            let (relay, truck) = (relay.parse().unwrap(), self.truck.clone());
            let fleet = self.authority.fleet();
            self.stops.on_statement(
                MonoTime::ZERO,
                &relay,
                &truck,
                body,
                &fleet,
                &Policy::open(),
            )
        }

        fn signed(&self, author: &str, number: u8) -> Signed {
            let statement = Statement::Stop {
                id: StopId([number; 16]),
                generation: None,
            };
            let credential = self.authority.credential(author, KeyType::Ed25519);
            sign_statement(
                &credential,
                &author.parse().unwrap(),
                &self.truck,
                statement,
            )
        }

        /// As many as no relay may have checked, none twice.
        fn flood(&mut self, relay: &str, mut forged: Signed, same_author: bool) {
            for number in 0..2 * STOP_CHECKS_PER_S {
                let number = number.to_be_bytes();
                forged.signature[..8].copy_from_slice(&number);
                if !same_author {
                    forged.certificate[..8].copy_from_slice(&number);
                }
                let verdict = self.say(relay, &forged.encode());
                assert!(matches!(verdict, Verdict::Drop));
            }
        }
    }

    /// [SAFE-38]
    #[test]
    fn forged_stops_of_one_author_leave_the_same_relay_checks_for_another() {
        let mut scene = Scene::new();
        let mallory = scene.signed("controller/mallory", 1);
        scene.flood("relay/a", mallory, true);
        assert_eq!(scene.stops.counters().forged, STOP_CHECKS_PER_AUTHOR_PER_S);
        let genuine = scene.signed("controller/anna", 2).encode();
        assert!(matches!(scene.say("relay/a", &genuine), Verdict::Stop(_)));
    }

    /// [SAFE-38]
    #[test]
    fn a_hostile_relay_uses_up_its_own_checks_and_no_other_relays() {
        let mut scene = Scene::new();
        let forged = scene.signed("controller/anna", 1);
        scene.flood("relay/a", forged, false);
        assert_eq!(scene.stops.counters().forged, STOP_CHECKS_PER_S);
        let genuine = scene.signed("controller/anna", 2).encode();
        assert!(matches!(scene.say("relay/a", &genuine), Verdict::Drop));
        assert!(matches!(scene.say("relay/b", &genuine), Verdict::Stop(_)));
    }

    /// [SAFE-38]
    #[test]
    fn repeats_of_a_stop_that_was_heard_cost_no_check() {
        let mut scene = Scene::new();
        let genuine = scene.signed("controller/anna", 1).encode();
        let Verdict::Stop(heard) = scene.say("relay/a", &genuine) else {
            panic!("it is genuine")
        };
        scene.stops.note(&heard, None);
        for _ in 0..2 * STOP_CHECKS_PER_S {
            assert!(matches!(scene.say("relay/a", &genuine), Verdict::Drop));
        }
        assert_eq!(scene.stops.counters().repeated, 2 * STOP_CHECKS_PER_S);
        let another = scene.signed("controller/anna", 2).encode();
        assert!(matches!(scene.say("relay/a", &another), Verdict::Stop(_)));
    }

    /// [SAFE-37]
    #[test]
    fn a_stop_counts_with_a_certificate_whose_time_is_over_but_not_with_a_strangers() {
        let authority = TestAuthority::new("demo");
        let truck: NodeName = "agent/truck-17".parse().unwrap();
        let anna: NodeName = "controller/anna".parse().unwrap();
        let relay: NodeName = "relay/a".parse().unwrap();
        let author = authority.credential("controller/anna", KeyType::Ed25519);
        let statement = Statement::Stop {
            id: StopId([1; 16]),
            generation: None,
        };
        let body = sign_statement(&author, &anna, &truck, statement).encode();
        let verdict = |fleet: &Fleet| {
            let (mut stops, policy) = (Stops::new(), Policy::open());
            stops.on_statement(MonoTime::ZERO, &relay, &truck, &body, fleet, &policy)
        };
        for passed in [at(0), NOW, at(4_000_000_000)] {
            let fleet = authority.fleet();
            fleet.note_time(passed);
            assert!(matches!(verdict(&fleet), Verdict::Stop(heard) if heard.author == anna));
        }
        let strangers = TestAuthority::new("demo").fleet();
        assert!(matches!(verdict(&strangers), Verdict::Drop));
    }
}
