//! Two operators want the same vehicle.

use std::collections::BTreeSet;

use longrein::Exit;
use rustix::process::Signal;

use super::fleet;
use super::pilot::Pilot;

/// SAFE-1, SAFE-3
#[test]
fn the_second_controller_is_refused_until_the_first_is_gone_and_then_gets_a_larger_token() {
    let fleet = fleet::start(fleet::plan());
    let applied = fleet::applied(&fleet);
    let mut first = Pilot::start(&fleet, "desk");
    first.drive(500);

    let second = Pilot::start(&fleet, "alice").end();
    assert_eq!(second.code, Some(Exit::Refused.code().into()));
    assert_eq!(
        second.stderr.last().unwrap(),
        "longrein: the vehicle refuses: held by controller/desk"
    );
    let complaints = second.stderr.iter().filter(|line| line.contains("refuse"));
    assert_eq!(complaints.count(), 1, "{:?}", second.stderr);

    first.kill();
    let before = applied.read();
    let killed_us = before.commands.last().unwrap().applied_at_us;
    applied.enters("MinimalRisk", killed_us);
    let mut second = Pilot::start(&fleet, "alice");
    second.drive(500);
    let ended = second.end();
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    let log = applied.read();
    log.check();
    assert!(log.token() > before.token(), "{log:?}");
}

/// SAFE-3, SAFE-42
#[test]
fn an_operator_who_was_away_finds_the_vehicle_taken_and_moves_nothing() {
    let fleet = fleet::start(fleet::plan());
    let applied = fleet::applied(&fleet);
    let mut first = Pilot::start(&fleet, "desk");
    first.drive(1_000);
    first.program().signal(Signal::STOP);
    let before = applied.read();
    applied.enters("Ramp", before.commands.last().unwrap().applied_at_us);

    let mut second = Pilot::start(&fleet, "alice");
    second.drive(500);
    first.program().signal(Signal::CONT);
    first.hears("the lease is lost", |event| event["event"] == "lease_lost");
    first.insist(500);
    let first = first.ended();
    assert_eq!(first.code, Some(Exit::Refused.code().into()));
    let line = first.stderr.last().unwrap();
    assert!(
        line == "longrein: the vehicle refuses: held by controller/alice"
            || line == "longrein: the lease was taken by controller/alice",
        "{line}"
    );
    second.end();
    let log = applied.read();
    log.check();
    let tokens: BTreeSet<u64> = log.commands.iter().map(|command| command.token).collect();
    assert_eq!(tokens.len(), 2, "one lease each: {tokens:?}");
}
