//! A drive under way: what the operator wants goes out, what the vehicle tells is shown.

use std::future::pending;
use std::time::Duration;

use longrein_io::clock;
use longrein_io::exit::Exit;
use longrein_proto::base::{Class, Name, Refusal, Stage};
use longrein_proto::role::{Order, VehicleStatus};
use longrein_proto::wire::{Body, Drive, Telemetry};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::drive::DriveArgs;
use super::failure::Failure;
use super::holder::{Change, Holder};
use super::output::{self, Reader};
use super::report;
use super::status_line::{Shown, StatusLine};
use super::tally::Tally;
use crate::input::{Controls, Input};
use crate::{Events, LeaseLoss, RequestError, StopError, Stopped, Vehicle, VehicleEvent};

/// A drive under way.
pub struct Ride {
    vehicle: Vehicle,
    function: Name,
    ttl: Duration,
    json: bool,
    scripted: bool,
    holder: Holder,
    line: StatusLine,
    stopping: Option<JoinHandle<Result<Stopped, StopError>>>,
    stop_asked: bool,
    ticks: u64,
    tally: Tally,
    stages: Vec<Stage>,
    shown: Shown,
}

/// Whether the drive goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It does.
    On,
    /// The operator ends it.
    Quit,
}

/// What a ride waits for beside its input and the vehicle's events.
#[derive(Debug)]
pub enum News {
    /// Of the lease.
    Lease(Change),
    /// The vehicle's answer to a stop.
    Stop(Result<Stopped, StopError>),
}

impl Ride {
    /// A drive that has its lease.
    pub fn new(vehicle: Vehicle, holder: Holder, args: &DriveArgs) -> Ride {
        Ride {
            vehicle,
            function: args.function.clone(),
            ttl: Duration::from_millis(args.ttl_ms.into()),
            json: args.json,
            scripted: args.input.is_some(),
            holder,
            line: StatusLine::new(!args.json),
            stopping: None,
            stop_asked: false,
            ticks: 0,
            tally: Tally::default(),
            stages: Vec::new(),
            shown: Shown::default(),
        }
    }

    /// Says something to the operator.
    pub fn say(&mut self, text: &str) {
        self.line.say(text);
    }

    /// Sends what the operator wants now.
    ///
    /// # Errors
    /// When the input fails.
    pub async fn on_tick(&mut self, input: &mut Input) -> Result<Step, Failure> {
        self.ticks += 1;
        let controls = input.poll(clock::now())?;
        if controls.stop {
            self.stop();
        }
        if controls.quit {
            return Ok(Step::Quit);
        }
        if controls.resume && self.holder.is_free() {
            self.holder.take_now();
        }
        self.send(controls).await;
        if self.line.is_live() && self.ticks.is_multiple_of(TICKS_PER_SHOW) {
            self.show().await?;
        }
        Ok(Step::On)
    }

    /// Takes in what the vehicle tells.
    ///
    /// # Errors
    /// When stdout fails.
    pub fn on_event(&mut self, event: VehicleEvent) -> Result<Step, Failure> {
        if self.json && self.print(&report::json(&self.vehicle, &event))? == Reader::Gone {
            return Ok(Step::Quit);
        }
        if matches!(event, VehicleEvent::Up { .. }) {
            self.tally.on_session();
        }
        match &event {
            VehicleEvent::Status(status) => return self.on_status(status),
            VehicleEvent::Telemetry {
                function,
                telemetry: Telemetry::Vehicle(state),
                ..
            } if *function == self.function => self.shown.speed_mm_s = Some(state.speed_mm_s),
            // The holder tells that.
            VehicleEvent::LeaseLost { .. } | VehicleEvent::Telemetry { .. } => {}
            VehicleEvent::Up { .. }
            | VehicleEvent::Down { .. }
            | VehicleEvent::Presence { .. }
            | VehicleEvent::Draining { .. }
            | VehicleEvent::Described { .. }
            | VehicleEvent::News { .. }
            | VehicleEvent::Receipt { .. } => {
                if let Some(line) = report::line(&event) {
                    self.line.say(&line);
                }
            }
        }
        Ok(Step::On)
    }

