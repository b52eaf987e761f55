//! One path of a leg.

use std::time::Duration;

use super::arrivals::low32;
use super::traffic::Traffic;
use super::{
    Allowance, Carries, Estimate, Fact, Haste, Health, Pace, Quiet, Signs, Silence, Strain,
};
use crate::base::limits::{LINK_BUDGET_BITS_PER_S_MAX, MISSING_SLACK};
use crate::base::{MonoTime, PathId};
use crate::wire::{AckState, Chunk, Packet};

/// The link that a path uses: paths with the same one share its fate and its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// One path: its estimate, its health, its heartbeat and its pace.
#[derive(Clone, Debug)]
pub struct Path {
    id: PathId,
    link: LinkId,
    estimate: Estimate,
    health: Health,
    silence: Silence,
    is_lost: bool,
    traffic: Traffic,
    pace: Pace,
    allowance: Allowance,
    carries: Carries,
}

/// What a packet told about its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How long it was on its way, zero while that is unknown.
    pub transit: Duration,
    /// The path's new health, if it changed.
    pub health: Option<Health>,
    /// Whether its report was impossible.
    pub bad_report: bool,
}

/// How a path stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathStatus {
    /// Which one.
    pub path: PathId,
    /// Its link.
    pub link: LinkId,
    /// Whether it works.
    pub health: Health,
    /// Silent for longer than its losses explain: another connection should take its place.
    pub is_lost: bool,
    /// Share of our packets that get lost.
    pub loss: f64,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Round trip without queues.
    pub rtt_min: Option<Duration>,
    /// How long our newest packets queued on the way, as the peer reports.
    pub queue: Duration,
    /// How long the peer's newest packets queued on the way.
    pub queue_in: Duration,
    /// Share of the peer's packets that get lost.
    pub loss_in: f64,
    /// Bits a second on the wire that the path may send now.
    pub bits_per_s: f64,
    /// Why that is much less than its budget.
    pub strain: Strain,
    /// Packets sent.
    pub sent_packets: u64,
    /// Their bytes, without QUIC's.
    pub sent_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Their bytes, without QUIC's.
    pub received_bytes: u64,
    /// Packets sent in the last whole second.
    pub sent_packets_per_s: u32,
    /// Packets received in the last whole second.
    pub received_packets_per_s: u32,
}

impl Path {
    /// A path that begins now.
    pub fn new(now: MonoTime, id: PathId, link: LinkId) -> Path {
        Path {
            id,
            link,
            estimate: Estimate::new(now),
            health: Health::Unknown,
            silence: Silence::new(now),
            is_lost: false,
            traffic: Traffic::new(now),
            pace: Pace::new(now),
            allowance: Allowance::default(),
            carries: Carries::All,
        }
    }

    /// The path uses this link.
    pub const fn set_link(&mut self, link: LinkId) {
        self.link = link;
    }

    /// What the link's plan for the day lets it carry.
    pub const fn set_carries(&mut self, carries: Carries) {
        self.carries = carries;
    }

    /// What it may carry.
    pub const fn carries(&self) -> Carries {
        self.carries
    }

    /// Its share of its link's budget: what may be sent on it, and what the peer may send.
    // [WIRE-123]
    pub fn set_share(&mut self, up_kbit_s: u32, down_kbit_s: u32) {
        self.pace.set_budget(u64::from(up_kbit_s) * 1_000);
        self.allowance.grant(down_kbit_s);
    }

    /// What the next packet should tell the peer beside its state; then [`Self::on_told`].
    pub fn to_tell(&self, now: MonoTime) -> Option<Chunk> {
        let kbit_s = self.allowance.due(now)?;
        Some(Chunk::Allowance { kbit_s })
    }

    /// The packet that is sent now tells it.
    pub const fn on_told(&mut self, now: MonoTime) {
        self.allowance.on_said(now);
    }

