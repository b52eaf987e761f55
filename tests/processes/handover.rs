//! One operator hands a moving vehicle over to another.

use longrein::Exit;

use super::fleet;
use super::pilot::Pilot;
use super::program::Program;
use super::until::until;

/// SAFE-90, SAFE-91
#[test]
fn an_operator_hands_the_vehicle_over_from_another_terminal_while_it_drives() {
    let fleet = fleet::start(fleet::plan());
    let applied = fleet::applied(&fleet);
    let mut desk = Pilot::start(&fleet, "desk");
    desk.drive(500);
    let mut alice = Pilot::start_with(&fleet, "alice", &["--accept"]);
    alice.insist(500);
    alice.says("waiting until the holder of drive offers it");

    let mut arguments: Vec<String> = ["lease", "offer", "truck-17", "--to", "alice", "--json"]
        .map(String::from)
        .to_vec();
    arguments.extend(fleet::connection(&fleet, "desk"));
    let offered = Program::start("longrein", &arguments).ended();
    assert_eq!(offered.code, Some(0), "{:?}", offered.stderr);
    let last: serde_json::Value = serde_json::from_str(offered.stdout.last().unwrap()).unwrap();
    assert_eq!(last["how"], "handed over");

    let desk = desk.ended();
    assert_eq!(desk.code, Some(Exit::Refused.code().into()), "{desk:?}");
    let first = applied.read().commands.first().unwrap().token;
    until("Alice drives", || {
        let newest = applied.read().commands.pop()?;
        (newest.token > first).then_some(())
    });
    let ended = alice.end();
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    let log = applied.read();
    log.check();
    let tokens: Vec<u64> = log.commands.iter().map(|command| command.token).collect();
    assert!(
        tokens.is_sorted(),
        "nothing of the desk's came after: {tokens:?}"
    );
    let moved = log.commands.iter().find(|command| command.token > first);
    let moved_us = moved.unwrap().applied_at_us;
    let grave = |stage: &str| stage == "Ramp" || stage == "MinimalRisk";
    let before = log.stages.iter().filter(|stage| stage.at_us <= moved_us);
    // The vehicle begins in MinimalRisk, and is never let go until the other drives.
    let stops = before.skip_while(|stage| grave(&stage.stage));
    let stops: Vec<_> = stops.filter(|stage| grave(&stage.stage)).collect();
    assert!(stops.is_empty(), "{stops:?}");
}
