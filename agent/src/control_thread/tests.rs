//! Drives the real thread with a device that records what it is told. Each test waits for facts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver as Told, Sender as Tell, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longrein_proto::control::{Applied, Output, WatchdogConfig};
use longrein_proto::wire::{Body, VehicleState};

use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};

use super::*;
use crate::adapter::Taken;
use crate::adapter::{AdapterConfig, config::SimConfig, open};
use crate::config::{LocalLevel, LocalSection, Mode};
use crate::local::board::Board;
use crate::testing::{accepted, drive, now, until};

const DRIVE: Channel = match Channel::new(1) {
    Some(channel) => channel,
    None => Channel::SESSION,
};

/// Long enough that a loaded machine is no reason for an expiry.
const TTL: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fact {
    Command(Body),
    Output(Stage, bool, Option<i16>),
    Closed,
}

/// A device that records, and that a test can hold up.
struct Recorder {
    facts: Tell<Fact>,
    gate: Arc<Mutex<()>>,
    up: Arc<AtomicBool>,
    free: Arc<AtomicBool>,
}

impl Adapter for Recorder {
    fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    fn is_free(&self) -> bool {
        self.free.load(Ordering::Acquire)
    }

    fn on_command(
        &mut self,
        _now: MonoTime,
        applied: &Applied,
        _output: &Output,
    ) -> Result<Taken, Refusal> {
        let _held_up = self.gate.lock().unwrap();
        let _ = self.facts.send(Fact::Command(applied.body().clone()));
        Ok(Taken::Done)
    }

    fn on_output(&mut self, _now: MonoTime, output: &Output) {
        let speed = output.drive.map(|drive| drive.speed_mm_s);
        let _ = self
            .facts
            .send(Fact::Output(output.stage, output.stopped, speed));
    }

    fn poll(&mut self, _now: MonoTime) -> Option<Telemetry> {
        None
    }

    fn wake_on<'a>(&'a self, _fds: &mut Vec<PollFd<'a>>) {}

    fn feed_interval(&self) -> Duration {
        Duration::from_millis(20)
    }

    fn close(&mut self) {
        let _ = self.facts.send(Fact::Closed);
    }
}

struct Rig {
    thread: ControlThread,
    facts: Told<Fact>,
    outputs: tokio::sync::mpsc::Receiver<ControlOutput>,
    gate: Arc<Mutex<()>>,
    up: Arc<AtomicBool>,
    free: Arc<AtomicBool>,
}

impl Rig {
    fn new(watchdog: WatchdogConfig, log: Option<AppliedLog>) -> Rig {
        Rig::with_local(watchdog, log, None)
    }

    fn with_local(watchdog: WatchdogConfig, log: Option<AppliedLog>, local: Option<Server>) -> Rig {
        let (facts, told) = channel();
        let gate = Arc::new(Mutex::new(()));
        let up = Arc::new(AtomicBool::new(true));
        let free = Arc::new(AtomicBool::new(true));
        let (sink, outputs) = bounded_outputs();
        let function = FunctionConfig {
            channel: DRIVE,
            actuation: ActuationConfig {
                watchdog: Some(watchdog),
                limits: None,
            },
            adapter: Box::new(Recorder {
                facts,
                gate: Arc::clone(&gate),
                up: Arc::clone(&up),
                free: Arc::clone(&free),
            }),
        };
        let config = ControlConfig {
            functions: vec![function],
            stopped: false,
            local,
            applied_log: log,
            clock: now,
        };
        Rig {
            thread: spawn(config, sink).unwrap(),
            facts: told,
            outputs,
            gate,
            up,
            free,
        }
    }

    fn send(&self, input: ControlInput) -> Result<(), Refusal> {
        self.thread.handle().send(input)
    }

    fn command(&self, ticket: u64, body: Body, resume: bool) -> Result<(), Refusal> {
        self.send(ControlInput::Command {
            ticket,
            channel: DRIVE,
            accepted: accepted(body, resume, TTL),
            journey: Journey {
                number: ticket,
                ..Journey::default()
            },
            rehearsal: false,
        })
    }

