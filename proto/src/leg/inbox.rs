//! Which tracked parcels arrived.

use crate::base::limits::LEG_WINDOW;
use crate::wire::AckState;

/// The ids that arrived: all up to `cumulative`, and single ones of the 128 after it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inbox {
    cumulative: u64,
    /// Bit n is `cumulative + 1 + n`.
    later: u128,
}

/// What an id is to the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    First,
    Again,
    /// Beyond the window: the other end must not send it yet.
    TooFar,
}

impl Inbox {
    // [WIRE-40]
    pub(super) fn on_id(&mut self, id: u64) -> Seen {
        let Some(distance) = id.checked_sub(self.cumulative + 1) else {
            return Seen::Again;
        };
        if distance >= LEG_WINDOW {
            return Seen::TooFar;
        }
        let bit = 1_u128 << distance;
        if self.later & bit != 0 {
            return Seen::Again;
        }
        self.later |= bit;
        self.advance();
        Seen::First
    }

    /// Nothing below `id` comes any more; whether that changed the state. A jump beyond the window is no honest one.
    // [WIRE-44]
    pub(super) fn on_floor(&mut self, id: u64) -> bool {
        let Some(steps) = id.checked_sub(self.cumulative + 1) else {
            return false;
        };
        if steps == 0 || steps > LEG_WINDOW {
            return false;
        }
        self.cumulative += steps;
        self.later = u32::try_from(steps)
            .ok()
            .and_then(|steps| self.later.checked_shr(steps))
            .unwrap_or(0);
        self.advance();
        true
    }

    pub(super) fn ack(&self) -> AckState {
        let mut bitmap = self.later.to_le_bytes().to_vec();
        while bitmap.last() == Some(&0) {
            bitmap.pop();
        }
        AckState {
            cumulative: self.cumulative,
            bitmap,
        }
    }

    fn advance(&mut self) {
        let run = self.later.trailing_ones();
        self.cumulative += u64::from(run);
        self.later = self.later.checked_shr(run).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What an acknowledgement says was received.
    fn acknowledged(ack: &AckState) -> BTreeSet<u64> {
        let bits = ack.bitmap.iter().enumerate().flat_map(|(byte, bits)| {
            (0..8)
                .filter(move |bit| bits & (1 << bit) != 0)
                .map(move |bit| byte * 8 + bit)
        });
        let later = bits.map(|bit| ack.cumulative + 1 + u64::try_from(bit).unwrap());
        (1..=ack.cumulative).chain(later).collect()
    }

    proptest! {
        // [WIRE-40] [WIRE-44]
        #[test]
        fn an_inbox_knows_what_a_set_would(ids in prop::collection::vec((1_u64..400, prop::bool::weighted(0.05)), 0..600)) {
            let mut inbox = Inbox::default();
            let mut model = BTreeSet::new();
            let cumulative = |model: &BTreeSet<u64>| (1..).find(|id| !model.contains(id)).unwrap_or(1) - 1;
            for (id, is_floor) in ids {
                if is_floor {
                    let moves = id > cumulative(&model) + 1 && id <= cumulative(&model) + 1 + LEG_WINDOW;
                    prop_assert_eq!(inbox.on_floor(id), moves);
                    if moves {
                        model.extend(1..id);
                    }
                } else {
                    let seen = if model.contains(&id) {
                        Seen::Again
                    } else if id > cumulative(&model) + LEG_WINDOW {
                        Seen::TooFar
                    } else {
                        Seen::First
                    };
                    prop_assert_eq!(inbox.on_id(id), seen);
                    if seen == Seen::First {
                        model.insert(id);
                    }
                }
                prop_assert_eq!(acknowledged(&inbox.ack()), model.clone());
            }
        }
    }
}
