//! One wake-up of a leg: which of the parcels that are due go out, on which paths.

use std::collections::BTreeMap;
use std::time::Duration;

use super::load::Load;
use super::outbox::Outbox;
use super::place::Place;
use super::planner::{self, Demand, PathView};
use crate::base::limits::PARCEL_BYTES_MAX;
use crate::base::{Class, Histogram, MonoTime, PathId};
use crate::path::{Carries, Path};
use crate::wire::Chunk;

/// Puts parcels that are due into packets, as far as the paths' budgets let it.
///
/// What is new goes at once, once on every path: another path is worth more than another copy, and a path that is cut costs
/// nothing. Then what is in doubt is repeated: the most doubtful first, all that fits into one packet of each path, with a
/// gap between such packets, until the doubt is small enough or the acknowledgement comes. Where losses are independent, two
/// packets go at once: that costs both ends half as many wake-ups.
pub(super) struct Dispatch<'a> {
    now: MonoTime,
    outbox: &'a mut Outbox,
    paths: &'a mut BTreeMap<PathId, Path>,
    load: &'a mut Load,
    views: &'a [PathView],
    usable: Vec<PathView>,
    items: Vec<Item>,
    done: Dispatched,
}

/// What a wake-up did, to be counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dispatched {
    /// Copies beyond the first of each parcel.
    pub(super) extra: u64,
    /// Parcels that no path may carry.
    pub(super) withheld: u64,
    /// How long parcels that went on for the first time had been at this relay.
    pub(super) held: Histogram,
}

/// A parcel that is due.
struct Item {
    place: Place,
    class: Class,
    of_function: bool,
    target: f64,
    /// Probability that none of its copies arrives.
    doubt: f64,
    deadline: MonoTime,
    /// Of its chunk.
    bytes: usize,
    /// It goes for the first time.
    is_fresh: bool,
    /// When it goes again this is a repeat.
    was_sent: bool,
    /// It goes now.
    goes: bool,
}

