//! What a link has carried today of what its data plan allows.

use std::collections::BTreeSet;

use crate::base::limits::{METER_MARGIN_BYTES, METER_UNSAVED_PART};

/// What a link may carry in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyPlan {
    /// Bytes both ways, as they are on the wire.
    pub bytes: u64,
    /// Per cent of these after which the rest is kept for control.
    pub telemetry_percent: u8,
    /// Per cent of these at which to warn.
    pub warn_percent: u8,
}

/// What a path may carry now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carries {
    /// Everything.
    #[default]
    All,
    /// Everything but what an agent sends of its functions.
    Control,
    /// The same, once each: repeats only of what has no copy on its way.
    ControlOnce,
}

/// What is kept over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Days since 1970.
    pub day: u64,
    /// Bytes that were counted on that day.
    pub used_bytes: u64,
    /// Whether nothing was counted afterwards: the program ended in good order.
    pub is_final: bool,
}

/// News of a link's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MeterNews {
    /// As much is used as its owner wants to be warned of.
    Low,
    /// What is left is kept for control.
    WithoutTelemetry,
    /// All is used; control goes on.
    Spent,
    /// Another day has begun.
    NewDay,
}

/// One link's count of a day.
///
/// It counts at once what its node sends and hears, by an estimate of its size on the wire, and is set right by what the program
/// counted at the sockets.
#[derive(Clone, Debug)]
pub struct Meter {
    plan: DailyPlan,
    day: u64,
    used: u64,
    /// Estimated since the program counted last.
    estimated: u64,
    /// What the program counted so far, of this run; none before it did.
    counted: Option<u64>,
    /// What this run has kept on disk, of the same day.
    saved: Option<u64>,
    /// What was told of this day.
    told: BTreeSet<MeterNews>,
    is_new_day_untold: bool,
}

impl Meter {
    /// A meter that goes on where it was. After an end without a word as much is added as may not have been kept.
    // [SAFE-110]
    pub fn new(plan: DailyPlan, day: u64, kept: Option<Reading>) -> Meter {
        let mut meter = Meter {
            plan,
            day,
            used: 0,
            estimated: 0,
            counted: None,
            saved: None,
            told: BTreeSet::new(),
            is_new_day_untold: false,
        };
        if let Some(kept) = kept.filter(|kept| kept.day >= day) {
            let unsaved = if kept.is_final {
                0
            } else {
                meter.unsaved_max()
            };
            meter.day = kept.day;
            meter.used = kept.used_bytes.saturating_add(unsaved);
        }
        meter
    }

    /// The plan is another one.
    pub fn set_plan(&mut self, plan: DailyPlan) {
        if plan != self.plan {
            self.plan = plan;
            self.told.clear();
        }
    }

    /// It is this day. An earlier one than it was changes nothing.
    // [SAFE-111]
    pub fn on_day(&mut self, day: u64) {
        if day > self.day {
            self.day = day;
            (self.used, self.estimated, self.saved) = (0, 0, None);
            // Of a day of which nothing was told the end is no news either.
            self.is_new_day_untold |= !self.told.is_empty();
            self.told.clear();
        }
    }

    /// So much went or came, as far as can be said now.
    pub fn on_estimate(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.estimated = self.estimated.saturating_add(bytes);
    }

    /// The program has counted so much in this run: it is right, and not what was estimated. The first count says only where it
    /// begins; one that is lower than the one before began anew.
    pub fn on_counted(&mut self, total: u64) {
        let more = match self.counted {
            Some(before) => total.checked_sub(before).unwrap_or(total),
            None => self.estimated,
        };
        self.counted = Some(total);
        self.used = self.used.saturating_add(more);
        self.estimated = 0;
    }

    /// What the link may carry now.
    // [SAFE-110] [SAFE-112]
    pub fn carries(&self) -> Carries {
        let used = self.used_bytes();
        if used >= self.plan.bytes {
            Carries::ControlOnce
        } else if used.saturating_add(METER_MARGIN_BYTES) > self.share(self.plan.telemetry_percent)
        {
            Carries::Control
        } else {
            Carries::All
        }
    }

    /// Bytes of this day.
    pub fn used_bytes(&self) -> u64 {
        self.used.saturating_add(self.estimated)
    }

