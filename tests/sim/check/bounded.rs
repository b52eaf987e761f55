//! Every queue has a bound, and time goes on.

use longrein_proto::base::limits::{OUTBOX_PARCELS_MAX, PERSIST_PENDING_MAX};

/// How much there is to do, in the world and at one station.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Parcels that wait on the station's fullest leg.
    pub(crate) waiting: usize,
    /// Records that wait for its disk.
    pub(crate) writes: usize,
    /// Packets in the network.
    pub(crate) underway: usize,
    /// Times that something was due at this moment.
    pub(crate) steps_now: usize,
}

pub(super) fn check(load: &Load) {
    assert!(
        load.waiting <= OUTBOX_PARCELS_MAX,
        "a leg holds too much: {load:?}"
    );
    assert!(
        load.writes <= PERSIST_PENDING_MAX,
        "the disk has too much to do: {load:?}"
    );
    assert!(
        load.underway <= UNDERWAY_MAX,
        "the network drowns: {load:?}"
    );
    assert!(load.steps_now <= STEPS_MAX, "time stands still: {load:?}");
}

/// Far more than any scenario has, and far from what fills a machine: 230 MB of the longest packets.
const UNDERWAY_MAX: usize = 200_000;
/// Far more than anything that makes progress needs.
const STEPS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a leg holds too much")]
    fn a_queue_without_a_bound_is_noticed() {
        check(&Load {
            waiting: OUTBOX_PARCELS_MAX + 1,
            ..Load::default()
        });
    }

    #[test]
    #[should_panic(expected = "the disk has too much to do")]
    fn a_disk_that_cannot_follow_is_noticed() {
        check(&Load {
            writes: PERSIST_PENDING_MAX + 1,
            ..Load::default()
        });
    }

    #[test]
    #[should_panic(expected = "the network drowns")]
    fn a_storm_is_noticed() {
        check(&Load {
            underway: UNDERWAY_MAX + 1,
            ..Load::default()
        });
    }

    #[test]
    #[should_panic(expected = "time stands still")]
    fn a_timer_that_stays_due_is_noticed() {
        check(&Load {
            steps_now: STEPS_MAX + 1,
            ..Load::default()
        });
    }
}
