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
