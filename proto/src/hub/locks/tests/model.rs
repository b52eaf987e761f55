//! Locks agree with a simple model.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Take(usize, u64, u64),
    Renew(usize, u64, u64),
    Release(usize, u64),
    Revoke,
    Gone(u32),
    Timeout,
    OwnerGone,
}

fn step() -> impl Strategy<Value = (usize, u64, Step)> {
    let ttl = || prop_oneof![Just(100_u64), 100..600_u64];
    let wait = prop_oneof![Just(0_u64), Just(100_u64), 0..900_u64];
    let back = || prop_oneof![4 => Just(0_u64), 1 => 1..3_u64];
    let step = prop_oneof![
        8 => (0..4_usize, ttl(), wait).prop_map(|(who, ttl, wait)| Step::Take(who, ttl, wait)),
        2 => (0..4_usize, back(), ttl()).prop_map(|(who, back, ttl)| Step::Renew(who, back, ttl)),
        2 => (0..4_usize, back()).prop_map(|(who, back)| Step::Release(who, back)),
        1 => Just(Step::Revoke),
        1 => (0..40_u32).prop_map(Step::Gone),
        3 => Just(Step::Timeout),
        1 => Just(Step::OwnerGone),
    ];
    let passes = prop_oneof![Just(0_u64), Just(100_u64), 0..400_u64];
    (0..3_usize, passes, step)
}

/// One lock, in the plainest way.
#[derive(Clone, Debug, Default)]
struct Model {
    /// Who, token, end.
    held: Option<(usize, u64, u64)>,
    /// Asker, who, ttl, until.
    waiting: Vec<(u32, usize, u64, u64)>,
}

/// What a model says that happened: askers, who, tokens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Granted(u32, usize),
    Over(u32, Option<usize>),
    Lost(usize, u64),
}

impl Model {
    /// Goes through all times to `now`.
    fn advance(&mut self, now: u64, next: &mut u64, events: &mut Vec<Event>) {
        let ends = self.held.map_or(u64::MAX, |(_, _, end)| end);
        let by = self.held.map(|(who, _, _)| who);
        self.waiting.retain(|&(asker, _, _, until)| {
            let stays = until >= ends || until > now;
            if !stays {
                events.push(Event::Over(asker, by));
            }
            stays
        });
        if let Some((who, token, _)) = self.held.filter(|_| ends <= now) {
            events.push(Event::Lost(who, token));
            self.free(now, next, events);
            self.advance(now, next, events);
        }
    }

    fn free(&mut self, now: u64, next: &mut u64, events: &mut Vec<Event>) {
        self.held = None;
        if !self.waiting.is_empty() {
            let (asker, who, ttl, _) = self.waiting.remove(0);
            self.held = Some((who, *next, now + ttl));
            *next += 1;
            events.push(Event::Granted(asker, who));
        }
    }

    fn may(&self, who: usize, token: u64) -> bool {
        self.held
            .is_some_and(|(by, newest, _)| (by, newest) == (who, token))
    }
}

