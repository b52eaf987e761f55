//! Every reliable message ends in a receipt, and receipts are true: applied only what was applied, refused and expired only
//! what was not, unknown only when the sender's deadline or session is over.

use std::collections::BTreeSet;

use longrein_proto::base::limits::RECEIPT_GRACE;
use longrein_proto::base::{Class, MonoTime, Refusal};
use longrein_proto::role::ControllerEvent;
use longrein_proto::session::Resolution;

use crate::{Key, Sent, World};

pub(super) fn check(world: &World) {
    let applied: BTreeSet<Key> = world
        .agents()
        .flat_map(|agent| {
            let lives = world.lives(agent).flat_map(|life| &life.applied);
            lives.map(move |command| Key {
                vehicle: world.name_of(agent).clone(),
                channel: command.channel,
                class: command.class,
                token: command.token,
                number: command.number,
            })
        })
        .collect();
    for (key, sent) in world.ledger().all() {
        let Some((at, receipt)) = &sent.receipt else {
            assert!(
                key.class != Class::Reliable || may_wait(world, sent),
                "without a receipt: {key:?} {sent:?}"
            );
            continue;
        };
        let true_word = match receipt {
            Resolution::Applied => applied.contains(key),
            Resolution::Refused(Refusal::AlreadyApplied) => was_applied_before(world, key, sent),
            Resolution::Refused(_) | Resolution::Expired => !applied.contains(key),
            Resolution::Unknown => over(world, key, sent, *at),
        };
        assert!(true_word, "an untrue receipt: {key:?} {sent:?}");
    }
}

/// The word may still come, or there is nobody to hear it.
fn may_wait(world: &World, sent: &Sent) -> bool {
    let patience = sent.ttl + RECEIPT_GRACE;
    // A controller's clock runs a little slower or faster than the world's.
    world.now() <= sent.at + patience + patience / 1_000 || !world.is_running(sent.by)
}

/// The same application id came before, in another run or session, and is on the vehicle's record.
fn was_applied_before(world: &World, key: &Key, sent: &Sent) -> bool {
    let mut same = world.ledger().all().filter(|(other, earlier)| {
        *other != key
            && other.class == Class::Reliable
            && earlier.application_id == sent.application_id
    });
    same.next().is_some()
}

/// The deadline is over, or the session was.
fn over(world: &World, key: &Key, sent: &Sent, at: MonoTime) -> bool {
    // A controller's clock runs a little slower or faster than the world's.
    let waited = at.since(sent.at);
    let patience = sent.ttl + RECEIPT_GRACE;
    if waited + patience / 1_000 >= patience {
        return true;
    }
    if world
        .ledger()
        .was_closed(sent.by, &key.vehicle, sent.at, at)
    {
        return true;
    }
    let clock = world.clock_of(sent.by);
    let events = world.controller_events(sent.by);
    events.iter().any(|(told, event)| {
        matches!(event, ControllerEvent::SessionDown { vehicle, .. } if *vehicle == key.vehicle)
            && clock.world_time(*told) >= sent.at
            && clock.at(at) >= *told
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::drive;

    fn say(outcome: Option<Resolution>) {
        let (mut world, _) = drive();
        let mut reliable = world
            .ledger_mut()
            .all_mut()
            .filter(|sent| sent.application_id.is_some());
        let sent = reliable.next().expect("it was sent");
        sent.receipt = sent.receipt.take().and_then(|(at, _)| Some((at, outcome?)));
        drop(reliable);
        check(&world);
    }

    #[test]
    #[should_panic(expected = "an untrue receipt")]
    fn expired_for_what_was_applied_is_noticed() {
        say(Some(Resolution::Expired));
    }

    #[test]
    #[should_panic(expected = "an untrue receipt")]
    fn unknown_before_the_deadline_is_noticed() {
        say(Some(Resolution::Unknown));
    }

    #[test]
    #[should_panic(expected = "without a receipt")]
    fn a_receipt_that_never_comes_is_noticed() {
        say(None);
    }

    #[test]
    #[should_panic(expected = "an untrue receipt")]
    fn applied_for_what_was_not_is_noticed() {
        let (mut world, agent) = drive();
        world.vehicle_mut(agent).applied.remove(0);
        check(&world);
    }
}
