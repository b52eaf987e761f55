//! Links that have a budget for each day.

use rustls_pki_types::UnixTime;
use std::time::Duration;

use super::{Agent, AgentEvent};
use crate::base::{MonoTime, Name};
use crate::path::{DailyPlan, Reading};
use crate::role::MeterView;

impl Agent {
    /// What a link may carry in a day from now on; without a plan it is not metered. `kept` is what was written of it before the
    /// program's start.
    pub fn set_link_plan(
        &mut self,
        now: MonoTime,
        link: Name,
        plan: Option<DailyPlan>,
        kept: Option<Reading>,
    ) {
        self.note_day(now);
        self.node.meters().set(link, plan, kept);
        self.note_metering();
    }

    /// The program counted so many bytes of a link on the wire, both ways, since it runs. To be told about once a second.
    pub fn on_counted(&mut self, now: MonoTime, link: &Name, total: u64) {
        self.node.meters().on_counted(link, total);
        self.note_day(now);
    }

    /// How the metered links stand.
    pub fn meters(&self) -> Vec<MeterView> {
        self.node.meter_views()
    }

    /// What is to be written now so that it is known after a restart; nothing while little has changed.
    pub fn readings_due(&mut self) -> Option<Vec<(Name, Reading)>> {
        self.node.meters().readings_due()
    }

    /// The same as the program ends in good order, and its paths are closed.
    pub fn last_readings(&mut self) -> Vec<(Name, Reading)> {
        self.node.meters().readings(true)
    }

    /// A day that begins gives every metered link its budget anew.
    // [SAFE-111]
    pub(super) fn note_day(&mut self, now: MonoTime) {
        // What the wall clock says counts only once it was believed.
        let known = self.fleet.time(UnixTime::since_unix_epoch(Duration::ZERO));
        let wall_ms = self.wall.shown_ms(now).unwrap_or_default();
        let wall = UnixTime::since_unix_epoch(Duration::from_millis(wall_ms));
        let day = self.calendar.day(now, known, wall);
        self.node.meters().on_day(day);
        self.note_metering();
    }

    fn note_metering(&mut self) {
        self.node.share_plans();
        self.tell_metering();
    }

    /// Tells what is new of metered links.
    pub(super) fn tell_metering(&mut self) {
        while let Some((link, news)) = self.node.meters().poll_news() {
            self.events.push_back(AgentEvent::Metered { link, news });
        }
    }
}