    fn verdict(&mut self, ticket: u64) -> Result<(), Refusal> {
        until("verdict", || match self.outputs.try_recv() {
            Ok(ControlOutput::Verdict {
                ticket: t, result, ..
            }) if t == ticket => Some(result),
            Ok(_) | Err(_) => None,
        })
    }

    fn resume(&mut self) {
        self.command(1_000, drive(0), true).unwrap();
        assert_eq!(self.verdict(1_000), Ok(()));
    }

    fn told(&self, wanted: Fact) {
        let limit = Duration::from_secs(10);
        while self.facts.recv_timeout(limit).expect("told in time") != wanted {}
    }
}

fn patient() -> WatchdogConfig {
    let s = Duration::from_secs;
    WatchdogConfig::new(s(60), s(120), s(180)).unwrap()
}

fn quick() -> WatchdogConfig {
    let ms = Duration::from_millis;
    WatchdogConfig::new(ms(20), ms(40), ms(60)).unwrap()
}

/// SAFE-62
#[test]
fn a_command_is_applied_told_to_the_device_and_answered() {
    let mut rig = Rig::new(patient(), None);
    rig.resume();
    rig.command(1, drive(700), false).unwrap();
    rig.told(Fact::Command(drive(700)));
    rig.told(Fact::Output(Stage::Nominal, false, Some(700)));
    assert_eq!(rig.verdict(1), Ok(()));
    rig.told(Fact::Output(Stage::Nominal, false, Some(700)));
    let stage = || rig.thread.handle().stage(DRIVE);
    until("stage", || (stage() == Some(Stage::Nominal)).then_some(()));
}

/// SAFE-71
#[test]
fn at_its_end_the_device_is_told_of_minimal_risk_before_it_is_closed() {
    let mut rig = Rig::new(patient(), None);
    rig.resume();
    rig.command(1, drive(700), false).unwrap();
    rig.told(Fact::Output(Stage::Nominal, false, Some(700)));
    drop(rig.thread);
    let facts: Vec<Fact> = rig.facts.iter().collect();
    assert_eq!(
        facts.last_chunk(),
        Some(&[Fact::Output(Stage::MinimalRisk, false, None), Fact::Closed])
    );
    let entered = std::iter::from_fn(|| rig.outputs.try_recv().ok());
    let entered: Vec<Stage> = entered
        .filter_map(|output| {
            let ControlOutput::Stage { stage, .. } = output else {
                return None;
            };
            Some(stage)
        })
        .collect();
    assert_eq!(entered.last(), Some(&Stage::MinimalRisk));
}

/// SAFE-28, SAFE-23
#[test]
fn stages_are_entered_while_the_async_runtime_is_blocked_and_nobody_reads_outputs() {
    let rig = Rig::new(quick(), None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        // From here on the runtime does nothing until the vehicle is in MinimalRisk.
        rig.command(1, drive(0), true).unwrap();
        for stage in [Stage::Nominal, Stage::Hold, Stage::Ramp, Stage::MinimalRisk] {
            let limit = Duration::from_secs(10);
            loop {
                let fact = rig.facts.recv_timeout(limit).expect("a stage in time");
                match fact {
                    Fact::Output(told, ..) if told == stage => break,
                    Fact::Output(..) | Fact::Command(_) | Fact::Closed => {}
                }
            }
        }
    });
}

