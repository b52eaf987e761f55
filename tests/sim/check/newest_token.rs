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
    for command in &life.applied {
        let mut grants = life
            .grants
            .iter()
            .filter(|grant| grant.channel == command.channel && grant.at <= command.at);
        let newest = grants.next_back().map(|grant| grant.token);
        assert_eq!(newest, Some(command.token), "not the newest: {command:?}");
    }
}
