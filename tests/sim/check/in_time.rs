//! No command is applied after its deadline, neither by the vehicle's clock nor in truth.

use super::genuine::origin;
use crate::World;

pub(super) fn check(world: &World) {
    for agent in world.agents() {
        let clock = world.clock_of(agent);
        for command in world.lives(agent).flat_map(|life| &life.applied) {
            assert!(
                command.at < command.deadline,
                "too late by the vehicle's clock: {command:?}"
            );
            let sent = origin(world, agent, command);
            assert!(
                clock.world_time(command.at) < sent.at + sent.ttl,
                "too late in truth: {command:?} of {sent:?}"
            );
        }
    }
}
