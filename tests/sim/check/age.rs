//! The age that a vehicle gives a command is true within the error that it gives.

use std::time::Duration;

use super::genuine::origin;
use crate::World;

pub(super) fn check(world: &World) {
    for agent in world.agents() {
        let clock = world.clock_of(agent);
        for command in world.lives(agent).flat_map(|life| &life.applied) {
            let Some(age) = command.journey.age else {
                panic!("applied without an age: {command:?}")
            };
            let sent = origin(world, agent, command);
            let truth = clock.world_time(command.journey.arrived).since(sent.at);
            let off = truth.abs_diff(age.age);
            assert!(
                off <= age.error + READING,
                "truly {truth:?} old, said to be {age:?}: {command:?}"
            );
        }
    }
}

/// Clocks are read in whole microseconds.
const READING: Duration = Duration::from_micros(3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::drive;

    #[test]
    #[should_panic(expected = "said to be")]
    fn a_wrong_age_is_noticed() {
        let (mut world, agent) = drive();
        let journey = &mut world.vehicle_mut(agent).applied[0].journey;
        if let Some(age) = &mut journey.age {
            age.age += age.error * 2 + READING * 2;
        }
        check(&world);
    }
}
