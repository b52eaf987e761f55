//! The timer on valid commands.

use std::time::Duration;

use crate::base::{MonoTime, Refusal, Stage};

/// After how long without a valid command each stage is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchdogConfig {
    hold: Duration,
    ramp: Duration,
    minimal_risk: Duration,
}

impl WatchdogConfig {
    /// These three limits, all counted from the last valid command.
    ///
    /// # Errors
    /// When one is zero or they do not grow: a configuration to be corrected (SAFE-22).
    pub fn new(
        hold: Duration,
        ramp: Duration,
        minimal_risk: Duration,
    ) -> Result<WatchdogConfig, WatchdogConfigError> {
        if hold.is_zero() {
            Err(WatchdogConfigError::Zero)
        } else if hold >= ramp || ramp >= minimal_risk {
            Err(WatchdogConfigError::Order)
        } else {
            Ok(WatchdogConfig {
                hold,
                ramp,
                minimal_risk,
            })
        }
    }
}

impl Default for WatchdogConfig {
    /// Hold after 200 ms, Ramp after 500 ms, MinimalRisk after 1,500 ms.
    fn default() -> WatchdogConfig {
        WatchdogConfig {
            hold: Duration::from_millis(200),
            ramp: Duration::from_millis(500),
            minimal_risk: Duration::from_millis(1_500),
        }
    }
}

/// Why limits of a watchdog are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchdogConfigError {
    /// The first limit is zero.
    #[error("the watchdog's limits must be longer than zero")]
    Zero,
    /// A later stage's limit is not longer than the one before.
    #[error("the watchdog's limits must grow: hold < ramp < minimal risk")]
    Order,
}

/// What a valid command says of motion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The operator wants to move again after a stand.
    pub resume: bool,
    /// It asks for no motion.
    pub neutral: bool,
    /// The enabling hand is on, or the function has none.
    pub enabled: bool,
}

/// Walks through the stages without valid commands, and back with them.
///
/// It is fed by what a vehicle really takes: the caller calls [`Watchdog::on_valid`] last, after every other check.
#[derive(Clone, Debug)]
pub struct Watchdog {
    config: WatchdogConfig,
    state: State,
    last_valid: MonoTime,
}

impl Watchdog {
    /// A watchdog in MinimalRisk: nothing moves before somebody resumes (SAFE-20).
    pub fn new(config: WatchdogConfig) -> Watchdog {
        Watchdog {
            config,
            state: State::MinimalRisk,
            last_valid: MonoTime::ZERO,
        }
    }

    /// The stage as of the last fact.
    pub fn stage(&self) -> Stage {
        self.state.stage()
    }

    /// Feeds the watchdog with a valid command; gives the stage when it changes.
    ///
    /// # Errors
    /// `NeedsResume` where a resume with neutral input is due; the watchdog is not fed then (SAFE-25).
    pub fn on_valid(&mut self, now: MonoTime, wish: Wish) -> Result<Option<Stage>, Refusal> {
        let resumes = wish.resume && wish.neutral && wish.enabled;
        // A timeout that is due but not yet told counts: a late caller must not make the vehicle resume by itself.
        let silent_too_long = now.since(self.last_valid) >= self.config.ramp;
        let (fact, wanted) = if resumes {
            (Fact::Resume, State::Nominal)
        } else if wish.enabled {
            (Fact::ValidCommand, State::Nominal)
        } else {
            (Fact::HandOff, State::Hold)
        };
        let state = next(self.state, fact);
        if state != wanted || (silent_too_long && !resumes) {
            return Err(Refusal::NeedsResume);
        }
        self.last_valid = self.last_valid.max(now);
        Ok(self.enter(state))
    }

    /// The function's lease has ended: nobody is there whose last command could be held (SAFE-26).
    pub fn on_lease_end(&mut self) -> Option<Stage> {
        self.enter(next(self.state, Fact::LeaseEnd))
    }

    /// The device is lost: what it does when it is back, nobody has asked of it (SAFE-29).
    pub fn on_device_loss(&mut self) -> Option<Stage> {
        self.enter(next(self.state, Fact::DeviceLoss))
    }

