//! What goes to the other end of a conversation.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::limits::{
    FRAGMENT_BYTES_MAX, HUB_OWN_BYTES_MAX, HUB_OWN_MESSAGES_MAX, HUB_PIECE_TTL, HUB_PIECE_WAIT,
    HUB_WINDOW,
};
use crate::base::{Class, MonoTime};
use crate::wire::FragmentOf;
use crate::wire::hub::{Frame, Line};

/// Brings pieces of messages over a leg until each is acknowledged, and few at once: what the other end holds because an earlier
/// piece is missing is never more than the window.
///
/// It has the messages for this end alone; those that many read it is given piece by piece.
#[derive(Debug, Default)]
pub(super) struct Carrier {
    waiting: VecDeque<Own>,
    waiting_bytes: usize,
    /// Numbers of own messages that were used.
    numbered: u64,
    /// What is left of the message whose pieces go.
    cut: VecDeque<Arc<[u8]>>,
    /// Messages whose delivery somebody wants to know of.
    awaited: BTreeMap<u64, Awaited>,
    /// In the order in which they went; the oldest is not acknowledged.
    flying: VecDeque<Flying>,
}

/// A message for the other end alone.
#[derive(Debug)]
struct Own {
    bytes: Arc<[u8]>,
    until: Option<MonoTime>,
    tag: Option<u64>,
}

/// A message of which pieces are not acknowledged.
#[derive(Debug)]
struct Awaited {
    pieces: usize,
    tag: u64,
}

/// A piece on the leg.
#[derive(Debug)]
struct Flying {
    /// None when it is acknowledged or given up.
    parcel: Option<Arc<[u8]>>,
    /// When the leg has given it up.
    due: MonoTime,
    /// Whether it goes again then.
    repeats: bool,
    /// The number of its message, when that is for this end alone.
    own: Option<u64>,
}

/// As much waits as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A piece for the leg, and until when it shall stay there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The encoded parcel.
    pub parcel: Arc<[u8]>,
    /// When the leg may give it up.
    pub deadline: MonoTime,
}

impl Carrier {
    /// A message for the other end alone; after `until` it does not begin to go any more. When it is delivered its tag says so.
    pub(super) fn push(
        &mut self,
        bytes: Arc<[u8]>,
        until: Option<MonoTime>,
        tag: Option<u64>,
    ) -> Result<(), Full> {
        let bytes_then = self.waiting_bytes + bytes.len();
        if self.waiting.len() >= HUB_OWN_MESSAGES_MAX || bytes_then > HUB_OWN_BYTES_MAX {
            return Err(Full);
        }
        self.waiting_bytes = bytes_then;
        self.waiting.push_back(Own { bytes, until, tag });
        Ok(())
    }

    /// Whether one more piece may go.
    // [WIRE-192]
    pub(super) fn has_room(&self) -> bool {
        self.flying.len() < HUB_WINDOW
    }

    /// Whether few messages wait, so that there is room for what may also be told later.
    pub(super) fn is_calm(&self) -> bool {
        self.waiting.len() < CALM_MESSAGES && self.waiting_bytes < HUB_OWN_BYTES_MAX / 4
    }

    /// The next piece of a message for the other end alone.
    pub(super) fn next_own(&mut self, now: MonoTime) -> Option<Piece> {
        if self.cut.is_empty() {
            self.begin_next(now)?;
        }
        let parcel = self.cut.pop_front()?;
        let deadline = now + HUB_PIECE_TTL;
        self.flying.push_back(Flying {
            parcel: Some(Arc::clone(&parcel)),
            due: deadline,
            repeats: true,
            own: Some(self.numbered),
        });
        Some(Piece { parcel, deadline })
    }

    /// A piece of a message that many read. If it is worth something until a time only, it does not go again after that.
    pub(super) fn launch(
        &mut self,
        now: MonoTime,
        parcel: Arc<[u8]>,
        until: Option<MonoTime>,
    ) -> Piece {
        let latest = now + HUB_PIECE_TTL;
        let deadline = until.map_or(latest, |until| until.min(latest));
        self.flying.push_back(Flying {
            parcel: Some(Arc::clone(&parcel)),
            due: deadline,
            repeats: until.is_none(),
            own: None,
        });
        Piece { parcel, deadline }
    }

    /// The other end has a piece. The tag of its message, when that was the last one and somebody wants to know.
    pub(super) fn on_delivered(&mut self, parcel: &Arc<[u8]>) -> Option<u64> {
        let is_it = |flying: &&mut Flying| {
            let own = flying.parcel.as_ref();
            own.is_some_and(|own| Arc::ptr_eq(own, parcel))
        };
        let flying = self.flying.iter_mut().find(is_it)?;
        flying.parcel = None;
        let number = flying.own;
        self.land();
        let number = number?;
        let awaited = self.awaited.get_mut(&number)?;
        awaited.pieces -= 1;
        if awaited.pieces > 0 {
            return None;
        }
        self.awaited.remove(&number).map(|awaited| awaited.tag)
    }