/// SAFE-33
#[test]
fn a_stop_overtakes_commands_that_wait_and_an_earlier_reset_does_not_clear_it() {
    let mut rig = Rig::new(patient(), None);
    rig.resume();
    let gate = Arc::clone(&rig.gate);
    let held_up = gate.lock().unwrap();
    rig.command(1, drive(100), false).unwrap(); // keeps the thread busy in the device
    until("thread is busy", || {
        (rig.thread.handle().shared_commands_waiting() == 0).then_some(())
    });
    rig.command(2, drive(200), false).unwrap();
    rig.send(ControlInput::Reset { own_stops: 0 }).unwrap();
    rig.send(ControlInput::Stop).unwrap();
    drop(held_up);
    assert_eq!(rig.verdict(1), Ok(()));
    assert_eq!(rig.verdict(2), Err(Refusal::Stopped));
    rig.told(Fact::Output(Stage::MinimalRisk, true, None));
    rig.command(4, drive(0), true).unwrap();
    assert_eq!(rig.verdict(4), Err(Refusal::Stopped), "not cleared by it");

    rig.send(ControlInput::Reset { own_stops: 0 }).unwrap();
    rig.told(Fact::Output(Stage::MinimalRisk, false, None));
    rig.command(3, drive(300), false).unwrap();
    assert_eq!(rig.verdict(3), Err(Refusal::NeedsResume));
}

#[test]
fn a_full_queue_refuses_commands_and_still_takes_a_stop() {
    let mut rig = Rig::new(patient(), None);
    rig.resume();
    let gate = Arc::clone(&rig.gate);
    let held_up = gate.lock().unwrap();
    let taken = until("full", || {
        (0..10_000).find(|ticket| rig.command(*ticket, drive(1), false).is_err())
    });
    let refused = rig.command(10_001, drive(1), false);
    assert_eq!(refused, Err(Refusal::TooOften));
    assert!(taken >= 256, "{taken}");
    rig.send(ControlInput::LeaseEnded { channel: DRIVE })
        .unwrap();
    rig.send(ControlInput::Stop).unwrap();
    drop(held_up);
    rig.told(Fact::Output(Stage::MinimalRisk, true, None));
    until("taken again", || rig.command(10_002, drive(1), false).ok());
}

/// SAFE-26
#[test]
fn the_end_of_the_lease_voids_the_command() {
    let mut rig = Rig::new(patient(), None);
    rig.resume();
    rig.command(1, drive(700), false).unwrap();
    rig.told(Fact::Output(Stage::Nominal, false, Some(700)));
    rig.send(ControlInput::LeaseEnded { channel: DRIVE })
        .unwrap();
    rig.told(Fact::Output(Stage::Hold, false, None));
    rig.command(2, drive(700), false).unwrap();
    assert_eq!(rig.verdict(2), Err(Refusal::NeedsResume));
}

/// SAFE-64
#[test]
fn commands_to_a_device_that_is_down_are_refused_and_feed_nothing() {
    let mut rig = Rig::new(quick(), None);
    rig.up.store(false, Ordering::Release);
    rig.command(1, drive(0), true).unwrap();
    assert_eq!(rig.verdict(1), Err(Refusal::AdapterDown));
    assert_eq!(rig.thread.handle().stage(DRIVE), Some(Stage::MinimalRisk));
    rig.up.store(true, Ordering::Release);
    until("told", || match rig.outputs.try_recv() {
        Ok(ControlOutput::AdapterUp { channel }) => (channel == DRIVE).then_some(()),
        Ok(_) | Err(_) => None,
    });
}

/// SAFE-29
#[test]
fn a_device_that_was_lost_for_a_moment_moves_only_after_a_resume() {
    let mut rig = Rig::new(patient(), None);
    rig.resume();
    rig.command(1, drive(700), false).unwrap();
    rig.told(Fact::Output(Stage::Nominal, false, Some(700)));
    rig.up.store(false, Ordering::Release);
    rig.told(Fact::Output(Stage::Hold, false, None));
    rig.up.store(true, Ordering::Release);
    rig.command(2, drive(700), false).unwrap();
    assert_eq!(rig.verdict(2), Err(Refusal::NeedsResume));
    rig.resume();
    rig.command(3, drive(700), false).unwrap();
    assert_eq!(rig.verdict(3), Ok(()));
}

