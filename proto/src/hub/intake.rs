//! What comes from the other end of a conversation.

use std::collections::{BTreeMap, VecDeque};

use crate::base::Class;
use crate::base::limits::{HUB_HELD_BYTES_MAX, HUB_LINES_MAX};
use crate::wire::hub::{Frame, Line};

/// Puts pieces together, and holds reliable messages until those before them are there.
#[derive(Debug)]
pub(super) struct Intake {
    lines: BTreeMap<Line, Incoming>,
    ready: VecDeque<Arrived>,
    held_bytes: usize,
    dropped: u64,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) line: Line,
    pub(super) class: Class,
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
}

/// What is known of a line.
#[derive(Debug, Default)]
struct Incoming {
    /// The next number to hand on; none until it is known where the line begins.
    next: Option<u64>,
    /// Numbers that will not come.
    skipped: BTreeMap<u64, u64>,
    whole: BTreeMap<u64, Vec<u8>>,
    parts: BTreeMap<(Class, u64), Vec<Option<Vec<u8>>>>,
}

impl Default for Intake {
    fn default() -> Intake {
        let own = Incoming {
            next: Some(1),
            ..Incoming::default()
        };
        Intake {
            lines: [(Line::OWN, own)].into(),
            ready: VecDeque::new(),
            held_bytes: 0,
            dropped: 0,
        }
    }
}

impl Intake {
    /// A piece came.
    pub(super) fn on_frame(&mut self, frame: &Frame<'_>) {
        let is_known = self.lines.contains_key(&frame.line);
        if self.held_bytes + frame.bytes.len() > HUB_HELD_BYTES_MAX
            || (!is_known && self.lines.len() > HUB_LINES_MAX)
        {
            self.dropped += 1;
            return;
        }
        let line = self.lines.entry(frame.line).or_default();
        let is_old = frame.class == Class::Reliable
            && (line.next.is_some_and(|next| frame.number < next)
                || line.whole.contains_key(&frame.number));
        if is_old {
            return;
        }
        let Some(bytes) = line.join(frame, &mut self.held_bytes, &mut self.dropped) else {
            return;
        };
        if frame.class == Class::Reliable {
            self.held_bytes += bytes.len();
            line.whole.insert(frame.number, bytes);
            self.release(frame.line);
        } else {
            self.ready.push_back(Arrived {
                line: frame.line,
                class: frame.class,
                number: frame.number,
                bytes,
            });
        }
    }

    /// A line begins behind this number.
    pub(super) fn begin(&mut self, line: Line, after: u64) {
        let incoming = self.lines.entry(line).or_default();
        incoming.next = Some(after + 1);
        while let Some(first) = incoming.whole.first_entry()
            && *first.key() <= after
        {
            self.held_bytes -= first.remove().len();
        }
        self.release(line);
    }

    /// These numbers of a line will not come.
    pub(super) fn skip(&mut self, line: Line, from: u64, below: u64) {
        if let Some(incoming) = self.lines.get_mut(&line)
            && from < below
            && incoming.skipped.len() < SKIPS_MAX
        {
            let end = incoming.skipped.entry(from).or_default();
            *end = below.max(*end);
        }
        self.release(line);
    }

    /// A line is not read any more.
    pub(super) fn forget(&mut self, line: Line) {
        if let Some(gone) = self.lines.remove(&line) {
            let parts = gone.parts.values().flatten().flatten();
            let bytes = parts.chain(gone.whole.values()).map(Vec::len);
            self.held_bytes -= bytes.sum::<usize>();
        }
    }

    /// The next message.
    pub(super) fn poll(&mut self) -> Option<Arrived> {
        self.ready.pop_front()
    }

    /// Pieces that no honest other end would have sent.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Hands on what is next.
    // [WIRE-191] [WIRE-197]
    fn release(&mut self, line: Line) {
        let Some(incoming) = self.lines.get_mut(&line) else {
            return;
        };
        let Some(mut next) = incoming.next else {
            return;
        };
        loop {
            if let Some(bytes) = incoming.whole.remove(&next) {
                self.held_bytes -= bytes.len();
                self.ready.push_back(Arrived {
                    line,
                    class: Class::Reliable,
                    number: next,
                    bytes,
                });
                next += 1;
                continue;
            }
            match incoming.skipped.first_entry() {
                Some(skip) if *skip.key() <= next => next = next.max(skip.remove()),
                Some(_) | None => break,
            }
        }
        incoming.next = Some(next);
    }
}

impl Incoming {
    /// The message, when this is its last missing piece.
    fn join(&mut self, frame: &Frame<'_>, held: &mut usize, dropped: &mut u64) -> Option<Vec<u8>> {
        let Some(place) = frame.place else {
            return Some(frame.bytes.to_vec());
        };
        let count = usize::from(place.count);
        let key = (frame.class, frame.number);
        if frame.class != Class::Reliable && !self.parts.contains_key(&key) {
            self.make_room(held);
        }
        let parts = self.parts.entry(key).or_insert_with(|| vec![None; count]);
        let part = parts.get_mut(usize::from(place.index));
        let Some(part) = part.filter(|part| part.is_none()) else {
            *dropped += 1;
            return None;
        };
        *part = Some(frame.bytes.to_vec());
        *held += frame.bytes.len();
        if parts.len() != count {
            *dropped += 1;
        }
        if !parts.iter().all(Option::is_some) {
            return None;
        }
        let parts = self.parts.remove(&key)?;
        let message: Vec<u8> = parts.into_iter().flatten().flatten().collect();
        *held -= message.len();
        Some(message)
    }

    /// Of messages that go once, some never come whole: the oldest give way.
    fn make_room(&mut self, held: &mut usize) {
        let live = |(class, _): &(Class, u64)| *class != Class::Reliable;
        while self.parts.keys().filter(|key| live(key)).count() >= LIVE_PARTS_MAX {
            let Some(oldest) = self.parts.keys().find(|key| live(key)).copied() else {
                return;
            };
            let gone = self.parts.remove(&oldest).unwrap_or_default();
            *held -= gone.iter().flatten().map(Vec::len).sum::<usize>();
        }
    }
}

/// Runs of numbers of one line that are known not to come, before what is in front of them has come.
const SKIPS_MAX: usize = 1_024;
/// Messages of a line that go once and of which pieces are missing.
const LIVE_PARTS_MAX: usize = 8;
