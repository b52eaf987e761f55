//! When the floor is sent for its own sake.

use std::time::Duration;

use super::planner::{Demand, Plan};
use crate::base::limits::TTL_MAX;
use crate::base::{Class, MonoTime};
use crate::wire::Chunk;

/// Repeats the floor until the peer's acknowledgement passes it. It rides in every packet; this sees to it that there is one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FloorRepeat {
    attempts: u32,
    last_attempt: Option<MonoTime>,
    due: Option<MonoTime>,
}

impl FloorRepeat {
    /// What to ask the planner now, given the floor that is needed; then call [`Self::on_planned`].
    // [WIRE-46]
    pub(super) fn demand(&mut self, now: MonoTime, floor: Option<u64>) -> Option<Demand> {
        let Some(id) = floor else {
            *self = FloorRepeat::default();
            return None;
        };
        self.due.is_none_or(|due| due <= now).then(|| Demand {
            class: Class::Reliable,
            bytes: Chunk::Floor { id }.encoded_len(),
            deadline: now + TTL_MAX,
            attempts: self.attempts,
            last_attempt: self.last_attempt,
        })
    }

    /// The planner answered.
    pub(super) fn on_planned(&mut self, now: MonoTime, plan: &Plan, tick: Duration) {
        *self = FloorRepeat {
            attempts: self.attempts.saturating_add(1),
            last_attempt: Some(now),
            due: Some(plan.again.unwrap_or(now).max(now + tick)),
        };
    }

    /// When the planner is to be asked.
    pub(super) const fn next_timeout(&self) -> Option<MonoTime> {
        self.due
    }
}
