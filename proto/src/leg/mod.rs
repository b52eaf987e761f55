//! A leg: a node and one relay, over all paths between them. The same code runs at both ends.

mod ack;
mod arrival;
mod budget;
mod copies;
mod counters;
mod dispatch;
mod floor;
mod inbox;
mod intake;
#[expect(
    clippy::module_inception,
    reason = "a file is named after its main type"
)]
mod leg;
mod load;
mod newest;
mod origin;
mod outbox;
mod place;
mod planner;
mod room;
mod window;

#[cfg(test)]
mod tests;

pub use arrival::Arrival;
pub use budget::Budget;
pub use counters::Counters;
pub use leg::{Leg, PathChange};
pub use origin::{Origin, Source};
pub use room::Overflow;

pub use crate::path::PathStatus;