    /// Waits for news of the lease, or of a stop; dropping the future loses nothing.
    pub async fn news(&mut self) -> News {
        tokio::select! {
            change = self.holder.change() => News::Lease(change),
            answer = answer(&mut self.stopping) => News::Stop(answer),
        }
    }

    /// Takes in news.
    ///
    /// # Errors
    /// When somebody else has the lease.
    pub fn on_news(&mut self, news: News) -> Result<Step, Failure> {
        match news {
            News::Stop(answer) => {
                self.stopping = None;
                self.line.say(&stop_line(&answer));
            }
            News::Lease(Change::Taken) => self.line.say("the lease is held again"),
            News::Lease(Change::Lost(loss @ (LeaseLoss::Taken { .. } | LeaseLoss::Removed(_)))) => {
                return Err(Failure::new(Exit::Refused, loss));
            }
            News::Lease(Change::Lost(loss)) => {
                self.line.say(&format!("{loss}: resume to take it again"));
            }
            // A request that was late says nothing of the next one.
            News::Lease(Change::NotGiven(RequestError::Refused(why)))
                if why != Refusal::Expired =>
            {
                return Err(RequestError::Refused(why).into());
            }
            News::Lease(Change::NotGiven(why)) => {
                self.line.say(&format!("{why}: resume to try again"));
            }
        }
        Ok(Step::On)
    }

    /// Tells the vehicle to stand, hears what became of the commands and gives the lease back; a stop that is under way
    /// gets this long for its answer.
    ///
    /// # Errors
    /// What ended the drive, a stop without an answer, and of a script commands that were not sent or had no effect.
    pub async fn end(
        mut self,
        ended: Result<(), Failure>,
        events: &mut Events,
        patience: Duration,
    ) -> Result<(), Failure> {
        if self.holder.lease().is_some() {
            // When it does not arrive, the vehicle stands for want of commands.
            self.send(Controls::default()).await;
        }
        let stopped = match self.stopping.is_some() {
            true => {
                let answer = tokio::time::timeout(patience, answer(&mut self.stopping)).await;
                let vehicle = self.vehicle.name().clone();
                answer.unwrap_or(Err(StopError::Unanswered { vehicle }))
            }
            false => Ok(Stopped {
                generation: 0,
                latched: true,
            }),
        };
        // Nobody is told when the vehicle does not report in time: the last figures stand.
        let hearing = self.hear_last(events);
        tokio::time::timeout(patience.min(REPORT_PATIENCE), hearing)
            .await
            .ok();
        let summary = self.summary();
        self.line.end();
        if self.json {
            self.print(&summary)?;
        } else {
            let line = self.tally.line();
            self.line.say(&line);
        }
        self.holder.release(patience).await;
        ended?;
        stopped?;
        match self.scripted {
            true => self.tally.verdict(self.shown.stopped && !self.stop_asked),
            false => Ok(()),
        }
    }

