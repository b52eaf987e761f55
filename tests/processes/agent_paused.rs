//! The agent is stopped for a while in the middle of a drive (SIGSTOP, a debugger, a starved machine).

use longrein::local_fleet::Folder;
use longrein_io::clock;
use rustix::process::Signal;

use super::fleet;
use super::pilot::Pilot;
use super::until::until;

/// SAFE-23, SAFE-41, SAFE-60, SAFE-61
#[test]
fn a_paused_agents_vehicle_stops_and_nothing_of_the_pause_is_executed_after_it() {
    let folder = Folder::new().unwrap();
    let vehicle = fleet::child_log(&folder);
    let mut fleet = fleet::start(fleet::plan_with_child(vehicle.path()));
    let applied = fleet::applied(&fleet);
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);

    let stopped_us = clock::now().as_us();
    fleet.agent().unwrap().signal(Signal::STOP).unwrap();
    let stood_us = vehicle.stands(stopped_us);
    // Longer than the lease and all limits of the watchdog; commands are sent all the while.
    until("the pause is long enough", || {
        (clock::now().as_us() >= stopped_us + 2_000_000).then_some(())
    });
    let continued_us = clock::now().as_us();
    fleet.agent().unwrap().signal(Signal::CONT).unwrap();
    applied.enters("MinimalRisk", continued_us);
    let told = applied.read();
    assert_eq!(
        told.stages_since(stopped_us),
        ["Hold", "Ramp", "MinimalRisk"]
    );

    driver.insist(1_000);
    vehicle.moves(900, continued_us);
    let log = applied.read();
    log.check();
    vehicle.check();
    let after = log.since(continued_us);
    for command in &after {
        assert!(command.sent_there_us > continued_us, "{command:?}");
    }
    vehicle.stood(stood_us, after.first().unwrap().applied_at_us);
    driver.kill();
}