fn opaque(number: u8) -> Body {
    Body::Opaque(vec![number])
}

/// SAFE-48, SAFE-63
#[test]
fn opaque_commands_wait_in_order_for_a_busy_device_and_are_applied_when_they_are_handed_over() {
    let mut rig = Rig::new(patient(), None);
    rig.resume();
    rig.free.store(false, Ordering::Release);
    for number in 0..16 {
        rig.command(number.into(), opaque(number), false).unwrap();
    }
    rig.command(16, opaque(99), false).unwrap();
    assert_eq!(rig.verdict(16), Err(Refusal::TooOften));
    let said: Vec<_> = std::iter::from_fn(|| rig.outputs.try_recv().ok()).collect();
    let verdict = |output: &ControlOutput| matches!(output, ControlOutput::Verdict { .. });
    assert!(!said.iter().any(verdict), "nothing is applied yet");
    rig.free.store(true, Ordering::Release);
    for number in 0..16 {
        rig.told(Fact::Command(opaque(number)));
        assert_eq!(rig.verdict(number.into()), Ok(()));
    }
}

/// SAFE-33, SAFE-63
#[test]
fn what_waits_for_a_busy_device_is_refused_when_it_is_void_or_over() {
    let mut rig = Rig::new(patient(), None);
    rig.resume();
    rig.free.store(false, Ordering::Release);
    rig.send(ControlInput::Command {
        ticket: 1,
        channel: DRIVE,
        accepted: accepted(opaque(1), false, Duration::from_millis(20)),
        journey: Journey::default(),
        rehearsal: false,
    })
    .unwrap();
    assert_eq!(rig.verdict(1), Err(Refusal::Expired));
    rig.command(2, opaque(2), false).unwrap();
    rig.up.store(false, Ordering::Release);
    assert_eq!(rig.verdict(2), Err(Refusal::AdapterDown));
    rig.up.store(true, Ordering::Release);
    rig.command(3, opaque(3), false).unwrap();
    rig.send(ControlInput::LeaseEnded { channel: DRIVE })
        .unwrap();
    assert_eq!(rig.verdict(3), Err(Refusal::NotLeased));
    rig.command(4, opaque(4), false).unwrap();
    rig.send(ControlInput::Stop).unwrap();
    assert_eq!(rig.verdict(4), Err(Refusal::Stopped));
}

