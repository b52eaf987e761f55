//! Repeats of a handshake's packets.
//!
//! QUIC sends a lost packet of its handshake again after a time that doubles: at 80 % loss a handshake takes seconds. QUIC drops
//! a packet that it has already, so that what is sent several times costs bytes only.

use quinn_proto::Transmit;
use std::time::{Duration, Instant};

/// Repeats of one connection's packets with a long header, until its handshake is over.
///
/// Each goes a few times at once. After that a client goes on, more slowly, as long as its attempt is worth it: what comes from it
/// gives the server room to answer, and tells it that the client lacks its answer.
#[derive(Debug)]
pub(crate) struct Repeats {
    from: Instant,
    /// At a client: nothing came from the far side.
    is_unheard: bool,
    /// At a client: what waits was made before anything came.
    is_first_flight: bool,
    /// Nothing came since a timer ran out.
    is_probing: bool,
    waiting: Vec<Repeat>,
    /// At a client: goes on with what went a few times.
    persistence: Option<Persistence>,
    allowance: Allowance,
    is_over: bool,
}

/// How much a client does for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Repeats begin after a moment, so that a network that loses nothing pays nothing, and go on.
    Patient,
    /// They begin at once and go on: the way is known to lose packets.
    Keen,
    /// They begin at once and are few: it seems that nobody is there.
    Brief,
}

/// What may be sent to a remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowance {
    /// Anything: it is known to receive there.
    Open,
    /// So many bytes: the address may be somebody else's (RFC 9000 §8.1).
    Bytes(usize),
}

/// A packet that goes again.
#[derive(Debug)]
struct Repeat {
    due: Instant,
    left: u32,
    transmit: Transmit,
    bytes: Box<[u8]>,
}

/// One packet after the other of those that wait.
#[derive(Clone, Copy, Debug)]
struct Persistence {
    /// It goes on with what it answers only.
    is_brief: bool,
    due: Instant,
    until: Instant,
    turn: usize,
}

impl Repeats {
    /// Of a connection that is dialled now.
    pub(crate) fn of_client(now: Instant, effort: Effort) -> Repeats {
        let from = match effort {
            Effort::Keen | Effort::Brief => now,
            Effort::Patient => now + PATIENCE,
        };
        Repeats {
            from,
            is_unheard: true,
            is_first_flight: true,
            is_probing: false,
            persistence: Some(Persistence {
                is_brief: effort == Effort::Brief,
                due: now,
                until: now,
                turn: 0,
            }),
            waiting: Vec::new(),
            allowance: Allowance::Open,
            is_over: false,
        }
    }

    /// Of a connection that is accepted now. Its address is not trusted with more even where it is proved: whoever is there has
    /// shown no certificate yet.
    pub(crate) fn of_server(now: Instant) -> Repeats {
        Repeats {
            from: now + PATIENCE,
            is_unheard: false,
            is_first_flight: false,
            is_probing: false,
            persistence: None,
            waiting: Vec::new(),
            allowance: Allowance::FIRST,
            is_over: false,
        }
    }

    /// Time passed, and nothing came: what QUIC makes of the handshake now only probes.
    pub(crate) const fn on_timeout(&mut self) {
        self.is_probing = true;
    }

    /// So many bytes came from the remote address.
    pub(crate) fn on_received(&mut self, bytes: usize) {
        self.is_unheard = false;
        self.is_probing = false;
        if let Allowance::Bytes(left) = &mut self.allowance {
            *left = left.saturating_add(bytes.saturating_mul(AMPLIFICATION_MAX));
        }
        if self.persistence.is_none() {
            // A client that goes on lacks the answer.
            for repeat in &mut self.waiting {
                repeat.left = repeat.left.max(ANSWERS);
            }
        }
    }

    /// Whether a packet that QUIC made may go; if so it is sent now. One that may not is lost, as on the way: QUIC does not know of
    /// the repeats, which use up what the address may be sent; its probes are worth less than they are, and as long as nobody
    /// answers less than another attempt.
    pub(crate) fn on_packet(&mut self, now: Instant, transmit: &Transmit, bytes: &[u8]) -> bool {
        let is_long = bytes.first().is_some_and(|first| first & LONG_HEADER != 0);
        let is_flight = is_long && bytes.len() > ACKNOWLEDGEMENT_BYTES_MAX;
        let is_probe = is_flight && self.is_probing && self.does_better(now);
        if is_probe || !self.spend(bytes.len()) {
            return false;
        }
        if is_flight && !self.is_over && !self.is_probing {
            self.keep(now, transmit, bytes);
        }
        true
    }

