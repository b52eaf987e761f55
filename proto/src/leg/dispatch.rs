//! One wake-up of a leg: which of the parcels that are due go out, on which paths.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::load::Load;
use super::outbox::Outbox;
use super::place::Place;
use super::planner::{self, Demand, PathView};
use crate::base::limits::PARCEL_BYTES_MAX;
use crate::base::{Class, MonoTime, PathId};
use crate::path::Path;

/// Puts parcels that are due into packets, as far as the paths' budgets let it.
///
/// What is new goes at once, once on every path: another path is worth more than another copy, and a path that is cut costs
/// nothing. Then what is in doubt is repeated: the most doubtful first, all that fits into one packet of each path, with a
/// gap between such packets, until the doubt is small enough or the acknowledgement comes.
pub(super) struct Dispatch<'a> {
    now: MonoTime,
    outbox: &'a mut Outbox,
    paths: &'a mut BTreeMap<PathId, Path>,
    load: &'a mut Load,
    views: &'a [PathView],
    usable: Vec<PathView>,
    /// Parcels that go for the first time.
    fresh: BTreeSet<Place>,
    /// Parcels that go now.
    gone: BTreeSet<Place>,
    /// Copies beyond the first of each.
    extra: u64,
}

impl<'a> Dispatch<'a> {
    pub(super) fn new(
        now: MonoTime,
        outbox: &'a mut Outbox,
        paths: &'a mut BTreeMap<PathId, Path>,
        load: &'a mut Load,
        views: &'a [PathView],
    ) -> Dispatch<'a> {
        Dispatch {
            now,
            outbox,
            paths,
            load,
            views,
            usable: planner::usable(views),
            fresh: BTreeSet::new(),
            gone: BTreeSet::new(),
            extra: 0,
        }
    }

    /// Returns how many copies went beyond the first of each parcel.
    // [WIRE-54] [WIRE-58]
    pub(super) fn run(mut self) -> u64 {
        let due = self.outbox.take_due(self.now);
        if due.is_empty() {
            return 0;
        }
        for place in &due {
            self.outbox.forget_overdue(self.now, *place, self.views);
        }
        let apart = self.paths_apart();
        self.place_fresh(&due);
        for path in apart {
            self.repeat_on(path, &due);
        }
        let pack_bytes = self.pack_bytes(&due);
        for place in due {
            let (again, in_doubt) = self.again(place, pack_bytes);
            self.outbox.planned(place, again, in_doubt);
        }
        self.extra
    }

    /// Paths that may carry repeats now: those with most to spend first, of these the best.
    fn paths_apart(&self) -> Vec<PathView> {
        let mut apart: Vec<(f64, PathView)> = Vec::new();
        for view in &self.usable {
            if let Some(path) = self.paths.get(&view.path)
                && path.pace().is_apart(self.now)
            {
                apart.push((path.pace().fullness(), *view));
            }
        }
        apart.sort_by(|(full, view), (other_full, other)| {
            let fuller = other_full.total_cmp(full);
            fuller.then(view.loss.total_cmp(&other.loss))
        });
        apart.into_iter().map(|(_, view)| view).collect()
    }

    fn place_fresh(&mut self, due: &[Place]) {
        for place in due {
            if self
                .outbox
                .demand(*place)
                .is_none_or(|demand| demand.copies.sent() > 0)
            {
                continue;
            }
            for index in 0..self.usable.len() {
                if let Some(path) = self.usable.get(index).map(|view| view.path)
                    && self.try_place(*place, path)
                {
                    self.fresh.insert(*place);
                }
            }
        }
    }

    /// All that is in doubt and fits into one packet. What is not urgent goes when the budget lets all of that go: packets
    /// with little in them waste it.
    fn repeat_on(&mut self, view: PathView, due: &[Place]) {
        let mut wanted: Vec<(u8, f64, Place)> = Vec::new();
        for place in due {
            let Some(demand) = self.outbox.demand(*place) else {
                continue;
            };
            let doubt = demand.copies.doubt(self.views);
            let is_repeat = demand.copies.sent() > 0 && !self.fresh.contains(place);
            if is_repeat && doubt > demand.target && demand.is_in_time(self.now, &view) {
                wanted.push((place.urgency(), doubt, *place));
            }
        }
        wanted.sort_by(
            |(urgency, doubt, place), (other_urgency, other_doubt, other)| {
                let by_urgency = urgency.cmp(other_urgency);
                let by_doubt = other_doubt.total_cmp(doubt);
                by_urgency.then(by_doubt).then(place.cmp(other))
            },
        );
        let wanted: Vec<Place> = wanted.into_iter().map(|(_, _, place)| place).collect();
        let pack_bytes = self.pack_bytes(&wanted);
        let pack_goes = self
            .paths
            .get(&view.path)
            .is_some_and(|path| path.pace().affords(Class::Reliable, pack_bytes));
        for place in wanted {
            if (place.is_urgent() || pack_goes) && self.fits(place, view.path) {
                self.try_place(place, view.path);
            }
        }
    }

    /// Bytes of what is to be repeated, is not urgent and fits into one packet.
    fn pack_bytes(&self, places: &[Place]) -> usize {
        let mut sum = 0;
        for place in places.iter().filter(|place| !place.is_urgent()) {
            let to_repeat = self
                .outbox
                .demand(*place)
                .is_some_and(|demand| demand.copies.sent() > 0 && !demand.is_met(self.views));
            if let Some(bytes) = self.outbox.chunk_bytes(self.now, *place)
                && to_repeat
                && sum + bytes <= PARCEL_BYTES_MAX
            {
                sum += bytes;
            }
        }
        sum
    }

    fn fits(&self, place: Place, path: PathId) -> bool {
        let bytes = self.outbox.chunk_bytes(self.now, place);
        bytes.is_some_and(|bytes| self.load.is_free(path) || self.load.has_room_on(path, bytes))
    }

    /// Whether a parcel goes for the first time, on one path or another.
    fn is_fresh(&self, place: Place) -> bool {
        let never_sent = |demand: Demand<'_>| demand.copies.sent() == 0;
        self.fresh.contains(&place) || self.outbox.demand(place).is_some_and(never_sent)
    }

    /// Whether a copy goes on this path now.
    fn try_place(&mut self, place: Place, path: PathId) -> bool {
        let Some((class, chunk)) = self.outbox.chunk(self.now, place) else {
            return false;
        };
        // A stop goes at once whatever it costs; its repeats keep to the budget.
        let is_first_stop = class == Class::Stop && self.is_fresh(place);
        let Some(path) = self.paths.get_mut(&path) else {
            return false;
        };
        if !is_first_stop && !path.pace().affords(class, chunk.encoded_len()) {
            return false;
        }
        self.extra += u64::from(self.outbox.on_copy(self.now, place, path.id()) > 1);
        self.gone.insert(place);
        self.load.place(self.now, path, chunk, Some(class));
        true
    }

    /// When to look at the parcel again, and whether it is to be repeated then; none when nothing more is to be sent.
    fn again(&self, place: Place, pack_bytes: usize) -> (Option<MonoTime>, bool) {
        let Some(demand) = self.outbox.demand(place) else {
            return (None, false);
        };
        if demand.is_met(self.views) {
            return (self.overdue(&demand), false);
        }
        let copies = self.usable.iter();
        let next = copies
            .filter_map(|view| self.next_copy(place, &demand, view, pack_bytes))
            .min();
        let Some(next) = next else {
            return (self.overdue(&demand), false);
        };
        let apart = if self.gone.contains(&place) {
            demand.gap(&self.usable)
        } else {
            Duration::ZERO
        };
        let again = next.max(self.now + apart).max(self.now + TICK);
        (Some(again), demand.copies.sent() > 0)
    }

    /// When the next copy may go on this path.
    fn next_copy(
        &self,
        place: Place,
        demand: &Demand<'_>,
        view: &PathView,
        pack_bytes: usize,
    ) -> Option<MonoTime> {
        let pace = self.paths.get(&view.path)?.pace();
        let own = self.outbox.chunk_bytes(self.now, place)?;
        if demand.copies.sent() == 0 {
            return Some(pace.affords_at(self.now, demand.class, own));
        }
        let bytes = if place.is_urgent() {
            own
        } else {
            own.max(pack_bytes)
        };
        demand
            .is_in_time(self.now, view)
            .then(|| pace.repeat_at(self.now, demand.class, bytes))
    }

    /// When the first copy should be acknowledged; nobody acknowledges `latest`.
    fn overdue(&self, demand: &Demand<'_>) -> Option<MonoTime> {
        let tracked = demand.class.is_tracked();
        let overdue = demand.copies.overdue_at(self.views).filter(|_| tracked)?;
        Some(overdue.max(self.now + TICK))
    }
}

/// No parcel is looked at more often than this.
const TICK: Duration = Duration::from_millis(1);
