//! The latched emergency stop.

use std::collections::VecDeque;

use crate::base::StopId;

/// Whether the vehicle is stopped, and in which generation: each reset starts the next one.
#[derive(Clone, Debug)]
pub struct StopLatch {
    state: State,
    generation: u32,
    ids: VecDeque<StopId>,
}

/// What of a [`StopLatch`] is stored, so that a restart changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopRecord {
    /// Whether the stop is latched.
    pub latched: bool,
    /// The current generation.
    pub generation: u32,
    /// Stops that were honoured, oldest first, at most [`StopLatch::IDS_MAX`].
    pub ids: Vec<StopId>,
}

/// What a stop did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// The vehicle is stopped by it. Store the record.
    Latched,
    /// The vehicle was stopped already; this stop is remembered too. Store the record.
    Joined,
    /// Honoured before under the same id: nothing changes.
    Repeat,
    /// Of a generation that was reset since: nothing changes.
    OldGeneration,
}

/// What a reset did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetOutcome {
    /// The stop is cleared and this generation begun. Store the record.
    Cleared(u32),
    /// No stop is latched: nothing changes.
    NotLatched,
    /// It names another generation than the current one: nothing changes, the stop stays.
    OtherGeneration,
}

impl StopLatch {
    /// Stops that are remembered by id (4 KiB stored): the oldest gives way (SAFE-36).
    pub const IDS_MAX: usize = 256;

    /// The latch as it was stored; a stop that was latched is latched (SAFE-34).
    pub fn new(record: StopRecord) -> StopLatch {
        let too_many = record.ids.len().saturating_sub(Self::IDS_MAX);
        StopLatch {
            state: if record.latched {
                State::Latched
            } else {
                State::Clear
            },
            generation: record.generation,
            ids: record.ids.into_iter().skip(too_many).collect(),
        }
    }

    /// Whether the stop is latched.
    pub fn is_latched(&self) -> bool {
        self.state == State::Latched
    }

    /// The current generation.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What to store.
    pub fn record(&self) -> StopRecord {
        StopRecord {
            latched: self.is_latched(),
            generation: self.generation,
            ids: self.ids.iter().copied().collect(),
        }
    }

    /// A stop whose signature is verified arrived; it needs no lease and no session (SAFE-30). A generation above the current one is honoured: the sender saw more
    /// resets than this latch remembers, which is no reason to drive on.
    pub fn on_stop(&mut self, id: StopId, generation: Option<u32>) -> StopOutcome {
        let known = self.ids.contains(&id);
        match generation {
            // SAFE-31
            Some(named) if named < self.generation => return StopOutcome::OldGeneration,
            Some(_) if known && self.is_latched() => return StopOutcome::Repeat,
            Some(_) => {}
            // SAFE-32
            None if known => return StopOutcome::Repeat,
            None => {}
        }
        if !known {
            self.remember(id);
        }
        let before = self.state;
        self.state = next(before, Fact::Stop);
        match before {
            State::Clear => StopOutcome::Latched,
            State::Latched => StopOutcome::Joined,
        }
    }

    /// An explicit reset by somebody who may, naming the generation that they saw latched (SAFE-35).
    pub fn on_reset(&mut self, generation: u32) -> ResetOutcome {
        if self.state == State::Clear {
            ResetOutcome::NotLatched
        } else if generation != self.generation {
            ResetOutcome::OtherGeneration
        } else {
            self.state = next(self.state, Fact::Reset);
            self.generation = self.generation.saturating_add(1);
            ResetOutcome::Cleared(self.generation)
        }
    }

