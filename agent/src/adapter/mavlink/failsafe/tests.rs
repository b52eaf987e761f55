//! Behaviours of the fail-safe, in virtual time.

use mavlink::dialects::common::MavState;

use super::super::config::{MavlinkManual, MavlinkVehicle, ModeName};
use super::*;

fn ms(ms: u64) -> MonoTime {
    MonoTime::from_us(ms * 1_000)
}

fn output(stage: Stage, stopped: bool) -> Output {
    Output {
        stage,
        stopped,
        drive: None,
        deadline: ms(0),
        ttl_left: Duration::ZERO,
    }
}

fn mode(name: &str) -> MavlinkAction {
    MavlinkAction {
        mode: Some(ModeName::Name(name.to_string())),
        ..MavlinkAction::default()
    }
}

fn channels(values: &[u16]) -> MavlinkAction {
    MavlinkAction {
        channels: values.to_vec(),
        ..MavlinkAction::default()
    }
}

fn rover() -> MavlinkConfig {
    MavlinkConfig {
        vehicle: Some(MavlinkVehicle::Rover),
        on_hold: Some(channels(&[1_500, 0, 1_500])),
        on_minimal_risk: Some(mode("hold")),
        ..MavlinkConfig::default()
    }
}

/// What a message says.
#[derive(Debug, PartialEq)]
enum Said {
    /// Target system, tries before, mode, sub mode.
    Mode(u8, u8, f32, f32),
    Channels([u16; 3]),
    Sticks([i16; 4]),
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "hundreds of messages, of which three are expected"
)]
fn said(messages: Vec<Vec<u8>>) -> Vec<Said> {
    let read = |message: Vec<u8>| {
        let mut reader = MavlinkReader::new(message.as_slice());
        let (header, message) = reader.read_any_message::<MavMessage>().unwrap();
        assert_eq!((header.system_id, header.component_id), (255, 191));
        match message {
            MavMessage::COMMAND_LONG(c) => {
                assert_eq!(c.command, MavCmd::MAV_CMD_DO_SET_MODE);
                assert_eq!((c.target_component, c.param1), (1, 1.0));
                Said::Mode(c.target_system, c.confirmation, c.param2, c.param3)
            }
            MavMessage::RC_CHANNELS_OVERRIDE(c) => {
                Said::Channels([c.chan1_raw, c.chan2_raw, c.chan8_raw])
            }
            MavMessage::MANUAL_CONTROL(m) => Said::Sticks([m.x, m.y, m.z, m.r]),
            other => panic!("{other:?}"),
        }
    };
    messages.into_iter().map(read).collect()
}

fn sent(data: &impl MessageData, system_id: u32, component_id: u8) -> Vec<u8> {
    let header = MavHeader {
        system_id,
        component_id,
        sequence: 0,
    };
    let mut frame = MAVLinkV2MessageRaw::new();
    frame.serialize_message_data(header, data);
    frame.raw_bytes().to_vec()
}

fn heartbeat(custom_mode: u32) -> HEARTBEAT_DATA {
    HEARTBEAT_DATA {
        custom_mode,
        mavtype: MavType::MAV_TYPE_GROUND_ROVER,
        autopilot: MavAutopilot::MAV_AUTOPILOT_ARDUPILOTMEGA,
        base_mode: MavModeFlag::MAV_MODE_FLAG_CUSTOM_MODE_ENABLED,
        system_status: MavState::MAV_STATE_ACTIVE,
        mavlink_version: 3,
    }
}

fn acknowledgement(result: MavResult) -> COMMAND_ACK_DATA {
    COMMAND_ACK_DATA {
        command: MavCmd::MAV_CMD_DO_SET_MODE,
        result,
    }
}

/// When a mode was told until then, called at a fixed rate.
fn told(failsafe: &mut Failsafe, output: &Output, from: u64, to: u64) -> Vec<u64> {
    let turns = (from..to).step_by(20);
    let told = turns.filter(|at| {
        let said = said(failsafe.on_output(ms(*at), output));
        said.iter().any(|said| matches!(said, Said::Mode(..)))
    });
    told.collect()
}

/// SAFE-136
#[test]
fn values_are_told_at_the_fixed_rate_and_given_back_when_commands_are_back() {
    let mut failsafe = Failsafe::new(rover());
    let nominal = output(Stage::Nominal, false);
    assert_eq!(failsafe.on_output(ms(0), &nominal), Vec::<Vec<u8>>::new());
    for stage in [Stage::Hold, Stage::Ramp] {
        for at in 0..10 {
            let told = failsafe.on_output(ms(20 * at), &output(stage, false));
            assert_eq!(said(told), [Said::Channels([1_500, u16::MAX, u16::MAX])]);
        }
    }
    for _ in 0..RELEASES {
        let told = failsafe.on_output(ms(500), &nominal);
        assert_eq!(said(told), [Said::Channels([0, 0, 0])]);
    }
    assert!(failsafe.on_output(ms(600), &nominal).is_empty());
}