    /// Takes in statuses until one tells what became of the last command.
    async fn hear_last(&mut self, events: &mut Events) {
        while !self.tally.is_settled() {
            match events.next().await {
                Some(VehicleEvent::Status(status)) => {
                    // The summary is printed next, and fails on the same stdout.
                    self.on_status(&status).ok();
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    async fn send(&mut self, controls: Controls) {
        let number = match self.holder.lease() {
            Some(lease) => lease.send(self.order(controls)).await.ok(),
            None => None,
        };
        self.tally.on_command(number);
    }

    fn order(&self, controls: Controls) -> Order {
        Order {
            class: Class::Latest,
            ttl: self.ttl,
            dead_man: controls.dead_man,
            resume: controls.resume,
            application_id: None,
            picture_age: None,
            body: Body::Drive(drive_of(controls)),
        }
    }

    /// A stop that is under way already is repeated until it is answered.
    fn stop(&mut self) {
        self.stop_asked = true;
        if self.stopping.is_none() {
            self.line.say("EMERGENCY STOP");
            let vehicle = self.vehicle.clone();
            self.stopping = Some(tokio::task::spawn_local(async move {
                vehicle.stop(STOP_PATIENCE).await
            }));
        }
    }

    fn on_status(&mut self, status: &VehicleStatus) -> Result<Step, Failure> {
        let beat = &status.beat;
        if beat.stopped != self.shown.stopped {
            self.shown.stopped = beat.stopped;
            self.line
                .say(&report::latch_line(self.vehicle.name(), beat.stopped));
            let event = report::latch_json(self.vehicle.name(), beat.stopped);
            if self.json && self.print(&event)? == Reader::Gone {
                return Ok(Step::Quit);
            }
        }
        let functions = report::functions(&self.vehicle);
        let Some(place) = functions.iter().position(|name| *name == self.function) else {
            return Ok(Step::On);
        };
        let stage = beat.functions.get(place).map(|report| report.stage);
        if let Some(stage) = stage.filter(|stage| self.shown.stage != Some(*stage)) {
            if self.stages.len() < STAGES_MAX {
                self.stages.push(stage);
            }
            if !self.line.is_live() && !self.json {
                self.line.say(&format!("stage {stage}"));
            }
        }
        let flow = report::flow(&functions, &self.function, Class::Latest);
        let report = beat.flows.iter().find(|report| Some(report.flow) == flow);
        if let Some(report) = report {
            self.tally.on_report(report);
        }
        self.shown.stage = stage;
        self.shown.times = beat.times.or(self.shown.times);
        Ok(Step::On)
    }

    async fn show(&mut self) -> Result<(), Failure> {
        self.shown.paths = self.vehicle.quality().await?.paths;
        self.shown.token = self.holder.lease().map(|lease| lease.token().0);
        self.line.show(&self.shown);
        Ok(())
    }

    fn summary(&self) -> Value {
        let stages: Vec<String> = self.stages.iter().map(ToString::to_string).collect();
        let mut summary = json!({
            "event": "summary",
            "vehicle": self.vehicle.name().as_str(),
            "stopped": self.shown.stopped,
            "stages": stages,
        });
        if let Some(summary) = summary.as_object_mut() {
            summary.extend(self.tally.fields());
        }
        summary
    }

    fn print(&self, object: &Value) -> Result<Reader, Failure> {
        Ok(output::print([object.to_string()])?)
    }
}

/// A resume is honoured with neutral input only.
fn drive_of(controls: Controls) -> Drive {
    let speed_mm_s = match controls.resume {
        true => 0,
        false => controls.speed_mm_s,
    };
    Drive {
        speed_mm_s,
        ..controls.drive()
    }
}

/// The answer to a stop; waits for ever when there is none under way.
async fn answer(
    stopping: &mut Option<JoinHandle<Result<Stopped, StopError>>>,
) -> Result<Stopped, StopError> {
    match stopping {
        Some(stop) => stop
            .await
            .unwrap_or(Err(StopError::Connection(crate::RemoteError::Ended))),
        None => pending().await,
    }
}

fn stop_line(answer: &Result<Stopped, StopError>) -> String {
    match answer {
        Ok(stopped) if stopped.latched => {
            "the vehicle is stopped: `longrein reset` clears it".to_string()
        }
        Ok(_) => "the vehicle answered the stop, and is not stopped: STOP AGAIN".to_string(),
        Err(why) => why.to_string(),
    }
}

/// Commands between two looks of the live line: 100 ms.
const TICKS_PER_SHOW: u64 = 5;
/// How long an emergency stop of the drive is repeated without an answer.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How long the end waits for a status after the last command; the vehicle sends one every 200 ms.
const REPORT_PATIENCE: Duration = Duration::from_millis(300);
/// Stages that a summary lists.
const STAGES_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_goes_out_with_neutral_input() {
        let controls = Controls {
            speed_mm_s: 500,
            curvature_per_km: 20,
            dead_man: true,
            resume: true,
            ..Controls::default()
        };
        let drive = drive_of(controls);
        assert_eq!((drive.speed_mm_s, drive.curvature_per_km), (0, 20));
        let resume = false;
        assert_eq!(drive_of(Controls { resume, ..controls }).speed_mm_s, 500);
    }

    #[test]
    fn a_stop_without_effect_is_told_plainly() {
        let stopped = Stopped {
            generation: 1,
            latched: false,
        };
        assert!(stop_line(&Ok(stopped)).contains("STOP AGAIN"));
    }
}