    /// The emergency stop is latched: MinimalRisk at once (SAFE-33).
    pub fn on_stop(&mut self) -> Option<Stage> {
        self.enter(next(self.state, Fact::Stop))
    }

    /// The agent ends: MinimalRisk at once (SAFE-71).
    pub fn on_end(&mut self) -> Option<Stage> {
        self.enter(next(self.state, Fact::AgentEnd))
    }

    /// The vehicle's own software asks for MinimalRisk: at once (SAFE-130).
    pub fn on_own_request(&mut self) -> Option<Stage> {
        self.enter(next(self.state, Fact::OwnRequest))
    }

    /// Enters the next stage that is due (SAFE-21). Late calls enter one stage each: call it until it gives none (SAFE-23).
    pub fn on_timeout(&mut self, now: MonoTime) -> Option<Stage> {
        let (at, fact) = self.due()?;
        if now < at {
            return None;
        }
        self.enter(next(self.state, fact))
    }

    /// When the next stage is due.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        self.due().map(|(at, _)| at)
    }

    fn due(&self) -> Option<(MonoTime, Fact)> {
        let (limit, fact) = match self.state {
            State::Nominal => (self.config.hold, Fact::HoldLimit),
            State::Hold | State::Parted => (self.config.ramp, Fact::RampLimit),
            State::Ramp => (self.config.minimal_risk, Fact::MinimalRiskLimit),
            State::MinimalRisk => return None,
        };
        Some((self.last_valid + limit, fact))
    }

    fn enter(&mut self, state: State) -> Option<Stage> {
        let before = self.state.stage();
        self.state = state;
        let after = state.stage();
        (before != after).then_some(after)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Nominal,
    Hold,
    /// Stage Hold that does not resume by itself: the next command may be another operator's, the device may be another.
    Parted,
    Ramp,
    MinimalRisk,
}