/// SAFE-136
#[test]
fn a_mode_is_told_until_the_autopilot_says_that_it_is_in_it() {
    let mut failsafe = Failsafe::new(rover());
    let risk = output(Stage::MinimalRisk, false);
    let first = said(failsafe.on_output(ms(0), &risk));
    assert_eq!(first, [Said::Mode(0, 0, 4.0, 0.0)], "to everybody");
    failsafe.on_datagram(&sent(&heartbeat(15), 7, 1));
    let second = said(failsafe.on_output(ms(100), &risk));
    assert_eq!(second, [Said::Mode(7, 1, 4.0, 0.0)]);
    assert_eq!(told(&mut failsafe, &risk, 120, 500), [200, 300, 400]);
    // The answer to a command of the operator looks the same, so it is not the end.
    failsafe.on_datagram(&sent(
        &acknowledgement(MavResult::MAV_RESULT_ACCEPTED),
        7,
        1,
    ));
    assert_eq!(told(&mut failsafe, &risk, 500, 2_500), [500, 1_500]);
    failsafe.on_datagram(&sent(&heartbeat(4), 7, 1));
    // Whoever is at the vehicle may change it from then on.
    failsafe.on_datagram(&sent(&heartbeat(0), 7, 1));
    assert_eq!(told(&mut failsafe, &risk, 2_500, 9_000), [0; 0]);
    // At the next stop it is told anew.
    failsafe.on_output(ms(9_000), &output(Stage::Nominal, false));
    assert_eq!(told(&mut failsafe, &risk, 9_020, 9_040), [9_020]);
}

/// SAFE-136
#[test]
fn who_is_not_the_autopilot_does_not_end_it_and_a_refusal_slows_it_down() {
    let mut failsafe = Failsafe::new(rover());
    let risk = output(Stage::MinimalRisk, false);
    failsafe.on_output(ms(0), &risk);
    failsafe.on_datagram(&sent(&heartbeat(15), 7, 1));
    let gcs = HEARTBEAT_DATA {
        mavtype: MavType::MAV_TYPE_GCS,
        autopilot: MavAutopilot::MAV_AUTOPILOT_INVALID,
        ..heartbeat(4)
    };
    failsafe.on_datagram(&sent(&gcs, 7, 1));
    failsafe.on_datagram(&sent(&heartbeat(4), 8, 1));
    failsafe.on_datagram(&sent(&heartbeat(4), 7, 100));
    failsafe.on_datagram(&sent(
        &acknowledgement(MavResult::MAV_RESULT_ACCEPTED),
        8,
        1,
    ));
    failsafe.on_datagram(&[0xfd, 9, 0, 0, 1, 2, 3]);
    assert_eq!(told(&mut failsafe, &risk, 100, 400), [100, 200, 300]);
    failsafe.on_datagram(&sent(&acknowledgement(MavResult::MAV_RESULT_DENIED), 7, 1));
    assert_eq!(told(&mut failsafe, &risk, 400, 2_600), [400, 1_400, 2_400]);
    // One that does not answer at all is told once a second after a while, without end.
    let mut failsafe = Failsafe::new(rover());
    let all = told(&mut failsafe, &risk, 0, 6_000);
    assert_eq!(all.len(), usize::from(HURRIED_TRIES) + 4, "{all:?}");
}

/// SAFE-136
#[test]
fn a_stop_has_an_action_of_its_own_or_that_of_the_stage_before() {
    let stop = output(Stage::MinimalRisk, true);
    for (on_stop, expected) in [(None, 4.0), (Some(mode("rtl")), 11.0)] {
        let mut failsafe = Failsafe::new(MavlinkConfig { on_stop, ..rover() });
        let told = said(failsafe.on_output(ms(0), &stop));
        assert_eq!(told, [Said::Mode(0, 0, expected, 0.0)]);
    }
    let manual = Some(MavlinkManual {
        x: 0,
        y: 0,
        z: 500,
        r: 0,
    });
    let action = MavlinkAction {
        manual,
        ..mode("hold")
    };
    let config = MavlinkConfig {
        vehicle: Some(MavlinkVehicle::Px4),
        target_system: Some(3),
        on_ramp: Some(action),
        ..MavlinkConfig::default()
    };
    assert_eq!(config.check(), Ok(()));
    let mut failsafe = Failsafe::new(config);
    assert!(
        failsafe
            .on_output(ms(0), &output(Stage::Hold, false))
            .is_empty()
    );
    assert_eq!(
        said(failsafe.on_output(ms(0), &stop)),
        [Said::Mode(3, 0, 4.0, 3.0), Said::Sticks([0, 0, 500, 0])]
    );
}

#[test]
fn what_no_autopilot_can_do_is_refused_with_what_is_allowed() {
    let with = |action: MavlinkAction| MavlinkConfig {
        on_hold: Some(action),
        ..rover()
    };
    let manual = Some(MavlinkManual {
        x: 0,
        y: 0,
        z: 1_001,
        r: 0,
    });
    for (config, key, allowed) in [
        (
            MavlinkConfig::default(),
            "mavlink",
            "at least one of on_hold",
        ),
        (
            with(MavlinkAction::default()),
            "mavlink on_...",
            "mode, channels",
        ),
        (
            with(mode("brake")),
            "mavlink mode",
            "manual, hold, loiter, rtl, smart_rtl",
        ),
        (
            MavlinkConfig {
                vehicle: None,
                ..with(mode("hold"))
            },
            "mavlink mode",
            "unless `vehicle`",
        ),
        (
            with(channels(&[1_500, 100])),
            "mavlink channels",
            "800 to 2200, or 0",
        ),
        (with(channels(&[1_500; 9])), "mavlink channels", "at most 8"),
        (
            with(MavlinkAction {
                manual,
                ..mode("hold")
            }),
            "mavlink manual",
            "-1000 to 1000",
        ),
    ] {
        let (found, what) = config.check().unwrap_err();
        assert_eq!(found, key);
        assert!(what.contains(allowed), "{what}");
    }
}
