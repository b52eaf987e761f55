//! Messages that are longer than an envelope.

use std::collections::BTreeMap;

use super::judge::Timing;
use crate::base::limits::{ASSEMBLIES_MAX, FRAGMENT_BYTES_MAX};
use crate::base::{Flow, MonoTime};
use crate::wire::{Content, FragmentOf};

/// A message as it was sent, perhaps still compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// Number of its last fragment: the message's number.
    pub number: u64,
    pub timing: Timing,
    pub dictionary: Option<u16>,
    pub bytes: Vec<u8>,
}

/// Cuts a message into the pieces of its envelopes: one without a place when it fits one envelope.
// [WIRE-87]
pub(super) fn cut(bytes: &[u8]) -> impl ExactSizeIterator<Item = (Option<FragmentOf>, &[u8])> {
    let count = bytes.len().div_ceil(FRAGMENT_BYTES_MAX).max(1);
    (0..count).map(move |index| {
        let start = index * FRAGMENT_BYTES_MAX;
        let end = bytes.len().min(start + FRAGMENT_BYTES_MAX);
        let place = match (u8::try_from(index), u8::try_from(count)) {
            (Ok(index), Ok(count)) if count > 1 => Some(FragmentOf { index, count }),
            _ => None,
        };
        (place, bytes.get(start..end).unwrap_or_default())
    })
}

/// Numbers of the message that the fragment with this number and place belongs to. None when there are no such numbers.
pub(super) fn numbers_of(number: u64, place: FragmentOf) -> Option<(u64, u64)> {
    let first = number.checked_sub(place.index.into())?;
    let last = first.checked_add(u64::from(place.count) - 1)?;
    (first > 0).then_some((first, last))
}

/// Messages of a session's `unordered` flows of which some fragments are still missing.
#[derive(Debug, Default)]
pub(super) struct Assemblies {
    open: BTreeMap<(u8, u64), Assembly>,
}

/// What became of a fragment, or of another message for its sake.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Assembled {
    /// The message, when this was its last missing fragment.
    pub whole: Option<Whole>,
    /// Messages that were given up because there was no room.
    pub dropped: u64,
    /// The fragment does not fit the others of its message, which is given up.
    pub malformed: bool,
}

#[derive(Debug)]
struct Assembly {
    timing: Timing,
    dictionary: Option<u16>,
    parts: Vec<Option<Vec<u8>>>,
}

impl Assemblies {
    /// Adds a fragment of `flow` that opened.
    // [WIRE-88]
    pub(super) fn add(
        &mut self,
        flow: Flow,
        number: u64,
        place: FragmentOf,
        timing: Timing,
        content: Content,
    ) -> Assembled {
        let mut result = Assembled::default();
        let Some((first, last)) = numbers_of(number, place) else {
            result.malformed = true;
            return result;
        };
        let key = (flow.to_byte(), first);
        if !self.open.contains_key(&key) {
            result.dropped = self.make_room();
        }
        let assembly = self.open.entry(key).or_insert_with(|| Assembly {
            timing,
            dictionary: content.dictionary,
            parts: vec![None; usize::from(place.count)],
        });
        let agrees = assembly.parts.len() == usize::from(place.count)
            && assembly.dictionary == content.dictionary
            && assembly.timing.sent_at_us == timing.sent_at_us
            && assembly.timing.ttl == timing.ttl;
        let part = assembly.parts.get_mut(usize::from(place.index));
        let (true, Some(part @ None)) = (agrees, part) else {
            self.open.remove(&key);
            result.malformed = true;
            return result;
        };
        *part = Some(content.bytes);
        if assembly.parts.iter().all(Option::is_some) {
            result.whole = self.open.remove(&key).map(|assembly| Whole {
                number: last,
                timing: assembly.timing,
                dictionary: assembly.dictionary,
                bytes: assembly.parts.into_iter().flatten().flatten().collect(),
            });
        }
        result
    }

    /// Gives up what has waited for its whole time to live, and returns whose.
    pub(super) fn on_timeout(&mut self, now: MonoTime) -> Vec<Flow> {
        let over: Vec<_> = self
            .open
            .iter()
            .filter(|(_, assembly)| assembly.timing.deadline_by_arrival() <= now)
            .map(|(&key, _)| key)
            .collect();
        for key in &over {
            self.open.remove(key);
        }
        over.into_iter()
            .filter_map(|(flow, _)| Flow::from_byte(flow))
            .collect()
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.open
            .values()
            .map(|assembly| assembly.timing.deadline_by_arrival())
            .min()
    }

