//! What to send where and when: the redundancy of a leg.
//!
//! Pure functions of what is known of the paths and of the copies that were sent, so that whatever is spent follows from
//! their arguments. Why so, and what was measured: `docs/decisions/0005-copies-by-probability.md`.

use std::time::Duration;

use super::copies::Copies;
use crate::base::limits::{
    ACK_DELAY, BEAT_SPREAD, DOUBT_MAX, DOUBT_MAX_BEAT, DOUBT_MAX_URGENT, HUB_PATIENCE,
    LATEST_SPREAD, REPEAT_GAP, TTL_MAX,
};
use crate::base::{Class, MonoTime, PathId};
use crate::path::{Carries, Health, LinkId, PathStatus};
use crate::wire::ParcelHead;

/// What the planner knows of a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathView {
    /// Which one.
    pub path: PathId,
    /// Its link: paths with the same one share their fate.
    pub link: LinkId,
    /// Whether it works.
    pub health: Health,
    /// Share of our packets that get lost, with caution.
    pub loss: f64,
    /// How long after its sending a packet counts as lost when no acknowledgement came.
    pub horizon: Duration,
    /// How long a packet is on its way.
    pub transit: Duration,
    /// Whether its packets are lost each for itself, so that two that follow each other at once are worth two.
    pub in_pairs: bool,
    /// What the link's plan for the day lets it carry.
    pub carries: Carries,
}

impl PathView {
    /// What follows from how a path stands.
    pub fn new(status: &PathStatus, in_pairs: bool, carries: Carries) -> PathView {
        let base = status.rtt_min.unwrap_or(RTT_START);
        let ack = ACK_DELAY.as_secs_f64() / (1.0 - status.loss_in);
        let horizon =
            base + status.queue + status.queue_in + Duration::from_secs_f64(ack) + TIMER_SLACK;
        PathView {
            path: status.path,
            link: status.link,
            health: status.health,
            loss: status.loss + CAUTION * status.loss * (1.0 - status.loss),
            horizon,
            transit: base / 2 + status.queue,
            in_pairs,
            carries,
        }
    }

    /// Whether it may carry a parcel, of a function's channel or not.
    // [SAFE-110] [SAFE-112]
    pub fn may_carry(&self, of_function: bool) -> bool {
        !of_function || self.carries == Carries::All
    }
}

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Its class; all but `latest` are acknowledged.
    pub class: Class,
    /// When it counts as repeated enough.
    pub aim: Aim,
    /// Whether it is of a function's channel; at an agent's end that is telemetry.
    pub of_function: bool,
    /// Until when it is worth anything.
    pub deadline: MonoTime,
    /// What was sent of it.
    pub copies: &'a Copies,
}

impl Demand<'_> {
    /// The gap between its own repeats: as many copies as are needed are spread over the time that they have.
    pub fn gap(&self, usable: &[PathView]) -> Duration {
        if self.aim.spread <= REPEAT_GAP {
            return REPEAT_GAP;
        }
        let loss_of = |view: &PathView| {
            let loss = self.copies.loss_of(view);
            if view.in_pairs { loss * loss } else { loss }
        };
        let round: f64 = usable.iter().map(loss_of).product();
        let rounds = (self.aim.doubt.ln() / round.max(f64::MIN_POSITIVE).ln()).ceil();
        self.aim.spread.div_f64(rounds.max(1.0)).max(REPEAT_GAP)
    }
}

/// How surely a parcel is to arrive, and within what time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// The probability of not arriving at which it is left alone until its acknowledgement is overdue.
    pub doubt: f64,
    /// Its copies go within this time: until something newer comes, or as soon as they can.
    pub spread: Duration,
    /// Its acknowledgement may take so much longer than the path explains.
    pub patience: Duration,
}

impl Aim {
    /// What a parcel with this head needs.
    // [WIRE-58]
    pub const fn of(head: &ParcelHead) -> Aim {
        let (doubt, spread) = match (head.class(), head) {
            (Class::Latest, ParcelHead::Sealed(header)) if header.flow.channel.number() == 0 => {
                (DOUBT_MAX_BEAT, BEAT_SPREAD)
            }
            (Class::Latest, _) => (DOUBT_MAX_URGENT, LATEST_SPREAD),
            (Class::Stop, _) => (DOUBT_MAX_URGENT, Duration::ZERO),
            (Class::Unordered | Class::Reliable, _) => (DOUBT_MAX, Duration::ZERO),
        };
        let patience = if matches!(head, ParcelHead::Hub(_)) {
            HUB_PATIENCE
        } else {
            Duration::ZERO
        };
        Aim {
            doubt,
            spread,
            patience,
        }
    }
}

/// Paths that are worth a packet: those that are not down, or all when all are.
pub fn usable(views: &[PathView]) -> Vec<PathView> {
    let all_down = views.iter().all(|view| view.health == Health::Down);
    views
        .iter()
        .filter(|view| all_down || view.health != Health::Down)
        .copied()
        .collect()
}

/// When what is sent now on all usable paths should be acknowledged.
pub fn answer_due(now: MonoTime, usable: &[PathView]) -> MonoTime {
    let horizon = usable.iter().map(|view| view.horizon).min();
    now + horizon.unwrap_or(TTL_MAX)
}

/// By how much of its spread a loss is taken for higher than it is estimated: an estimate that is too low costs a round trip,
/// one that is too high a few bytes (measured at 80 %: the 99th percentile falls from 56 to 33 ms).
const CAUTION: f64 = 0.2;
/// Assumed round trip of a path that is new.
const RTT_START: Duration = Duration::from_millis(50);
/// What timers and processing add to a round trip.
const TIMER_SLACK: Duration = Duration::from_millis(2);
