//! The examples of `docs/http-api.md` in `examples/http/`, against a real hub.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::super::program::{Ended, Program};
use super::scene::{ALL, Scene, Service};

fn example(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("../examples/http").join(name)
}

/// Runs an example as an integrator does: with address and token in its environment.
fn run(scene: &Scene, service: &Service, mut command: Command) -> Ended {
    command
        .env("LONGREIN_URL", format!("http://{}/v1", scene.address))
        .env("LONGREIN_TOKEN", &*service.token);
    Program::run("example", command).ended()
}

fn heard(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.stdout.iter();
    let payload = |line: &String| -> Value {
        let line: Value = serde_json::from_str(line).unwrap();
        line["payload"].clone()
    };
    lines.map(payload).collect()
}

#[test]
fn curl_and_python_make_a_room_speak_in_it_and_hear_each_message_once() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    let mut curl = Command::new("sh");
    curl.arg(example("room.sh"))
        .args(["yard", "{\"text\": \"gate 4 is free\"}"]);
    let ended = run(&scene, &erp, curl);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let past: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    let said = json!({ "text": "gate 4 is free" });
    assert_eq!(past["messages"][0]["payload"], said, "{past}");

    let mut python = Command::new("python3");
    python
        .arg(example("room.py"))
        .args(["yard", "[1, 2]", "--count", "2"]);
    assert_eq!(heard(&run(&scene, &erp, python)), [said, json!([1, 2])]);

    // Where it may not, it says so and ends.
    let reader = scene.service("reader", "hub.read");
    let mut python = Command::new("python3");
    python.arg(example("room.py")).args(["yard", "1"]);
    let refused = run(&scene, &reader, python);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .stderr
            .concat()
            .contains("urn:longrein:problem:not-allowed")
    );
}

#[test]
fn typescript_makes_a_room_speaks_in_it_and_hears_each_message_once() {
    let Some(mut command) = typescript() else {
        eprintln!(
            "SKIPPED: nothing on this machine runs TypeScript: Node.js from 22.18 on, Deno or Bun"
        );
        return;
    };
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    command
        .arg(example("room.ts"))
        .args(["yard", "{\"n\": 1}", "1"]);
    assert_eq!(heard(&run(&scene, &erp, command)), [json!({ "n": 1 })]);
}

/// What runs TypeScript here, if anything does.
fn typescript() -> Option<Command> {
    let runs = |program: &str, arguments: &[&str]| {
        let tried = Command::new(program).args(arguments).output();
        tried.is_ok_and(|output| output.status.success())
    };
    let strips = "process.exit(process.features.typescript ? 0 : 1)";
    if runs("node", &["-e", strips]) {
        return Some(Command::new("node"));
    }
    if runs("deno", &["--version"]) {
        let mut deno = Command::new("deno");
        deno.args(["run", "--allow-net", "--allow-env"]);
        return Some(deno);
    }
    runs("bun", &["--version"]).then(|| Command::new("bun"))
}
