//! Behaviours of the last checks before the device.

use super::*;
use crate::control::testing::{Desk, at, drive};

fn guarded() -> Actuation {
    let config = ActuationConfig {
        watchdog: Some(WatchdogConfig::default()),
        limits: Some(DriveLimits::new(2_000, 300, 100).unwrap()),
    };
    let mut actuation = Actuation::new(config, false);
    actuation.on_device(at(0), true);
    actuation
}

/// To a device that takes everything; what it took.
fn apply(
    actuation: &mut Actuation,
    now: MonoTime,
    command: Accepted<Command>,
) -> Result<Applied, Refusal> {
    let mut taken = None;
    actuation.on_command(now, command, |applied, _| {
        taken = Some(applied.clone());
        Ok(())
    })?;
    Ok(taken.unwrap())
}

fn resume(desk: &Desk) -> Command {
    Command {
        resume: true,
        ..drive(desk, 0)
    }
}

fn opaque(desk: &Desk, bytes: &[u8]) -> Command {
    Command {
        body: Body::Opaque(bytes.to_vec()),
        ..drive(desk, 0)
    }
}

fn resumed(desk: &Desk) -> Actuation {
    let mut actuation = guarded();
    let command = desk.accepted(at(0), resume(desk), 200);
    apply(&mut actuation, at(0), command).unwrap();
    stages(&mut actuation);
    actuation
}

fn stages(actuation: &mut Actuation) -> Vec<Stage> {
    std::iter::from_fn(|| actuation.poll_event().map(|change| change.stage)).collect()
}

fn speed(output: Output) -> Option<i16> {
    output.drive.map(|drive| drive.speed_mm_s)
}

/// SAFE-45
#[test]
fn a_command_that_expires_between_gate_and_use_is_refused_and_feeds_nothing() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(10), drive(&desk, 500), 50);
    assert_eq!(
        apply(&mut actuation, at(60), command),
        Err(Refusal::Expired)
    );
    actuation.on_timeout(at(200));
    assert_eq!(stages(&mut actuation), [Stage::Hold]);
}

/// SAFE-46
#[test]
fn in_hold_a_command_stays_in_force_only_until_its_own_deadline() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), drive(&desk, 500), 300);
    apply(&mut actuation, at(0), command).unwrap();
    let output = actuation.output(at(299));
    assert_eq!((output.stage, speed(output)), (Stage::Hold, Some(500)));
    let output = actuation.output(at(300));
    assert_eq!((output.stage, speed(output)), (Stage::Hold, None));
}

/// SAFE-47
#[test]
fn from_ramp_on_no_command_is_in_force_however_long_its_ttl() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), drive(&desk, 500), 60_000);
    apply(&mut actuation, at(0), command).unwrap();
    assert_eq!(speed(actuation.output(at(499))), Some(500));
    let output = actuation.output(at(500));
    assert_eq!((output.stage, speed(output)), (Stage::Ramp, None));
    assert_eq!(stages(&mut actuation), [Stage::Hold, Stage::Ramp]);
}

/// SAFE-6
#[test]
fn renewals_do_not_feed_the_watchdog() {
    let mut desk = Desk::new();
    let mut actuation = resumed(&desk);
    for ms in (0..2_000).step_by(100) {
        let (who, token) = (desk.who.clone(), desk.token);
        assert!(desk.lease.on_renew(at(ms), &who, token));
        actuation.on_timeout(at(ms));
    }
    assert_eq!(
        stages(&mut actuation),
        [Stage::Hold, Stage::Ramp, Stage::MinimalRisk]
    );
}

/// SAFE-25
#[test]
fn after_ramp_motion_needs_a_neutral_resume() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    actuation.on_timeout(at(600));
    let command = desk.accepted(at(600), drive(&desk, 500), 200);
    assert_eq!(
        apply(&mut actuation, at(600), command),
        Err(Refusal::NeedsResume)
    );
    assert_eq!(speed(actuation.output(at(600))), None);
    for (ms, command) in [(610, resume(&desk)), (620, drive(&desk, 500))] {
        let command = desk.accepted(at(ms), command, 200);
        apply(&mut actuation, at(ms), command).unwrap();
    }
    assert_eq!(speed(actuation.output(at(620))), Some(500));
}

