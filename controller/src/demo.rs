//! The demo: a fleet on this machine, driven in a figure of eight through the loss of a relay and of a link.

mod applied;
mod course;
mod report;

use std::time::Duration;

use longrein_io::clock;
use longrein_proto::base::{Name, NodeKind};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

pub use self::applied::{AppliedCommand, AppliedLines, StageEntered};
pub use self::report::{Report, Spread};
use crate::local_fleet::{LocalFleet, LocalFleetError, Plan};
use crate::{
    ConnectError, Connection, Drive, Lease, OpenError, RequestError, SendError, Settings, Vehicle,
    VehicleEvent,
};

/// Why a demo does not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The fleet does not come up.
    #[error(transparent)]
    Fleet(#[from] LocalFleetError),
    /// No relay is reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The vehicle is not reached.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The vehicle refuses the lease.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A command is not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// What the agent wrote cannot be read.
    #[error("cannot read what the agent applied: {0}")]
    Applied(#[from] std::io::Error),
}

/// Starts a fleet, drives, breaks things, and counts; tells `progress` a line now and then.
///
/// # Errors
/// [`DemoError`]: the demo could not be carried out, which says nothing about lost commands.
pub async fn run(plan: Plan, mut progress: impl FnMut(&str)) -> Result<Report, DemoError> {
    progress(&format!(
        "starting {} relays and an agent with {} links",
        plan.relays.len(),
        plan.links.len()
    ));
    let mut fleet = LocalFleet::start(plan)?;
    let connection = Connection::connect(settings(&fleet)?).await?;
    let vehicle = connection.open(&self::vehicle()?).await?;
    all_paths_up(&vehicle, fleet.relays().len()).await;
    let lease = vehicle.take(&function()?).await?;
    let mut report = drive(&mut fleet, &vehicle, &lease, &mut progress).await?;
    let superseded_and_late = counts(&vehicle).await;
    lease.release().await?;
    connection.close().await;
    fleet.stop_agent()?;
    report.count(
        &AppliedLines::read(&fleet.applied_log())?,
        superseded_and_late,
    );
    Ok(report)
}

/// Papers and relays of the demo's controller.
///
/// # Errors
/// There is no such controller.
pub fn settings(fleet: &LocalFleet) -> Result<Settings, LocalFleetError> {
    let mut settings = Settings::new(fleet.identity(NodeKind::Controller, CONTROLLER)?);
    for relay in fleet.relays() {
        let name = relay
            .name
            .parse()
            .map_err(|_| LocalFleetError::Name(relay.name.clone()))?;
        settings = settings.relay(name, relay.address.to_string());
    }
    Ok(settings)
}

/// The demo's vehicle.
///
/// # Errors
/// Never: it is a name.
pub fn vehicle() -> Result<Name, LocalFleetError> {
    AGENT
        .parse()
        .map_err(|_| LocalFleetError::Name(AGENT.into()))
}

/// Its function.
///
/// # Errors
/// Never: it is a name.
pub fn function() -> Result<Name, LocalFleetError> {
    DRIVE
        .parse()
        .map_err(|_| LocalFleetError::Name(DRIVE.into()))
}

async fn drive(
    fleet: &mut LocalFleet,
    vehicle: &Vehicle,
    lease: &Lease,
    progress: &mut impl FnMut(&str),
) -> Result<Report, DemoError> {
    let mut report = Report::default();
    let began = Instant::now();
    let mut ticks = interval_at(began, PERIOD);
    // A tick that comes late is made up for: every command is sent.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for tick in 0..COMMANDS {
        ticks.tick().await;
        let at_ms = tick * PERIOD_MS;
        if at_ms == KILL_AT_MS {
            fleet.kill_relay(0);
            report.relay_killed_at_ms = elapsed_ms(began);
            progress(&format!(
                "{:>5.1} s  killed {}",
                seconds(at_ms),
                name_of(fleet, 0)
            ));
        }
        if at_ms == CUT_AT_MS {
            fleet.cut_link(0, true);
            report.link_cut_at_ms = elapsed_ms(began);
            progress(&format!(
                "{:>5.1} s  cut the link lte in both directions",
                seconds(at_ms)
            ));
        }
        // The first command is the explicit resume, with neutral input.
        let first = tick == 0;
        let wanted = if first {
            Drive::NEUTRAL
        } else {
            course::at(Duration::from_millis(at_ms))
        };
        let called_us = clock::now().as_us();
        let number = lease.drive(wanted, true, first).await?;
        report.sent.insert(number, called_us);
        if tick % REPORT_EVERY == REPORT_EVERY - 1 {
            progress(&line(at_ms + PERIOD_MS, report.sent.len(), vehicle).await);
        }
    }
    // The last command's time to live.
    sleep(Lease::DRIVE_TTL).await;
    Ok(report)
}

