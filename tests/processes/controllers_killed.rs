//! Nobody drives any more.

use super::fleet;
use super::pilot::Pilot;

/// SAFE-21, SAFE-23
#[test]
fn without_controllers_the_vehicle_holds_ramps_and_stands_each_not_before_its_limit() {
    let fleet = fleet::start(fleet::plan());
    let applied = fleet::applied(&fleet);
    let mut driver = Pilot::start(&fleet, "desk");
    driver.drive(1_000);
    driver.kill();

    let last_us = applied.read().commands.last().unwrap().applied_at_us;
    let stand = applied.enters("MinimalRisk", last_us);
    let log = applied.read();
    log.check();
    let last_us = log.commands.last().unwrap().applied_at_us;
    assert_eq!(log.stages_since(last_us), ["Hold", "Ramp", "MinimalRisk"]);
    let hold = applied.enters("Hold", last_us);
    let ramp = applied.enters("Ramp", last_us);
    for (entered, limit_ms) in [(hold, 200), (ramp, 500), (stand, 1_500)] {
        let after_us = entered.at_us - last_us;
        assert!(
            after_us >= limit_ms * 1_000,
            "{} after {after_us} us",
            entered.stage
        );
    }
}
