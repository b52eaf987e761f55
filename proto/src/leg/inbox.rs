//! Which tracked parcels arrived.

use crate::base::limits::LEG_WINDOW;
use crate::wire::AckState;

/// The ids of tracked parcels that arrived: all up to `cumulative`, and single ones of the next [`LEG_WINDOW`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Inbox {
    cumulative: u64,
    /// Bit n: id `cumulative + 1 + n`. The lowest is never set.
    after: u128,
}

/// What an id or floor is to an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is new.
    New,
    /// It is known.
    Known,
    /// It is farther ahead than the peer may be.
    Beyond,
}

impl Inbox {
    /// Takes in the id of a parcel that arrived.
    // [WIRE-43]
    pub fn on_id(&mut self, id: u64) -> Verdict {
        let Some(ahead) = id.checked_sub(self.cumulative).filter(|&ahead| ahead > 0) else {
            return Verdict::Known;
        };
        if ahead > LEG_WINDOW {
            return Verdict::Beyond;
        }
        let bit = 1_u128 << (ahead - 1);
        if self.after & bit != 0 {
            return Verdict::Known;
        }
        self.after |= bit;
        self.slide();
        Verdict::New
    }

    /// Takes in the peer's word that it sends no id below `floor` again.
    // [WIRE-47]
    pub fn on_floor(&mut self, floor: u64) -> Verdict {
        let Some(ahead) = floor
            .checked_sub(self.cumulative)
            .and_then(|ahead| ahead.checked_sub(1))
            .filter(|&ahead| ahead > 0)
        else {
            return Verdict::Known;
        };
        if ahead > LEG_WINDOW {
            return Verdict::Beyond;
        }
        self.shift(ahead);
        self.slide();
        Verdict::New
    }

    /// What to tell the peer.
    pub fn ack(&self) -> AckState {
        let bytes = self.after.to_le_bytes();
        let used = bytes.iter().rposition(|&byte| byte != 0);
        AckState {
            cumulative: self.cumulative,
            bitmap: bytes
                .into_iter()
                .take(used.map_or(0, |last| last + 1))
                .collect(),
        }
    }

    fn slide(&mut self) {
        self.shift(self.after.trailing_ones().into());
    }

    fn shift(&mut self, ids: u64) {
        self.cumulative = self.cumulative.saturating_add(ids);
        self.after = u32::try_from(ids)
            .ok()
            .and_then(|ids| self.after.checked_shr(ids))
            .unwrap_or(0);
    }
}

const _: () = assert!(LEG_WINDOW == u128::BITS as u64);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The same with a plain set.
    #[derive(Default)]
    struct Model {
        known: BTreeSet<u64>,
    }

    impl Model {
        fn cumulative(&self) -> u64 {
            (1..).find(|id| !self.known.contains(id)).unwrap() - 1
        }

        fn on_id(&mut self, id: u64) -> Verdict {
            if id == 0 || self.known.contains(&id) {
                Verdict::Known
            } else if id > self.cumulative() + LEG_WINDOW {
                Verdict::Beyond
            } else {
                self.known.insert(id);
                Verdict::New
            }
        }

        fn on_floor(&mut self, floor: u64) -> Verdict {
            if floor <= self.cumulative() + 1 {
                Verdict::Known
            } else if floor > self.cumulative() + 1 + LEG_WINDOW {
                Verdict::Beyond
            } else {
                self.known.extend(1..floor);
                Verdict::New
            }
        }
    }

    proptest! {
        #[test]
        fn an_inbox_is_a_set_of_ids(steps in prop::collection::vec((any::<bool>(), -20..150_i64), 1..400)) {
            // [WIRE-43] [WIRE-47]
            let (mut inbox, mut model) = (Inbox::default(), Model::default());
            for (floor, ahead) in steps {
                let id = model.cumulative().saturating_add_signed(if floor { ahead } else { ahead / 3 });
                if floor && ahead % 8 == 0 {
                    prop_assert_eq!(inbox.on_floor(id), model.on_floor(id));
                } else {
                    prop_assert_eq!(inbox.on_id(id), model.on_id(id));
                }
                let ack = inbox.ack();
                prop_assert_eq!(ack.cumulative, model.cumulative());
                prop_assert_ne!(ack.bitmap.last(), Some(&0));
                let bits = (0..LEG_WINDOW).filter(|bit| {
                    let byte = ack.bitmap.get(usize::try_from(bit / 8).unwrap()).unwrap_or(&0);
                    byte >> (bit % 8) & 1 == 1
                });
                let known = model.known.range(ack.cumulative + 1..).copied();
                prop_assert!(bits.map(|bit| ack.cumulative + 1 + bit).eq(known));
            }
        }
    }

    #[test]
    fn the_whole_window_may_arrive_before_its_first_id() {
        // [WIRE-43]
        let mut inbox = Inbox::default();
        for id in 2..=128 {
            assert_eq!(inbox.on_id(id), Verdict::New);
        }
        assert_eq!(inbox.on_id(129), Verdict::Beyond);
        assert_eq!(inbox.ack().bitmap.len(), 16);
        assert_eq!(inbox.on_id(1), Verdict::New);
        assert_eq!(
            inbox.ack(),
            AckState {
                cumulative: 128,
                bitmap: vec![]
            }
        );
    }

    #[test]
    fn absurd_ids_and_floors_change_nothing() {
        // [WIRE-47]
        let mut inbox = Inbox::default();
        assert_eq!(inbox.on_id(u64::MAX), Verdict::Beyond);
        assert_eq!(inbox.on_floor(u64::MAX), Verdict::Beyond);
        assert_eq!(inbox.on_floor(130), Verdict::Beyond);
        assert_eq!(inbox.ack(), AckState::default());
        assert_eq!(inbox.on_floor(129), Verdict::New);
        assert_eq!(inbox.ack().cumulative, 128);
    }
}
