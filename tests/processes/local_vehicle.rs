//! A vehicle at the agent's local socket: `local_vehicle.py`, driven by the real programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use longrein::local_fleet::{Folder, LocalFleet, Plan};
use longrein_io::clock;
use rustix::process::Signal;
use serde_json::Value;

use super::applied_log::AppliedLog;
use super::child_log::ChildLog;
use super::fleet::{self, connection};
use super::pilot::Pilot;
use super::program::Program;
use super::until::until;

/// A fleet whose vehicle is a program of its own, an observer beside it, and an operator.
struct Scene {
    fleet: LocalFleet,
    folder: Folder,
    vehicle: ChildLog,
    applied: AppliedLog,
}

impl Scene {
    fn new() -> Scene {
        let folder = Folder::new().unwrap();
        let (device, observer) = (socket(&folder, "device"), socket(&folder, "observer"));
        let functions = format!(
            "[[function]]\nname = \"drive\"\nadapter = {{ kind = \"local\" }}\n\
             [[local]]\nlevel = \"device\"\npath = {device:?}\n\
             [[local]]\nlevel = \"observer\"\npath = {observer:?}\n"
        );
        let fleet = fleet::start(Plan {
            functions,
            ..fleet::plan()
        });
        Scene {
            vehicle: fleet::child_log(&folder),
            applied: fleet::applied(&fleet),
            fleet,
            folder,
        }
    }

    fn vehicle(&self) -> Program {
        let log = self.vehicle.path().as_os_str();
        let socket = socket(&self.folder, "device");
        let arguments = [examples().into_os_string(), log.into(), socket.into()];
        let mut program = python("logged_local_vehicle.py", &arguments);
        program.prints("is the device of drive");
        program
    }

    fn observer(&self) -> Program {
        let socket = socket(&self.folder, "observer");
        python(
            "local_observer.py",
            &[examples().into_os_string(), socket.into()],
        )
    }

    fn log(&mut self) -> String {
        self.fleet.agent().unwrap().log()
    }
}

fn socket(folder: &Folder, name: &str) -> PathBuf {
    folder.path().join(format!("{name}.sock"))
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/examples")
}

fn python(script: &str, arguments: &[std::ffi::OsString]) -> Program {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("processes")
        .join(script);
    let mut command = Command::new("python3");
    command.arg(path).args(arguments);
    Program::run(script, command)
}

/// Waits until an observer was told something that fits after what it was told before.
fn is_told(observer: &Program, fact: &str, fits: impl Fn(&Value) -> bool) {
    until(fact, || observer.objects().iter().any(&fits).then_some(()));
}

/// SAFE-133, SAFE-29, SAFE-60
#[test]
fn a_killed_vehicle_is_a_lost_device_and_the_next_one_stands_until_the_next_resume() {
    let mut scene = Scene::new();
    let vehicle = scene.vehicle();
    let mut driver = Pilot::start(&scene.fleet, "desk");
    driver.drive(1_000);

    vehicle.signal(Signal::KILL);
    let killed_us = clock::now().as_us();
    assert_eq!(vehicle.ended().code, None);
    scene.applied.enters("MinimalRisk", killed_us);
    assert_eq!(
        scene.applied.read().stages_since(killed_us),
        ["Hold", "Ramp", "MinimalRisk"]
    );
    let began_us = clock::now().as_us();
    let _vehicle = scene.vehicle();
    until("the device is up again", || {
        (scene.log().matches("device is up").count() > 1).then_some(())
    });
    driver.insist(1_000);
    scene.vehicle.moves(900, began_us);
    let log = scene.applied.read();
    log.check();
    scene.vehicle.check();
    let again = log.since(began_us).first().unwrap().applied_at_us;
    scene.vehicle.stood(began_us, again);
    driver.kill();
}

