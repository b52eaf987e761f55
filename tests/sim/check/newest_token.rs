//! No command is applied under a token that is not the newest granted one, and tokens only grow, also over restarts.

use std::collections::BTreeMap;

use crate::{Vehicle, World};

pub(super) fn check(world: &World) {
    for agent in world.agents() {
        let mut newest = BTreeMap::new();
        for life in world.lives(agent) {
            check_life(life);
            for grant in &life.grants {
                let before = newest.insert(grant.channel, grant.token);
                assert!(
                    before.is_none_or(|before| before < grant.token),
                    "a token that does not grow: {grant:?} after {before:?}"
                );
            }
        }
    }
}

fn check_life(life: &Vehicle) {
    for (index, command) in life.applied.iter().enumerate() {
        let mut grants = life
            .grants
            .iter()
            .filter(|grant| grant.channel == command.channel && grant.after <= index);
        let newest = grants.next_back().map(|grant| grant.token);
        assert_eq!(newest, Some(command.token), "not the newest: {command:?}");
    }
}

#[cfg(test)]
mod tests {
    use longrein_proto::base::FencingToken;

    use super::*;
    use crate::check::drive;

    #[test]
    #[should_panic(expected = "not the newest")]
    fn a_command_under_an_old_token_is_noticed() {
        let (mut world, agent) = drive();
        let life = world.vehicle_mut(agent);
        let mut newer = life.grants[0].clone();
        newer.token = FencingToken(newer.token.0 + 1);
        life.grants.insert(1, newer);
        check(&world);
    }

    #[test]
    #[should_panic(expected = "a token that does not grow")]
    fn a_token_that_is_granted_twice_is_noticed() {
        let (mut world, agent) = drive();
        let grants = &mut world.vehicle_mut(agent).grants;
        grants.push(grants[0].clone());
        check(&world);
    }
}
