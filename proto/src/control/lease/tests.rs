//! Behaviours of the lease, and its agreement with a simple model.

use proptest::prelude::*;

use super::*;
use crate::control::diagram::{assert_in_safety, mermaid};

fn at(ms: u64) -> MonoTime {
    MonoTime::from_us(ms * 1_000)
}

fn node(number: usize) -> NodeName {
    format!("controller/desk-{number}").parse().unwrap()
}

fn held_by(who: &NodeName) -> (Lease, FencingToken) {
    let mut lease = Lease::new(FencingToken(41), Lease::TTL);
    let TakeStep::Persist(token) = lease.on_take(at(0), who).unwrap();
    let grant = lease.on_persisted(at(0), token).unwrap();
    assert_eq!(
        (&grant.who, grant.token, grant.ttl),
        (who, token, Lease::TTL)
    );
    (lease, token)
}

fn name(state: &State) -> String {
    match state {
        State::Free => "Free",
        State::Granting { .. } => "Granting",
        State::Held { .. } => "Held",
    }
    .to_string()
}

#[test]
fn the_picture_in_the_docs_is_the_code() {
    let who = node(1);
    let (token, until) = (FencingToken(1), at(500));
    let granting = State::Granting {
        who: who.clone(),
        token,
        until,
    };
    let held = State::Held {
        who: who.clone(),
        token,
        until,
    };
    let facts = [
        (
            Fact::Take {
                who: &who,
                token: FencingToken(2),
                until: at(600),
            },
            "take",
        ),
        (
            Fact::Persisted {
                token,
                now: at(1),
                until: at(600),
            },
            "token stored",
        ),
        (Fact::Renew { until: at(600) }, "renewal"),
        (
            Fact::HandedOver {
                who: &who,
                token: FencingToken(2),
                until: at(600),
            },
            "handover",
        ),
        (Fact::End, "release, end of session, removal"),
        (Fact::Lapse, "lapse"),
    ];
    let mut edges = Vec::new();
    for state in [State::Free, granting, held] {
        for (fact, label) in &facts {
            let to = next(&state, fact);
            if to != state {
                edges.push((name(&state), name(&to), *label));
            }
        }
    }
    assert_in_safety(&mermaid("Lease", "Free", &edges));
}

/// SAFE-1
#[test]
fn only_one_node_holds_a_lease() {
    let (first, second) = (node(1), node(2));
    let (mut lease, token) = held_by(&first);
    assert_eq!(
        lease.on_take(at(1), &second),
        Err(Refusal::HeldBy(first.clone()))
    );
    assert_eq!(lease.check(at(1), &first, token), Ok(()));
    assert_eq!(
        lease.check(at(1), &second, token),
        Err(Refusal::HeldBy(first))
    );
}

/// SAFE-2
#[test]
fn nothing_is_accepted_under_a_token_that_is_not_stored() {
    let who = node(1);
    let mut lease = Lease::new(FencingToken(0), Lease::TTL);
    let TakeStep::Persist(token) = lease.on_take(at(0), &who).unwrap();
    assert_eq!(lease.check(at(0), &who, token), Err(Refusal::NotLeased));
    assert_eq!(
        lease.on_take(at(0), &node(2)),
        Err(Refusal::HeldBy(who.clone()))
    );
    assert_eq!(lease.on_persisted(at(0), FencingToken(9)), None);
    assert!(lease.on_persisted(at(1), token).is_some());
    assert_eq!(lease.check(at(1), &who, token), Ok(()));
    assert_eq!(lease.on_persisted(at(2), token), None, "granted once");
}

/// SAFE-3
#[test]
fn a_lapsed_lease_is_takeable_and_the_old_token_is_refused() {
    let (first, second) = (node(1), node(2));
    let (mut lease, old) = held_by(&first);
    assert_eq!(lease.on_timeout(at(499)), None);
    assert_eq!(lease.check(at(500), &first, old), Err(Refusal::NotLeased));
    assert!(!lease.on_renew(at(500), &first, old));
    let end = lease.on_timeout(at(500)).unwrap();
    assert_eq!((end.who, end.token), (first.clone(), old));

    let TakeStep::Persist(token) = lease.on_take(at(501), &second).unwrap();
    lease.on_persisted(at(502), token).unwrap();
    assert!(token > old);
    assert_eq!(
        lease.check(at(503), &first, old),
        Err(Refusal::HeldBy(second.clone()))
    );
    assert_eq!(lease.check(at(503), &second, old), Err(Refusal::OldToken));
}

