//! When acknowledgements are sent.

use std::collections::BTreeSet;

use crate::base::limits::{ACK_COPIES_MAX, ACK_DELAY};
use crate::base::{MonoTime, PathId};

/// Decides when a packet is needed only because of the acknowledgement state that every packet carries.
///
/// After tracked chunks one goes within [`ACK_DELAY`] on each path on which they came, then more in turn on all paths until
/// it is improbable that all were lost.
#[derive(Clone, Debug)]
pub struct Acks {
    /// Paths on which tracked chunks came and nothing went since.
    owed: BTreeSet<PathId>,
    due: Option<MonoTime>,
    /// Probability that none of the packets since the last tracked chunk arrives.
    doubt: f64,
    copies: u32,
    /// The path of the last repeat: the next one takes another.
    last: Option<PathId>,
}

impl Acks {
    /// Nothing to acknowledge.
    pub const fn new() -> Acks {
        Acks {
            owed: BTreeSet::new(),
            due: None,
            doubt: 0.0,
            copies: 0,
            last: None,
        }
    }

    /// A tracked chunk came on `path`, whether it was new or not: the peer asks for an acknowledgement.
    // [WIRE-49]
    pub fn on_tracked(&mut self, now: MonoTime, path: PathId) {
        self.owed.insert(path);
        self.doubt = 1.0;
        self.copies = 0;
        let due = now + ACK_DELAY;
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// A packet, and with it the acknowledgement state, goes on `path`, which loses the share `loss`.
    pub fn on_sent(&mut self, now: MonoTime, path: PathId, loss: f64) {
        if self.due.is_none() {
            return;
        }
        self.owed.remove(&path);
        self.doubt *= loss;
        self.copies += 1;
        let enough = self.doubt <= DOUBT_MAX || self.copies >= ACK_COPIES_MAX;
        if self.owed.is_empty() {
            self.due = (!enough).then(|| now + ACK_DELAY);
        }
    }

    /// The path is gone.
    pub fn on_removed(&mut self, path: PathId) {
        self.owed.remove(&path);
    }

    /// Paths on which a packet is needed now. `usable` are those that are worth a repeat; `carried` says that other packets go
    /// now, which count as one.
    pub fn take_due(&mut self, now: MonoTime, usable: &[PathId], carried: bool) -> Vec<PathId> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        if !self.owed.is_empty() {
            return self.owed.iter().copied().collect();
        }
        if carried {
            return Vec::new();
        }
        let after = |path: &&PathId| self.last.is_none_or(|last| **path > last);
        let next = usable.iter().find(after).or(usable.first()).copied();
        self.last = next;
        if next.is_none() {
            self.due = None;
        }
        next.into_iter().collect()
    }

    /// The budget lets none of the packets go: they are asked for again after a while.
    pub fn on_unaffordable(&mut self, now: MonoTime) {
        self.due = Some(now + ACK_DELAY);
    }

    /// When a packet is needed.
    pub const fn next_timeout(&self) -> Option<MonoTime> {
        self.due
    }
}

/// Repeats stop when it is this improbable that all were lost.
const DOUBT_MAX: f64 = 0.05;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const A: PathId = PathId(1);
    const B: PathId = PathId(2);

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    /// Drives the timer until nothing is due; returns when and where packets went.
    fn run(acks: &mut Acks, loss: f64) -> Vec<(MonoTime, PathId)> {
        let mut sent = Vec::new();
        while let Some(due) = acks.next_timeout() {
            for path in acks.take_due(due, &[A, B], false) {
                acks.on_sent(due, path, loss);
                sent.push((due, path));
            }
        }
        sent
    }

    #[test]
    fn an_acknowledgement_goes_where_the_data_came_within_3_ms() {
        // [WIRE-49]
        let mut acks = Acks::new();
        acks.on_tracked(at(10), B);
        acks.on_tracked(at(12), B);
        assert_eq!(acks.take_due(at(12), &[A, B], false), []);
        assert_eq!(run(&mut acks, 0.001), [(at(13), B)]);
    }

    #[test]
    fn under_loss_it_is_repeated_in_turn_and_at_most_20_times() {
        // [WIRE-49]
        let mut acks = Acks::new();
        acks.on_tracked(at(0), B);
        let sent = run(&mut acks, 0.5);
        assert_eq!(
            sent,
            [(at(3), B), (at(6), A), (at(9), B), (at(12), A), (at(15), B)]
        );
        acks.on_tracked(at(100), A);
        assert_eq!(run(&mut acks, 0.8).len(), 14);
        acks.on_tracked(at(200), A);
        assert_eq!(run(&mut acks, 0.97).len(), 20);
    }

    #[test]
    fn other_packets_carry_it_and_a_duplicate_asks_again() {
        let mut acks = Acks::new();
        acks.on_tracked(at(0), A);
        acks.on_sent(at(1), A, 0.001);
        assert_eq!(acks.next_timeout(), None);
        acks.on_tracked(at(20), A);
        acks.on_tracked(at(20), B);
        acks.on_sent(at(21), A, 0.001);
        assert_eq!(run(&mut acks, 0.001), [(at(23), B)]);
    }

    #[test]
    fn without_a_path_nothing_is_due() {
        let mut acks = Acks::new();
        acks.on_tracked(at(0), A);
        acks.on_removed(A);
        assert_eq!(acks.take_due(at(3), &[], false), []);
        assert_eq!(acks.next_timeout(), None);
    }
}
