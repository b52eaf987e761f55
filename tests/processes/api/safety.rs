//! Nothing that is sent over the API can become a command of a vehicle.

use serde_json::json;

use super::super::fleet;
use super::super::pilot::Pilot;
use super::scene::{ALL, Scene, expect_problem};

#[test]
fn whatever_a_service_sends_to_a_vehicle_its_command_gate_never_sees_anything() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    let drive =
        json!({ "speed_mm_s": 900, "curvature_per_km": 0, "dead_man": true, "resume": true });
    for flow in [
        "drive", "command", "lease", "stop", "resume", "reset", "1", "session",
    ] {
        for class in ["latest", "unordered", "reliable"] {
            for keep in [false, true] {
                let message = json!({
                    "to": { "nodes": ["agent/truck-17"] },
                    "flow": flow, "class": class, "keep": keep, "ttl_ms": 10_000, "payload": drive,
                });
                let sent = erp.send("POST", "/v1/messages?wait_ms=0", &message);
                match keep && class != "reliable" {
                    true => drop(expect_problem(&sent, 422, "unprocessable")),
                    false => assert!(matches!(sent.status, 200 | 202), "{sent:?}"),
                }
            }
        }
        let stop = json!({ "to": { "nodes": ["agent/truck-17"] }, "flow": flow, "class": "stop", "payload": drive });
        expect_problem(
            &erp.send("POST", "/v1/messages", &stop),
            422,
            "unprocessable",
        );
        let desired = "/v1/nodes/agent/truck-17/documents/desired";
        let set = json!({ "set": { flow: drive } });
        let written = erp.send_with("PATCH", desired, "if-match: *\r\n", &set);
        assert_eq!(written.status, 200, "{written:?}");
    }
    assert_eq!(fleet::applied(&scene.fleet).read().commands.len(), 0);
    // No stop is latched, and a pilot drives; all that was ever applied came under the one lease of that drive.
    let mut pilot = Pilot::start(&scene.fleet, "desk");
    pilot.drive(500);
    assert_eq!(pilot.end().code, Some(0));
    let applied = fleet::applied(&scene.fleet).read();
    applied.check();
    let token = applied.token();
    assert!(
        applied
            .commands
            .iter()
            .all(|command| command.token == token)
    );
}