/// SAFE-4
#[test]
fn a_holder_that_takes_again_gets_a_larger_token_and_loses_the_old_one_at_once() {
    let who = node(1);
    let (mut lease, old) = held_by(&who);
    let TakeStep::Persist(token) = lease.on_take(at(10), &who).unwrap();
    assert!(token > old);
    assert_eq!(lease.check(at(10), &who, old), Err(Refusal::OldToken));
    assert!(lease.on_persisted(at(12), token).is_some());
}

/// SAFE-11
#[test]
fn while_a_token_is_being_stored_its_taker_cannot_take_again() {
    let who = node(1);
    let mut lease = Lease::new(FencingToken(0), Lease::TTL);
    let TakeStep::Persist(token) = lease.on_take(at(0), &who).unwrap();
    assert_eq!(lease.on_take(at(1), &who), Err(Refusal::TooOften));
    assert!(
        lease.on_persisted(at(2), token).is_some(),
        "the first counts"
    );
    assert!(lease.on_take(at(3), &who).is_ok());
}

/// SAFE-5
#[test]
fn tokens_begin_above_the_stored_one_and_never_wrap() {
    let (_, token) = held_by(&node(1));
    assert_eq!(token, FencingToken(42));
    let mut lease = Lease::new(FencingToken(u64::MAX), Lease::TTL);
    assert_eq!(lease.on_take(at(0), &node(1)), Err(Refusal::NotLeased));
}

/// SAFE-7
#[test]
fn a_release_needs_the_holder_and_its_token() {
    let (first, second) = (node(1), node(2));
    let (mut lease, token) = held_by(&first);
    assert_eq!(lease.on_release(&second, token), None);
    assert_eq!(lease.on_release(&first, FencingToken(1)), None);
    assert!(lease.on_release(&first, token).is_some());
    assert_eq!(lease.check(at(1), &first, token), Err(Refusal::NotLeased));
    assert_eq!(lease.next_timeout(), None);
}

/// SAFE-8
#[test]
fn a_lease_ends_with_its_holders_session_also_while_its_token_is_being_stored() {
    let (first, second) = (node(1), node(2));
    let (mut lease, token) = held_by(&first);
    assert_eq!(lease.on_session_end(&second), None);
    assert_eq!(lease.on_session_end(&first).unwrap().token, token);

    let TakeStep::Persist(token) = lease.on_take(at(1), &second).unwrap();
    assert!(lease.on_session_end(&second).is_some());
    assert_eq!(lease.on_persisted(at(2), token), None);
}

#[test]
fn a_take_whose_token_is_never_stored_gives_way() {
    let (first, second) = (node(1), node(2));
    let mut lease = Lease::new(FencingToken(0), Lease::TTL);
    let TakeStep::Persist(token) = lease.on_take(at(0), &first).unwrap();
    assert_eq!(lease.on_timeout(at(4_999)), None);
    assert_eq!(lease.on_persisted(at(5_000), token), None, "too late");
    assert!(lease.on_timeout(at(5_000)).is_some());
    assert!(lease.on_take(at(5_000), &second).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Take(usize),
    Persist,
    Renew(usize, u64),
    Release(usize, u64),
    SessionEnd(usize),
    HandOver(usize),
    Remove,
    Wait(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3usize).prop_map(Step::Take),
        Just(Step::Persist),
        (0..3usize, 0..3u64).prop_map(|(who, back)| Step::Renew(who, back)),
        (0..3usize, 0..3u64).prop_map(|(who, back)| Step::Release(who, back)),
        (0..3usize).prop_map(Step::SessionEnd),
        (0..3usize).prop_map(Step::HandOver),
        Just(Step::Remove),
        (1..400u64).prop_map(Step::Wait),
        Just(Step::Restart),
    ]
}

/// What must hold, in the simplest words: a stored counter, and perhaps one holder with a time.
#[derive(Default)]
struct Model {
    stored: u64,
    newest: u64,
    pending: Option<(usize, u64, u64)>,
    held: Option<(usize, u64, u64)>,
}

