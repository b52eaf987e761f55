//! A command is applied at most once, and a reliable one also over restarts.

use std::collections::BTreeSet;

use crate::World;

pub(super) fn check(world: &World) {
    for agent in world.agents() {
        let (mut seen, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for command in world.lives(agent).flat_map(|life| &life.applied) {
            let key = (
                command.token,
                command.channel,
                command.class,
                command.number,
            );
            assert!(seen.insert(key), "applied twice: {command:?}");
            if let Some(id) = command.application_id {
                assert!(ids.insert(id), "applied twice by its id: {command:?}");
            }
        }
    }
}
