//! A list of revocations on its way over one leg, until all of it is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use crate::base::MonoTime;
use crate::base::limits::REVOCATIONS_TTL;
use crate::leg::{Leg, Origin};

/// The parts of a list that the far end of a leg has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Bulletin {
    missing: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    parcel: Arc<[u8]>,
    /// When it is to be put on the leg (again).
    due: MonoTime,
}

impl Bulletin {
    /// Brings these parts from now on, and no others; how many find no room yet.
    // [WIRE-148]
    pub(super) fn bring(&mut self, now: MonoTime, parts: &[Arc<[u8]>], leg: &mut Leg) -> u64 {
        let part = |parcel: &Arc<[u8]>| Part {
            parcel: Arc::clone(parcel),
            due: now,
        };
        self.missing = parts.iter().map(part).collect();
        self.work(now, leg)
    }

    /// The far end has a parcel; whether it is one of these parts.
    // [WIRE-148]
    pub(super) fn on_delivered(&mut self, parcel: &Arc<[u8]>) -> bool {
        let before = self.missing.len();
        self.missing
            .retain(|part| !Arc::ptr_eq(&part.parcel, parcel));
        self.missing.len() < before
    }

    /// Puts on the leg what is due; how many parts find no room yet.
    // [WIRE-148]
    pub(super) fn work(&mut self, now: MonoTime, leg: &mut Leg) -> u64 {
        let mut without_room = 0;
        for part in self.missing.iter_mut().filter(|part| part.due <= now) {
            let until = now + REVOCATIONS_TTL;
            // Where one finds no room, none of the others does.
            let taken = without_room == 0
                && leg
                    .send(now, Arc::clone(&part.parcel), until, Origin::here(now))
                    .is_ok();
            if taken {
                part.due = until;
            } else {
                without_room += 1;
                part.due = now + WAIT_FOR_ROOM;
            }
        }
        without_room
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.missing.iter().map(|part| part.due).min()
    }
}

/// Until parts that a leg had no room for are tried again: by then some of what waits is acknowledged, on all but the longest ways.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::OUTBOX_PARCELS_MAX;
    use crate::base::{PathId, SessionId};
    use crate::wire::{AckState, Notice, Packet, Parcel};

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    fn parts(count: u8) -> Vec<Arc<[u8]>> {
        let part = |index| Parcel::Revocations(vec![index; 30].into()).encode();
        (0..count).map(part).collect()
    }

    fn leg() -> Leg {
        let mut leg = Leg::new(at(0));
        leg.add_path(at(0), PathId(1));
        leg
    }

    /// What the far end has.
    fn hear(bulletin: &mut Bulletin, leg: &mut Leg) {
        while let Some(parcel) = leg.poll_delivered() {
            bulletin.on_delivered(&parcel);
        }
    }

    /// The far end has all tracked parcels up to this id.
    fn acknowledge(leg: &mut Leg, now: MonoTime, cumulative: u64) {
        let bitmap = Vec::new();
        let packet = Packet {
            path_sequence: 1 + (now.as_us() / 1_000) as u32,
            tx_time_us: 0,
            report: None,
            ack: AckState { cumulative, bitmap },
            chunks: Vec::new(),
        };
        leg.on_packet(now, PathId(1), packet);
    }

    // [WIRE-148]
    #[test]
    fn parts_are_brought_until_they_are_acknowledged_and_no_longer() {
        let (mut leg, mut bulletin) = (leg(), Bulletin::default());
        assert_eq!(bulletin.bring(at(0), &parts(3), &mut leg), 0);
        acknowledge(&mut leg, at(10), 2);
        hear(&mut bulletin, &mut leg);
        bulletin.work(at(10), &mut leg);
        assert_eq!(bulletin.missing.len(), 1);
        // Nobody hears the third one: it is put there again as its time is over.
        let again = bulletin.next_timeout().unwrap();
        assert_eq!(again, at(0) + REVOCATIONS_TTL);
        leg.on_timeout(again);
        assert_eq!(leg.waiting(), 0);
        bulletin.work(again, &mut leg);
        assert_eq!(leg.waiting(), 1);
        acknowledge(&mut leg, again, 4);
        hear(&mut bulletin, &mut leg);
        bulletin.work(again, &mut leg);
        assert_eq!((leg.waiting(), bulletin.next_timeout()), (0, None));
    }

    // [WIRE-148]
    #[test]
    fn parts_that_find_no_room_are_brought_as_soon_as_there_is_some() {
        let (mut leg, mut bulletin) = (leg(), Bulletin::default());
        for session in 0..OUTBOX_PARCELS_MAX as u32 {
            let session = SessionId(session);
            let notice = Parcel::Notice(Notice::Unroute { session }).encode();
            let origin = Origin::here(at(0));
            let _ = leg.send(at(0), notice, at(50_000), origin);
        }
        assert_eq!(bulletin.bring(at(0), &parts(3), &mut leg), 3);
        assert_eq!(bulletin.next_timeout(), Some(at(100)));
        assert_eq!(bulletin.work(at(99), &mut leg), 0, "nothing is due");
        assert_eq!(bulletin.work(at(100), &mut leg), 3);
        acknowledge(&mut leg, at(150), 100);
        hear(&mut bulletin, &mut leg);
        assert_eq!(bulletin.work(at(200), &mut leg), 0);
        assert_eq!(bulletin.next_timeout(), Some(at(200) + REVOCATIONS_TTL));
    }

    #[test]
    fn a_newer_list_takes_the_place_of_one_that_is_on_its_way() {
        let (mut leg, mut bulletin) = (leg(), Bulletin::default());
        bulletin.bring(at(0), &parts(3), &mut leg);
        bulletin.bring(at(1), &parts(1), &mut leg);
        assert_eq!(bulletin.missing.len(), 1);
        // What is acknowledged of the older one says nothing of the newer.
        acknowledge(&mut leg, at(2), 3);
        hear(&mut bulletin, &mut leg);
        bulletin.work(at(2), &mut leg);
        assert_eq!(bulletin.missing.len(), 1);
    }
}
