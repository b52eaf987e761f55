//! The adapter's child dies in the middle of a drive.

use longrein::local_fleet::Folder;
use longrein_io::clock;
use rustix::process::{Pid, Signal, kill_process};

use super::fleet;
use super::pilot::Pilot;
use super::until::until;

/// SAFE-25, SAFE-64
#[test]
fn a_killed_child_is_started_anew_and_stands_until_the_next_resume() {
    let folder = Folder::new().unwrap();
    let vehicle = fleet::child_log(&folder);
    let mut fleet = fleet::start(fleet::plan_with_child(vehicle.path()));
    let applied = fleet::applied(&fleet);
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);

    let child = Pid::from_raw(*vehicle.pids().last().unwrap()).unwrap();
    kill_process(child, Signal::KILL).unwrap();
    let killed_us = clock::now().as_us();
    applied.enters("Ramp", killed_us);
    until("another child is started", || {
        (vehicle.pids().len() > 1).then_some(())
    });
    let stood_us = vehicle.stands(killed_us);
    until("the device is up again", || {
        let log = fleet.agent().unwrap().log();
        (log.matches("device is up").count() > 1).then_some(())
    });

    driver.insist(1_000);
    let resumed_us = vehicle.moves(900, stood_us);
    let log = applied.read();
    log.check();
    vehicle.check();
    let again = log.since(stood_us);
    vehicle.stood(stood_us, again.first().unwrap().applied_at_us);
    assert!(resumed_us > again.first().unwrap().applied_at_us);
    driver.kill();
}
