//! What the control thread runs for one function: the last checks before the device, and what the device is told.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::{Accepted, DriveLimits, Limiter, Watchdog, WatchdogConfig, Wish};
use crate::base::{FencingToken, MonoTime, Refusal, Stage};
use crate::wire::{Body, Command, Drive};

/// How one function is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActuationConfig {
    /// Absent only where the device behind the adapter has a fail-safe of its own (SAFE-27).
    pub watchdog: Option<WatchdogConfig>,
    /// Bounds of typed drive commands; opaque ones cannot be bounded (SAFE-52).
    pub limits: Option<DriveLimits>,
}

/// One function's command in force, watchdog, limits and stop.
#[derive(Clone, Debug)]
pub struct Actuation {
    watchdog: Option<Watchdog>,
    limits: Option<Limiter>,
    stopped: bool,
    ended: bool,
    device_up: bool,
    newest_token: FencingToken,
    in_force: Option<InForce>,
    changes: VecDeque<StageChange>,
    clamped: u64,
}

#[derive(Clone, Copy, Debug)]
struct InForce {
    drive: Drive,
    deadline: MonoTime,
}

/// A command that passed the last checks, for the adapter; only [`Actuation::on_command`] makes one (SAFE-40).
#[derive(Clone, PartialEq, Eq)]
pub struct Applied {
    token: FencingToken,
    body: Body,
    deadline: MonoTime,
    clamped: bool,
}

/// A stage that was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageChange {
    /// When.
    pub at: MonoTime,
    /// Which.
    pub stage: Stage,
}

/// What the device is told at a fixed rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// How far the vehicle has to go into its safe state.
    pub stage: Stage,
    /// The emergency stop is latched: stop as fast as is safe.
    pub stopped: bool,
    /// The typed command in force; without one no motion is wanted (SAFE-47). Opaque commands are given once, as
    /// [`Applied`], and never repeated.
    pub drive: Option<Drive>,
    /// When all of this is over unless it is told again, on the vehicle's clock: the earliest of the command's deadline,
    /// the next stage's time and [`Output::SILENCE_MAX`] (SAFE-61).
    pub deadline: MonoTime,
    /// The same from now on.
    pub ttl_left: Duration,
}

impl Output {
    /// After this long without a word a device must fail safe by itself (SAFE-60).
    pub const SILENCE_MAX: Duration = Duration::from_millis(100);
}

impl Applied {
    /// The token of the lease that it came under.
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// What to do, within the limits.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// When it is no longer to be done, on the vehicle's clock.
    pub fn deadline(&self) -> MonoTime {
        self.deadline
    }

    /// Whether the limits changed it.
    pub fn is_clamped(&self) -> bool {
        self.clamped
    }
}

impl fmt::Debug for Applied {
    /// Without what was applied: payloads do not go into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applied")
            .field("deadline", &self.deadline)
            .field("clamped", &self.clamped)
            .finish_non_exhaustive()
    }
}

impl Actuation {
    /// Nothing in force, and no device yet; stopped when the stop latch is latched.
    pub fn new(config: ActuationConfig, stopped: bool) -> Actuation {
        Actuation {
            watchdog: config.watchdog.map(Watchdog::new),
            limits: config.limits.map(Limiter::new),
            stopped,
            ended: false,
            device_up: false,
            newest_token: FencingToken(0),
            in_force: None,
            changes: VecDeque::new(),
            clamped: 0,
        }
    }

    /// The stage as of the last fact. Without a watchdog it is Nominal, or MinimalRisk while stopped, without a device and at the
    /// end.
    pub fn stage(&self) -> Stage {
        match &self.watchdog {
            Some(watchdog) => watchdog.stage(),
            None if self.stopped || self.ended || !self.device_up => Stage::MinimalRisk,
            None => Stage::Nominal,
        }
    }