    /// What the day may have.
    pub const fn plan(&self) -> DailyPlan {
        self.plan
    }

    /// What is to be told, each once a day.
    pub fn poll_news(&mut self) -> Option<MeterNews> {
        let carries = self.carries();
        let is_low = self.used_bytes() >= self.share(self.plan.warn_percent);
        let news = [
            (MeterNews::NewDay, self.is_new_day_untold),
            (MeterNews::Low, is_low),
            (MeterNews::WithoutTelemetry, carries >= Carries::Control),
            (MeterNews::Spent, carries == Carries::ControlOnce),
        ];
        self.is_new_day_untold = false;
        let mut so = news
            .into_iter()
            .filter_map(|(news, is_so)| is_so.then_some(news));
        so.find(|news| *news == MeterNews::NewDay || self.told.insert(*news))
    }

    /// Whether so much is counted that is not on disk that it is time to write: the program does so and tells.
    pub fn is_save_due(&self) -> bool {
        // At first and on a new day what stands on disk says nothing of now.
        self.saved.is_none_or(|saved| {
            self.used_bytes().saturating_sub(saved) >= self.unsaved_max().max(1)
        })
    }

    /// What is to be kept; it counts as on disk from now on.
    pub fn save(&mut self, is_final: bool) -> Reading {
        let used_bytes = self.used_bytes();
        self.saved = Some(used_bytes);
        Reading {
            day: self.day,
            used_bytes,
            is_final,
        }
    }