    /// The leg had no room for a piece: it goes a little later.
    pub(super) fn on_no_room(&mut self, now: MonoTime, parcel: &Arc<[u8]>) {
        for flying in &mut self.flying {
            let own = flying.parcel.as_ref();
            if own.is_some_and(|own| Arc::ptr_eq(own, parcel)) {
                flying.due = now + HUB_PIECE_WAIT;
            }
        }
    }

    /// The next piece that has to go again; forgets those that do not.
    pub(super) fn next_again(&mut self, now: MonoTime) -> Option<Piece> {
        let mut again = None;
        for flying in self.flying.iter_mut().filter(|flying| flying.due <= now) {
            if !flying.repeats {
                flying.parcel = None;
            } else if let Some(parcel) = &flying.parcel {
                flying.due = now + HUB_PIECE_TTL;
                again = Some(Piece {
                    parcel: Arc::clone(parcel),
                    deadline: flying.due,
                });
                break;
            }
        }
        self.land();
        again
    }

    /// When a piece has to go again.
    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        let flying = self.flying.iter().filter(|flying| flying.parcel.is_some());
        flying.map(|flying| flying.due).min()
    }

    /// Begins the next message that is not over, with its number.
    fn begin_next(&mut self, now: MonoTime) -> Option<()> {
        loop {
            let next = self.waiting.pop_front()?;
            self.waiting_bytes -= next.bytes.len();
            if next.until.is_some_and(|until| until <= now) {
                continue;
            }
            self.numbered += 1;
            self.cut = cut(Line::OWN, Class::Reliable, self.numbered, &next.bytes).into();
            if let Some(tag) = next.tag {
                let pieces = self.cut.len();
                self.awaited.insert(self.numbered, Awaited { pieces, tag });
            }
            return Some(());
        }
    }

    /// Takes away the oldest pieces that are acknowledged or given up.
    fn land(&mut self) {
        while self
            .flying
            .front()
            .is_some_and(|first| first.parcel.is_none())
        {
            self.flying.pop_front();
        }
    }
}

/// A message as parcels, each with one piece.
pub(super) fn cut(line: Line, class: Class, number: u64, message: &[u8]) -> Vec<Arc<[u8]>> {
    let count = message.len().div_ceil(FRAGMENT_BYTES_MAX).max(1);
    let pieces = message.chunks(FRAGMENT_BYTES_MAX).enumerate();
    let parcel = |(index, bytes): (usize, &[u8])| {
        let place = match (u8::try_from(index), u8::try_from(count)) {
            (Ok(index), Ok(count)) if count > 1 => Some(FragmentOf { index, count }),
            _ => None,
        };
        let frame = Frame {
            class,
            line,
            number,
            place,
            bytes,
        };
        frame.encode_parcel()
    };
    pieces.map(parcel).collect()
}

/// Messages that may wait beside what may also be told later.
const CALM_MESSAGES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> MonoTime {
        MonoTime::from_us(s * 1_000_000)
    }

    fn pieces(carrier: &mut Carrier) -> Vec<Piece> {
        let next = |carrier: &mut Carrier| {
            let again = carrier.next_again(at(1));
            again.or_else(|| carrier.has_room().then(|| carrier.next_own(at(1)))?)
        };
        std::iter::from_fn(|| next(carrier)).collect()
    }

    // [WIRE-192]
    #[test]
    fn nothing_goes_that_lies_a_window_beyond_the_oldest_that_is_not_acknowledged() {
        let mut carrier = Carrier::default();
        for number in 0..200_u8 {
            carrier.push([number].into(), None, None).unwrap();
        }
        let first = pieces(&mut carrier);
        assert_eq!(first.len(), HUB_WINDOW);
        for piece in &first[1..] {
            carrier.on_delivered(&piece.parcel);
        }
        assert!(pieces(&mut carrier).is_empty(), "the oldest is missing");
        carrier.on_delivered(&first[0].parcel);
        assert_eq!(pieces(&mut carrier).len(), HUB_WINDOW);
    }

    // [WIRE-192]
    #[test]
    fn what_the_leg_gave_up_goes_again_and_what_is_worth_nothing_then_does_not() {
        let mut carrier = Carrier::default();
        carrier.push([1].into(), None, None).unwrap();
        let own = pieces(&mut carrier).remove(0);
        let once = cut(Line(1), Class::Unordered, 1, &[2]).remove(0);
        carrier.launch(at(1), once, Some(at(2)));
        assert_eq!(carrier.next_again(at(3)), None);
        let again = carrier.next_again(own.deadline).unwrap();
        assert_eq!(again.parcel, own.parcel);
        assert_eq!(carrier.next_again(own.deadline), None);
    }

    #[test]
    fn a_message_is_delivered_when_all_its_pieces_are_and_one_that_is_over_does_not_begin() {
        let mut carrier = Carrier::default();
        carrier.push(vec![7; 2_500].into(), None, Some(9)).unwrap();
        carrier.push([8].into(), Some(at(1)), Some(10)).unwrap();
        let sent = pieces(&mut carrier);
        assert_eq!(sent.len(), 3);
        let told: Vec<_> = sent
            .iter()
            .map(|p| carrier.on_delivered(&p.parcel))
            .collect();
        assert_eq!(told, [None, None, Some(9)]);
    }
}
