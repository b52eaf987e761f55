//! Nothing is applied but what the holder of the command's token sent.

use crate::{AppliedCommand, Key, Sent, Station, World};

pub(super) fn check(world: &World) {
    for agent in world.agents() {
        for command in world.lives(agent).flat_map(|life| &life.applied) {
            let sent = origin(world, agent, command);
            assert_eq!(sent.body, command.body, "another body: {command:?}");
            let vehicle = world.name_of(agent);
            let holder = world
                .ledger()
                .holder(vehicle, command.channel, command.token);
            assert_eq!(holder, Some(sent.by), "not the holder's: {command:?}");
        }
    }
}

/// What the operator sent that was applied as this command.
pub(super) fn origin<'a>(world: &'a World, agent: Station, command: &AppliedCommand) -> &'a Sent {
    let key = Key {
        vehicle: world.name_of(agent).clone(),
        channel: command.channel,
        class: command.class,
        token: command.token,
        number: command.number,
    };
    let sent = world.ledger().sent(&key);
    sent.unwrap_or_else(|| panic!("nobody sent it: {command:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::drive;

    #[test]
    #[should_panic(expected = "nobody sent it")]
    fn a_command_that_nobody_sent_is_noticed() {
        let (mut world, agent) = drive();
        world.vehicle_mut(agent).applied[0].number = 77;
        check(&world);
    }

    #[test]
    #[should_panic(expected = "another body")]
    fn a_changed_command_is_noticed() {
        let (mut world, agent) = drive();
        let applied = &mut world.vehicle_mut(agent).applied;
        applied[0].body = applied[1].body.clone();
        check(&world);
    }
}