    fn remember(&mut self, id: StopId) {
        if self.ids.len() >= Self::IDS_MAX {
            self.ids.pop_front();
        }
        self.ids.push_back(id);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Clear,
    Latched,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    /// A stop that is neither old nor a repeat.
    Stop,
    /// A reset of the current generation.
    Reset,
}

const fn next(state: State, fact: Fact) -> State {
    match (state, fact) {
        (State::Clear | State::Latched, Fact::Stop) => State::Latched,
        (State::Clear | State::Latched, Fact::Reset) => State::Clear,
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagram::{assert_in_safety, mermaid};
    use super::*;

    fn id(number: u16) -> StopId {
        let [high, low] = number.to_be_bytes();
        StopId([high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    #[test]
    fn the_picture_in_the_docs_is_the_code() {
        let facts = [
            (Fact::Stop, "stop"),
            (Fact::Reset, "reset of the current generation"),
        ];
        let mut edges = Vec::new();
        for state in [State::Clear, State::Latched] {
            for (fact, label) in facts {
                let to = next(state, fact);
                if to != state {
                    edges.push((format!("{state:?}"), format!("{to:?}"), label));
                }
            }
        }
        assert_in_safety(&mermaid("Stop latch", "Clear", &edges));
    }

    /// SAFE-30
    #[test]
    fn a_stop_latches_with_and_without_a_generation() {
        for generation in [None, Some(0), Some(7)] {
            let mut latch = StopLatch::new(StopRecord::default());
            assert_eq!(latch.on_stop(id(1), generation), StopOutcome::Latched);
            assert!(latch.is_latched());
            assert_eq!(latch.on_stop(id(1), generation), StopOutcome::Repeat);
            assert_eq!(latch.on_stop(id(2), generation), StopOutcome::Joined);
        }
    }

    /// SAFE-31
    #[test]
    fn a_stop_of_an_older_generation_is_ignored() {
        let mut latch = StopLatch::new(StopRecord::default());
        latch.on_stop(id(1), Some(0));
        assert_eq!(latch.on_reset(0), ResetOutcome::Cleared(1));
        assert_eq!(
            latch.on_stop(id(1), Some(0)),
            StopOutcome::OldGeneration,
            "a repeat"
        );
        assert_eq!(
            latch.on_stop(id(2), Some(0)),
            StopOutcome::OldGeneration,
            "a late one"
        );
        assert!(!latch.is_latched());
        assert_eq!(latch.on_stop(id(1), Some(1)), StopOutcome::Latched);
    }

    /// SAFE-32
    #[test]
    fn a_stop_without_generation_is_honoured_once_per_id_also_across_a_restart() {
        let mut latch = StopLatch::new(StopRecord::default());
        assert_eq!(latch.on_stop(id(1), None), StopOutcome::Latched);
        assert_eq!(latch.on_stop(id(2), None), StopOutcome::Joined);
        latch.on_reset(0);
        let mut latch = StopLatch::new(latch.record());
        assert_eq!(latch.on_stop(id(1), None), StopOutcome::Repeat);
        assert_eq!(latch.on_stop(id(2), None), StopOutcome::Repeat);
        assert!(!latch.is_latched());
        assert_eq!(latch.on_stop(id(3), None), StopOutcome::Latched);
    }

    /// SAFE-34
    #[test]
    fn a_latched_stop_is_latched_after_a_restart() {
        let mut latch = StopLatch::new(StopRecord::default());
        latch.on_stop(id(1), None);
        let restarted = StopLatch::new(latch.record());
        assert!(restarted.is_latched());
        assert_eq!(restarted.record(), latch.record());
    }

    /// SAFE-35
    #[test]
    fn a_reset_must_name_the_current_generation() {
        let mut latch = StopLatch::new(StopRecord::default());
        assert_eq!(latch.on_reset(0), ResetOutcome::NotLatched);
        latch.on_stop(id(1), None);
        assert_eq!(latch.on_reset(1), ResetOutcome::OtherGeneration);
        assert!(latch.is_latched());
        assert_eq!(latch.on_reset(0), ResetOutcome::Cleared(1));
        assert_eq!(latch.on_reset(0), ResetOutcome::NotLatched);
        latch.on_stop(id(2), None);
        assert_eq!(latch.on_reset(0), ResetOutcome::OtherGeneration);
        assert!(latch.is_latched());
    }

    /// SAFE-36
    #[test]
    fn remembered_ids_are_bounded_and_the_oldest_goes() {
        let mut latch = StopLatch::new(StopRecord::default());
        for number in 0..=256 {
            latch.on_stop(id(number), None);
        }
        let record = latch.record();
        assert_eq!(record.ids.len(), StopLatch::IDS_MAX);
        assert_eq!(record.ids.first(), Some(&id(1)));
        assert_eq!(record.ids.last(), Some(&id(256)));
    }
}