    /// Gives up the message that arrived first, when there are as many as there may be.
    fn make_room(&mut self) -> u64 {
        let mut dropped = 0;
        while self.open.len() >= ASSEMBLIES_MAX {
            let oldest = self
                .open
                .iter()
                .min_by_key(|(_, assembly)| assembly.timing.arrived)
                .map(|(&key, _)| key);
            let Some(key) = oldest else { break };
            self.open.remove(&key);
            dropped += 1;
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::limits::{FRAGMENTS_MAX, MESSAGE_BYTES_MAX};
    use crate::base::{Channel, Class};

    const FLOW: Flow = Flow::new(Channel::SESSION, Class::Unordered);

    fn timing(arrived_us: u64) -> Timing {
        Timing {
            sent_at_us: 1,
            ttl: Duration::from_millis(100),
            arrived: MonoTime::from_us(arrived_us),
        }
    }

    fn content(place: FragmentOf, bytes: &[u8]) -> Content {
        Content {
            sent_at_us: 1,
            dictionary: None,
            fragment: Some(place),
            bytes: bytes.to_vec(),
        }
    }

    fn add(
        to: &mut Assemblies,
        number: u64,
        place: FragmentOf,
        bytes: &[u8],
        at: u64,
    ) -> Assembled {
        to.add(FLOW, number, place, timing(at), content(place, bytes))
    }

    // [WIRE-87]
    #[test]
    fn the_longest_message_is_cut_into_as_many_fragments_as_there_may_be() {
        let message = vec![3; MESSAGE_BYTES_MAX];
        let pieces: Vec<_> = cut(&message).collect();
        assert_eq!(pieces.len(), FRAGMENTS_MAX);
        let bytes: Vec<u8> = pieces.iter().flat_map(|(_, b)| b.iter().copied()).collect();
        assert_eq!(bytes, message);
        assert_eq!(cut(&[]).collect::<Vec<_>>(), [(None, &[] as &[u8])]);
        assert_eq!(cut(&message[..FRAGMENT_BYTES_MAX]).len(), 1);
    }

    // [WIRE-87]
    #[test]
    fn fragments_in_any_order_become_the_message_under_the_number_of_the_last() {
        let mut assemblies = Assemblies::default();
        let message: Vec<u8> = (0..2_500_u16).map(|n| n as u8).collect();
        let mut pieces: Vec<_> = cut(&message).enumerate().collect();
        pieces.reverse();
        let mut whole = None;
        for (index, (place, bytes)) in pieces {
            assert_eq!(whole, None);
            whole = add(&mut assemblies, 10 + index as u64, place.unwrap(), bytes, 0).whole;
        }
        let whole = whole.unwrap();
        assert_eq!((whole.number, &whole.bytes), (12, &message));
        assert!(assemblies.open.is_empty());
    }

    // [WIRE-88]
    #[test]
    fn room_is_bounded_and_the_oldest_gives_way() {
        let mut assemblies = Assemblies::default();
        let place = FragmentOf {
            index: 0,
            count: 66,
        };
        let mut dropped = 0;
        for n in 0..1_000 {
            dropped += add(&mut assemblies, 1 + n * 66, place, &[0; 1_000], n).dropped;
            assert!(assemblies.open.len() <= ASSEMBLIES_MAX);
        }
        assert_eq!(dropped, 1_000 - assemblies.open.len() as u64);
        assert!(
            assemblies
                .open
                .contains_key(&(FLOW.to_byte(), 1 + 999 * 66))
        );
    }

    // [WIRE-88]
    #[test]
    fn fragments_wait_no_longer_than_their_time_to_live() {
        let mut assemblies = Assemblies::default();
        let place = FragmentOf { index: 0, count: 2 };
        add(&mut assemblies, 1, place, b"a", 0);
        let end = MonoTime::from_us(100_000);
        assert_eq!(assemblies.next_timeout(), Some(end));
        assert_eq!(assemblies.on_timeout(end), [FLOW]);
        assert_eq!(assemblies.next_timeout(), None);
    }

    // [WIRE-88]
    #[test]
    fn a_fragment_that_does_not_fit_its_message_ends_it() {
        let mut assemblies = Assemblies::default();
        add(
            &mut assemblies,
            5,
            FragmentOf { index: 0, count: 2 },
            b"a",
            0,
        );
        let second = add(
            &mut assemblies,
            6,
            FragmentOf { index: 1, count: 3 },
            b"b",
            0,
        );
        assert!(second.malformed && second.whole.is_none());
        let before_all = add(
            &mut assemblies,
            1,
            FragmentOf { index: 1, count: 3 },
            b"b",
            0,
        );
        assert!(before_all.malformed);
        assert!(assemblies.open.is_empty());
    }
}