/// Waits until every relay knows both ends, so that the drive begins with everything there is to break.
async fn all_paths_up(vehicle: &Vehicle, relays: usize) {
    let Ok(mut events) = vehicle.watch().await else {
        return;
    };
    let began = Instant::now();
    while began.elapsed() < SETTLE_MAX {
        if vehicle.connection().relays().len() >= relays {
            break;
        }
        // An event, or a moment: what is waited for is asked for above.
        let _ = tokio::time::timeout(Duration::from_millis(20), events.next()).await;
    }
    // The agent's own paths come up at the same time as these; give them one heartbeat.
    sleep(Duration::from_millis(300)).await;
}

/// What the vehicle says of the drive's flow when everything is sent: superseded, and too late.
async fn counts(vehicle: &Vehicle) -> (u64, u64) {
    let Ok(mut events) = vehicle.watch().await else {
        return (0, 0);
    };
    let mut newest = (0, 0);
    let began = Instant::now();
    // Two beats at least, so that one was made after the last command.
    while began.elapsed() < Duration::from_millis(400) {
        let next = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
        if let Ok(Some(VehicleEvent::Status(status))) = next {
            let flows = status
                .beat
                .flows
                .iter()
                .filter(|flow| flow.flow.channel.number() == 1);
            newest = flows.fold((0, 0), |sum, flow| {
                (sum.0 + flow.counts.superseded, sum.1 + flow.counts.expired)
            });
        }
    }
    newest
}

async fn line(at_ms: u64, sent: usize, vehicle: &Vehicle) -> String {
    let mut line = format!("{:>5.1} s  sent {sent}", seconds(at_ms));
    if let Ok(status) = vehicle.status().await {
        if let Some(function) = status.beat.functions.first() {
            line += &format!("  {}", function.stage);
        }
        if let Some(flow) = status
            .beat
            .flows
            .iter()
            .find(|flow| flow.flow.channel.number() == 1)
        {
            line += &format!("  newest known applied {}", flow.applied);
        }
        if let Some(times) = status.beat.times {
            let [controller, up, relay, down, agent] =
                times.parts().map(|part| f64::from(part) / 100.0);
            line += &format!(
                "  newest: controller {controller:.2} + up {up:.2} + relay {relay:.2} + down {down:.2} + agent {agent:.2} ms"
            );
        }
    }
    line
}

fn name_of(fleet: &LocalFleet, relay: usize) -> &str {
    fleet
        .relays()
        .get(relay)
        .map_or("a relay", |relay| relay.name.as_str())
}

fn elapsed_ms(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a demo lasts seconds")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// The agent of [`Plan::demo`].
const AGENT: &str = "truck-17";
/// Its function.
const DRIVE: &str = "drive";
/// The controller of [`Plan::demo`].
const CONTROLLER: &str = "desk";
/// 50 Hz for 20 s.
const PERIOD_MS: u64 = 20;
const PERIOD: Duration = Duration::from_millis(PERIOD_MS);
const COMMANDS: u64 = 1_000;
const KILL_AT_MS: u64 = 7_000;
const CUT_AT_MS: u64 = 13_000;
/// A line of progress each second.
const REPORT_EVERY: u64 = 50;
const SETTLE_MAX: Duration = Duration::from_secs(5);