    /// Brings the pace up to now; before everything that asks for it. Of the paths of a leg one looks for a policer at a time.
    pub fn refresh(&mut self, now: MonoTime, other_probes: bool) {
        let signs = Signs {
            other_probes,
            queue: self.estimate.queue(),
            loss: self.estimate.loss(),
            reported: self.estimate.reported(),
        };
        self.traffic.turn(now);
        self.pace.refresh(now, &signs, self.estimate.clumps());
    }

    /// When it may send.
    pub const fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The same, to spend.
    pub const fn pace_mut(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// The next packet of this path, without chunks; it is sent now.
    // [WIRE-40] [WIRE-52]
    pub fn open_packet(&mut self, now: MonoTime, ack: AckState) -> Packet {
        self.silence.on_sent(now);
        Packet {
            path_sequence: self.estimate.on_sent(now),
            tx_time_us: low32(now.as_us()),
            report: self.estimate.report(now),
            ack,
            chunks: Vec::new(),
        }
    }

    /// Counts an opened packet with its chunks.
    pub const fn on_sent(&mut self, bytes: usize) {
        self.traffic.sent.count(bytes);
    }

    /// Takes in the head of a packet that arrived.
    pub fn on_packet(&mut self, now: MonoTime, packet: &Packet) -> Received {
        self.traffic.turn(now);
        self.traffic.received.count(packet.encoded_len());
        let reported = self.estimate.reported().highest;
        let bad_report = packet
            .report
            .is_some_and(|report| !self.estimate.on_report(now, &report));
        let transit = self
            .estimate
            .on_packet(now, packet.path_sequence, packet.tx_time_us);
        let round_trip = self.estimate.rtt().unwrap_or_default();
        self.silence.on_heard(now, round_trip);
        self.is_lost = false;
        if self.estimate.reported().highest > reported {
            self.silence.on_answered(now);
        }
        if self.is_missing(now) {
            self.silence.on_missing(now);
        }
        for chunk in &packet.chunks {
            if let Chunk::Allowance { kbit_s } = chunk
                && self.allowance.on_heard(packet.path_sequence)
            {
                let told = u64::from(*kbit_s) * 1_000;
                self.pace.set_budget(told.min(LINK_BUDGET_BITS_PER_S_MAX));
            }
        }
        Received {
            transit,
            health: self.turn(Fact::Heard),
            bad_report,
        }
    }

    /// Whether our last packet got lost, as what arrives now does not report it.
    // [WIRE-130]
    fn is_missing(&self, now: MonoTime) -> bool {
        let queues = self.estimate.queue() + self.estimate.queue_in();
        let reported_by = |rtt_min| self.silence.sent_at() + rtt_min + queues + MISSING_SLACK;
        let rtt_min = self.estimate.rtt_min();
        !self.estimate.is_all_reported() && rtt_min.is_some_and(|rtt| reported_by(rtt) <= now)
    }

    /// The path's new health, if silence changed it.
    pub fn on_timeout(&mut self, now: MonoTime) -> Option<Health> {
        self.is_lost = self.silence.is_lost(now, self.estimate.loss_in());
        let fact = self.silence.fact(now)?;
        self.turn(fact)
    }

    /// When the heartbeat is due or silence changes the health.
    pub fn next_timeout(&self) -> MonoTime {
        let heartbeat = self.silence.heartbeat_at(self.haste());
        let worse = self.silence.worsens_at(self.health);
        worse.map_or(heartbeat, |worse| heartbeat.min(worse))
    }

    /// Whether nothing was sent for so long that a heartbeat is due, whatever the health.
    // [WIRE-50]
    pub fn heartbeat_due(&self, now: MonoTime) -> bool {
        now >= self.silence.heartbeat_at(self.haste())
    }

    fn haste(&self) -> Haste {
        Haste::at(self.estimate.loss(), self.estimate.loss_in())
    }

    /// Which one.
    pub const fn id(&self) -> PathId {
        self.id
    }

    /// Whether it works.
    pub const fn health(&self) -> Health {
        self.health
    }

    /// Share of our packets that get lost.
    pub const fn loss(&self) -> f64 {
        self.estimate.loss()
    }

    /// What its silence is judged by.
    pub fn quiet(&self) -> Quiet {
        Quiet {
            heard_at: self.silence.heard_at(),
            loss: self.estimate.loss_in(),
            loss_out: self.estimate.loss(),
            round_trip: self.estimate.rtt_min(),
        }
    }

    /// How the path stands.
    pub fn status(&self) -> PathStatus {
        PathStatus {
            path: self.id,
            link: self.link,
            health: self.health,
            is_lost: self.is_lost,
            loss: self.estimate.loss(),
            rtt: self.estimate.rtt(),
            rtt_min: self.estimate.rtt_min(),
            queue: self.estimate.queue(),
            queue_in: self.estimate.queue_in(),
            loss_in: self.estimate.loss_in(),
            bits_per_s: self.pace.bits_per_s(),
            strain: self.pace.strain(),
            sent_packets: self.traffic.sent.packets,
            sent_bytes: self.traffic.sent.bytes,
            received_packets: self.traffic.received.packets,
            received_bytes: self.traffic.received.bytes,
            sent_packets_per_s: self.traffic.sent.packets_per_s,
            received_packets_per_s: self.traffic.received.packets_per_s,
        }
    }

    fn turn(&mut self, fact: Fact) -> Option<Health> {
        let next = self.health.next(fact);
        let changed = next != self.health;
        self.health = next;
        changed.then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    fn path() -> Path {
        Path::new(at(0), PathId(1), LinkId(1))
    }

    #[test]
    fn silence_makes_a_path_suspect_then_down_and_any_packet_live() {
        let (mut here, mut there) = (path(), path());
        let packet = there.open_packet(at(0), AckState::default());
        assert_eq!(here.on_packet(at(10), &packet).health, Some(Health::Live));
        assert_eq!(here.on_timeout(at(609)), None);
        assert_eq!(here.on_timeout(at(610)), Some(Health::Suspect));
        assert_eq!(here.on_timeout(at(611)), None);
        assert_eq!(here.on_timeout(at(3_010)), Some(Health::Down));
        assert_eq!(
            here.on_packet(at(9_000), &packet).health,
            Some(Health::Live)
        );
    }

    #[test]
    fn a_path_on_which_nothing_ever_arrives_is_down_in_the_end() {
        let mut path = path();
        assert_eq!(path.on_timeout(at(2_999)), None);
        assert_eq!(path.on_timeout(at(3_000)), Some(Health::Down));
    }

    #[test]
    fn an_allowance_of_any_size_is_held_to_the_bounds() {
        // [WIRE-123]
        for (kbit_s, least, most) in [
            (0, 64_000.0, 64_000.0),
            (63, 64_000.0, 64_000.0),
            (u32::MAX, 64_000.0, 2_000_000.0),
        ] {
            let mut relay = path();
            let mut packet = path().open_packet(at(0), AckState::default());
            packet.chunks.push(Chunk::Allowance { kbit_s });
            relay.on_packet(at(10), &packet);
            for ms in (0..60_000).step_by(100) {
                relay.refresh(at(10 + ms), false);
                let bits_per_s = relay.status().bits_per_s;
                assert!((least..=most).contains(&bits_per_s), "{bits_per_s}");
            }
        }
    }

    #[test]
    fn a_heartbeat_is_due_400_ms_after_the_last_packet_at_the_latest() {
        // [WIRE-50]
        let mut path = Path::new(at(1_150), PathId(1), LinkId(1));
        assert!(path.heartbeat_due(at(1_150)));
        path.open_packet(at(1_150), AckState::default());
        path.open_packet(at(1_160), AckState::default());
        assert!(!path.heartbeat_due(at(1_509)));
        assert!(path.heartbeat_due(at(1_560)));
    }
}
