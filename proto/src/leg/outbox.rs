//! Parcels that wait, or may have to be sent again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::copies::Copies;
use super::newest::latest_number;
use super::place::Place;
use super::planner::{Aim, Demand, PathView};
use super::room::{Overflow, Room};
use super::window::Window;
use super::{Origin, Source};
use crate::base::limits::TTL_MAX;
use crate::base::{Channel, Class, MonoTime, PathId, SessionId};
use crate::wire::{AckState, Chunk, Parcel, ParcelHead};

/// The parcels of one leg, in the order in which they are sent.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    waiting: BTreeMap<Place, Waiting>,
    serial: u64,
    window: Window,
    /// Tracked parcels that have no id yet, because the window is full or their turn has not come.
    unnumbered: BTreeSet<Place>,
    /// When the planner is to be asked.
    due: BTreeSet<(MonoTime, Place)>,
    /// Tracked parcels that a path would repeat if it could now.
    in_doubt: BTreeSet<Place>,
    deadlines: BTreeSet<(MonoTime, Place)>,
    /// The `latest` parcel of each flow.
    siblings: BTreeMap<(SessionId, u8), Place>,
    /// The parcels of each source of which the same bytes do not wait twice.
    known: BTreeMap<(Option<Source>, Arc<[u8]>), Place>,
    room: Room,
    /// Acknowledged parcels whose sender wants to know that.
    delivered: VecDeque<Arc<[u8]>>,
}

/// One parcel.
#[derive(Clone, Debug)]
struct Waiting {
    parcel: Arc<[u8]>,
    class: Class,
    /// See [`waits_once`].
    once: bool,
    /// See [`Outbox::poll_delivered`].
    told: bool,
    aim: Aim,
    /// See [`is_of_function`].
    of_function: bool,
    /// Whether it is a piece of a message of the hub's.
    is_hubs: bool,
    /// Session, flow and number, when it is a `latest` one.
    newest: Option<(SessionId, u8, u64)>,
    deadline: MonoTime,
    origin: Origin,
    id: Option<u64>,
    copies: Copies,
    due: Option<MonoTime>,
}

/// What became of an offered parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It waits.
    Queued,
    /// It waits in place of its older sibling, which was never sent.
    Replaced,
    /// A newer sibling waits: it is dropped.
    Superseded,
    /// It waits already: one of both goes, until the later deadline.
    Known,
    /// Its deadline has passed: it is dropped.
    Expired,
}

impl Outbox {
    pub(super) fn new() -> Outbox {
        Outbox {
            waiting: BTreeMap::new(),
            serial: 0,
            window: Window::new(),
            unnumbered: BTreeSet::new(),
            due: BTreeSet::new(),
            in_doubt: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            siblings: BTreeMap::new(),
            known: BTreeMap::new(),
            room: Room::default(),
            delivered: VecDeque::new(),
        }
    }

    /// Queues a parcel.
    ///
    /// # Errors
    /// The bound that it would break.
    pub(super) fn offer(
        &mut self,
        now: MonoTime,
        parcel: Arc<[u8]>,
        deadline: MonoTime,
        origin: Origin,
    ) -> Result<Offered, Overflow> {
        let head = Parcel::peek(&parcel).map_err(|_| Overflow::Unfit)?;
        // [WIRE-53]
        if deadline <= now {
            return Ok(Offered::Expired);
        }
        let deadline = deadline.min(now + TTL_MAX);
        let once = waits_once(&head);
        if once && let Some(place) = self.known.get(&(origin.source, Arc::clone(&parcel))) {
            self.renew(*place, deadline, origin);
            return Ok(Offered::Known);
        }
        let newest = latest_number(&head);
        let older = newest.and_then(|(session, flow, _)| {
            let place = self.siblings.get(&(session, flow))?;
            let sibling = self.waiting.get(place)?;
            Some((*place, sibling.newest?.2, sibling.copies.sent() > 0))
        });
        match (newest, older) {
            (Some((_, _, number)), Some((_, waiting, _))) if number <= waiting => {
                return Ok(Offered::Superseded);
            }
            (_, Some((place, ..))) => self.remove(place),
            (_, None) => self.room.fits(head.class(), &origin, parcel.len())?,
        }
        let aim = Aim::of(&head);
        self.insert(Waiting {
            parcel,
            class: head.class(),
            once,
            told: matches!(head, ParcelHead::Revocations | ParcelHead::Hub(_)),
            aim,
            of_function: is_of_function(&head),
            is_hubs: matches!(head, ParcelHead::Hub(_)),
            newest,
            deadline,
            origin,
            id: None,
            copies: Copies::patient(aim.patience),
            due: newest.map(|_| now),
        });
        Ok(match older {
            Some((_, _, false)) => Offered::Replaced,
            Some((_, _, true)) | None => Offered::Queued,
        })
    }