fn event(change: LockChange<u32>) -> Event {
    let number = |who: &NodeName| (0..4).find(|&n| node(n) == *who).unwrap();
    match change {
        LockChange::Granted { asker, who, .. } => Event::Granted(asker, number(&who)),
        LockChange::WaitOver { asker, why } => {
            let by = if let HubRefusal::LockHeld { by } = why {
                Some(number(&by))
            } else {
                None
            };
            Event::Over(asker, by)
        }
        LockChange::Lost { who, token, .. } => Event::Lost(number(&who), token),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn locks_agree_with_a_simple_model(steps in vec(step(), 1..80)) {
        // Two locks of one owner, and one of another.
        let places = [("yard", "gate"), ("yard", "door"), ("pit", "gate")];
        let places = places.map(|(room, lock)| (Owner::Room(name(room)), name(lock)));
        let mut models: [Model; 3] = Default::default();
        let mut locks = Locks::new(7);
        let (mut now, mut next, mut asker) = (0, FIRST, 0);
        // Of each place, the newest token that anybody was given.
        let mut newest = [0_u64; 3];
        for (place, passes, step) in steps {
            now += passes;
            // What is told may come in another order for locks that are over together, and so may their tokens.
            let mut due: Vec<usize> = (0..3).collect();
            due.sort_by_key(|&place| {
                let model: &Model = &models[place];
                let waits = model.waiting.iter().map(|w| w.3);
                let due = waits.chain(model.held.map(|(_, _, end)| end)).min();
                (due, places[place].clone())
            });
            let mut events = Vec::new();
            for place in due {
                models[place].advance(now, &mut next, &mut events);
            }
            let (owner, lock) = &places[place];
            let model = &mut models[place];
            let token = |back| newest[place] - u64::min(back, newest[place]);
            let claim = |back| LockClaim { lock: lock.clone(), token: token(back) };
            // Whatever the step is, who holds the lock is known before the locks notice the time.
            for who in 0..4 {
                let is_held = locks.holds(at(now), owner, &claim(0), &node(who));
                let still = model.may(who, token(0));
                prop_assert_eq!(is_held, still);
            }
            match step {
                Step::Take(who, ttl, wait) => {
                    asker += 1;
                    let taken =
                        locks.take(at(now), owner, lock, &node(who), asker, ms(ttl), ms(wait));
                    let expected = match model.held {
                        None => {
                            model.held = Some((who, next, now + ttl));
                            next += 1;
                            Taken::Granted(next - 1)
                        }
                        Some((by, _, _)) if by == who || wait == 0 => {
                            Taken::Refused(held_by(node(by)))
                        }
                        Some(_) if model.waiting.len() == LOCK_WAITERS_MAX => {
                            Taken::Refused(HubRefusal::Full)
                        }
                        Some(_) => {
                            model.waiting.push((asker, who, ttl, now + wait));
                            Taken::Waiting
                        }
                    };
                    prop_assert_eq!(taken, expected);
                }
                Step::Renew(who, back, ttl) => {
                    let renewed = locks.renew(at(now), owner, &claim(back), &node(who), ms(ttl));
                    prop_assert_eq!(renewed.is_ok(), model.may(who, token(back)));
                    if renewed.is_ok() {
                        model.held = Some((who, token(back), now + ttl));
                    }
                }
                Step::Release(who, back) => {
                    let released = locks.release(at(now), owner, &claim(back), &node(who));
                    prop_assert_eq!(released.is_ok(), model.may(who, token(back)));
                    if released.is_ok() {
                        model.free(now, &mut next, &mut events);
                    }
                }
                Step::Revoke => {
                    let revoked = locks.revoke(at(now), owner, lock);
                    prop_assert_eq!(revoked.is_ok(), model.held.is_some());
                    if let Some((who, token, _)) = model.held {
                        events.push(Event::Lost(who, token));
                        model.free(now, &mut next, &mut events);
                    }
                }
                Step::Gone(gone) => {
                    locks.on_askers_gone(at(now), |asker| *asker == gone);
                    for model in &mut models {
                        model.waiting.retain(|waiter| waiter.0 != gone);
                    }
                }
                Step::Timeout => locks.on_timeout(at(now)),
                Step::OwnerGone => {
                    locks.on_owner_gone(at(now), owner);
                    for (place, model) in places.iter().zip(&mut models) {
                        if place.0 != *owner {
                            continue;
                        }
                        let lost = model.held.take();
                        events.extend(lost.map(|(who, token, _)| Event::Lost(who, token)));
                        let over = model.waiting.drain(..);
                        events.extend(over.map(|waiter| Event::Over(waiter.0, None)));
                    }
                }
            }
            let mut told: Vec<Event> = changes(&mut locks).into_iter().map(event).collect();
            told.sort();
            events.sort();
            prop_assert_eq!(told, events);
            for ((model, (owner, lock)), newest) in models.iter().zip(&places).zip(&mut newest) {
                let list = locks.list(at(now), owner);
                let told = list.iter().find(|info| info.lock == *lock);
                let told = told.map(|info| {
                    (info.by.clone(), info.token, info.left_ms, info.waiting as usize)
                });
                let held = model.held.map(|(who, token, end)| {
                    (node(who), token, (end - now) as u32, model.waiting.len())
                });
                prop_assert_eq!(&told, &held);
                if let Some((_, token, _, _)) = told {
                    prop_assert!(token >= *newest, "tokens of a lock only grow");
                    *newest = token;
                }
            }
            let due = models.iter().flat_map(|model| {
                let waits = model.waiting.iter().map(|waiter| waiter.3);
                waits.chain(model.held.map(|(_, _, end)| end))
            });
            prop_assert_eq!(locks.next_timeout(), due.min().map(at));
        }
    }
}
