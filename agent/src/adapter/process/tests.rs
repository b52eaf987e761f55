//! Drives `examples/child_vehicle.py` and smaller children through the real pipes. Each test waits for facts.

use longrein_proto::base::Stage;
use longrein_proto::wire::{Drive, VehicleState};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, test_kill_process, waitid,
};

use super::*;
use crate::testing::{applied, now, until};

fn python(arguments: &[&str]) -> ProcessAdapter {
    let command = std::iter::once("python3")
        .chain(arguments.iter().copied())
        .map(str::to_string)
        .collect();
    let mut config = ProcessConfig::new(command);
    config.restart_min_ms = 10;
    // A loaded machine is no reason to restart a child in a test.
    config.unresponsive_ms = 60_000;
    ProcessAdapter::new(config, now())
}

fn child_vehicle() -> ProcessAdapter {
    python(&[concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/child_vehicle.py"
    )])
}

fn word(stage: Stage, speed_mm_s: Option<i16>, ttl: Duration) -> Output {
    Output {
        stage,
        stopped: false,
        drive: speed_mm_s.map(|speed_mm_s| Drive {
            speed_mm_s,
            curvature_per_km: 0,
        }),
        deadline: now() + ttl,
        ttl_left: ttl,
    }
}

fn pid(adapter: &ProcessAdapter) -> Pid {
    let id = i32::try_from(adapter.child_id().unwrap()).unwrap();
    Pid::from_raw(id).unwrap()
}

/// Long enough for a loaded machine; the silence limit of the child itself is what stops it.
const TTL: Duration = Duration::from_secs(10);

fn vehicle(telemetry: Option<Telemetry>) -> Option<VehicleState> {
    match telemetry? {
        Telemetry::Vehicle(state) => Some(state),
        Telemetry::Opaque(_) => None,
    }
}

/// Feeds the word until the child is at this speed.
fn at_speed(adapter: &mut ProcessAdapter, speed_mm_s: i16) {
    until("at speed", || {
        adapter.on_output(now(), &word(Stage::Nominal, Some(speed_mm_s), TTL));
        vehicle(adapter.poll(now())).filter(|state| state.speed_mm_s == speed_mm_s)
    });
}

fn give(adapter: &mut ProcessAdapter, bytes: &[u8]) -> Result<(), Refusal> {
    let output = word(Stage::Nominal, None, TTL);
    let taken = adapter.on_command(now(), &applied(bytes, TTL), &output)?;
    assert_eq!(taken, Taken::Done);
    Ok(())
}

/// Feeds it until it is up and owes nothing.
fn free(adapter: &mut ProcessAdapter) {
    up(adapter);
    until("free", || {
        adapter.poll(now());
        adapter.is_free().then_some(())
    });
}

fn up(adapter: &mut ProcessAdapter) {
    until("up", || {
        adapter.on_output(now(), &word(Stage::MinimalRisk, None, TTL));
        adapter.poll(now());
        adapter.is_up().then_some(())
    });
}

/// SAFE-60
#[test]
fn the_example_drives_and_stops_by_itself_after_silence() {
    let mut adapter = child_vehicle();
    at_speed(&mut adapter, 1_000);
    assert!(adapter.is_up());
    let state = until("stands", || {
        vehicle(adapter.poll(now())).filter(|state| state.speed_mm_s == 0)
    });
    assert!(state.x_mm > 0);
    assert!(adapter.is_up(), "it answered everything that it was told");
}

/// SAFE-60, SAFE-67
#[test]
fn at_end_of_file_the_example_stops_and_ends_by_itself() {
    let mut adapter = child_vehicle();
    at_speed(&mut adapter, 500);
    adapter.close();
    let mut last = None;
    until("end", || {
        last = vehicle(adapter.poll(now())).or(last);
        adapter.child_id().is_none().then_some(())
    });
    assert!(last.is_some_and(|state| state.speed_mm_s == 0), "{last:?}");
}