    /// Takes in what the peer received; returns how many ids it names that were never sent.
    pub(super) fn on_ack(&mut self, ack: &AckState) -> u64 {
        let acked = self.window.on_ack(ack);
        for place in acked.places {
            if let Some(waiting) = self.waiting.get(&place).filter(|waiting| waiting.told) {
                self.delivered.push_back(Arc::clone(&waiting.parcel));
            }
            self.remove(place);
        }
        acked.unknown
    }

    /// The next part of a list of revocations, or piece of a message of the hub's, that was acknowledged: its sender brings it until
    /// then.
    pub(super) fn poll_delivered(&mut self) -> Option<Arc<[u8]>> {
        self.delivered.pop_front()
    }

    /// Drops what is past its deadline; returns how many parcels that were.
    // [WIRE-53]
    pub(super) fn expire(&mut self, now: MonoTime) -> u64 {
        let mut expired = 0;
        while let Some(&(deadline, place)) = self.deadlines.first()
            && deadline <= now
        {
            if let Some(waiting) = self.waiting.get(&place) {
                waiting.id.inspect(|id| self.window.expire(*id));
                // Of a `latest` one that was sent nobody says whether it arrived.
                expired += u64::from(waiting.newest.is_none() || waiting.copies.sent() == 0);
            }
            self.remove(place);
        }
        expired
    }

    /// Drops what no path may carry.
    // [SAFE-110]
    pub(super) fn withhold(&mut self, place: Place) {
        if let Some(waiting) = self.waiting.get(&place) {
            waiting.id.inspect(|id| self.window.expire(*id));
        }
        self.remove(place);
    }

    /// Parcels about which the planner is to be asked now, in the order of sending: those that are due, and with them all in
    /// doubt, so that they share a packet. Each must then be [`Self::planned`].
    pub(super) fn take_due(&mut self, now: MonoTime) -> Vec<Place> {
        self.number();
        let mut places = Vec::new();
        while let Some(&(due, place)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            self.in_doubt.remove(&place);
            places.push(place);
        }
        if places.is_empty() {
            return places;
        }
        for place in std::mem::take(&mut self.in_doubt) {
            if let Some(due) = self.waiting.get(&place).and_then(|waiting| waiting.due) {
                self.due.remove(&(due, place));
            }
            places.push(place);
        }
        places.sort_unstable();
        places
    }

