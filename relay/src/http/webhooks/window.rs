//! Which event is posted next: of each source one after the other, and of several sources at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longrein_proto::wire::hub::MessageId;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::kept::Kept;

/// The oldest events that are not delivered, by number.
#[derive(Default)]
pub(super) struct Window {
    waiting: BTreeMap<u64, Waiting>,
    bytes: usize,
    /// The next number that is read from the store.
    next: u64,
}

/// An event that is not delivered yet.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) kept: Arc<Kept>,
    pub(super) id: MessageId,
    pub(super) tries: Tries,
    not_before: Option<Instant>,
    is_posted: bool,
}

/// How often an event was posted in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Tries {
    pub(super) failed: u32,
    /// When it is posted again, in milliseconds since 1970.
    pub(super) next_ms: u64,
}

impl Window {
    /// One that begins with this number.
    pub(super) fn new(next: u64) -> Window {
        Window {
            next,
            ..Window::default()
        }
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether more is to be read when there is more.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < EVENTS_MAX && self.bytes < BYTES_MAX
    }

    /// An event was read from the store.
    pub(super) fn add(
        &mut self,
        number: u64,
        id: MessageId,
        kept: Kept,
        tries: Tries,
        not_before: Option<Instant>,
    ) {
        self.bytes += kept.body.get().len();
        let waiting = Waiting {
            kept: Arc::new(kept),
            id,
            tries,
            not_before,
            is_posted: false,
        };
        self.waiting.insert(number, waiting);
        self.skip_to(number + 1);
    }

    /// What is below this number is read, or cannot be.
    pub(super) fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// The events whose turn it is, as many as may be, of each source the oldest; they count as posted.
    pub(super) fn take_due(&mut self, now: Instant, count: usize) -> Vec<(u64, Waiting)> {
        let mut busy = BTreeSet::new();
        let mut due = Vec::new();
        for (number, waiting) in &mut self.waiting {
            if due.len() >= count {
                break;
            }
            let is_oldest = busy.insert(waiting.kept.source.clone());
            let is_time = waiting.not_before.is_none_or(|at| at <= now);
            if is_oldest && is_time && !waiting.is_posted {
                waiting.is_posted = true;
                due.push((*number, waiting.clone()));
            }
        }
        due
    }

    /// When the next event has its turn that was posted in vain.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.waiting.values().filter(|waiting| !waiting.is_posted);
        waiting.filter_map(|waiting| waiting.not_before).min()
    }

    /// An event is delivered, or dead.
    pub(super) fn remove(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.bytes -= waiting.kept.body.get().len();
        Some(waiting)
    }

    /// An event was posted in vain.
    pub(super) fn put_off(&mut self, number: u64, tries: Tries, until: Instant) {
        if let Some(waiting) = self.waiting.get_mut(&number) {
            waiting.tries = tries;
            waiting.not_before = Some(until);
            waiting.is_posted = false;
        }
    }

    /// Everything below this number is done with.
    pub(super) fn low(&self) -> u64 {
        self.waiting.keys().next().copied().unwrap_or(self.next)
    }

    /// Those that were posted in vain.
    pub(super) fn tries(&self) -> BTreeMap<u64, Tries> {
        let tried = self.waiting.iter();
        let tried = tried.filter(|(_, waiting)| waiting.tries.failed > 0);
        tried
            .map(|(number, waiting)| (*number, waiting.tries))
            .collect()
    }
}

/// Events in memory at once.
const EVENTS_MAX: usize = 128;
/// Bytes of them, above which none is added.
const BYTES_MAX: usize = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn window(sources: &[&str]) -> Window {
        let mut window = Window::new(1);
        for (number, source) in (1..).zip(sources) {
            let kept = Kept::new(source, "topic", None, 0, &()).unwrap();
            let id = MessageId([0; 16]);
            window.add(number, id, kept, Tries::default(), None);
        }
        window
    }

    fn due(window: &mut Window, now: Instant) -> Vec<u64> {
        let due = window.take_due(now, 8).into_iter();
        due.map(|(number, _)| number).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn of_each_source_one_event_after_the_other_is_posted() {
        let mut window = window(&["a", "a", "b"]);
        let now = Instant::now();
        assert_eq!(due(&mut window, now), [1, 3]);
        assert!(due(&mut window, now).is_empty());
        window.remove(3);
        assert_eq!(window.low(), 1);
        window.remove(1);
        assert_eq!(window.low(), 2);
        assert_eq!(due(&mut window, now), [2]);
        window.remove(2);
        assert_eq!(window.low(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_is_put_off_holds_up_its_own_source_alone() {
        let mut window = window(&["a", "a", "b"]);
        let now = Instant::now();
        assert_eq!(due(&mut window, now), [1, 3]);
        let (tries, later) = (
            Tries {
                failed: 1,
                next_ms: 0,
            },
            now + Duration::from_secs(1),
        );
        window.put_off(1, tries, later);
        assert!(due(&mut window, now).is_empty());
        assert_eq!(window.next_due(), Some(later));
        assert_eq!(window.tries().into_keys().collect::<Vec<_>>(), [1]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(due(&mut window, Instant::now()), [1]);
        assert_eq!(window.next_due(), None);
    }

    #[test]
    fn what_is_in_memory_is_bounded() {
        assert!(window(&vec!["a"; EVENTS_MAX - 1]).has_room());
        assert!(!window(&vec!["a"; EVENTS_MAX]).has_room());
    }
}
