//! When a path may send.

use std::time::Duration;

use super::rate::{Rate, Signs, Strain};
use super::tokens::Tokens;
use crate::base::limits::{
    LINK_BUDGET_BITS_PER_S, REPEAT_GAP, REPEAT_GAP_MAX, WIRE_OVERHEAD_BYTES,
};
use crate::base::{Class, MonoTime};

/// A path's rate, its bucket, and the gap between times at which it repeats something.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rate: Rate,
    tokens: Tokens,
    gap: Duration,
    in_pairs: bool,
    /// When a packet with parcels was last begun.
    loaded_at: Option<MonoTime>,
    /// When a link as fast as the path may send has all of it on the wire.
    wire_free_at: MonoTime,
    bits_per_s: f64,
    strain: Strain,
}

impl Pace {
    /// Of a new path of which nothing was said.
    pub fn new(now: MonoTime) -> Pace {
        let rate = Rate::new(now, LINK_BUDGET_BITS_PER_S);
        Pace {
            rate,
            tokens: Tokens::new(now, rate.bits_per_s(now)),
            gap: REPEAT_GAP,
            in_pairs: true,
            loaded_at: None,
            wire_free_at: now,
            bits_per_s: rate.bits_per_s(now),
            strain: Strain::None,
        }
    }

    /// Bits a second on the wire that the path may use at most.
    pub fn set_budget(&mut self, bits_per_s: u64) {
        self.rate.set_budget(bits_per_s);
    }

    /// Whether two packets at once are worth two.
    pub const fn in_pairs(&self) -> bool {
        self.in_pairs
    }

    /// Brings rate and bucket up to now; before everything that asks.
    pub fn refresh(&mut self, now: MonoTime, signs: &Signs, clumps: f64) {
        self.rate.advance(now, signs);
        self.strain = self.rate.strain(now);
        self.bits_per_s = self.rate.bits_per_s(now);
        self.tokens
            .fill(now, self.bits_per_s, self.strain != Strain::Clogged);
        // Losses that come together pass with time: copies that follow each other at once share their fate.
        self.in_pairs = clumps < CLUMPED;
        self.gap = if self.in_pairs {
            REPEAT_GAP
        } else {
            (REPEAT_GAP / 2)
                .mul_f64(clumps)
                .clamp(REPEAT_GAP, REPEAT_GAP_MAX)
        };
    }

    /// Whether a chunk of this class may go, in a packet of its own or not.
    pub fn affords(&self, class: Class, chunk_bytes: usize) -> bool {
        self.tokens.affords(class, chunk_bytes + PACKET_COST)
    }

    /// Whether enough time passed since the last packet with parcels for one that repeats some.
    pub fn is_apart(&self, now: MonoTime) -> bool {
        now >= self.apart_at(now)
    }

    /// When a repeat of this class and size may go.
    pub fn repeat_at(&self, now: MonoTime, class: Class, chunk_bytes: usize) -> MonoTime {
        let affords_at = self.affords_at(now, class, chunk_bytes);
        self.apart_at(now).max(affords_at)
    }

    /// Repeats that go faster than the wire takes them only queue, and what is new queues behind them.
    fn apart_at(&self, now: MonoTime) -> MonoTime {
        let apart = self.loaded_at.map_or(now, |at| at + self.gap);
        apart.max(self.wire_free_at.before(WIRE_SLACK))
    }

    /// When a chunk of this class and size may go.
    pub fn affords_at(&self, now: MonoTime, class: Class, chunk_bytes: usize) -> MonoTime {
        let bytes = chunk_bytes + PACKET_COST;
        if self.tokens.affords(class, bytes) {
            return now;
        }
        let wait_s = self.tokens.wait_s(class, bytes, self.bits_per_s);
        now + Duration::from_secs_f64(wait_s.min(WAIT_MAX_S))
    }

    /// Whether a packet may go that only repeats state.
    pub fn affords_state(&self) -> bool {
        self.tokens.affords_state()
    }

    /// A chunk of this class goes.
    pub fn on_chunk(&mut self, now: MonoTime, class: Class, chunk_bytes: usize) {
        self.tokens.spend(class, chunk_bytes);
        self.on_wire(now, chunk_bytes);
        self.loaded_at = Some(now);
    }

    /// A packet is begun; its head has so many bytes. It pays with the class that began it, if one did.
    pub fn on_packet(&mut self, now: MonoTime, head_bytes: usize, class: Option<Class>) {
        let bytes = head_bytes + WIRE_OVERHEAD_BYTES;
        match class {
            Some(class) => self.tokens.spend(class, bytes),
            None => self.tokens.spend_anyway(bytes),
        }
        self.on_wire(now, bytes);
    }

    fn on_wire(&mut self, now: MonoTime, bytes: usize) {
        self.rate.on_sent(now, bytes);
        let bits = u32::try_from(bytes * 8).unwrap_or(u32::MAX);
        let takes = Duration::from_secs_f64(f64::from(bits) / self.rate.wire_bits_per_s());
        self.wire_free_at = (self.wire_free_at.max(now) + takes).min(now + WIRE_AHEAD_MAX);
    }

    /// Whether it looks for a policer now.
    pub const fn is_probing(&self) -> bool {
        self.rate.is_probing()
    }

    /// Bits a second that may be sent now.
    pub const fn bits_per_s(&self) -> f64 {
        self.bits_per_s
    }

    /// Why that is much less than the budget.
    pub const fn strain(&self) -> Strain {
        self.strain
    }

    /// How much of what may gather is there: paths with more go first.
    pub fn fullness(&self) -> f64 {
        self.tokens.fullness()
    }
}

/// Where runs of losses are longer than this many times what chance makes them, losses come together.
const CLUMPED: f64 = 2.0;
/// What a packet costs beside its chunks: on the wire, and its own head with report and acknowledgement.
const PACKET_COST: usize = WIRE_OVERHEAD_BYTES + 24;
/// A repeat may go so long before the wire is free: a wake-up that comes late leaves no wire idle, and what is new waits for no
/// more than this (measured at 80 % loss in 1 Mbit/s: 96 % of the slots of a drive flow, 82 to 91 % with repeats that go by a
/// quarter faster than the wire takes them).
const WIRE_SLACK: Duration = Duration::from_millis(2);
/// A burst of what is new holds repeats up for no longer than this: half of a watchdog's shortest limit.
const WIRE_AHEAD_MAX: Duration = Duration::from_millis(50);
/// Longer waits are looked at again.
const WAIT_MAX_S: f64 = 1.0;