    /// Hands the repeats that are due to `send`.
    pub(crate) fn send_due(&mut self, now: Instant, mut send: impl FnMut(&Transmit, &[u8])) {
        for index in 0..self.waiting.len() {
            let is_due = |repeat: &&Repeat| repeat.left > 0 && repeat.due <= now;
            let due = self.waiting.get(index).filter(is_due);
            let Some(bytes) = due.map(|repeat| repeat.bytes.len()) else {
                continue;
            };
            if !self.spend(bytes) {
                continue;
            }
            if let Some(repeat) = self.waiting.get_mut(index) {
                send(&repeat.transmit, &repeat.bytes);
                repeat.left -= 1;
                repeat.due = now + GAP;
            }
        }
        if let Some(persistence) = &mut self.persistence
            && persistence.due <= now
        {
            persistence.due = now + GAP_LATER;
            let turn = persistence.turn % self.waiting.len().max(1);
            if now < persistence.until
                && let Some(repeat) = self.waiting.get(turn)
            {
                send(&repeat.transmit, &repeat.bytes);
                persistence.turn += 1;
            }
        }
    }

    /// When the next repeat is due that there is room for.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let open = |repeat: &&Repeat| repeat.left > 0 && self.has_room(repeat.bytes.len());
        let waiting = self.waiting.iter().filter(open).map(|repeat| repeat.due);
        let goes_on = |p: &Persistence| !self.waiting.is_empty() && p.due < p.until;
        let later = self.persistence.filter(goes_on);
        waiting.chain(later.map(|later| later.due)).min()
    }

    /// The far side is through the handshake too: nothing is to be repeated any more.
    pub(crate) fn finish(&mut self) {
        self.abandon();
        self.allowance = Allowance::Open;
    }

    /// The connection has ended: nothing is to be repeated, and no more may be sent than before.
    pub(crate) fn abandon(&mut self) {
        self.is_over = true;
        self.waiting = Vec::new();
    }

    /// Whether nothing is repeated any more.
    pub(crate) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether what waits does more than QUIC's probes.
    fn does_better(&self, now: Instant) -> bool {
        let goes_on = self.persistence.is_none_or(|p| now < p.until);
        !self.waiting.is_empty() && (self.is_unheard || goes_on)
    }

    /// Of the packets that are too many the shortest gives way: the first flight is in the longest.
    fn keep(&mut self, now: Instant, transmit: &Transmit, bytes: &[u8]) {
        if !self.is_unheard && std::mem::take(&mut self.is_first_flight) {
            self.waiting.clear();
        }
        if self.waiting.len() >= PACKETS_MAX {
            let lengths = self.waiting.iter().map(|repeat| repeat.bytes.len());
            let shortest = lengths.enumerate().min_by_key(|(_, length)| *length);
            shortest.map(|(index, _)| self.waiting.remove(index));
        }
        let due = self.from.max(now + GAP);
        self.waiting.push(Repeat {
            due,
            left: REPEATS,
            transmit: Transmit { ..*transmit },
            bytes: bytes.into(),
        });
        if let Some(persistence) = &mut self.persistence {
            persistence.due = due + GAP * REPEATS;
            let most = match (self.is_unheard, persistence.is_brief) {
                (true, true) => Duration::ZERO,
                (true, false) => UNHEARD_MAX,
                (false, _) => UNFINISHED_MAX,
            };
            persistence.until = now + most;
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        match self.allowance {
            Allowance::Open => true,
            Allowance::Bytes(left) => bytes <= left,
        }
    }

    fn spend(&mut self, bytes: usize) -> bool {
        let has_room = self.has_room(bytes);
        if let Allowance::Bytes(left) = &mut self.allowance
            && has_room
        {
            *left -= bytes;
        }
        has_room
    }
}

impl Allowance {
    /// Of an address from which a first packet came: QUIC takes none in a shorter datagram.
    const FIRST: Allowance = Allowance::Bytes(INITIAL_BYTES_MIN * AMPLIFICATION_MAX);
}

/// Set in the first byte of a packet of the handshake.
const LONG_HEADER: u8 = 0x80;
/// Times that a packet goes again: two of three get through at 80 % loss.
const REPEATS: u32 = 4;
/// Between them: enough for a radio to have another slot.
const GAP: Duration = Duration::from_millis(2);
/// Between those of a client after that: two thirds of a link of 1 Mbit/s.
const GAP_LATER: Duration = Duration::from_millis(15);
/// So long a client goes on while nothing comes: then the next attempt takes its place.
pub(crate) const UNHEARD_MAX: Duration = Duration::from_millis(300);
/// So long it goes on with its last flight when it does not hear that the server is through.
const UNFINISHED_MAX: Duration = Duration::from_secs(1);
/// Times that a server repeats each packet for one of a client that goes on, as far as it may.
const ANSWERS: u32 = 3;
/// What is shorter only acknowledges.
const ACKNOWLEDGEMENT_BYTES_MAX: usize = 96;
/// From a connection's beginning to its first repeat: on a usual network an answer is there by then.
const PATIENCE: Duration = Duration::from_millis(30);
/// Packets of one connection that are repeated at a time: a flight of either side is two.
const PACKETS_MAX: usize = 4;
/// Least size of a datagram with a connection's first packet (RFC 9000 §14.1).
const INITIAL_BYTES_MIN: usize = 1_200;
/// Bytes for each that came, until the address is known to be the far side's (RFC 9000 §8.1).
const AMPLIFICATION_MAX: usize = 3;

#[cfg(test)]
mod tests;
