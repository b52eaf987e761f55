//! Locks: one service has one at a time, and its token guards what it protects.

use serde_json::json;

use super::super::until::until;
use super::scene::{ALL, Scene, expect_problem};

const GATE: &str = "/v1/nodes/agent/truck-17/locks/gate";
const TRUCK: &str = "/v1/nodes/agent/truck-17/documents/attributes";

#[test]
fn a_lock_has_one_holder_whose_token_guards_a_document_and_who_waits_comes_next() {
    let scene = Scene::start();
    let (erp, mes) = (scene.service("erp", ALL), scene.service("mes", ALL));
    let long = json!({ "ttl_ms": 300_000 });
    let first = erp.send("POST", GATE, &long);
    assert_eq!(first.status, 200, "{first:?}");
    let token = first.json()["token"].as_u64().unwrap();
    let held = mes.send("POST", GATE, &long);
    expect_problem(&held, 409, "lock-held");
    assert_eq!(held.json()["held_by"], "service/erp");
    let locks = mes.get("/v1/nodes/agent/truck-17/locks").json();
    assert_eq!(locks["locks"][0]["by"], "service/erp");

    let write = |token: u64| {
        let changes =
            json!({ "set": { "load": token }, "lock": { "lock": "gate", "token": token } });
        erp.send_with("PATCH", TRUCK, "if-match: *\r\n", &changes)
    };
    assert_eq!(write(token).status, 200);
    expect_problem(&write(token + 1), 409, "not-holder");
    let renewed = erp.send("PUT", GATE, &json!({ "token": token, "ttl_ms": 300_000 }));
    assert_eq!(renewed.json()["token"], token, "{renewed:?}");
    let stolen = mes.send("PUT", GATE, &json!({ "token": token, "ttl_ms": 300_000 }));
    expect_problem(&stolen, 409, "not-holder");

    let waiting = {
        let mes = mes.clone();
        std::thread::spawn(move || {
            mes.send(
                "POST",
                GATE,
                &json!({ "ttl_ms": 300_000, "wait_ms": 60_000 }),
            )
        })
    };
    until("somebody waits", || {
        let locks = erp.get("/v1/nodes/agent/truck-17/locks").json();
        (locks["locks"][0]["waiting"] == 1).then_some(())
    });
    let given = erp.ask("DELETE", &format!("{GATE}?token={token}"), "", "");
    assert_eq!(given.status, 204, "{given:?}");
    let next = waiting.join().unwrap();
    assert_eq!(next.status, 200, "{next:?}");
    assert!(next.json()["token"].as_u64().unwrap() > token);
    expect_problem(&write(token), 409, "not-holder");

    // Who manages takes it from anybody.
    let writer = scene.service("writer", "hub.read hub.write");
    expect_problem(&writer.ask("DELETE", GATE, "", ""), 403, "not-allowed");
    assert_eq!(erp.ask("DELETE", GATE, "", "").status, 204);
    assert_eq!(
        erp.get("/v1/nodes/agent/truck-17/locks").json()["locks"],
        json!([])
    );
}

#[test]
fn a_lock_of_a_room_that_is_not_there_or_for_too_long_is_refused() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    let nowhere = erp.send(
        "POST",
        "/v1/rooms/nowhere/locks/gate",
        &json!({ "ttl_ms": 1_000 }),
    );
    expect_problem(&nowhere, 404, "no-such-room");
    let long = erp.send("POST", GATE, &json!({ "ttl_ms": 300_001 }));
    expect_problem(&long, 422, "unprocessable");
}
