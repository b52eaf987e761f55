//! A leg: one node and one relay over all paths between them. It delivers parcels by class, plans copies, acknowledges and
//! de-duplicates.

mod ack;
mod budget;
mod inbox;
#[expect(
    clippy::module_inception,
    reason = "the file is named after its main type"
)]
mod leg;
mod newest;
mod outbox;
mod packer;
mod planner;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use leg::{Arrival, Leg, LegCounters, Origin, Overflow, PathChange, PathStatus};
pub use planner::{Demand, PathView, Plan, plan};
