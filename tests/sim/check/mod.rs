//! What must hold in every scenario, one rule a file.

mod age;
mod blind;
mod genuine;
mod in_time;
mod newest_token;
mod once;
mod receipts;
mod stages;

pub use blind::SECRET;

use crate::World;

/// Panics with what is wrong in a world that ends; its seed repeats it.
pub(crate) fn world(world: &World) {
    genuine::check(world);
    once::check(world);
    in_time::check(world);
    age::check(world);
    newest_token::check(world);
    receipts::check(world);
    stages::check(world);
}

/// Panics when a packet says too much.
pub(crate) fn packet(bytes: &[u8]) {
    blind::check(bytes);
}