impl<'a> Dispatch<'a> {
    pub(super) fn new(
        now: MonoTime,
        outbox: &'a mut Outbox,
        paths: &'a mut BTreeMap<PathId, Path>,
        load: &'a mut Load,
        views: &'a [PathView],
    ) -> Dispatch<'a> {
        let usable = planner::usable(views);
        let mut done = Dispatched::default();
        let mut items = Vec::new();
        for place in outbox.take_due(now) {
            outbox.forget_overdue(now, place, views);
            let (Some(demand), Some(bytes)) =
                (outbox.demand(place), outbox.chunk_bytes(now, place))
            else {
                continue;
            };
            if usable.iter().any(|view| view.may_carry(demand.of_function)) {
                items.push(Item::new(place, &demand, bytes, views));
            } else {
                outbox.withhold(place);
                done.withheld += 1;
            }
        }
        Dispatch {
            now,
            outbox,
            paths,
            load,
            views,
            usable,
            items,
            done,
        }
    }

    /// Does it.
    // [WIRE-54] [WIRE-58]
    pub(super) fn run(mut self) -> Dispatched {
        if self.items.is_empty() {
            return self.done;
        }
        let apart = self.paths_apart();
        self.place_fresh();
        for view in &apart {
            self.repeat_on(view);
        }
        for item in &mut self.items {
            item.was_sent |= item.goes;
        }
        for view in apart.iter().filter(|view| view.in_pairs) {
            self.load.close(view.path);
            self.repeat_on(view);
        }
        let pack_bytes = pack_bytes(self.items.iter().filter(|item| item.is_in_doubt()));
        for item in &self.items {
            let (again, in_doubt) = self.again(item, pack_bytes);
            self.outbox.planned(item.place, again, in_doubt);
        }
        self.done
    }

    /// Paths that may carry repeats now: those whose plan lets them first, of these those with most to spend, of these the best.
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
            let freer = view.carries.cmp(&other.carries);
            let fuller = other_full.total_cmp(full);
            freer.then(fuller).then(view.loss.total_cmp(&other.loss))
        });
        apart.into_iter().map(|(_, view)| view).collect()
    }

    fn place_fresh(&mut self) {
        for index in 0..self.items.len() {
            for path in 0..self.usable.len() {
                if let (Some(item), Some(view)) = (self.items.get(index), self.usable.get(path))
                    && item.is_fresh
                    && view.may_carry(item.of_function)
                {
                    self.try_place(index, view.path);
                }
            }
        }
    }

    /// All that is in doubt and fits into one packet. What is not urgent goes when the budget lets all of that go: packets
    /// with little in them waste it.
    fn repeat_on(&mut self, view: &PathView) {
        let arrives_at = self.now + view.transit;
        let is_wanted =
            |item: &Item| item.is_in_doubt() && item.may_repeat(view) && arrives_at < item.deadline;
        let mut wanted: Vec<(u8, f64, usize)> = Vec::new();
        for (index, item) in self.items.iter().enumerate() {
            if is_wanted(item) {
                wanted.push((item.place.urgency(), item.doubt, index));
            }
        }
        wanted.sort_by(
            |(urgency, doubt, index), (other_urgency, other_doubt, other)| {
                let by_urgency = urgency.cmp(other_urgency);
                let by_doubt = other_doubt.total_cmp(doubt);
                by_urgency.then(by_doubt).then(index.cmp(other))
            },
        );
        let in_order = wanted
            .iter()
            .filter_map(|(.., index)| self.items.get(*index));
        let pack_bytes = pack_bytes(in_order);
        let pack_goes = self
            .paths
            .get(&view.path)
            .is_some_and(|path| path.pace().affords(Class::Reliable, pack_bytes));
        for (.., index) in wanted {
            if let Some(item) = self.items.get(index)
                && (item.place.is_urgent() || pack_goes)
                && self.fits(item, view.path)
            {
                self.try_place(index, view.path);
            }
        }
    }

    fn fits(&self, item: &Item, path: PathId) -> bool {
        self.load.is_free(path) || self.load.has_room_on(path, item.bytes)
    }

    /// Sends a copy on this path if its budget lets it.
    fn try_place(&mut self, index: usize, path: PathId) {
        let Some(item) = self.items.get_mut(index) else {
            return;
        };
        let Some(path) = self.paths.get_mut(&path) else {
            return;
        };
        // A stop goes at once whatever it costs; its repeats keep to the budget.
        let is_first_stop = item.class == Class::Stop && item.is_fresh && !item.was_sent;
        if !is_first_stop && !path.pace().affords(item.class, item.bytes) {
            return;
        }
        let Some(chunk) = self.outbox.chunk(self.now, item.place) else {
            return;
        };
        let copies = self.outbox.on_copy(self.now, item.place, path.id());
        self.done.extra += u64::from(copies > 1);
        if let (1, Some(held)) = (copies, held_at_relay(&chunk)) {
            self.done.held.record(held);
        }
        item.goes = true;
        if let Some(demand) = self.outbox.demand(item.place) {
            item.doubt = demand.copies.doubt(self.views);
        }
        self.load.place(self.now, path, chunk, Some(item.class));
    }

    /// When to look at the parcel again, and whether it is to be repeated then; none when nothing more is to be sent.
    fn again(&self, item: &Item, pack_bytes: usize) -> (Option<MonoTime>, bool) {
        let Some(demand) = self.outbox.demand(item.place) else {
            return (None, false);
        };
        let next = self
            .usable
            .iter()
            .filter_map(|view| self.next_copy(item, view, pack_bytes))
            .min();
        let Some(next) = next.filter(|_| item.doubt > item.target) else {
            return (self.overdue(&demand), false);
        };
        let apart = if item.goes {
            demand.gap(&self.usable)
        } else {
            Duration::ZERO
        };
        let again = next.max(self.now + apart).max(self.now + TICK);
        (Some(again), item.was_sent)
    }

    /// When the next copy may go on this path.
    fn next_copy(&self, item: &Item, view: &PathView, pack_bytes: usize) -> Option<MonoTime> {
        let pace = self.paths.get(&view.path)?.pace();
        if !view.may_carry(item.of_function) || (item.was_sent && !item.may_repeat(view)) {
            return None;
        }
        if !item.was_sent {
            return Some(pace.affords_at(self.now, item.class, item.bytes));
        }
        let bytes = if item.place.is_urgent() {
            item.bytes
        } else {
            item.bytes.max(pack_bytes)
        };
        let in_time = self.now + view.transit < item.deadline;
        in_time.then(|| pace.repeat_at(self.now, item.class, bytes))
    }

    /// When the first copy should be acknowledged; nobody acknowledges `latest`.
    fn overdue(&self, demand: &Demand<'_>) -> Option<MonoTime> {
        let tracked = demand.class.is_tracked();
        let overdue = demand.copies.overdue_at(self.views).filter(|_| tracked)?;
        Some(overdue.max(self.now + TICK))
    }
}

impl Item {
    fn new(place: Place, demand: &Demand<'_>, bytes: usize, views: &[PathView]) -> Item {
        let was_sent = demand.copies.sent() > 0;
        Item {
            place,
            class: demand.class,
            of_function: demand.of_function,
            target: demand.aim.doubt,
            doubt: demand.copies.doubt(views),
            deadline: demand.deadline,
            bytes,
            is_fresh: !was_sent,
            was_sent,
            goes: false,
        }
    }

    /// Whether a path may carry it again. Past its plan for the day one repeats only what has no copy on its way anywhere, and what
    /// stops a vehicle.
    // [SAFE-112]
    fn may_repeat(&self, view: &PathView) -> bool {
        let is_lost = self.doubt >= 1.0 || self.class == Class::Stop;
        view.may_carry(self.of_function) && (view.carries < Carries::ControlOnce || is_lost)
    }

    /// Whether it is to be repeated.
    fn is_in_doubt(&self) -> bool {
        self.was_sent && self.doubt > self.target
    }
}

/// How long this relay has held the parcel of a chunk; none at other nodes.
fn held_at_relay(chunk: &Chunk) -> Option<Duration> {
    let (Chunk::Tracked { trail, .. } | Chunk::Untracked { trail, .. }) = chunk else {
        return None;
    };
    let (_, held_10us) = trail.relayed?;
    Some(Duration::from_micros(u64::from(held_10us) * 10))
}

/// Bytes of what is not urgent and fits into one packet.
fn pack_bytes<'i>(items: impl Iterator<Item = &'i Item>) -> usize {
    items
        .filter(|item| !item.place.is_urgent())
        .fold(0, |sum, item| {
            if sum + item.bytes <= PARCEL_BYTES_MAX {
                sum + item.bytes
            } else {
                sum
            }
        })
}

/// No parcel is looked at more often than this.
const TICK: Duration = Duration::from_millis(1);
