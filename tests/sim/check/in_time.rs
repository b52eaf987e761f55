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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::drive;

    #[test]
    #[should_panic(expected = "too late by the vehicle's clock")]
    fn an_application_after_the_deadline_is_noticed() {
        let (mut world, agent) = drive();
        let command = &mut world.vehicle_mut(agent).applied[0];
        command.at = command.deadline;
        check(&world);
    }

    #[test]
    #[should_panic(expected = "too late in truth")]
    fn a_deadline_that_is_too_late_is_noticed() {
        let (mut world, agent) = drive();
        let command = &mut world.vehicle_mut(agent).applied[0];
        command.at = command.at + Duration::from_secs(2);
        command.deadline = command.deadline + Duration::from_secs(4);
        check(&world);
    }
}
