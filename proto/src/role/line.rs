//! A session on the legs: what agent and controller do alike with one.

use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::far_end::FarEnd;
use super::node::Node;
use super::wall::WallClock;
use crate::base::limits::{
    BEAT_INTERVAL_IDLE, BEAT_INTERVAL_LEASED_MAX, RENEWALS_PER_TTL, REOFFER_INTERVAL,
    SESSION_SILENCE,
};
use crate::base::{Channel, Class, Flow, MonoTime, NodeName, SessionId};
use crate::crypto::{Established, FEATURE_DICTIONARIES, FEATURE_WALL_CLOCK, Run};
use crate::session::{Delivery, Dictionaries, Outbound, SendError, Session};
use crate::wire::{FunctionDescription, SessionMessage};

/// A session, and when it last heard and spoke.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) session: Session,
    pub(super) far: FarEnd,
    pub(super) heard_at: MonoTime,
    /// Which run of the called node's program this is, at its caller.
    pub(super) run: Option<Run>,
    next_beat: MonoTime,
    newest_beat: MonoTime,
    next_offer: MonoTime,
    /// When the far end is told of the wall clock again; never when it cannot read that.
    next_clock: Option<MonoTime>,
}

impl Line {
    /// The line of a handshake that is complete at this time for certificates. It has no dictionaries when the far end does not know of any.
    // [WIRE-126]
    pub(super) fn new(
        now: MonoTime,
        id: SessionId,
        established: Established,
        at: UnixTime,
        dictionaries: &Dictionaries,
    ) -> Line {
        let far = FarEnd::new(now, &established, at);
        let Established {
            peer,
            features,
            seal,
            open,
            sample,
            run,
            ..
        } = established;
        let dictionaries = match features & FEATURE_DICTIONARIES {
            0 => Dictionaries::new(),
            _ => dictionaries.clone(),
        };
        let reads_clock = features & FEATURE_WALL_CLOCK != 0;
        Line {
            next_clock: reads_clock.then_some(now),
            session: Session::new(id, peer.node, seal, open, Some(sample), dictionaries),
            far,
            heard_at: now,
            run,
            next_beat: now,
            newest_beat: MonoTime::ZERO,
            next_offer: now + REOFFER_INTERVAL,
        }
    }

    /// The far end has said something. What a relay held back for long says nothing of how it stands now.
    pub(super) fn on_delivery(&mut self, now: MonoTime, delivery: &Delivery) {
        let surely_old = delivery
            .age
            .is_some_and(|age| age.age.saturating_sub(age.error) >= SESSION_SILENCE);
        if !surely_old {
            self.heard_at = now;
        }
    }

    /// Whether the far end's program has ended since: it says itself that it is another run.
    // [WIRE-168]
    pub(super) fn is_outlived(&self, run: Option<Run>) -> bool {
        let runs = self.run.zip(run);
        runs.is_some_and(|(own, other)| own != other)
    }

    /// Puts what the session has to send on the leg of every relay.
    pub(super) fn flush(&mut self, now: MonoTime, node: &mut Node) {
        let Line { session, far, .. } = self;
        far.show_with(|papers| {
            let flow = Flow::new(Channel::SESSION, Class::Reliable);
            let sent = session.send(now, flow, REQUEST_TTL, &papers.encode());
            sent.is_ok()
        });
        while let Some(out) = self.session.poll_transmit() {
            node.send_everywhere(now, &out.parcel, out.created, out.deadline);
        }
    }

    /// Offers what has no receipt yet to one relay that knows nothing of it.
    pub(super) fn offer_to(&mut self, now: MonoTime, node: &mut Node, relay: &NodeName) {
        let unresolved: Vec<Outbound> = self.session.unresolved().cloned().collect();
        for out in unresolved {
            node.send(now, relay, &out.parcel, out.created, out.deadline);
        }
    }

    /// [WIRE-56] A relay may acknowledge and lose: what has no receipt is offered again, to every relay.
    pub(super) fn offer_if_due(&mut self, now: MonoTime, node: &mut Node) {
        if now < self.next_offer {
            return;
        }
        self.next_offer = now + REOFFER_INTERVAL;
        let relays: Vec<NodeName> = node.relays().cloned().collect();
        for relay in relays {
            self.offer_to(now, node, &relay);
        }
    }