impl Model {
    fn taken_by_other(&self, who: usize) -> bool {
        self.pending.or(self.held).is_some_and(|(w, ..)| w != who)
    }

    fn may(&self, now: u64, who: usize, token: u64) -> bool {
        self.held
            .is_some_and(|(w, t, until)| w == who && t == token && now < until)
    }

    fn forget(&mut self, gone: impl Fn(usize, u64, u64) -> bool) {
        self.pending = self.pending.filter(|&(w, t, until)| !gone(w, t, until));
        self.held = self.held.filter(|&(w, t, until)| !gone(w, t, until));
    }
}

proptest! {
    /// SAFE-1, SAFE-2, SAFE-3, SAFE-5, SAFE-91
    #[test]
    fn a_lease_agrees_with_a_simple_model(steps in prop::collection::vec(step(), 1..80)) {
        let nodes = [node(0), node(1), node(2)];
        let mut now = 0;
        let mut model = Model::default();
        let mut lease = Lease::new(FencingToken(0), Lease::TTL);
        let mut granted = 0;
        for step in steps {
            match step {
                Step::Take(who) => {
                    let result = lease.on_take(at(now), &nodes[who]);
                    let refused = model.taken_by_other(who) || model.pending.is_some();
                    prop_assert_eq!(result.is_err(), refused);
                    if let Ok(TakeStep::Persist(token)) = result {
                        prop_assert!(token.0 > model.newest);
                        model.newest = token.0;
                        model.held = None;
                        model.pending = Some((who, token.0, now + 5_000));
                    }
                }
                Step::Persist => {
                    model.stored = model.newest;
                    let wanted = model.pending.map_or(model.newest, |(_, token, _)| token);
                    let grant = lease.on_persisted(at(now), FencingToken(wanted));
                    prop_assert_eq!(grant.is_some(), model.pending.is_some());
                    if let Some((who, token, _)) = model.pending.take() {
                        prop_assert!(token > granted, "a token is granted once, and they grow");
                        granted = token;
                        model.held = Some((who, token, now + 500));
                    }
                }
                Step::Renew(who, back) => {
                    let token = model.newest.saturating_sub(back);
                    let renewed = lease.on_renew(at(now), &nodes[who], FencingToken(token));
                    prop_assert_eq!(renewed, model.may(now, who, token));
                    if renewed {
                        model.held = Some((who, token, now + 500));
                    }
                }
                Step::Release(who, back) => {
                    let token = model.newest.saturating_sub(back);
                    lease.on_release(&nodes[who], FencingToken(token));
                    model.forget(|w, t, _| w == who && t == token);
                }
                Step::SessionEnd(who) => {
                    lease.on_session_end(&nodes[who]);
                    model.forget(|w, _, _| w == who);
                }
                Step::HandOver(who) => {
                    let token = lease.reserve_token().unwrap();
                    prop_assert!(token.0 > model.newest);
                    model.newest = token.0;
                    model.stored = token.0;
                    let moved = lease.on_handed_over(at(now), &nodes[who], token);
                    prop_assert_eq!(moved, model.held.is_some());
                    if moved {
                        prop_assert!(token.0 > granted);
                        granted = token.0;
                        model.held = Some((who, token.0, now + 500));
                    }
                }
                Step::Remove => {
                    let removed = lease.on_removal().is_some();
                    prop_assert_eq!(removed, model.pending.or(model.held).is_some());
                    model.forget(|_, _, _| true);
                }
                Step::Wait(ms) => {
                    now += ms;
                    lease.on_timeout(at(now));
                    model.forget(|_, _, until| until <= now);
                }
                Step::Restart => {
                    lease = Lease::new(FencingToken(model.stored), Lease::TTL);
                    model = Model { stored: model.stored, newest: model.stored, ..Model::default() };
                }
            }
            for (who, name) in nodes.iter().enumerate() {
                for token in model.newest.saturating_sub(3)..=model.newest {
                    prop_assert_eq!(
                        lease.check(at(now), name, FencingToken(token)).is_ok(),
                        model.may(now, who, token)
                    );
                }
            }
        }
    }
}