    /// What the planner needs to know of a parcel.
    pub(super) fn demand(&self, place: Place) -> Option<Demand<'_>> {
        let waiting = self.waiting.get(&place)?;
        Some(Demand {
            class: waiting.class,
            aim: waiting.aim,
            of_function: waiting.of_function,
            deadline: waiting.deadline,
            copies: &waiting.copies,
        })
    }

    /// The chunk of a copy that is sent now.
    // [WIRE-44]
    pub(super) fn chunk(&self, now: MonoTime, place: Place) -> Option<Chunk> {
        let waiting = self.waiting.get(&place)?;
        let trail = waiting.origin.trail(now);
        let parcel = Arc::clone(&waiting.parcel);
        Some(match waiting.id {
            Some(id) => Chunk::Tracked { id, trail, parcel },
            None => Chunk::Untracked { trail, parcel },
        })
    }

    /// Bytes of that chunk.
    pub(super) fn chunk_bytes(&self, now: MonoTime, place: Place) -> Option<usize> {
        self.chunk(now, place).map(|chunk| chunk.encoded_len())
    }

    /// Copies of a tracked parcel that should be acknowledged by now are lost.
    pub(super) fn forget_overdue(&mut self, now: MonoTime, place: Place, views: &[PathView]) {
        if let Some(waiting) = self.waiting.get_mut(&place)
            && waiting.id.is_some()
        {
            waiting.copies.forget_overdue(now, views);
        }
    }

    /// A copy goes; returns how many did so far.
    pub(super) fn on_copy(&mut self, now: MonoTime, place: Place, path: PathId) -> u32 {
        self.waiting.get_mut(&place).map_or(0, |waiting| {
            waiting.copies.on_sent(now, path);
            waiting.copies.sent()
        })
    }

    /// When the parcel is to be looked at again, and whether to repeat it; an untracked one that is not is done.
    pub(super) fn planned(&mut self, place: Place, again: Option<MonoTime>, in_doubt: bool) {
        let Some(waiting) = self.waiting.get_mut(&place) else {
            return;
        };
        waiting.due = again;
        if in_doubt && again.is_some() && waiting.id.is_some() {
            self.in_doubt.insert(place);
        }
        match again {
            Some(again) => {
                self.due.insert((again, place));
            }
            None if waiting.id.is_none() => self.remove(place),
            None => {}
        }
    }

    /// A path is gone: what it carried may have to go on another one.
    pub(super) fn on_path_gone(&mut self) {
        for (place, waiting) in &mut self.waiting {
            if waiting.id.is_some() {
                if let Some(due) = waiting.due.replace(MonoTime::ZERO) {
                    self.due.remove(&(due, *place));
                }
                self.due.insert((MonoTime::ZERO, *place));
            }
        }
    }

    /// The lowest id that is alive, when the peer may be waiting for a lower one.
    pub(super) fn floor(&self) -> Option<u64> {
        self.window.floor()
    }

    /// When the planner is to be asked.
    pub(super) fn next_due(&self) -> Option<MonoTime> {
        self.due.first().map(|(due, _)| *due)
    }

    /// When the next parcel expires.
    pub(super) fn next_deadline(&self) -> Option<MonoTime> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many parcels wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Gives ids to the parcels that come next, as far as the window has room.
    fn number(&mut self) {
        while let Some(&place) = self.unnumbered.first()
            && let Some(waiting) = self.waiting.get_mut(&place)
            && let Some(id) = self.window.admit(waiting.class, place)
        {
            waiting.id = Some(id);
            waiting.due = Some(MonoTime::ZERO);
            self.due.insert((MonoTime::ZERO, place));
            self.unnumbered.pop_first();
        }
    }

    // [WIRE-132]
    fn renew(&mut self, place: Place, deadline: MonoTime, origin: Origin) {
        if let Some(waiting) = self.waiting.get_mut(&place)
            && waiting.deadline < deadline
        {
            // Whose share it takes of stays: it has its place.
            waiting.origin = Origin {
                is_held_to_share: waiting.origin.is_held_to_share,
                ..origin
            };
            self.deadlines.remove(&(waiting.deadline, place));
            self.deadlines.insert((deadline, place));
            waiting.deadline = deadline;
        }
    }

    fn insert(&mut self, waiting: Waiting) {
        let place = if waiting.is_hubs {
            Place::of_hub(self.serial)
        } else {
            Place::new(waiting.class, self.serial)
        };
        self.serial += 1;
        self.deadlines.insert((waiting.deadline, place));
        match waiting.due {
            Some(due) => self.due.insert((due, place)),
            None => self.unnumbered.insert(place),
        };
        if let Some((session, flow, _)) = waiting.newest {
            self.siblings.insert((session, flow), place);
        }
        let source = waiting.origin.source;
        if waiting.once {
            self.known
                .insert((source, Arc::clone(&waiting.parcel)), place);
        }
        let bytes = waiting.parcel.len();
        self.room.take(waiting.class, &waiting.origin, bytes);
        self.waiting.insert(place, waiting);
    }

    fn remove(&mut self, place: Place) {
        let Some(waiting) = self.waiting.remove(&place) else {
            return;
        };
        self.unnumbered.remove(&place);
        self.in_doubt.remove(&place);
        self.deadlines.remove(&(waiting.deadline, place));
        if let Some(due) = waiting.due {
            self.due.remove(&(due, place));
        }
        if let Some((session, flow, _)) = waiting.newest {
            self.siblings.remove(&(session, flow));
        }
        let source = waiting.origin.source;
        let bytes = waiting.parcel.len();
        self.room.give_back(waiting.class, &waiting.origin, bytes);
        if waiting.once {
            self.known.remove(&(source, waiting.parcel));
        }
    }
}

/// Whether the same bytes do not wait twice. Stops that are said again go again at once; of `latest` ones the newest waits; and
/// notices may say the same again after another one.
fn waits_once(head: &ParcelHead) -> bool {
    match head {
        ParcelHead::Sealed(header) => {
            matches!(header.flow.class, Class::Unordered | Class::Reliable)
        }
        ParcelHead::Handshake { .. } => true,
        ParcelHead::Signed | ParcelHead::Notice | ParcelHead::Revocations | ParcelHead::Hub(_) => {
            false
        }
    }
}