    /// Whether a beat is due; then the next one is due after what the shortest of the session's leases asks for.
    pub(super) fn beat_due(&mut self, now: MonoTime, lease_ttl: Option<Duration>) -> bool {
        let due = now >= self.next_beat_at();
        if due {
            self.newest_beat = now;
            self.next_beat = now + beat_interval(lease_ttl);
        }
        due
    }

    /// Makes the next beat due now, because there is news.
    pub(super) fn hasten_beat(&mut self, at: MonoTime) {
        self.next_beat = self.next_beat.min(at);
    }

    pub(super) fn send_beat(&mut self, now: MonoTime, bytes: &[u8]) {
        let flow = Flow::new(Channel::SESSION, Class::Latest);
        // A beat that cannot be sent is replaced by the next one.
        let _ = self.session.send(now, flow, BEAT_INTERVAL_IDLE, bytes);
    }

    /// Messages that could not be decompressed.
    // [WIRE-97]
    pub(super) fn garbled(&self) -> u64 {
        let counters = self.session.counters();
        counters.garbled + counters.without_dictionary
    }

    /// These are the agent's functions, the first of channel 1.
    pub(super) fn name_functions(&mut self, functions: &[FunctionDescription]) {
        for (channel, function) in (1..).map_while(Channel::new).zip(functions) {
            self.session.name_channel(channel, &function.name);
        }
    }

    /// Tells the far end which dictionaries it may use. Without them everything goes uncompressed, so a session that takes no
    /// more just loses that.
    // [WIRE-126]
    pub(super) fn announce_dictionaries(&mut self, now: MonoTime) {
        let tags = self.session.dictionaries();
        if !tags.is_empty() {
            let _ = self.send_message(now, &SessionMessage::Dictionaries(tags));
        }
    }

    /// Tells the far end now and then what the own wall clock shows. A session that takes no more hears it later.
    // [WIRE-166]
    pub(super) fn tell_clock(&mut self, now: MonoTime, wall: &WallClock) {
        if let (Some(next), Some(unix_ms)) = (self.next_clock, wall.shown_ms(now))
            && next <= now
            && self
                .send_message(now, &SessionMessage::WallClock(unix_ms))
                .is_ok()
        {
            self.next_clock = Some(now + CLOCK_INTERVAL);
        }
    }

    pub(super) fn send_message(
        &mut self,
        now: MonoTime,
        message: &SessionMessage,
    ) -> Result<u64, SendError> {
        self.send_bytes(now, &message.encode())
    }

    /// Sends a message of the session channel's reliable flow.
    pub(super) fn send_bytes(&mut self, now: MonoTime, bytes: &[u8]) -> Result<u64, SendError> {
        let flow = Flow::new(Channel::SESSION, Class::Reliable);
        self.session.send(now, flow, REQUEST_TTL, bytes)
    }

    pub(super) fn next_timeout(&self) -> MonoTime {
        let own = self.next_beat_at().min(self.next_offer);
        self.session.next_timeout().map_or(own, |at| at.min(own))
    }

    /// News hastens a beat, but whoever makes much news does not make many beats.
    fn next_beat_at(&self) -> MonoTime {
        if self.session.report_wanted() {
            self.next_beat.min(self.newest_beat + BEAT_GAP_MIN)
        } else {
            self.next_beat
        }
    }
}

/// Shortest time between beats that news hastens: 200 a second at most, and a receipt waits at most this long.
const BEAT_GAP_MIN: Duration = Duration::from_millis(5);
/// Time between tellings of the wall clock: a record that began in between knows it soon, and no clock runs away faster.
const CLOCK_INTERVAL: Duration = Duration::from_secs(600);
/// Life of requests and replies.
const REQUEST_TTL: Duration = Duration::from_secs(10);

/// Time between the beats of a session whose shortest lease lives so long.
// [SAFE-3]
fn beat_interval(lease_ttl: Option<Duration>) -> Duration {
    lease_ttl.map_or(BEAT_INTERVAL_IDLE, |ttl| {
        (ttl / RENEWALS_PER_TTL).min(BEAT_INTERVAL_LEASED_MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // [SAFE-3]
    #[test]
    fn a_lease_is_renewed_five_times_in_its_life_and_each_200_ms() {
        for (ttl_ms, expected_ms) in [(100, 20), (500, 100), (1_000, 200), (5_000, 200)] {
            let interval = beat_interval(Some(Duration::from_millis(ttl_ms)));
            assert_eq!(interval, Duration::from_millis(expected_ms));
        }
        assert_eq!(beat_interval(None), Duration::from_secs(1));
    }
}
