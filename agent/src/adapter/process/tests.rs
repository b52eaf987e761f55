//! Drives `examples/child_vehicle.py` and smaller children through the real pipes. Each test waits for facts.

use longrein_proto::base::Stage;
use longrein_proto::wire::{Drive, VehicleState};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

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
fn a_line_longer_than_the_pipe_does_not_hold_up_the_adapter() {
    let long = vec![7; 60_000];
    let mut deaf = python(&["-c", "import time; time.sleep(1000)"]);
    deaf.config.stop_ms = 0;
    until("a child", || {
        deaf.poll(now());
        deaf.child_id()
    });
    deaf.on_command(now(), &applied(&long, TTL)).unwrap();
    deaf.on_output(now(), &word(Stage::Nominal, None, TTL));
    deaf.poll(now());
    let State::Running(pipe) = &deaf.state else {
        panic!("no child")
    };
    assert!(!pipe.is_free(), "the rest of the line waits");

    let mut echo = python(&["-c", ECHO]);
    up(&mut echo);
    echo.on_command(now(), &applied(&long, TTL)).unwrap();
    echo.on_output(now(), &word(Stage::Nominal, None, TTL));
    let heard = until("echo", || echo.poll(now()));
    assert_eq!(heard, Telemetry::Opaque(long));
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
fn opaque_commands_arrive_in_order_one_line_at_a_time_and_few_wait() {
    let mut adapter = python(&["-c", ECHO]);
    up(&mut adapter);
    for number in 0..16 {
        adapter.on_command(now(), &applied(&[number], TTL)).unwrap();
    }
    let one_more = adapter.on_command(now(), &applied(&[99], TTL));
    assert_eq!(one_more, Err(Refusal::TooOften));
    adapter.on_output(now(), &word(Stage::Nominal, None, TTL));
    let mut heard = Vec::new();
    until("all echoes", || {
        if let Some(Telemetry::Opaque(bytes)) = adapter.poll(now()) {
            heard.extend(bytes);
        }
        (heard.len() == 16).then_some(())
    });
    assert_eq!(heard, (0..16).collect::<Vec<u8>>());
}

/// SAFE-63
#[test]
fn opaque_commands_that_wait_past_their_deadline_or_are_void_are_not_written() {
    let mut adapter = python(&["-c", ECHO]);
    up(&mut adapter);
    let (soon, later) = (Duration::from_millis(30), TTL);
    adapter.on_command(now(), &applied(&[1], later)).unwrap();
    adapter.on_void();
    adapter.on_command(now(), &applied(&[2], soon)).unwrap();
    let after_its_deadline = now() + soon;
    adapter.on_output(after_its_deadline, &word(Stage::Nominal, None, later));
    adapter.on_command(now(), &applied(&[3], later)).unwrap();
    let heard = until("echo", || {
        adapter.on_output(now(), &word(Stage::Nominal, None, later));
        match adapter.poll(now()) {
            Some(Telemetry::Opaque(bytes)) => Some(bytes),
            Some(Telemetry::Vehicle(_)) | None => None,
        }
    });
    assert_eq!(heard, [3]);
}

#[test]
fn rubbish_and_endless_lines_are_counted_and_skipped() {
    let rubbish = "
import sys
print('rubbish')
print('x' * 300_000)
print('{\"telemetry_hex\": \"0a\"}', flush=True)
sys.stdin.read()
";
    let mut adapter = python(&["-c", rubbish]);
    let telemetry = until("telemetry", || adapter.poll(now()));
    assert_eq!(telemetry, Telemetry::Opaque(vec![10]));
    assert_eq!(adapter.wrong_lines, 1);
}
