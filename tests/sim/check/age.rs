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