/// SAFE-67
#[test]
fn a_dropped_adapter_gives_its_child_time_to_end_in_order() {
    let path = std::env::temp_dir().join(format!("child-ended-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let ends_slowly = "
import sys, time
sys.stdin.read()
time.sleep(0.2)
open(sys.argv[1], 'w').close()
";
    let mut adapter = python(&["-c", ends_slowly, path.to_str().unwrap()]);
    adapter.config.stop_ms = 10_000;
    until("a child", || {
        adapter.poll(now());
        adapter.child_id()
    });
    drop(adapter);
    std::fs::remove_file(&path).expect("the child came to its end");
}

/// SAFE-66
#[test]
fn a_child_that_does_not_read_does_not_hold_up_the_adapter() {
    let mut deaf = python(&["-c", "import time; time.sleep(1000)"]);
    deaf.config.stop_ms = 0;
    until("a child", || {
        deaf.poll(now());
        deaf.child_id()
    });
    deaf.on_output(now(), &word(Stage::Nominal, None, TTL));
    assert!(!deaf.is_free(), "a line is outstanding");
    for _ in 0..10 {
        deaf.on_output(now(), &word(Stage::Nominal, None, TTL));
        deaf.poll(now());
    }
    assert_eq!(deaf.seq, 1);
    assert_eq!(give(&mut deaf, &[7]), Err(Refusal::TooOften));
}

/// SAFE-48
#[test]
fn the_longest_command_is_written_whole_and_a_longer_one_is_refused() {
    let mut echo = python(&["-c", ECHO]);
    free(&mut echo);
    let long = vec![7; longrein_proto::base::limits::MESSAGE_BYTES_MAX];
    give(&mut echo, &long).unwrap();
    let heard = until("echo", || echo.poll(now()));
    assert_eq!(heard, Telemetry::Opaque(long));
    free(&mut echo);
    let longer = vec![7; 200_000];
    assert_eq!(give(&mut echo, &longer), Err(Refusal::NoSuchFunction));
    assert!(echo.is_up() && echo.is_free(), "nothing was written");
}

/// SAFE-48
#[test]
fn a_command_to_a_child_that_is_gone_is_refused() {
    let mut adapter = python(&["-c", ECHO]);
    free(&mut adapter);
    let child = pid(&adapter);
    kill_process(child, Signal::KILL).unwrap();
    // Without taking its end away from the adapter.
    let seen = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(child), seen).unwrap();
    assert!(adapter.is_up(), "it has not looked yet");
    assert_eq!(give(&mut adapter, &[1]), Err(Refusal::AdapterDown));
    assert!(!adapter.is_up(), "known at once");
}

/// SAFE-61, SAFE-64
#[test]
fn a_stopped_child_is_down_gets_nothing_more_and_does_nothing_stale_when_it_goes_on() {
    let mut adapter = child_vehicle();
    at_speed(&mut adapter, 1_000);
    let child = pid(&adapter);
    kill_process(child, Signal::STOP).unwrap();
    until("down", || {
        adapter.on_output(
            now(),
            &word(Stage::Nominal, Some(1_000), Output::SILENCE_MAX),
        );
        adapter.poll(now());
        (!adapter.is_up()).then_some(())
    });
    let told = adapter.seq;
    for _ in 0..10 {
        adapter.on_output(now(), &word(Stage::Nominal, Some(2_000), TTL));
        adapter.poll(now());
    }
    assert_eq!(
        adapter.seq, told,
        "one line outstanding, nothing more written"
    );
    // Nothing new from now on: what waits in the pipe is all that it can obey, and that is over.
    adapter.unwritten = false;
    adapter.output = None;
    kill_process(child, Signal::CONT).unwrap();
    let mut fastest = 0;
    until("stands", || {
        let state = vehicle(adapter.poll(now()))?;
        fastest = fastest.max(state.speed_mm_s);
        (state.speed_mm_s == 0).then_some(())
    });
    assert!(fastest <= 1_000, "{fastest}");
    until("up again", || {
        adapter.poll(now());
        adapter.is_up().then_some(())
    });
}

#[test]
fn a_killed_child_is_started_again() {
    let mut adapter = child_vehicle();
    up(&mut adapter);
    let first = pid(&adapter);
    kill_process(first, Signal::KILL).unwrap();
    until("down", || {
        adapter.poll(now());
        (!adapter.is_up()).then_some(())
    });
    up(&mut adapter);
    assert_ne!(pid(&adapter), first);
    assert!(test_kill_process(first).is_err(), "no zombie is left");
}

/// SAFE-64
#[test]
fn a_child_that_never_answers_is_never_up_and_is_killed_in_the_end() {
    let mut adapter = python(&["-c", "import time; time.sleep(1000)"]);
    adapter.config.unresponsive_ms = 50;
    let first = until("a child", || {
        adapter.poll(now());
        adapter.child_id()
    });
    until("another child", || {
        adapter.on_output(now(), &word(Stage::Nominal, None, TTL));
        adapter.poll(now());
        assert!(!adapter.is_up());
        adapter.child_id().filter(|id| *id != first)
    });
    adapter.config.stop_ms = 0;
}

#[test]
fn a_program_that_does_not_exist_is_down_and_tried_again_with_growing_delay() {
    let config = ProcessConfig::new(vec!["/nonexistent/device".to_string()]);
    let start = now();
    let mut adapter = ProcessAdapter::new(config, start);
    for _ in 0..3 {
        let State::Waiting(until) = adapter.state else {
            panic!("it runs")
        };
        adapter.poll(until);
        assert!(!adapter.is_up());
    }
    assert_eq!(adapter.restart_delay, Duration::from_millis(800));
}

/// A child that sends opaque bytes back.
const ECHO: &str = "
import json, sys
for line in sys.stdin:
    word = json.loads(line)
    if 'opaque_hex' in word:
        print(json.dumps({'telemetry_hex': word['opaque_hex']}), flush=True)
    print(json.dumps({'ack': word['seq']}), flush=True)
";

/// SAFE-63
#[test]
fn an_opaque_command_is_written_while_no_line_is_outstanding_and_else_not_taken() {
    let mut adapter = python(&["-c", ECHO]);
    free(&mut adapter);
    for number in 0..16 {
        until("free", || {
            adapter.poll(now());
            adapter.is_free().then_some(())
        });
        give(&mut adapter, &[number]).unwrap();
        assert_eq!(give(&mut adapter, &[99]), Err(Refusal::TooOften));
        let heard = until("echo", || adapter.poll(now()));
        assert_eq!(heard, Telemetry::Opaque(vec![number]));
    }
}

#[test]
fn a_line_of_rubbish_is_skipped() {
    let rubbish = "
import sys
print('rubbish')
print('{\"telemetry_hex\": \"0a\"}', flush=True)
sys.stdin.read()
";
    let mut adapter = python(&["-c", rubbish]);
    let telemetry = until("telemetry", || adapter.poll(now()));
    assert_eq!(telemetry, Telemetry::Opaque(vec![10]));
    assert!(adapter.child_id().is_some());
}

#[test]
fn lines_that_cannot_be_read_between_good_ones_do_not_fill_the_log() {
    let mut adapter = python(&["-c", ""]);
    let start = now();
    for _ in 0..1_000 {
        adapter.note_wrong(start, "why");
        adapter.wrong_lines = 0;
    }
    assert_eq!(adapter.unsaid, 999, "one was told");
    adapter.note_wrong(start + SAY_EVERY, "why");
    assert_eq!(adapter.unsaid, 0, "told with the next one");
}

/// SAFE-69
#[test]
fn a_child_that_writes_an_endless_line_or_rubbish_without_end_is_killed_and_started_again() {
    let endless = "
import sys
sys.stdout.write('x' * 300_000)
sys.stdout.flush()
sys.stdin.read()
";
    let rubbish = "
import sys
print('rubbish\\n' * 70, flush=True)
sys.stdin.read()
";
    for program in [endless, rubbish] {
        let mut adapter = python(&["-c", program]);
        let first = until("a child", || {
            adapter.poll(now());
            adapter.child_id()
        });
        until("another child", || {
            adapter.poll(now());
            assert!(!adapter.is_up());
            adapter.child_id().filter(|id| *id != first)
        });
        assert!(
            adapter.restart_delay > Duration::from_millis(10),
            "the next one waits longer"
        );
        adapter.config.stop_ms = 0;
    }
}