/// SAFE-33
#[test]
fn a_stop_voids_the_command_and_after_the_reset_motion_needs_a_resume() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), drive(&desk, 500), 200);
    apply(&mut actuation, at(0), command).unwrap();
    actuation.on_stop(at(5));
    let output = actuation.output(at(5));
    assert_eq!(
        (output.stage, output.stopped, output.drive),
        (Stage::MinimalRisk, true, None)
    );
    // The gate accepted it a moment before the stop.
    let command = desk.accepted(at(4), drive(&desk, 500), 200);
    assert_eq!(apply(&mut actuation, at(6), command), Err(Refusal::Stopped));
    actuation.on_reset(at(7));
    let command = desk.accepted(at(8), drive(&desk, 500), 200);
    assert_eq!(
        apply(&mut actuation, at(8), command),
        Err(Refusal::NeedsResume)
    );
    assert_eq!(stages(&mut actuation), [Stage::MinimalRisk]);
}

/// SAFE-71
#[test]
fn at_the_end_of_the_agent_the_stage_is_minimal_risk_and_nothing_is_applied_any_more() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), drive(&desk, 500), 200);
    apply(&mut actuation, at(0), command).unwrap();
    actuation.on_end(at(5));
    let output = actuation.output(at(5));
    assert_eq!(
        (output.stage, output.stopped, output.drive),
        (Stage::MinimalRisk, false, None)
    );
    for command in [drive(&desk, 500), resume(&desk)] {
        let command = desk.accepted(at(6), command, 200);
        assert_eq!(
            actuation.rehearse(at(6), &command),
            Err(Refusal::AdapterDown)
        );
        assert_eq!(
            apply(&mut actuation, at(6), command),
            Err(Refusal::AdapterDown)
        );
    }
    assert_eq!(stages(&mut actuation), [Stage::MinimalRisk]);
}

/// SAFE-71
#[test]
fn at_the_end_of_the_agent_a_function_without_a_watchdog_is_in_minimal_risk_too() {
    let config = ActuationConfig {
        watchdog: None,
        limits: None,
    };
    let mut actuation = Actuation::new(config, false);
    actuation.on_device(at(0), true);
    actuation.on_end(at(1));
    assert_eq!(stages(&mut actuation), [Stage::Nominal, Stage::MinimalRisk]);
}

/// SAFE-26
#[test]
fn the_end_of_the_lease_voids_the_command_and_enters_hold_at_once() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), drive(&desk, 500), 400);
    apply(&mut actuation, at(0), command).unwrap();
    actuation.on_lease_end(at(10));
    let output = actuation.output(at(10));
    assert_eq!((output.stage, output.drive), (Stage::Hold, None));
    let command = desk.accepted(at(20), drive(&desk, 500), 200);
    assert_eq!(
        apply(&mut actuation, at(20), command),
        Err(Refusal::NeedsResume)
    );
}

/// SAFE-42
#[test]
fn a_command_under_an_older_token_than_the_last_one_is_refused() {
    let mut desk = Desk::new();
    let mut actuation = resumed(&desk);
    let old = desk.accepted(at(1), drive(&desk, 500), 200);
    let who = desk.who.clone();
    let crate::control::TakeStep::Persist(token) = desk.lease.on_take(at(1), &who).unwrap();
    desk.lease.on_persisted(at(1), token).unwrap();
    desk.token = token;
    let new = desk.accepted(at(2), drive(&desk, 300), 200);
    apply(&mut actuation, at(2), new).unwrap();
    assert_eq!(apply(&mut actuation, at(3), old), Err(Refusal::OldToken));
}