impl State {
    const fn stage(self) -> Stage {
        match self {
            State::Nominal => Stage::Nominal,
            State::Hold | State::Parted => Stage::Hold,
            State::Ramp => Stage::Ramp,
            State::MinimalRisk => Stage::MinimalRisk,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    ValidCommand,
    /// A valid command that resumes with neutral input.
    Resume,
    /// A valid command without the enabling hand.
    HandOff,
    HoldLimit,
    RampLimit,
    MinimalRiskLimit,
    LeaseEnd,
    DeviceLoss,
    Stop,
    AgentEnd,
    /// The vehicle's own software saw a reason to stand.
    OwnRequest,
}

const fn next(state: State, fact: Fact) -> State {
    match fact {
        // SAFE-24
        Fact::ValidCommand => match state {
            State::Nominal | State::Hold => State::Nominal,
            State::Parted | State::Ramp | State::MinimalRisk => state,
        },
        Fact::Resume => State::Nominal,
        // SAFE-49
        Fact::HandOff => match state {
            State::Nominal | State::Hold => State::Hold,
            State::Parted | State::Ramp | State::MinimalRisk => state,
        },
        Fact::HoldLimit => match state {
            State::Nominal => State::Hold,
            State::Hold | State::Parted | State::Ramp | State::MinimalRisk => state,
        },
        Fact::RampLimit => match state {
            State::Hold | State::Parted => State::Ramp,
            State::Nominal | State::Ramp | State::MinimalRisk => state,
        },
        Fact::MinimalRiskLimit => match state {
            State::Ramp => State::MinimalRisk,
            State::Nominal | State::Hold | State::Parted | State::MinimalRisk => state,
        },
        Fact::LeaseEnd | Fact::DeviceLoss => match state {
            State::Nominal | State::Hold => State::Parted,
            State::Parted | State::Ramp | State::MinimalRisk => state,
        },
        Fact::Stop | Fact::AgentEnd | Fact::OwnRequest => State::MinimalRisk,
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagram::{assert_in_safety, mermaid};
    use super::*;

    fn ms(ms: u64) -> MonoTime {
        MonoTime::from_us(1_000_000 + ms * 1_000)
    }

    fn nominal_at_zero() -> Watchdog {
        let mut watchdog = Watchdog::new(WatchdogConfig::default());
        assert_eq!(
            watchdog.on_valid(ms(0), wish(true, true)),
            Ok(Some(Stage::Nominal))
        );
        watchdog
    }

    fn entered(watchdog: &mut Watchdog, now: MonoTime) -> Vec<Stage> {
        std::iter::from_fn(|| watchdog.on_timeout(now)).collect()
    }

    fn wish(resume: bool, neutral: bool) -> Wish {
        Wish {
            resume,
            neutral,
            enabled: true,
        }
    }

    /// SAFE-49
    #[test]
    fn a_hand_that_lets_go_holds_the_vehicle_as_long_as_it_says_so() {
        let off = Wish {
            enabled: false,
            ..wish(false, true)
        };
        let mut watchdog = nominal_at_zero();
        assert_eq!(watchdog.on_valid(ms(20), off), Ok(Some(Stage::Hold)));
        for at in (1..100).map(|tick| 20 + tick * 100) {
            assert_eq!(watchdog.on_timeout(ms(at)), None);
            assert_eq!(watchdog.on_valid(ms(at), off), Ok(None), "{at}");
        }
        assert_eq!(
            watchdog.on_valid(ms(9_930), wish(false, false)),
            Ok(Some(Stage::Nominal)),
            "the hand is back"
        );
    }

    /// SAFE-49 SAFE-25
    #[test]
    fn without_the_hand_nothing_resumes() {
        let mut watchdog = Watchdog::new(WatchdogConfig::default());
        let off = Wish {
            enabled: false,
            ..wish(true, true)
        };
        assert_eq!(watchdog.on_valid(ms(0), off), Err(Refusal::NeedsResume));
        let mut parted = nominal_at_zero();
        parted.on_lease_end();
        assert_eq!(parted.on_valid(ms(10), off), Err(Refusal::NeedsResume));
        assert_eq!(
            parted.on_timeout(ms(500)),
            Some(Stage::Ramp),
            "it is not fed"
        );
    }

    #[test]
    fn the_picture_in_the_docs_is_the_code() {
        let states = [
            State::Nominal,
            State::Hold,
            State::Parted,
            State::Ramp,
            State::MinimalRisk,
        ];
        let facts = [
            (Fact::ValidCommand, "valid command"),
            (Fact::Resume, "resume with neutral input"),
            (Fact::HandOff, "hand off"),
            (Fact::HoldLimit, "hold limit"),
            (Fact::RampLimit, "ramp limit"),
            (Fact::MinimalRiskLimit, "minimal risk limit"),
            (Fact::LeaseEnd, "lease end"),
            (Fact::DeviceLoss, "device loss"),
            (Fact::Stop, "stop"),
            (Fact::AgentEnd, "agent end"),
            (Fact::OwnRequest, "own request"),
        ];
        let mut edges = Vec::new();
        for state in states {
            for (fact, label) in facts {
                let to = next(state, fact);
                if to != state {
                    edges.push((format!("{state:?}"), format!("{to:?}"), label));
                }
            }
        }
        assert_in_safety(&mermaid("Watchdog", "MinimalRisk", &edges));
    }

    /// SAFE-20
    #[test]
    fn a_new_watchdog_is_in_minimal_risk_and_refuses_motion_until_a_neutral_resume() {
        let mut watchdog = Watchdog::new(WatchdogConfig::default());
        assert_eq!(watchdog.stage(), Stage::MinimalRisk);
        assert_eq!(watchdog.next_timeout(), None);
        for (resume, neutral) in [(false, false), (false, true), (true, false)] {
            assert_eq!(
                watchdog.on_valid(ms(0), wish(resume, neutral)),
                Err(Refusal::NeedsResume)
            );
        }
        assert_eq!(
            watchdog.on_valid(ms(0), wish(true, true)),
            Ok(Some(Stage::Nominal))
        );
    }

    /// SAFE-21
    #[test]
    fn silence_enters_each_stage_at_its_limit() {
        let mut watchdog = nominal_at_zero();
        for (limit, stage) in [
            (200, Stage::Hold),
            (500, Stage::Ramp),
            (1_500, Stage::MinimalRisk),
        ] {
            assert_eq!(watchdog.next_timeout(), Some(ms(limit)));
            assert_eq!(watchdog.on_timeout(ms(limit - 1)), None);
            assert_eq!(watchdog.on_timeout(ms(limit)), Some(stage));
            assert_eq!(watchdog.on_timeout(ms(limit)), None);
        }
        assert_eq!(watchdog.next_timeout(), None);
    }

    /// SAFE-23
    #[test]
    fn a_late_call_still_enters_every_stage_in_order() {
        let mut watchdog = nominal_at_zero();
        assert_eq!(
            entered(&mut watchdog, ms(60_000)),
            [Stage::Hold, Stage::Ramp, Stage::MinimalRisk]
        );
    }

    /// SAFE-24
    #[test]
    fn hold_resumes_by_itself() {
        let mut watchdog = nominal_at_zero();
        entered(&mut watchdog, ms(300));
        assert_eq!(
            watchdog.on_valid(ms(310), wish(false, false)),
            Ok(Some(Stage::Nominal))
        );
        assert_eq!(watchdog.next_timeout(), Some(ms(510)));
    }

    /// SAFE-25
    #[test]
    fn a_refused_command_after_ramp_does_not_feed() {
        let mut watchdog = nominal_at_zero();
        entered(&mut watchdog, ms(600));
        assert_eq!(
            watchdog.on_valid(ms(700), wish(false, false)),
            Err(Refusal::NeedsResume)
        );
        assert_eq!(watchdog.next_timeout(), Some(ms(1_500)));
        assert_eq!(entered(&mut watchdog, ms(1_500)), [Stage::MinimalRisk]);
    }

    /// SAFE-25
    #[test]
    fn a_command_before_the_late_timeouts_are_told_does_not_resume_either() {
        let mut watchdog = nominal_at_zero();
        assert_eq!(
            watchdog.on_valid(ms(500), wish(false, false)),
            Err(Refusal::NeedsResume)
        );
    }

    /// SAFE-26
    #[test]
    fn after_the_end_of_the_lease_hold_does_not_resume_by_itself() {
        let mut watchdog = nominal_at_zero();
        assert_eq!(watchdog.on_lease_end(), Some(Stage::Hold));
        assert_eq!(
            watchdog.on_valid(ms(10), wish(false, false)),
            Err(Refusal::NeedsResume)
        );
        assert_eq!(entered(&mut watchdog, ms(500)), [Stage::Ramp]);
    }

    /// SAFE-29
    #[test]
    fn after_the_loss_of_the_device_hold_does_not_resume_by_itself() {
        let mut watchdog = nominal_at_zero();
        entered(&mut watchdog, ms(250));
        assert_eq!(watchdog.on_device_loss(), None, "it is in Hold already");
        assert_eq!(
            watchdog.on_valid(ms(260), wish(false, false)),
            Err(Refusal::NeedsResume)
        );
        assert_eq!(
            entered(&mut watchdog, ms(1_500)),
            [Stage::Ramp, Stage::MinimalRisk]
        );
    }

    /// SAFE-33
    #[test]
    fn a_stop_enters_minimal_risk_at_once() {
        let mut watchdog = nominal_at_zero();
        assert_eq!(watchdog.on_stop(), Some(Stage::MinimalRisk));
        assert_eq!(watchdog.on_stop(), None);
    }

    /// SAFE-22
    #[test]
    fn limits_that_are_zero_or_do_not_grow_are_refused() {
        let new = |a, b, c| {
            WatchdogConfig::new(
                Duration::from_millis(a),
                Duration::from_millis(b),
                Duration::from_millis(c),
            )
        };
        assert_eq!(new(0, 500, 1_500), Err(WatchdogConfigError::Zero));
        assert_eq!(new(500, 500, 1_500), Err(WatchdogConfigError::Order));
        assert_eq!(new(200, 1_500, 500), Err(WatchdogConfigError::Order));
        assert_eq!(new(200, 500, 1_500), Ok(WatchdogConfig::default()));
    }
}
