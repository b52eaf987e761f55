//! The newest `latest` number of each flow.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::base::limits::LATEST_FLOWS_MAX;
use crate::base::{Class, SessionId};
use crate::wire::ParcelHead;

/// Remembers the newest `latest` number of each flow, so that nothing goes backwards.
///
/// Numbers are not sealed from the relay: one that it forges shadows the real ones on its leg only.
#[derive(Clone, Debug, Default)]
pub struct Newest {
    flows: BTreeMap<(SessionId, u8), Seen>,
    uses: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    number: u64,
    used: u64,
}

impl Newest {
    /// Compares a number with the newest of its flow and remembers it when it is greater.
    // [WIRE-45]
    pub fn observe(&mut self, session: SessionId, flow: u8, number: u64) -> Ordering {
        self.uses += 1;
        let used = self.uses;
        if let Some(seen) = self.flows.get_mut(&(session, flow)) {
            seen.used = used;
            let order = number.cmp(&seen.number);
            seen.number = seen.number.max(number);
            return order;
        }
        if self.flows.len() >= LATEST_FLOWS_MAX {
            self.forget_least_recent();
        }
        self.flows.insert((session, flow), Seen { number, used });
        Ordering::Greater
    }

    fn forget_least_recent(&mut self) {
        let oldest = self.flows.iter().min_by_key(|(_, seen)| seen.used);
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.flows.remove(&key);
        }
    }
}

/// Session, flow and number of a `latest` envelope.
pub(super) const fn latest_number(head: &ParcelHead) -> Option<(SessionId, u8, u64)> {
    match head {
        ParcelHead::Sealed(header) => match header.flow.class {
            Class::Latest => Some((header.session, header.flow.to_byte(), header.number)),
            Class::Unordered | Class::Reliable | Class::Stop => None,
        },
        ParcelHead::Handshake { .. }
        | ParcelHead::Signed
        | ParcelHead::Notice
        | ParcelHead::Revocations
        | ParcelHead::Hub(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flow_of_each_session_goes_forward_on_its_own() {
        // [WIRE-45]
        let mut newest = Newest::default();
        let mut observe =
            |session, channel, number| newest.observe(SessionId(session), channel, number);
        assert_eq!(observe(1, 1, 5), Ordering::Greater);
        assert_eq!(observe(1, 1, 5), Ordering::Equal);
        assert_eq!(observe(1, 1, 4), Ordering::Less);
        assert_eq!(observe(1, 2, 4), Ordering::Greater);
        assert_eq!(observe(2, 1, 4), Ordering::Greater);
        assert_eq!(observe(1, 1, u64::MAX), Ordering::Greater);
        assert_eq!(observe(1, 1, 6), Ordering::Less);
        assert_eq!(observe(2, 1, 6), Ordering::Greater);
    }

    #[test]
    fn a_flood_of_sessions_takes_bounded_memory_and_spares_the_flow_in_use() {
        // [WIRE-45]
        let mut newest = Newest::default();
        for number in 1..10_000_u32 {
            newest.observe(SessionId(number), 4, 1);
            let drive = newest.observe(SessionId(0), 4, number.into());
            assert_eq!(drive, Ordering::Greater);
            assert!(newest.flows.len() <= LATEST_FLOWS_MAX);
        }
        assert_eq!(newest.observe(SessionId(0), 4, 1), Ordering::Less);
    }
}
