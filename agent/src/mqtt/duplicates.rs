//! Messages that came before.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use longrein_proto::base::MonoTime;

use super::message::Message;

/// Remembers messages of QoS 1, which may arrive more than once: from the broker after a lost connection, and from a device that sent
/// it to the broker twice.
#[derive(Debug)]
pub(crate) struct Duplicates {
    within: Duration,
    recent: VecDeque<(MonoTime, u64)>,
    newest: BTreeMap<u64, MonoTime>,
    hashes: RandomState,
}

impl Duplicates {
    /// The same message within this time is a duplicate; 0 for none of those.
    pub(crate) fn new(within: Duration) -> Duplicates {
        Duplicates {
            within,
            recent: VecDeque::new(),
            newest: BTreeMap::new(),
            hashes: RandomState::new(),
        }
    }

    /// Whether a message came before. One that says `id` in its user properties is known by that; one that the broker says to repeat
    /// (`again`) is looked for among all that are remembered.
    pub(crate) fn is_duplicate(&mut self, now: MonoTime, message: &Message, again: bool) -> bool {
        let mut ids = message.properties.iter().filter(|(key, _)| key == "id");
        let id = ids.next().map(|(_, id)| id);
        let hash = match id {
            Some(id) => self.hashes.hash_one((&message.topic, id)),
            None => self.hashes.hash_one((
                &message.topic,
                &message.payload,
                &message.correlation,
                &message.properties,
            )),
        };
        let seen = self
            .newest
            .get(&hash)
            .is_some_and(|seen| again || id.is_some() || now.since(*seen) < self.within);
        self.newest.insert(hash, now);
        self.recent.push_back((now, hash));
        while self.recent.len() > REMEMBERED_MAX {
            if let Some((at, hash)) = self.recent.pop_front()
                && self.newest.get(&hash) == Some(&at)
            {
                self.newest.remove(&hash);
            }
        }
        seen
    }
}

/// Messages that are remembered: 20 s of 200 a second, 130 KiB.
const REMEMBERED_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    fn message(payload: &str, id: Option<&str>) -> Message {
        let id = id.map(|id| ("id".to_string(), id.to_string()));
        Message {
            topic: "devices/pump/state".to_string(),
            payload: payload.into(),
            properties: id.into_iter().collect(),
            ..Message::default()
        }
    }

    #[test]
    fn the_same_message_within_the_time_is_a_duplicate_and_later_another_one() {
        let mut duplicates = Duplicates::new(Duration::from_secs(1));
        let one = message("1", None);
        assert!(!duplicates.is_duplicate(at(0), &one, false));
        assert!(!duplicates.is_duplicate(at(0), &message("2", None), false));
        assert!(duplicates.is_duplicate(at(999), &one, false));
        assert!(!duplicates.is_duplicate(at(1_999), &one, false));
    }

    #[test]
    fn what_the_broker_repeats_after_a_long_outage_is_known() {
        let mut duplicates = Duplicates::new(Duration::from_secs(1));
        assert!(!duplicates.is_duplicate(at(0), &message("1", None), true));
        assert!(duplicates.is_duplicate(at(60_000), &message("1", None), true));
    }

    #[test]
    fn a_message_with_an_id_is_known_by_it_alone() {
        let mut duplicates = Duplicates::new(Duration::ZERO);
        assert!(!duplicates.is_duplicate(at(0), &message("1", Some("a")), false));
        assert!(duplicates.is_duplicate(at(5_000), &message("1", Some("a")), false));
        assert!(!duplicates.is_duplicate(at(5_000), &message("1", Some("b")), false));
        assert!(!duplicates.is_duplicate(at(5_000), &message("1", None), false));
        assert!(!duplicates.is_duplicate(at(5_000), &message("1", None), false));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut duplicates = Duplicates::new(Duration::from_secs(3_600));
        for number in 0..10_000 {
            duplicates.is_duplicate(at(number), &message(&number.to_string(), None), false);
            duplicates.is_duplicate(at(number), &message("same", None), false);
        }
        assert!(duplicates.newest.len() <= REMEMBERED_MAX);
        assert!(duplicates.is_duplicate(at(10_000), &message("same", None), false));
    }
}
