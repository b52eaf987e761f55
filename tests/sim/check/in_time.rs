//! No command is applied after its deadline.

use crate::Vehicle;

pub(super) fn check(seed: u64, vehicle: &Vehicle) {
    for command in &vehicle.applied {
        assert!(
            command.at < command.deadline,
            "seed {seed}: applied too late: {command:?}"
        );
    }
}
