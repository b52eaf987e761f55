//! The agent dies in the middle of a drive.

use longrein::local_fleet::Folder;
use longrein_io::clock;

use super::child_log::Deed;
use super::fleet;
use super::pilot::Pilot;
use super::until::until;

/// SAFE-5
#[test]
fn after_a_restart_the_token_is_larger_and_nothing_from_before_is_applied() {
    let mut fleet = fleet::start(fleet::plan());
    let applied = fleet::applied(&fleet);
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);
    fleet.kill_agent();
    let before = applied.read();
    let killed_us = clock::now().as_us();
    fleet.start_agent().unwrap();

    // The operator never stops sending, and finds the vehicle again.
    driver.hears("the lease is lost", |object| {
        object["event"] == "lease_lost"
    });
    driver.insist(1_000);
    until("commands are applied", || {
        (applied.read().since(killed_us).len() > 50).then_some(())
    });
    let ended = driver.end();
    // Commands without a lease were not sent, and the script's driver says so.
    assert_eq!(ended.code, Some(1), "{:?}", ended.stderr);
    assert!(ended.stderr.last().unwrap().contains("not sent"));

    let log = applied.read();
    log.check();
    for command in log.since(killed_us) {
        assert!(command.token > before.token(), "{command:?}");
        assert!(command.sent_there_us > killed_us, "{command:?}");
    }
}

/// SAFE-60
#[test]
fn the_vehicle_of_a_killed_agent_stops_by_itself() {
    let folder = Folder::new().unwrap();
    let vehicle = fleet::child_log(&folder);
    let mut fleet = fleet::start(fleet::plan_with_child(vehicle.path()));
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);
    let killed_us = clock::now().as_us();
    fleet.kill_agent();

    // It brakes with 2.5 m/s^2 and ends when it stands.
    let stood_us = vehicle.stands(killed_us);
    let pid = *vehicle.pids().last().unwrap();
    until("the vehicle's process ends", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
            .then_some(())
    });
    vehicle.check();
    vehicle.stood(stood_us, u64::MAX);
    let deeds = vehicle.read();
    assert!(matches!(
        deeds.last(),
        Some(Deed::Speed { speed_mm_s: 0, .. })
    ));
    driver.kill();
}