    /// Whether the emergency stop is latched.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Commands that the limits changed so far.
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// A command that the gate accepted is at the place of its use. After every check it is given to `hand_over`, with what the
    /// device is told from then on; it is in force, and life, only when the device took it (SAFE-48).
    ///
    /// # Errors
    /// `Expired` (it waited too long since the gate, SAFE-45), `Stopped`, `OldToken`, `AdapterDown`, `TooOften`,
    /// `OldPicture`, `NeedsResume`, or why it was not handed over. A refused command does not feed the watchdog.
    pub fn on_command(
        &mut self,
        now: MonoTime,
        accepted: Accepted<Command>,
        hand_over: impl FnOnce(&Applied, &Output) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        self.on_timeout(now);
        let (deadline, held) = (accepted.deadline(), now.since(accepted.sent_at()));
        let wish = wish(accepted.inner());
        let Command {
            token,
            picture_age,
            body,
            ..
        } = accepted.into_inner();
        if deadline <= now {
            return Err(Refusal::Expired);
        }
        if self.stopped {
            return Err(Refusal::Stopped);
        }
        if token < self.newest_token {
            return Err(Refusal::OldToken);
        }
        self.newest_token = token;
        // SAFE-64 SAFE-71
        if !self.device_up || self.ended {
            return Err(Refusal::AdapterDown);
        }
        let neutral = body.is_neutral();
        let picture = picture_age.map(|age| age + held);
        if let (Body::Drive(_), Some(limiter)) = (&body, &mut self.limits) {
            limiter.check_picture(picture, neutral)?;
            limiter.on_command(now, neutral)?;
        }
        let before = (self.watchdog.clone(), self.in_force);
        let change = match &mut self.watchdog {
            Some(watchdog) => watchdog.on_valid(now, wish)?,
            None => None,
        };
        let applied = self.put_in_force(now, body, deadline, picture.unwrap_or(held));
        let output = self.output(now);
        if let Err(why) = hand_over(&applied, &output) {
            (self.watchdog, self.in_force) = before;
            return Err(why);
        }
        if let (Body::Drive(drive), Some(limiter)) = (&applied.body, &mut self.limits) {
            limiter.on_applied(now, *drive);
        }
        self.clamped = self.clamped.saturating_add(u64::from(applied.clamped));
        self.tell(now, change);
        Ok(())
    }

    /// Judges a command of the function's next holder as [`Actuation::on_command`] would, but for its token and the rate, and
    /// does nothing with it.
    ///
    /// # Errors
    /// As there.
    // [SAFE-90]
    pub fn rehearse(&mut self, now: MonoTime, accepted: &Accepted<Command>) -> Result<(), Refusal> {
        self.on_timeout(now);
        let command = accepted.inner();
        if accepted.deadline() <= now {
            return Err(Refusal::Expired);
        }
        if self.stopped {
            return Err(Refusal::Stopped);
        }
        if !self.device_up || self.ended {
            return Err(Refusal::AdapterDown);
        }
        let held = now.since(accepted.sent_at());
        if let (Body::Drive(_), Some(limiter)) = (&command.body, &self.limits) {
            let picture = command.picture_age.map(|age| age + held);
            limiter.check_picture(picture, command.body.is_neutral())?;
        }
        match self.watchdog.clone() {
            Some(mut watchdog) => watchdog.on_valid(now, wish(command)).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The function's lease is handed over: what was sent under an earlier token is refused from now on.
    // [SAFE-91]
    pub fn on_handed_over(&mut self, token: FencingToken) {
        self.newest_token = self.newest_token.max(token);
    }

    /// Whether the device is there, as its adapter knows now. Its loss voids the command in force at once (SAFE-29).
    pub fn on_device(&mut self, now: MonoTime, up: bool) {
        self.on_timeout(now);
        let before = self.stage();
        let lost = std::mem::replace(&mut self.device_up, up) && !up;
        if lost {
            self.void();
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.on_device_loss();
            }
        }
        self.tell_if_changed(now, before);
    }

    /// The emergency stop is latched: nothing stays in force and nothing is applied until the reset (SAFE-33).
    pub fn on_stop(&mut self, now: MonoTime) {
        self.void();
        let before = self.stage();
        self.stopped = true;
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.on_stop();
        }
        self.tell_if_changed(now, before);
    }

    /// The emergency stop is cleared. With a watchdog motion needs a resume with neutral input.
    pub fn on_reset(&mut self, now: MonoTime) {
        let before = self.stage();
        self.stopped = false;
        self.tell_if_changed(now, before);
    }

