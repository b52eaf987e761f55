//! The adapter's child is stopped for a while in the middle of a drive.

use longrein::local_fleet::Folder;
use longrein_io::clock;
use rustix::process::{Pid, Signal, kill_process};

use super::fleet;
use super::pilot::Pilot;
use super::until::until;

/// SAFE-25, SAFE-61, SAFE-63, SAFE-64
#[test]
fn a_paused_child_executes_nothing_stale_and_stands_until_the_next_resume() {
    let folder = Folder::new().unwrap();
    let vehicle = fleet::child_log(&folder);
    let mut fleet = fleet::start(fleet::plan_with_child(vehicle.path()));
    let applied = fleet::applied(&fleet);
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);

    let child = Pid::from_raw(*vehicle.pids().last().unwrap()).unwrap();
    let stopped_us = clock::now().as_us();
    kill_process(child, Signal::STOP).unwrap();
    // A device that does not answer is down: its commands are refused, so that the watchdog runs.
    applied.enters("MinimalRisk", stopped_us);
    let continued_us = clock::now().as_us();
    kill_process(child, Signal::CONT).unwrap();
    vehicle.stands(continued_us);
    until("the device is up again", || {
        let log = fleet.agent().unwrap().log();
        (log.matches("device is up").count() > 1).then_some(())
    });

    driver.insist(1_000);
    vehicle.moves(900, continued_us);
    let log = applied.read();
    log.check();
    vehicle.check();
    vehicle.stood(
        continued_us,
        log.since(continued_us).first().unwrap().applied_at_us,
    );
    assert_eq!(vehicle.pids().len(), 1, "it was not started anew");
    driver.kill();
}