/// SAFE-50
#[test]
fn a_command_over_the_limits_is_clamped_and_counted() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), drive(&desk, 9_000), 200);
    let applied = apply(&mut actuation, at(0), command).unwrap();
    assert!(applied.is_clamped());
    assert_eq!(speed(actuation.output(at(0))), Some(2_000));
    assert_eq!(actuation.clamped(), 1);
}

/// SAFE-51
#[test]
fn commands_over_the_rate_do_not_feed_the_watchdog() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let mut send = |ms| {
        let command = desk.accepted(at(ms), drive(&desk, 500), 200);
        apply(&mut actuation, at(ms), command)
    };
    let refused = (0..40).filter(|_| send(1).is_err()).count();
    assert_eq!(refused, 40 - 19, "200 ms of 100 Hz, less the resume");
    assert_eq!(send(1), Err(Refusal::TooOften));
    actuation.on_timeout(at(201));
    assert_eq!(stages(&mut actuation), [Stage::Hold]);
}

/// SAFE-52
#[test]
fn opaque_commands_pass_unchanged_and_are_not_repeated() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), opaque(&desk, &[1, 2, 3]), 200);
    let applied = apply(&mut actuation, at(0), command).unwrap();
    assert_eq!(applied.body(), &Body::Opaque(vec![1, 2, 3]));
    assert!(!applied.is_clamped());
    assert!(!format!("{applied:?}").contains("[1, 2, 3]"));
}

/// SAFE-27
#[test]
fn without_a_watchdog_only_the_stop_holds_commands_back() {
    let desk = Desk::new();
    let config = ActuationConfig {
        watchdog: None,
        limits: None,
    };
    let mut actuation = Actuation::new(config, true);
    actuation.on_device(at(0), true);
    assert_eq!(actuation.stage(), Stage::MinimalRisk);
    let command = desk.accepted(at(0), opaque(&desk, &[1]), 200);
    assert_eq!(
        apply(&mut actuation, at(0), command.clone()),
        Err(Refusal::Stopped)
    );
    actuation.on_reset(at(1));
    assert!(apply(&mut actuation, at(1), command).is_ok());
    assert_eq!(stages(&mut actuation), [Stage::Nominal]);
    assert_eq!(actuation.next_timeout(), None);
}

/// SAFE-61
#[test]
fn an_output_holds_no_longer_than_its_command_its_stage_and_the_silence_limit() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), drive(&desk, 500), 150);
    apply(&mut actuation, at(0), command).unwrap();
    let ttl_ms = |output: Output| output.ttl_left.as_millis();
    assert_eq!(ttl_ms(actuation.output(at(0))), 100, "silence");
    assert_eq!(
        ttl_ms(actuation.output(at(90))),
        60,
        "the command's deadline"
    );
    assert_eq!(ttl_ms(actuation.output(at(160))), 40, "Hold is due");
    assert_eq!(ttl_ms(actuation.output(at(9_000))), 100, "MinimalRisk");
}

fn nobody(_: &Applied, _: &Output) -> Result<(), Refusal> {
    panic!("nothing may be handed over")
}

/// SAFE-48
#[test]
fn a_command_that_the_device_does_not_take_is_refused_and_feeds_nothing() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    for (ms, why) in [(100, Refusal::TooOften), (150, Refusal::AdapterDown)] {
        let command = desk.accepted(at(ms), drive(&desk, 500), 1_000);
        let result = actuation.on_command(at(ms), command, |_, _| Err(why.clone()));
        assert_eq!(result, Err(why));
        assert_eq!(speed(actuation.output(at(ms))), Some(0), "the one before");
    }
    actuation.on_timeout(at(200));
    assert_eq!(stages(&mut actuation), [Stage::Hold]);
}

/// SAFE-48
#[test]
fn what_is_refused_is_not_handed_over() {
    let desk = Desk::new();
    let mut actuation = guarded();
    let motion = desk.accepted(at(0), drive(&desk, 500), 200);
    let late = desk.accepted(at(0), resume(&desk), 10);
    assert_eq!(
        actuation.on_command(at(1), motion, nobody),
        Err(Refusal::NeedsResume)
    );
    assert_eq!(
        actuation.on_command(at(10), late, nobody),
        Err(Refusal::Expired)
    );
}