/// SAFE-131, SAFE-132
#[test]
fn a_reset_that_was_decided_before_a_stop_of_the_vehicles_own_software_does_not_clear_it() {
    let path = std::env::temp_dir().join(format!("control-{}.sock", std::process::id()));
    let section = LocalSection {
        level: LocalLevel::Device,
        path: Some(path.clone()),
        group: None,
        mode: Mode::default(),
        functions: Vec::new(),
    };
    let name = "truck-17".parse().unwrap();
    let server = Server::open(&[section], name, Board::default(), now()).unwrap();
    let mut rig = Rig::with_local(patient(), None, Some(server));
    rig.resume();
    let kind = SocketType::SEQPACKET;
    let client = socket_with(AddressFamily::UNIX, kind, SocketFlags::empty(), None).unwrap();
    connect(&client, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    send(&client, br#"{"do":"stop"}"#, SendFlags::empty()).unwrap();
    rig.told(Fact::Output(Stage::MinimalRisk, true, None));
    until("told", || match rig.outputs.try_recv() {
        Ok(ControlOutput::OwnStop { .. }) => Some(()),
        Ok(_) | Err(_) => None,
    });

    // The role resets another stop, and has not heard of this one.
    let stands = |rig: &mut Rig, ticket, expected| {
        rig.command(ticket, drive(0), true).unwrap();
        assert_eq!(rig.verdict(ticket), expected);
    };
    rig.send(ControlInput::Reset { own_stops: 0 }).unwrap();
    stands(&mut rig, 1, Err(Refusal::Stopped));
    assert_eq!(rig.thread.handle().own_stops(), 1);
    rig.send(ControlInput::Reset { own_stops: 1 }).unwrap();
    stands(&mut rig, 2, Ok(()));
}

/// SAFE-70
#[test]
fn a_thread_that_is_held_up_is_seen_to_be_stuck_and_can_be_left_behind() {
    let mut rig = Rig::new(patient(), None);
    rig.resume();
    let gate = Arc::clone(&rig.gate);
    let held_up = gate.lock().unwrap();
    rig.command(1, drive(100), false).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(rig.thread.handle().stuck());
    let handle = rig.thread.handle().clone();
    rig.thread.abandon();
    assert!(handle.is_running(), "it was not waited for");
    drop(held_up);
    until("the end", || (!handle.is_running()).then_some(()));
}

#[test]
fn a_command_for_another_channel_is_refused() {
    let mut rig = Rig::new(patient(), None);
    rig.send(ControlInput::Command {
        ticket: 5,
        channel: Channel::new(9).unwrap(),
        accepted: accepted(drive(1), false, TTL),
        journey: Journey::default(),
        rehearsal: false,
    })
    .unwrap();
    assert_eq!(rig.verdict(5), Err(Refusal::NoSuchFunction));
}

#[test]
fn applied_commands_and_stages_are_recorded_and_refused_ones_are_not() {
    let path = std::env::temp_dir().join(format!("control-{}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut rig = Rig::new(patient(), Some(AppliedLog::open(&path).unwrap()));
    rig.command(7, drive(5), false).unwrap();
    assert_eq!(rig.verdict(7), Err(Refusal::NeedsResume));
    rig.resume();
    drop(rig);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines.iter().any(|l| l.contains(r#""number":1000"#)));
    assert!(lines.iter().any(|l| l.contains(r#""stage":"Nominal""#)));
    // At the end of the thread.
    assert!(lines.iter().any(|l| l.contains(r#""stage":"MinimalRisk""#)));
}

#[test]
fn after_its_end_the_thread_takes_nothing() {
    let rig = Rig::new(patient(), None);
    let handle = rig.thread.handle().clone();
    assert!(handle.is_running());
    drop(rig);
    assert!(!handle.is_running());
    assert_eq!(handle.send(ControlInput::Stop), Err(Refusal::AdapterDown));
}

/// SAFE-60, with everything real but the network.
#[test]
fn the_simulated_vehicle_drives_and_stops_when_commands_end() {
    let sim = AdapterConfig::Sim(SimConfig::default());
    let (sink, mut outputs) = bounded_outputs();
    let function = FunctionConfig {
        channel: DRIVE,
        actuation: ActuationConfig {
            watchdog: Some(WatchdogConfig::default()),
            limits: None,
        },
        adapter: open(&sim, longrein_proto::wire::FunctionKind::Drive, None, now()).unwrap(),
    };
    let config = ControlConfig {
        functions: vec![function],
        stopped: false,
        local: None,
        applied_log: None,
        clock: now,
    };
    let thread = spawn(config, sink).unwrap();
    let mut speed = |wanted: fn(VehicleState) -> bool, command: Option<(Body, bool)>| {
        until("speed", || {
            if let Some((body, resume)) = &command {
                let _ = thread.handle().send(ControlInput::Command {
                    ticket: 0,
                    channel: DRIVE,
                    accepted: accepted(body.clone(), *resume, TTL),
                    journey: Journey::default(),
                    rehearsal: false,
                });
            }
            match outputs.try_recv() {
                Ok(ControlOutput::Telemetry {
                    telemetry: Telemetry::Vehicle(state),
                    ..
                }) => wanted(state).then_some(()),
                Ok(_) | Err(_) => None,
            }
        });
    };
    speed(|state| state.speed_mm_s == 0, Some((drive(0), true)));
    speed(|state| state.speed_mm_s == 500, Some((drive(500), false)));
    speed(|state| state.speed_mm_s == 0, None);
}
