//! The links of a node that have a budget for each day.

use std::collections::{BTreeMap, VecDeque};

use crate::base::Name;
use crate::base::limits::{PATHS_PER_LEG_MAX, WIRE_OVERHEAD_BYTES};
use crate::path::{Carries, DailyPlan, Meter, MeterNews, Reading};

/// A meter for each link that has a plan.
#[derive(Debug, Default)]
pub(super) struct Meters {
    /// Days since 1970.
    day: u64,
    meters: BTreeMap<Name, Meter>,
    news: VecDeque<(Name, MeterNews)>,
}

/// How a metered link stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterView {
    /// The link.
    pub link: Name,
    /// What it may carry in a day.
    pub plan: DailyPlan,
    /// Bytes of this day, both ways.
    pub used_bytes: u64,
    /// What it may carry now.
    pub carries: Carries,
}

impl Meters {
    /// A link has this plan from now on, and was read so before the program's start; without one it is not metered.
    pub(super) fn set(&mut self, link: Name, plan: Option<DailyPlan>, kept: Option<Reading>) {
        let Some(plan) = plan else {
            self.meters.remove(&link);
            return;
        };
        let has_room = self.meters.len() < PATHS_PER_LEG_MAX;
        match self.meters.get_mut(&link) {
            Some(meter) => meter.set_plan(plan),
            None if has_room => {
                let meter = Meter::new(plan, self.day, kept);
                self.meters.insert(link, meter);
            }
            None => {}
        }
        self.gather_news();
    }

    /// Links that are not among these are not metered any more.
    pub(super) fn keep_only(&mut self, links: &[Name]) {
        self.meters.retain(|link, _| links.contains(link));
    }

    /// Whether no link is metered.
    pub(super) fn is_empty(&self) -> bool {
        self.meters.is_empty()
    }

    /// It is this day.
    pub(super) fn on_day(&mut self, day: u64) {
        self.day = self.day.max(day);
        for meter in self.meters.values_mut() {
            meter.on_day(self.day);
        }
        self.gather_news();
    }

    /// A packet of a node goes or came over a link; whether that changes what the link may carry.
    pub(super) fn on_packet(&mut self, link: &Name, bytes: usize) -> bool {
        let Some(meter) = self.meters.get_mut(link) else {
            return false;
        };
        let before = meter.carries();
        meter.on_estimate(bytes + WIRE_OVERHEAD_BYTES);
        let has_changed = meter.carries() != before;
        if has_changed {
            self.gather_news();
        }
        has_changed
    }

    /// The program counted so many bytes of a link since it runs.
    pub(super) fn on_counted(&mut self, link: &Name, total: u64) {
        if let Some(meter) = self.meters.get_mut(link) {
            meter.on_counted(total);
            self.gather_news();
        }
    }

    /// What a link may carry now.
    pub(super) fn carries(&self, link: &Name) -> Carries {
        let meter = self.meters.get(link);
        meter.map_or(Carries::All, Meter::carries)
    }

    pub(super) fn poll_news(&mut self) -> Option<(Name, MeterNews)> {
        self.news.pop_front()
    }

    pub(super) fn views(&self) -> Vec<MeterView> {
        let view = |(link, meter): (&Name, &Meter)| MeterView {
            link: link.clone(),
            plan: meter.plan(),
            used_bytes: meter.used_bytes(),
            carries: meter.carries(),
        };
        self.meters.iter().map(view).collect()
    }

    /// What is to be written now, of all links; nothing while little has changed.
    pub(super) fn readings_due(&mut self) -> Option<Vec<(Name, Reading)>> {
        let is_due = self.meters.values().any(Meter::is_save_due);
        is_due.then(|| self.readings(false))
    }

    /// What is to be kept over a restart.
    pub(super) fn readings(&mut self, is_final: bool) -> Vec<(Name, Reading)> {
        let reading = |(link, meter): (&Name, &mut Meter)| (link.clone(), meter.save(is_final));
        self.meters.iter_mut().map(reading).collect()
    }

    fn gather_news(&mut self) {
        for (link, meter) in &mut self.meters {
            while let Some(news) = meter.poll_news() {
                self.news.push_back((link.clone(), news));
            }
        }
        // Each is told once a day: nobody who drives a role leaves as many.
        self.news.truncate(NEWS_MAX);
    }
}

/// All news of a day of all links.
const NEWS_MAX: usize = 4 * PATHS_PER_LEG_MAX;
