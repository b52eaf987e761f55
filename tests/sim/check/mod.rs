//! What must hold in every scenario, one rule a file.

mod in_time;
mod newest_token;
mod once;

use crate::Vehicle;

/// Panics with what is wrong; `seed` repeats the world.
pub fn vehicle(seed: u64, vehicle: &Vehicle) {
    once::check(seed, vehicle);
    in_time::check(seed, vehicle);
    newest_token::check(seed, vehicle);
}
