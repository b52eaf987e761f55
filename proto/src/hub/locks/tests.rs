//! Behaviours of locks, and their agreement with a simple model.

mod model;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const NO_WAIT: Duration = Duration::ZERO;

fn at(ms: u64) -> MonoTime {
    MonoTime::from_us(ms * 1_000)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn node(number: usize) -> NodeName {
    format!("service/picker-{number}").parse().unwrap()
}

fn yard() -> Owner {
    Owner::Room(name("yard"))
}

fn claim(lock: &str, token: u64) -> LockClaim {
    LockClaim {
        lock: name(lock),
        token,
    }
}

fn held_by(by: NodeName) -> HubRefusal {
    HubRefusal::LockHeld { by }
}

fn take(locks: &mut Locks<u32>, ms: u64, who: usize, asker: u32, wait: Duration) -> Taken {
    let (owner, lock) = (yard(), name("gate"));
    locks.take(at(ms), &owner, &lock, &node(who), asker, SECOND, wait)
}

fn changes(locks: &mut Locks<u32>) -> Vec<LockChange<u32>> {
    std::iter::from_fn(|| locks.poll_change()).collect()
}

fn granted(asker: u32, token: u64, who: usize) -> LockChange<u32> {
    LockChange::Granted {
        asker,
        owner: yard(),
        lock: name("gate"),
        token,
        who: node(who),
    }
}

fn lost(token: u64, who: usize) -> LockChange<u32> {
    LockChange::Lost {
        owner: yard(),
        lock: name("gate"),
        who: node(who),
        token,
    }
}

fn wait_over(asker: u32, why: HubRefusal) -> LockChange<u32> {
    LockChange::WaitOver { asker, why }
}

const FIRST: u64 = (7 << 32) + 1;

/// Locks of which picker 0 has the gate until a second.
fn gate_held() -> Locks<u32> {
    let mut locks = Locks::new(7);
    assert_eq!(take(&mut locks, 0, 0, 0, NO_WAIT), Taken::Granted(FIRST));
    locks
}

#[test]
fn a_lock_is_held_by_one_and_by_its_token() {
    let locks = &mut gate_held();
    assert!(locks.holds(at(0), &yard(), &claim("gate", FIRST), &node(0)));
    assert!(!locks.holds(at(0), &yard(), &claim("gate", FIRST), &node(1)));
    assert!(!locks.holds(at(0), &yard(), &claim("gate", FIRST + 1), &node(0)));
    assert!(!locks.holds(at(0), &yard(), &claim("door", FIRST), &node(0)));
    assert_eq!(
        take(locks, 1, 1, 1, NO_WAIT),
        Taken::Refused(held_by(node(0)))
    );
}

#[test]
fn a_node_that_holds_a_lock_is_refused_by_itself() {
    let locks = &mut gate_held();
    assert_eq!(
        take(locks, 1, 0, 1, SECOND),
        Taken::Refused(held_by(node(0)))
    );
}

#[test]
fn who_waits_gets_the_lock_in_turn_for_its_whole_time() {
    let locks = &mut gate_held();
    assert_eq!(take(locks, 1, 1, 1, 5 * SECOND), Taken::Waiting);
    assert_eq!(take(locks, 2, 2, 2, 5 * SECOND), Taken::Waiting);
    let result = locks.release(at(500), &yard(), &claim("gate", FIRST), &node(0));
    assert_eq!(
        (result, changes(locks)),
        (Ok(()), vec![granted(1, FIRST + 1, 1)])
    );
    assert_eq!(locks.next_timeout(), Some(at(1_500)));
    // Noticed late: its second begins when it is told.
    locks.on_timeout(at(1_700));
    assert_eq!(
        changes(locks),
        [lost(FIRST + 1, 1), granted(2, FIRST + 2, 2)]
    );
    assert_eq!(locks.next_timeout(), Some(at(2_700)));
    locks.on_timeout(at(2_700));
    assert_eq!(changes(locks), [lost(FIRST + 2, 2)]);
    assert_eq!((locks.next_timeout(), locks.count), (None, 0));
}

#[test]
fn a_lock_is_over_at_its_end_before_anything_noticed_it() {
    let locks = &mut gate_held();
    let (owner, gate) = (yard(), claim("gate", FIRST));
    assert!(locks.holds(at(999), &owner, &gate, &node(0)));
    assert_eq!(locks.list(at(999), &owner).len(), 1);
    assert!(!locks.holds(at(1_000), &owner, &gate, &node(0)));
    assert_eq!(locks.list(at(1_000), &owner), []);
    let renewed = locks.renew(at(1_000), &owner, &gate, &node(0), SECOND);
    assert_eq!(
        (renewed, changes(locks)),
        (Err(HubRefusal::NotHolder), vec![lost(FIRST, 0)])
    );
    let released = locks.release(at(1_000), &owner, &gate, &node(0));
    assert_eq!(released, Err(HubRefusal::NotHolder));
    let revoked = locks.revoke(at(1_000), &owner, &gate.lock);
    assert_eq!(revoked, Err(HubRefusal::NotFound));
    assert_eq!(take(locks, 1_000, 1, 1, NO_WAIT), Taken::Granted(FIRST + 1));
}

#[test]
fn a_wait_ends_with_the_name_of_who_has_the_lock() {
    let locks = &mut gate_held();
    assert_eq!(take(locks, 0, 1, 1, ms(300)), Taken::Waiting);
    assert_eq!(take(locks, 0, 2, 2, ms(600)), Taken::Waiting);
    assert_eq!(locks.next_timeout(), Some(at(300)));
    locks.on_timeout(at(299));
    assert_eq!(changes(locks), []);
    locks.on_timeout(at(300));
    assert_eq!(changes(locks), [wait_over(1, held_by(node(0)))]);
    assert_eq!(locks.next_timeout(), Some(at(600)));
}

#[test]
fn who_still_waited_at_the_end_gets_the_lock_also_when_it_is_noticed_late() {
    let locks = &mut gate_held();
    assert_eq!(take(locks, 0, 1, 1, ms(999)), Taken::Waiting);
    assert_eq!(take(locks, 0, 2, 2, ms(1_000)), Taken::Waiting);
    assert_eq!(take(locks, 0, 3, 3, ms(1_100)), Taken::Waiting);
    locks.on_timeout(at(1_200));
    assert_eq!(
        changes(locks),
        [
            wait_over(1, held_by(node(0))),
            lost(FIRST, 0),
            granted(2, FIRST + 1, 2),
            wait_over(3, held_by(node(2))),
        ]
    );
}

#[test]
fn a_renewed_lock_ends_that_much_after_now() {
    let locks = &mut gate_held();
    let gate = claim("gate", FIRST);
    let renewed = locks.renew(at(900), &yard(), &gate, &node(0), ms(100));
    assert_eq!((renewed, locks.next_timeout()), (Ok(()), Some(at(1_000))));
    let renewed = locks.renew(at(950), &yard(), &gate, &node(0), 2 * SECOND);
    assert_eq!((renewed, locks.next_timeout()), (Ok(()), Some(at(2_950))));
    let other = locks.renew(at(950), &yard(), &gate, &node(1), SECOND);
    assert_eq!(other, Err(HubRefusal::NotHolder));
}

#[test]
fn a_revoked_lock_is_lost_and_goes_to_the_next() {
    let locks = &mut gate_held();
    assert_eq!(take(locks, 1, 1, 1, SECOND), Taken::Waiting);
    assert_eq!(locks.revoke(at(2), &yard(), &name("gate")), Ok(()));
    assert_eq!(changes(locks), [lost(FIRST, 0), granted(1, FIRST + 1, 1)]);
    assert!(!locks.holds(at(2), &yard(), &claim("gate", FIRST), &node(0)));
}

#[test]
fn who_is_gone_waits_no_more_and_holds_until_its_time_is_over() {
    let locks = &mut gate_held();
    assert_eq!(take(locks, 1, 1, 1, SECOND), Taken::Waiting);
    locks.on_askers_gone(at(2), |asker| *asker <= 1);
    assert!(locks.holds(at(2), &yard(), &claim("gate", FIRST), &node(0)));
    assert_eq!(locks.list(at(2), &yard())[0].waiting, 0);
    locks.on_timeout(at(1_000));
    assert_eq!(changes(locks), [lost(FIRST, 0)]);
}

#[test]
fn a_room_that_closes_takes_its_locks_with_it_and_no_others() {
    let locks = &mut gate_held();
    let truck = Owner::Node("agent/truck-17".parse().unwrap());
    let gate = name("gate");
    let other = locks.take(at(1), &truck, &gate, &node(0), 9, SECOND, NO_WAIT);
    assert_eq!(other, Taken::Granted(FIRST + 1));
    assert_eq!(take(locks, 1, 1, 1, SECOND), Taken::Waiting);
    locks.on_owner_gone(at(2), &yard());
    assert_eq!(
        changes(locks),
        [lost(FIRST, 0), wait_over(1, HubRefusal::NoSuchRoom)]
    );
    assert_eq!(locks.list(at(2), &yard()), []);
    assert!(locks.holds(at(2), &truck, &claim("gate", FIRST + 1), &node(0)));
    assert_eq!((locks.count, locks.due.len()), (1, 1));
}

#[test]
fn locks_are_told_by_name_with_what_is_left_of_them() {
    let locks = &mut gate_held();
    let door = name("door");
    locks.take(at(0), &yard(), &door, &node(1), 1, ms(100), NO_WAIT);
    take(locks, 0, 2, 2, SECOND);
    let told = locks.list(at(60), &yard());
    let told: Vec<_> = told
        .iter()
        .map(|l| (l.lock.as_str(), &l.by, l.token, l.left_ms, l.waiting))
        .collect();
    assert_eq!(
        told,
        [
            ("door", &node(1), FIRST + 1, 40, 0),
            ("gate", &node(0), FIRST, 940, 1)
        ]
    );
}

#[test]
fn times_that_are_out_of_bounds_are_malformed() {
    let mut locks = Locks::new(1);
    let mut take = |ttl, wait| {
        let taken = locks.take(at(0), &yard(), &name("gate"), &node(0), 0, ttl, wait);
        taken == Taken::Refused(HubRefusal::Malformed)
    };
    let tick = Duration::from_micros(1);
    assert!(take(LOCK_TTL_MIN - tick, NO_WAIT));
    assert!(take(LOCK_TTL_MAX + tick, NO_WAIT));
    assert!(take(SECOND, LOCK_WAIT_MAX + tick));
    assert!(!take(LOCK_TTL_MAX, LOCK_WAIT_MAX));
    let gate = claim("gate", (1 << 32) + 1);
    let renewed = locks.renew(at(0), &yard(), &gate, &node(0), LOCK_TTL_MAX + tick);
    assert_eq!(renewed, Err(HubRefusal::Malformed));
}

#[test]
fn one_more_than_the_bounds_allow_is_full() {
    let locks = &mut gate_held();
    for waits in 1..=LOCK_WAITERS_MAX {
        assert_eq!(take(locks, 0, waits, 1, SECOND), Taken::Waiting);
    }
    let full = Taken::Refused(HubRefusal::Full);
    assert_eq!(take(locks, 0, 99, 1, SECOND), full);

    let mut locks = Locks::new(1);
    let mut fill = |owner: &Owner| {
        let mut taken = (0..).map(|number| {
            let lock = name(&format!("lock-{number}"));
            locks.take(at(0), owner, &lock, &node(0), 0, SECOND, NO_WAIT)
        });
        taken.position(|taken| taken == full).unwrap()
    };
    let room = |number: usize| Owner::Room(name(&format!("room-{number}")));
    let rooms = LOCKS_MAX / LOCKS_PER_OWNER_MAX;
    for number in 0..rooms {
        assert_eq!(fill(&room(number)), LOCKS_PER_OWNER_MAX);
    }
    assert_eq!(fill(&room(rooms)), LOCKS_MAX % LOCKS_PER_OWNER_MAX);
    assert_eq!(fill(&room(rooms + 1)), 0);
    locks.on_timeout(at(1_000));
    assert_eq!(
        (locks.count, locks.owners.len(), locks.due.len()),
        (0, 0, 0)
    );
    assert_eq!(locks.changes.len(), LOCKS_MAX);
}

#[test]
fn tokens_grow_over_restarts_and_are_never_used_up_into_those_of_the_next() {
    let mut locks = Locks::new(7);
    locks.tokens = (8 << 32) - 1..locks.tokens.end;
    assert_eq!(
        take(&mut locks, 0, 0, 0, NO_WAIT),
        Taken::Granted((8 << 32) - 1)
    );
    assert_eq!(take(&mut locks, 0, 1, 1, SECOND), Taken::Waiting);
    locks.on_timeout(at(1_000));
    assert_eq!(
        changes(&mut locks),
        [lost((8 << 32) - 1, 0), wait_over(1, HubRefusal::Full)]
    );
    let full = Taken::Refused(HubRefusal::Full);
    assert_eq!(take(&mut locks, 1_000, 0, 0, NO_WAIT), full);
    let mut next = Locks::new(8);
    assert_eq!(
        take(&mut next, 0, 0, 0, NO_WAIT),
        Taken::Granted((8 << 32) + 1)
    );
}

#[test]
fn nobody_takes_a_lock_while_too_much_is_not_taken_from_them() {
    let locks = &mut gate_held();
    let change = wait_over(1, HubRefusal::Full);
    locks.changes = vec![change; LOCK_CHANGES_MAX].into();
    let busy = Taken::Refused(HubRefusal::Busy);
    assert_eq!(take(locks, 1, 1, 1, SECOND), busy);
}