    /// The agent ends: nothing stays in force and nothing is applied any more (SAFE-71).
    pub fn on_end(&mut self, now: MonoTime) {
        self.on_timeout(now);
        self.void();
        let before = self.stage();
        self.ended = true;
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.on_end();
        }
        self.tell_if_changed(now, before);
    }

    /// The vehicle's own software asks for MinimalRisk: nothing stays in force, and motion needs a resume (SAFE-130).
    ///
    /// # Errors
    /// `NoSuchFunction` without a watchdog: nothing could resume.
    pub fn on_own_request(&mut self, now: MonoTime) -> Result<(), Refusal> {
        self.on_timeout(now);
        let Some(watchdog) = &mut self.watchdog else {
            return Err(Refusal::NoSuchFunction);
        };
        let change = watchdog.on_own_request();
        self.void();
        self.tell(now, change);
        Ok(())
    }

    /// The function's lease has ended (lapse, release, end of session): its last command is void at once (SAFE-26).
    pub fn on_lease_end(&mut self, now: MonoTime) {
        self.on_timeout(now);
        self.void();
        let change = self.watchdog.as_mut().and_then(Watchdog::on_lease_end);
        self.tell(now, change);
    }

    /// Enters every stage that is due, in order, and drops a command whose time is over.
    pub fn on_timeout(&mut self, now: MonoTime) {
        while let Some(stage) = self.watchdog.as_mut().and_then(|w| w.on_timeout(now)) {
            self.tell(now, Some(stage));
        }
        if self.stage() > Stage::Hold || self.in_force.is_some_and(|held| held.deadline <= now) {
            self.void();
        }
    }

    /// When a stage is due or the command in force is over.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        let stage = self.watchdog.as_ref().and_then(Watchdog::next_timeout);
        let command = self.in_force.map(|held| held.deadline);
        stage.into_iter().chain(command).min()
    }

    /// What to tell the device now; timeouts that are due count (SAFE-46).
    pub fn output(&mut self, now: MonoTime) -> Output {
        self.on_timeout(now);
        let deadline = self
            .next_timeout()
            .into_iter()
            .chain([now + Output::SILENCE_MAX])
            .min()
            .unwrap_or(now);
        Output {
            stage: self.stage(),
            stopped: self.stopped,
            drive: self.in_force.map(|held| held.drive),
            deadline,
            ttl_left: deadline.since(now),
        }
    }

    /// The next stage that was entered.
    pub fn poll_event(&mut self) -> Option<StageChange> {
        self.changes.pop_front()
    }

    fn put_in_force(
        &mut self,
        now: MonoTime,
        body: Body,
        deadline: MonoTime,
        delay: Duration,
    ) -> Applied {
        let (body, clamped) = match body {
            Body::Drive(wanted) => {
                let drive = self
                    .limits
                    .as_ref()
                    .map_or(wanted, |limiter| limiter.clamp(now, wanted, delay));
                self.in_force = Some(InForce { drive, deadline });
                (Body::Drive(drive), drive != wanted)
            }
            Body::Opaque(_) => (body, false),
        };
        Applied {
            token: self.newest_token,
            body,
            deadline,
            clamped,
        }
    }

    /// Nothing is in force any more.
    fn void(&mut self) {
        self.in_force = None;
        if let Some(limiter) = &mut self.limits {
            limiter.on_nothing_in_force();
        }
    }

    fn tell_if_changed(&mut self, now: MonoTime, before: Stage) {
        let after = self.stage();
        self.tell(now, (before != after).then_some(after));
    }

    fn tell(&mut self, now: MonoTime, change: Option<Stage>) {
        let Some(stage) = change else { return };
        if self.changes.len() >= CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(StageChange { at: now, stage });
    }
}

fn wish(command: &Command) -> Wish {
    Wish {
        resume: command.resume,
        neutral: command.body.is_neutral(),
        enabled: command.dead_man || matches!(command.body, Body::Opaque(_)),
    }
}

/// Stage changes that wait to be polled; nobody who runs an actuation leaves more than a few. The oldest gives way.
const CHANGES_MAX: usize = 64;

#[cfg(test)]
mod tests;