    fn share(&self, percent: u8) -> u64 {
        let share = u128::from(self.plan.bytes) * u128::from(percent) / 100;
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    fn unsaved_max(&self) -> u64 {
        self.plan.bytes / METER_UNSAVED_PART
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAN: DailyPlan = DailyPlan {
        bytes: 10_000_000,
        telemetry_percent: 80,
        warn_percent: 70,
    };

    /// One whose sockets have carried nothing yet.
    fn metered(day: u64, kept: Option<Reading>) -> Meter {
        let mut meter = Meter::new(PLAN, day, kept);
        meter.on_counted(0);
        meter
    }

    fn news(meter: &mut Meter) -> Vec<MeterNews> {
        std::iter::from_fn(|| meter.poll_news()).collect()
    }

    // [SAFE-110] [SAFE-112]
    #[test]
    fn what_is_left_at_the_share_is_for_control_and_past_the_budget_control_goes_on_once() {
        let mut meter = metered(1, None);
        let mut total = 0;
        let mut until = |used: u64, meter: &mut Meter| {
            total += used - meter.used_bytes();
            meter.on_counted(total);
        };
        assert_eq!(meter.carries(), Carries::All);
        assert_eq!(news(&mut meter), []);
        until(7_000_000, &mut meter);
        assert_eq!(meter.carries(), Carries::All);
        assert_eq!(news(&mut meter), [MeterNews::Low]);
        until(8_000_000 - METER_MARGIN_BYTES, &mut meter);
        assert_eq!(meter.carries(), Carries::All);
        until(8_000_001 - METER_MARGIN_BYTES, &mut meter);
        assert_eq!(meter.carries(), Carries::Control);
        assert_eq!(news(&mut meter), [MeterNews::WithoutTelemetry]);
        until(9_999_999, &mut meter);
        assert_eq!(meter.carries(), Carries::Control);
        assert_eq!(news(&mut meter), []);
        until(10_000_000, &mut meter);
        assert_eq!(meter.carries(), Carries::ControlOnce);
        assert_eq!(news(&mut meter), [MeterNews::Spent]);
        until(50_000_000, &mut meter);
        assert_eq!(meter.carries(), Carries::ControlOnce);
        assert_eq!(news(&mut meter), []);
    }

    // [SAFE-111]
    #[test]
    fn another_day_begins_at_nothing_and_an_earlier_one_changes_nothing() {
        let mut meter = metered(20_000, None);
        meter.on_counted(10_000_000);
        news(&mut meter);
        meter.on_day(19_999);
        meter.on_day(20_000);
        assert_eq!(meter.used_bytes(), 10_000_000);
        meter.on_day(20_001);
        assert_eq!(meter.used_bytes(), 0);
        assert_eq!(meter.carries(), Carries::All);
        assert_eq!(news(&mut meter), [MeterNews::NewDay]);
        meter.on_counted(10_000_001);
        assert_eq!(meter.used_bytes(), 1);
        meter.on_day(20_000);
        assert_eq!(meter.used_bytes(), 1);
        // Nobody was told anything of this day.
        meter.on_day(20_002);
        assert_eq!(news(&mut meter), []);
    }

    // [SAFE-110] [SAFE-111]
    #[test]
    fn a_restart_goes_on_with_the_day_that_was_kept_and_adds_what_may_be_missing() {
        let mut before = metered(20_000, None);
        assert!(before.is_save_due(), "a crash from here on is to be seen");
        before.save(false);
        before.on_counted(3_000_000);
        assert!(before.is_save_due());
        let kept = before.save(false);
        assert!(!before.is_save_due());
        before.on_counted(3_000_000 + PLAN.bytes / METER_UNSAVED_PART - 1);
        assert!(!before.is_save_due());

        let after = Meter::new(PLAN, 20_000, Some(kept));
        assert!(after.used_bytes() >= before.used_bytes());
        let end = before.save(true);
        let after = Meter::new(PLAN, 20_000, Some(end));
        assert_eq!(after.used_bytes(), before.used_bytes());
        // A clock that is behind after the restart gives nothing back, one of a later day does.
        let after = Meter::new(PLAN, 19_990, Some(end));
        assert_eq!(after.used_bytes(), before.used_bytes());
        assert_eq!(Meter::new(PLAN, 20_001, Some(kept)).used_bytes(), 0);
    }

    #[test]
    fn an_estimate_counts_until_the_program_has_counted() {
        let mut meter = metered(1, None);
        meter.on_estimate(900);
        assert_eq!(meter.used_bytes(), 900);
        meter.on_counted(850);
        assert_eq!(meter.used_bytes(), 850);
        meter.on_estimate(900);
        meter.on_counted(2_000);
        assert_eq!(meter.used_bytes(), 2_000);
        // The sockets of a link that was taken out and put back count from zero.
        meter.on_counted(100);
        assert_eq!(meter.used_bytes(), 2_100);
        // A plan that comes while the sockets count already begins with what comes from then on.
        let mut meter = Meter::new(PLAN, 1, None);
        meter.on_estimate(900);
        meter.on_counted(5_000_000);
        assert_eq!(meter.used_bytes(), 900);
        meter.on_counted(5_000_100);
        assert_eq!(meter.used_bytes(), 1_000);
    }

    proptest! {
        // [SAFE-110] [SAFE-111]
        #[test]
        fn over_any_days_restarts_and_clocks_no_day_has_more_telemetry_than_its_share(
            steps in proptest::collection::vec((0..6_u8, 0..400_000_u64), 1..300),
        ) {
            let share = PLAN.bytes * 8 / 10;
            let mut meter = metered(100, None);
            let (mut day, mut counted, mut kept) = (100_u64, 0, meter.save(false));
            // What really went on the meter's day.
            let mut went = 0;
            for (what, amount) in steps {
                match what {
                    // Telemetry goes while it may, seen at once or only when it is counted.
                    0 | 1 if meter.carries() == Carries::All => {
                        let bytes = amount % METER_MARGIN_BYTES;
                        went += bytes;
                        counted += bytes;
                        if what == 0 {
                            meter.on_estimate(usize::try_from(bytes).unwrap());
                        } else {
                            meter.on_counted(counted);
                        }
                        prop_assert!(went <= share, "{went}");
                    }
                    2 => {
                        went += amount;
                        counted += amount;
                        meter.on_counted(counted);
                    }
                    // The clock goes on or back.
                    3 => {
                        let said = if amount % 2 == 0 { day + 1 } else { day.saturating_sub(amount % 7) };
                        meter.on_day(said);
                        if said > day {
                            (day, went) = (said, 0);
                        }
                    }
                    // A crash, or an end in good order.
                    4 | 5 => {
                        if what == 5 {
                            kept = meter.save(true);
                        }
                        meter = metered(day.saturating_sub(amount % 3), Some(kept));
                        counted = 0;
                    }
                    _ => {}
                }
                if meter.is_save_due() {
                    kept = meter.save(false);
                }
            }
        }
    }
}
