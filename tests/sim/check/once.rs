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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::drive;

    #[test]
    #[should_panic(expected = "applied twice:")]
    fn a_second_application_is_noticed() {
        let (mut world, agent) = drive();
        let applied = &mut world.vehicle_mut(agent).applied;
        applied.push(applied[3].clone());
        check(&world);
    }

    #[test]
    #[should_panic(expected = "applied twice by its id")]
    fn a_second_application_under_another_number_is_noticed() {
        let (mut world, agent) = drive();
        let applied = &mut world.vehicle_mut(agent).applied;
        applied[1].application_id = applied[0].application_id;
        check(&world);
    }
}