/// SAFE-29, SAFE-64
#[test]
fn the_loss_of_the_device_voids_the_command_and_motion_needs_a_resume_when_it_is_back() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), drive(&desk, 500), 400);
    apply(&mut actuation, at(0), command).unwrap();
    actuation.on_device(at(10), false);
    let output = actuation.output(at(10));
    assert_eq!((output.stage, output.drive), (Stage::Hold, None));
    let again = desk.accepted(at(20), resume(&desk), 200);
    let result = actuation.on_command(at(20), again, nobody);
    assert_eq!(result, Err(Refusal::AdapterDown));

    actuation.on_device(at(30), true);
    let motion = desk.accepted(at(30), drive(&desk, 500), 200);
    let result = actuation.on_command(at(30), motion.clone(), nobody);
    assert_eq!(result, Err(Refusal::NeedsResume));
    apply(
        &mut actuation,
        at(40),
        desk.accepted(at(40), resume(&desk), 200),
    )
    .unwrap();
    apply(&mut actuation, at(41), motion).unwrap();
    assert_eq!(speed(actuation.output(at(41))), Some(500));
}

/// SAFE-29
#[test]
fn a_device_that_stays_lost_takes_its_function_to_minimal_risk_as_silence_does() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    actuation.on_device(at(10), false);
    for ms in (20..=1_500).step_by(20) {
        let command = desk.accepted(at(ms), resume(&desk), 200);
        assert!(actuation.on_command(at(ms), command, nobody).is_err());
    }
    assert_eq!(
        stages(&mut actuation),
        [Stage::Hold, Stage::Ramp, Stage::MinimalRisk]
    );
}

/// SAFE-29
#[test]
fn without_a_device_from_the_start_nothing_is_taken() {
    let desk = Desk::new();
    let config = ActuationConfig {
        watchdog: None,
        limits: None,
    };
    let mut actuation = Actuation::new(config, false);
    let command = desk.accepted(at(0), opaque(&desk, &[1]), 200);
    let result = actuation.on_command(at(0), command, nobody);
    assert_eq!(result, Err(Refusal::AdapterDown));
    assert_eq!(actuation.stage(), Stage::MinimalRisk);
    for (ms, up) in [(1, true), (2, true), (3, false)] {
        actuation.on_device(at(ms), up);
    }
    assert_eq!(stages(&mut actuation), [Stage::Nominal, Stage::MinimalRisk]);
}

/// SAFE-90
#[test]
fn a_rehearsed_command_is_judged_as_one_that_is_applied_and_changes_nothing() {
    let desk = Desk::new();
    let mut limits = DriveLimits::new(2_000, 300, 100).unwrap();
    limits.picture_age_max = Some(Duration::from_millis(300));
    let config = ActuationConfig {
        watchdog: Some(WatchdogConfig::default()),
        limits: Some(limits),
    };
    let mut actuation = Actuation::new(config, false);
    let seen = |picture_ms: u64| Command {
        picture_age: Some(Duration::from_millis(picture_ms)),
        ..drive(&desk, 1_000)
    };
    let rehearse = |actuation: &mut Actuation, command| {
        actuation.rehearse(at(10), &desk.accepted(at(10), command, 200))
    };
    assert_eq!(
        rehearse(&mut actuation, seen(100)),
        Err(Refusal::AdapterDown)
    );
    actuation.on_device(at(0), true);
    assert_eq!(
        rehearse(&mut actuation, seen(100)),
        Err(Refusal::NeedsResume)
    );
    assert_eq!(rehearse(&mut actuation, resume(&desk)), Ok(()));
    assert_eq!(actuation.stage(), Stage::MinimalRisk, "nothing has resumed");
    let command = desk.accepted(at(0), resume(&desk), 200);
    apply(&mut actuation, at(0), command).unwrap();
    assert_eq!(rehearse(&mut actuation, seen(100)), Ok(()));
    assert_eq!(
        rehearse(&mut actuation, seen(301)),
        Err(Refusal::OldPicture)
    );
    assert_eq!(
        rehearse(&mut actuation, drive(&desk, 1_000)),
        Err(Refusal::OldPicture)
    );
    assert_eq!(speed(actuation.output(at(10))), Some(0), "nothing moves");
    actuation.on_stop(at(10));
    assert_eq!(rehearse(&mut actuation, seen(100)), Err(Refusal::Stopped));
}

