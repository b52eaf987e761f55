//! What must hold in every scenario, one rule a file. Each file also proves that it notices what is wrong.

mod age;
mod blind;
mod bounded;
mod budget;
mod genuine;
mod in_time;
mod newest_token;
mod once;
mod receipts;
mod stages;

pub use blind::SECRET;
pub(crate) use bounded::Load;
pub(crate) use budget::Budgets;

use crate::World;

/// Panics with what is wrong in a world that ends; its seed repeats it.
pub(crate) fn world(world: &World) {
    genuine::check(world);
    once::check(world);
    in_time::check(world);
    age::check(world);
    newest_token::check(world);
    receipts::check(world);
    stages::check(world);
}

/// Panics when a packet says too much.
pub(crate) fn packet(bytes: &[u8]) {
    blind::check(bytes);
}

/// Panics when something outgrows its bound.
pub(crate) fn load(load: &Load) {
    bounded::check(load);
}

/// A short drive with two reliable commands, for the tests of the checks to falsify; its agent.
#[cfg(test)]
fn drive() -> (World, crate::Station) {
    use std::time::Duration;

    use longrein_proto::base::ApplicationId;

    use crate::{StageSet, Vehicle};

    let mut world = World::new(1);
    let set = StageSet::new(&mut world);
    world.open(set.alice, set.agent);
    world.take(set.alice, set.agent, Vehicle::TUNNEL);
    for number in 1..=2 {
        let sent = world.deliver(
            set.alice,
            set.agent,
            ApplicationId([number; 8]),
            Duration::from_secs(1),
        );
        sent.expect("the lease is held");
    }
    world.take(set.alice, set.agent, Vehicle::DRIVE);
    world.drive_for(set.alice, set.agent, Duration::from_millis(200));
    world.run(Duration::from_secs(3));
    self::world(&world);
    (world, set.agent)
}
