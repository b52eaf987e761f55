//! A link that comes and goes while somebody drives.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::sleep;
use std::time::Duration;

use longrein::demo::{AppliedCommand, AppliedLines};
use longrein::{Connection, Drive, Settings};
use longrein_proto::base::Entropy;
use tokio::time::{MissedTickBehavior, interval};

use super::fleet::WanFleet;
use super::plan::{CONTROLLER, Interface, NodePlan, VEHICLE, fleet_nodes};
use super::profile::Profile;
use super::wan::{Wan, WanError};
use crate::Chance;

/// How an interface is taken from a node and given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flap {
    /// It is set down, and up again.
    Down,
    /// Its address is deleted, and added again.
    Address,
    /// Its address is deleted, and another one added.
    Renumber,
    /// It is deleted, and one of the same name made.
    Delete,
}

impl Flap {
    /// All kinds.
    pub const ALL: [Flap; 4] = [Flap::Down, Flap::Address, Flap::Renumber, Flap::Delete];
}

/// How an interface of the vehicle flaps.
#[derive(Clone, Debug)]
pub struct Flaps {
    /// The interface.
    pub interface: String,
    /// Kinds and times.
    pub chance: Chance,
    /// So many flaps at most.
    pub count_max: u64,
    /// Of these, the share after which it stays for so long that it is in use when the next one comes.
    pub long_stays: f64,
}

/// What was driven, and what of it was applied.
#[derive(Clone, Debug)]
pub struct FlappedDrive {
    /// Commands that were sent.
    pub sent: usize,
    /// Flaps meanwhile.
    pub flaps: u64,
    /// What was applied of them.
    pub applied: Vec<AppliedCommand>,
    /// Files that the agent had open before, and has after.
    pub files: (usize, usize),
    /// Its resident memory before and after, in KiB.
    pub resident_kib: (u64, u64),
}

impl Flaps {
    fn run(mut self, wan: &Wan, done: &AtomicU64, ended: &AtomicBool) -> Result<(), WanError> {
        while done.load(Ordering::Relaxed) < self.count_max && !ended.load(Ordering::Relaxed) {
            let kinds = Flap::ALL.len() as u64;
            let kind = usize::try_from(self.chance.next_u64() % kinds).unwrap_or_default();
            let flap = Flap::ALL[kind];
            wan.take(VEHICLE, &self.interface, flap)?;
            sleep(self.chance.around(AWAY_MEAN));
            wan.give_back(VEHICLE, &self.interface, flap)?;
            done.fetch_add(1, Ordering::Relaxed);
            sleep(if self.chance.happens(self.long_stays) {
                LONG_STAY
            } else {
                self.chance.around(STAY_MEAN)
            });
        }
        Ok(())
    }
}

impl FlappedDrive {
    /// The `[[link]]` sections of an agent that is at home in [`FlappedDrive::nodes`].
    pub const LINKS: &str = "[[link]]\nname = \"modem\"\ninterface = \"wwan*\"\n[[link]]\nname = \"cable\"\ninterface = \"eth0\"\n";

    /// A vehicle with a modem, which flaps, and a cable, 15 ms each; two relays, and an office 5 ms away.
    pub fn nodes() -> Vec<NodePlan> {
        let steady = Profile::delayed(Duration::from_millis(15));
        fleet_nodes(
            vec![
                Interface::new("wwan0", steady),
                Interface::new("eth0", steady),
            ],
            &[("relay-a", Profile::CLEAR), ("relay-b", Profile::CLEAR)],
            vec![Interface::new(
                "office",
                Profile::delayed(Duration::from_millis(5)),
            )],
        )
    }