/// SAFE-91
#[test]
fn after_a_handover_commands_of_the_holder_before_are_refused_at_the_place_of_use() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let old = desk.accepted(at(10), drive(&desk, 1_000), 200);
    actuation.on_handed_over(FencingToken(desk.token.0 + 1));
    assert_eq!(
        apply(&mut actuation, at(10), old).unwrap_err(),
        Refusal::OldToken
    );
}

/// SAFE-130
#[test]
fn at_the_vehicles_own_request_the_stage_is_minimal_risk_and_motion_needs_a_resume() {
    let desk = Desk::new();
    let mut actuation = resumed(&desk);
    let command = desk.accepted(at(0), drive(&desk, 500), 400);
    apply(&mut actuation, at(0), command.clone()).unwrap();
    assert_eq!(actuation.on_own_request(at(5)), Ok(()));
    let output = actuation.output(at(5));
    assert_eq!(
        (output.stage, output.stopped, output.drive),
        (Stage::MinimalRisk, false, None)
    );
    assert_eq!(
        apply(&mut actuation, at(6), command.clone()),
        Err(Refusal::NeedsResume)
    );
    assert_eq!(actuation.on_own_request(at(7)), Ok(()), "again");
    let again = desk.accepted(at(20), resume(&desk), 200);
    apply(&mut actuation, at(20), again).unwrap();
    apply(&mut actuation, at(30), command).unwrap();
    assert_eq!(speed(actuation.output(at(30))), Some(500));
    assert_eq!(
        stages(&mut actuation),
        [Stage::MinimalRisk, Stage::Nominal],
        "it is entered once"
    );
}

/// SAFE-130
#[test]
fn a_function_that_nothing_could_resume_does_not_enter_minimal_risk_by_request() {
    let config = ActuationConfig {
        watchdog: None,
        limits: None,
    };
    let mut actuation = Actuation::new(config, false);
    actuation.on_device(at(0), true);
    assert_eq!(
        actuation.on_own_request(at(1)),
        Err(Refusal::NoSuchFunction)
    );
    assert_eq!(actuation.stage(), Stage::Nominal);
}

/// SAFE-137
#[test]
fn opaque_commands_feed_whatever_they_say_and_only_an_empty_resume_ends_minimal_risk() {
    let desk = Desk::new();
    let config = ActuationConfig {
        watchdog: Some(WatchdogConfig::default()),
        limits: None,
    };
    let mut actuation = Actuation::new(config, false);
    actuation.on_device(at(0), true);
    let resumes = |bytes: &[u8]| Command {
        resume: true,
        ..opaque(&desk, bytes)
    };
    for command in [opaque(&desk, &[]), opaque(&desk, &[1]), resumes(&[1])] {
        let command = desk.accepted(at(0), command, 200);
        let result = apply(&mut actuation, at(0), command);
        assert_eq!(result, Err(Refusal::NeedsResume));
    }
    let resume = desk.accepted(at(0), resumes(&[]), 200);
    apply(&mut actuation, at(0), resume).unwrap();
    for ms in [150, 300, 450] {
        let command = desk.accepted(at(ms), opaque(&desk, &[9]), 200);
        apply(&mut actuation, at(ms), command).unwrap();
    }
    actuation.on_timeout(at(649));
    assert_eq!(stages(&mut actuation), [Stage::Nominal]);
    actuation.on_timeout(at(1_950));
    assert_eq!(
        stages(&mut actuation),
        [Stage::Hold, Stage::Ramp, Stage::MinimalRisk]
    );
}
