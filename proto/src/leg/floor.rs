//! When the floor is sent for its own sake.

use crate::base::MonoTime;

/// Repeats the floor until the peer's acknowledgement passes it. It rides in every packet; this sees to it that there is one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FloorRepeat {
    due: Option<MonoTime>,
}

impl FloorRepeat {
    /// Whether a packet is to go now for the floor that is needed. Then [`Self::on_sent`].
    // [WIRE-46]
    pub(super) fn is_due(&mut self, now: MonoTime, floor: Option<u64>) -> bool {
        if floor.is_none() {
            self.due = None;
        }
        floor.is_some() && self.due.is_none_or(|due| due <= now)
    }

    /// A packet goes; its answer should be here at `answer_due`.
    pub(super) const fn on_sent(&mut self, answer_due: MonoTime) {
        self.due = Some(answer_due);
    }

    /// When the next one is due.
    pub(super) const fn next_timeout(&self) -> Option<MonoTime> {
        self.due
    }
}