    /// Drives at 50 Hz while a link flaps, for as long as `goes_on` says of the commands sent and the flaps so far. The agent's links
    /// all work when it begins; the fleet is stopped in the end.
    ///
    /// # Errors
    /// Of the network, the fleet or the log.
    ///
    /// # Panics
    /// When nothing can be driven.
    pub fn run(
        mut fleet: WanFleet,
        flaps: Flaps,
        paths: usize,
        goes_on: impl Fn(usize, u64) -> bool + Send + Sync,
    ) -> anyhow::Result<FlappedDrive> {
        let settings = fleet.settings("desk")?;
        let process = fleet.agent().id();
        until("every link works", || {
            fleet.agent().log().matches("path is up").count() >= paths
        });
        let (done, ended) = (AtomicU64::new(0), AtomicBool::new(false));
        let (drives, driving) = sync_channel(1);
        let wan = fleet.wan();
        let (sent, before) = std::thread::scope(|scope| {
            let (done, ended) = (&done, &ended);
            let flapping = scope.spawn(move || {
                // Nobody drives who has failed, and says so.
                let _ = driving.recv();
                let before = (open_files(process)?, resident_kib(process)?);
                flaps.run(wan, done, ended)?;
                anyhow::Ok(before)
            });
            let sent = wan.node(CONTROLLER).enter(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(drive(settings, |sent| {
                    if sent == CALM {
                        let _ = drives.try_send(());
                    }
                    goes_on(sent, done.load(Ordering::Relaxed))
                }))
            });
            ended.store(true, Ordering::Relaxed);
            drop(drives);
            match flapping.join() {
                Ok(before) => anyhow::Ok((sent?, before?)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })?;
        // It may take a moment until the link is used again.
        let settled = || open_files(process).is_ok_and(|files| files == before.0);
        wait(settled, SETTLED_MAX);
        let after = (open_files(process)?, resident_kib(process)?);
        fleet.stop()?;
        let applied = AppliedLines::read(&fleet.applied_log())?.commands;
        Ok(FlappedDrive {
            sent,
            flaps: done.load(Ordering::Relaxed),
            applied,
            files: (before.0, after.0),
            resident_kib: (before.1, after.1),
        })
    }

    /// Commands that were not applied.
    pub fn lost(&self) -> usize {
        self.sent - self.applied.len()
    }

    /// Microseconds from one command that was applied to the next.
    pub fn gaps_us(&self) -> Vec<u64> {
        let pairs = self.applied.windows(2);
        pairs
            .map(|pair| pair[1].applied_at_us.saturating_sub(pair[0].applied_at_us))
            .collect()
    }

    /// Microseconds from sending a command to its effect.
    pub fn delays_us(&self) -> Vec<u64> {
        let delay = |command: &AppliedCommand| {
            let sent = command.sent_there_us?;
            Some(command.applied_at_us.saturating_sub(sent))
        };
        self.applied.iter().filter_map(delay).collect()
    }
}

/// Drives for as long as `goes_on` says; how many commands that was.
async fn drive(settings: Settings, goes_on: impl Fn(usize) -> bool) -> anyhow::Result<usize> {
    let connection = Connection::connect(settings).await?;
    let vehicle = connection.open(&"truck-17".parse()?).await?;
    let wheel = vehicle.take(&"drive".parse()?).await?;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    while goes_on(sent) {
        ticks.tick().await;
        let drive = Drive {
            speed_mm_s: if sent < ENABLING { 0 } else { 1_000 },
            curvature_per_km: 0,
        };
        wheel.drive(drive, true, sent < ENABLING).await?;
        sent += 1;
    }
    wheel.release().await?;
    connection.close().await;
    Ok(sent)
}

fn open_files(process: u32) -> std::io::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

/// Resident memory of a process, in KiB.
///
/// # Errors
/// When there is no such process.
pub fn resident_kib(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn until(what: &str, fact: impl Fn() -> bool) {
    assert!(wait(fact, PATIENCE), "{what} did not come true");
}

fn wait(fact: impl Fn() -> bool, patience: Duration) -> bool {
    let began = std::time::Instant::now();
    while !fact() {
        if began.elapsed() > patience {
            return false;
        }
        sleep(Duration::from_millis(10));
    }
    true
}

/// The period of a drive command.
pub const PERIOD: Duration = Duration::from_millis(20);
/// Commands before the first flap: by then the agent has opened all that it needs for a drive.
const CALM: usize = 100;
/// Commands that ask for motion.
const ENABLING: usize = 10;
/// For how long it is away.
const AWAY_MEAN: Duration = Duration::from_millis(10);
/// For how long it stays.
const STAY_MEAN: Duration = Duration::from_millis(20);
/// So long that its paths are in use again.
const LONG_STAY: Duration = Duration::from_millis(1_500);
/// For the agent to use as many files as before.
const SETTLED_MAX: Duration = Duration::from_secs(30);
/// A loaded machine may take long.
const PATIENCE: Duration = Duration::from_secs(60);