/// Whether it is sealed on a function's channel, commands one way and telemetry the other, or the hub's. The session's own channel,
/// handshakes, statements and notices are control.
fn is_of_function(head: &ParcelHead) -> bool {
    match head {
        ParcelHead::Sealed(header) => header.flow.channel != Channel::SESSION,
        ParcelHead::Hub(_) => true,
        ParcelHead::Handshake { .. }
        | ParcelHead::Signed
        | ParcelHead::Notice
        | ParcelHead::Revocations => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::leg::tests::sealed_of;

    impl Outbox {
        /// Every index says the same as the parcels themselves.
        fn check(&self) {
            let waiting = || self.waiting.iter();
            let due = waiting().filter_map(|(place, w)| Some((w.due?, *place)));
            assert!(
                self.due
                    .iter()
                    .all(|entry| due.clone().any(|d| d == *entry))
            );
            assert!(
                self.in_doubt
                    .iter()
                    .all(|place| self.waiting.contains_key(place))
            );
            let mut deadlines: Vec<_> = waiting().map(|(place, w)| (w.deadline, *place)).collect();
            deadlines.sort_unstable();
            assert!(self.deadlines.iter().copied().eq(deadlines));
            let unnumbered = waiting().filter(|(_, w)| w.id.is_none() && w.newest.is_none());
            assert!(
                self.unnumbered
                    .iter()
                    .eq(unnumbered.map(|(place, _)| place))
            );
            let latest = waiting().filter_map(|(place, w)| Some((w.newest?, place)));
            assert_eq!(self.siblings.len(), latest.clone().count());
            for ((session, flow, _), place) in latest {
                assert_eq!(self.siblings.get(&(session, flow)), Some(place));
            }
            let known = waiting().filter(|(_, w)| w.once);
            assert_eq!(self.known.len(), known.clone().count());
            for (place, w) in known {
                let key = (w.origin.source, Arc::clone(&w.parcel));
                assert_eq!(self.known.get(&key), Some(place));
            }
            let mut room = Room::default();
            waiting().for_each(|(_, w)| room.take(w.class, &w.origin, w.parcel.len()));
            assert_eq!(room, self.room);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Offer(u32, Class, u64, u64),
        Send(bool),
        Ack(u64, Vec<u8>),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let class = prop::sample::select(&Class::ALL[..]);
        prop_oneof![
            4 => (0..3_u32, class, 1..9_u64, 1..90_u64)
                .prop_map(|(session, class, number, ttl)| Step::Offer(session, class, number, ttl)),
            2 => any::<bool>().prop_map(Step::Send),
            1 => (0..40_u64, prop::collection::vec(any::<u8>(), 0..16))
                .prop_map(|(cumulative, bitmap)| Step::Ack(cumulative, bitmap)),
            1 => (1..30_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn all_indexes_agree_whatever_happens(steps in prop::collection::vec(step(), 1..300)) {
            let mut outbox = Outbox::new();
            let mut now = MonoTime::from_us(1_000);
            for step in steps {
                match step {
                    Step::Offer(session, class, number, ttl_us) => {
                        let parcel = sealed_of(SessionId(session), class, number, 20);
                        let deadline = MonoTime::from_us(now.as_us() + ttl_us);
                        let source = (session > 0).then_some(Source(session.into()));
                        let is_held_to_share = number % 2 == 0;
                        let origin = Origin { source, is_held_to_share, ..Origin::here(now) };
                        outbox.offer(now, parcel, deadline, origin).ok();
                    }
                    Step::Send(sent) => {
                        for place in outbox.take_due(now) {
                            let chunk = outbox.chunk(now, place).expect("it waits");
                            let demand = outbox.demand(place).expect("it waits");
                            prop_assert!(demand.deadline > now);
                            prop_assert_eq!(demand.class == Class::Latest, matches!(chunk, Chunk::Untracked { .. }));
                            if sent {
                                outbox.on_copy(now, place, PathId(1));
                            }
                            let again = sent.then(|| MonoTime::from_us(now.as_us() + 10));
                            outbox.planned(place, again, sent);
                        }
                    }
                    Step::Ack(cumulative, bitmap) => {
                        outbox.on_ack(&AckState { cumulative, bitmap });
                    }
                    Step::Wait(us) => {
                        now = MonoTime::from_us(now.as_us() + us);
                        outbox.expire(now);
                        prop_assert!(outbox.next_deadline().is_none_or(|deadline| deadline > now));
                    }
                }
                outbox.check();
            }
            outbox.expire(MonoTime::from_us(u64::MAX));
            outbox.check();
            prop_assert_eq!(outbox.len(), 0);
        }
    }
}
