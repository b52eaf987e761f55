//! A command is applied at most once.

use std::collections::BTreeSet;

use crate::Vehicle;

pub(super) fn check(seed: u64, vehicle: &Vehicle) {
    let mut seen = BTreeSet::new();
    for command in &vehicle.applied {
        let key = (
            command.token,
            command.channel,
            command.class,
            command.number,
        );
        assert!(seen.insert(key), "seed {seed}: applied twice: {command:?}");
    }
}
