//! No command is applied under a token older than one that was used before on the same function.

use std::collections::BTreeMap;

use crate::Vehicle;

pub(super) fn check(seed: u64, vehicle: &Vehicle) {
    let mut newest = BTreeMap::new();
    for command in &vehicle.applied {
        let before = newest.insert(command.channel, command.token);
        assert!(
            before.is_none_or(|before| before <= command.token),
            "seed {seed}: an older token: {command:?}"
        );
    }
}