/// SAFE-61, SAFE-64, SAFE-133
#[test]
fn a_vehicle_that_is_paused_for_a_moment_stands_until_the_next_resume() {
    let scene = Scene::new();
    let vehicle = scene.vehicle();
    let mut driver = Pilot::start(&scene.fleet, "desk");
    driver.drive(1_000);

    let paused_us = clock::now().as_us();
    vehicle.signal(Signal::STOP);
    scene.applied.enters("MinimalRisk", paused_us);
    let continued_us = clock::now().as_us();
    vehicle.signal(Signal::CONT);
    scene.vehicle.stands(continued_us);
    driver.insist(1_000);
    scene.vehicle.moves(900, continued_us);
    let log = scene.applied.read();
    log.check();
    scene.vehicle.check();
    let again = log.since(continued_us).first().unwrap().applied_at_us;
    scene.vehicle.stood(continued_us, again);
    driver.kill();
}

/// SAFE-130
#[test]
fn a_vehicle_that_sees_somebody_ahead_is_in_minimal_risk_at_once_and_moves_after_a_resume() {
    let mut scene = Scene::new();
    let vehicle = scene.vehicle();
    let mut driver = Pilot::start(&scene.fleet, "desk");
    driver.drive(1_000);

    let seen_us = clock::now().as_us();
    vehicle.signal(Signal::USR1);
    scene.applied.enters("MinimalRisk", seen_us);
    // No stage comes before it: it did not wait for silence.
    assert_eq!(scene.applied.read().stages_since(seen_us), ["MinimalRisk"]);
    let stood_us = scene.vehicle.stands(seen_us);
    assert!(scene.log().contains("local client asks for minimal risk"));
    driver.insist(1_000);
    scene.vehicle.moves(900, stood_us);
    scene.applied.read().check();
    driver.kill();
}

/// SAFE-131, SAFE-134
#[test]
fn a_vehicle_that_hits_something_is_stopped_until_an_operator_resets_it() {
    let mut scene = Scene::new();
    let vehicle = scene.vehicle();
    let mut observer = scene.observer();
    assert!(observer.prints("refused").contains("not_allowed"));
    let mut driver = Pilot::start(&scene.fleet, "desk");
    driver.drive(1_000);
    is_told(&observer, "who drives", |state| {
        let drive = &state["functions"][0];
        drive["holder"] == "controller/desk" && drive["stage"] == "Nominal"
    });
    is_told(&observer, "the paths", |state| {
        let paths = state["paths"].as_array();
        paths.is_some_and(|paths| {
            paths.len() == 4 && paths.iter().all(|path| path["health"] == "Live")
        })
    });

    let hit_us = clock::now().as_us();
    vehicle.signal(Signal::USR2);
    scene.applied.enters("MinimalRisk", hit_us);
    driver.hears("the operator is told", |event| event["stopped"] == true);
    is_told(&observer, "the stop", |state| state["stopped"] == true);
    let stood_us = scene.vehicle.stands(hit_us);
    assert!(
        scene
            .log()
            .contains("emergency stop is latched operator=\"agent/truck-17\"")
    );

    // Not by a resume, and not by the vehicle; by a reset.
    driver.insist(1_000);
    driver.hears("a status", |event| event["event"] == "status");
    let mut arguments = vec!["reset".to_string(), "truck-17".to_string()];
    arguments.extend(connection(&scene.fleet, "alice"));
    let before_us = clock::now().as_us();
    let reset = Program::start("longrein", arguments).ended();
    assert_eq!(reset.code, Some(0), "{:?}", reset.stderr);
    scene.vehicle.moves(900, stood_us);
    let log = scene.applied.read();
    log.check();
    let again = log.since(stood_us).first().unwrap().applied_at_us;
    assert!(again > before_us, "nothing before the reset");
    driver.kill();
}

/// SAFE-133
#[test]
fn a_second_vehicle_is_told_that_the_place_is_taken() {
    let scene = Scene::new();
    let _vehicle = scene.vehicle();
    let path = socket(&scene.folder, "device");
    let mut command = Command::new("python3");
    command.arg(examples().join("local_vehicle.py")).arg(path);
    let mut second = Program::run("local_vehicle.py", command);
    second.says("taken: another client is the function's device");
}
