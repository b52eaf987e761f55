//! Documents of nodes and rooms: written by revision, read by tag, and the shadow that two of them make.

use longrein::hub::{Owner, Section, Write};
use longrein_io::runtime;
use serde_json::{Value, json};

use super::super::hub_rooms::{connect, name, node, with_patience};
use super::scene::{ALL, Scene, expect_problem};

const TRUCK: &str = "/v1/nodes/agent/truck-17/documents/attributes";

#[test]
fn a_document_is_written_only_by_who_names_the_revision_that_it_has() {
    let scene = Scene::start();
    let erp = scene.service("erp", "hub.read hub.write");
    let set =
        |lines: &str, items: Value| erp.send_with("PATCH", TRUCK, lines, &json!({ "set": items }));
    expect_problem(&set("", json!({ "load": 1 })), 428, "precondition-required");
    let first = set(
        "if-none-match: *\r\n",
        json!({ "load": 1, "label.site": "north" }),
    );
    assert_eq!(
        (first.status, &first.json()),
        (200, &json!({ "revision": 1 }))
    );
    assert!(first.head.contains("etag: \"1\""), "{first:?}");
    let late = set("if-none-match: *\r\n", json!({ "load": 2 }));
    expect_problem(&late, 412, "precondition-failed");
    assert_eq!(late.json()["revision"], 1);
    let second = set("if-match: \"1\"\r\n", json!({ "load": { "t": 2.50 } }));
    assert_eq!(second.json()["revision"], 2, "{second:?}");
    expect_problem(
        &set("if-match: \"1\"\r\n", json!({ "load": 3 })),
        412,
        "precondition-failed",
    );
    expect_problem(
        &set("if-match: 2\r\n", json!({ "load": 3 })),
        400,
        "bad-request",
    );
    assert_eq!(set("if-match: *\r\n", json!({ "load": null })).status, 200);

    let read = erp.get(TRUCK);
    assert!(read.head.contains("etag: \"3\""), "{read:?}");
    let items = read.json()["items"].clone();
    assert_eq!(items["label.site"]["value"], "north");
    assert_eq!(items["label.site"]["revision"], 1);
    assert_eq!(items["label.site"]["by"], "service/erp");
    assert_eq!(items["load"]["value"], Value::Null);
    let same = erp.ask("GET", TRUCK, "if-none-match: \"3\"\r\n", "");
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    let removal = erp.send_with(
        "PATCH",
        TRUCK,
        "if-match: \"3\"\r\n",
        &json!({ "remove": ["load"] }),
    );
    assert_eq!(removal.status, 200, "{removal:?}");
    assert_eq!(erp.get(TRUCK).json()["items"].as_object().unwrap().len(), 1);

    // What nobody may: write without the right, and write what a node says of itself.
    let reader = scene.service("reader", "hub.read");
    let refused = reader.send_with(
        "PATCH",
        TRUCK,
        "if-match: *\r\n",
        &json!({ "set": { "load": 1 } }),
    );
    expect_problem(&refused, 403, "not-allowed");
    let reported = "/v1/nodes/agent/truck-17/documents/reported";
    let refused = erp.send_with(
        "PATCH",
        reported,
        "if-match: *\r\n",
        &json!({ "set": { "load": 1 } }),
    );
    expect_problem(&refused, 403, "not-allowed");
    let long = json!({ "set": { "load": "x".repeat(9_000) } });
    let refused = erp.send_with("PATCH", TRUCK, "if-match: *\r\n", &long);
    expect_problem(&refused, 413, "too-large");
}

#[test]
fn of_what_is_desired_the_shadow_says_what_is_not_reported_so() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    let desired = "/v1/nodes/controller/alice/documents/desired";
    let written = erp.send_with(
        "PATCH",
        desired,
        "if-none-match: *\r\n",
        &json!({ "set": { "volume": 7, "theme": "dark" } }),
    );
    assert_eq!(written.status, 200, "{written:?}");
    runtime::run(async || {
        let alice = connect(&scene.fleet, "alice").await;
        let hub = with_patience(&alice);
        let own = Owner::Node(node("controller/alice"));
        let seen = hub.document(&own, Section::Desired).await.unwrap();
        assert_eq!(seen.items.len(), 2);
        let report = Write::new(own, Section::Reported).set(name("volume"), b"7".as_slice());
        hub.set(report).await.unwrap();
        let shadow = erp
            .aside(|erp| erp.get("/v1/nodes/controller/alice/shadow"))
            .await;
        let shadow = shadow.json();
        assert_eq!(shadow["delta"], json!({ "theme": "dark" }), "{shadow}");
        assert_eq!(
            shadow["reported"]["items"]["volume"]["by"],
            "controller/alice"
        );
        alice.close().await;
    })
    .unwrap();
}

#[test]
fn a_room_has_attributes_of_its_own() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    erp.send("PUT", "/v1/rooms/yard", &json!({}));
    let place = "/v1/rooms/yard/attributes";
    let set = json!({ "set": { "gate": "open" } });
    let written = erp.send_with("PATCH", place, "if-none-match: *\r\n", &set);
    assert_eq!(written.status, 200, "{written:?}");
    assert_eq!(erp.get(place).json()["items"]["gate"]["value"], "open");
    let nowhere = erp.send_with(
        "PATCH",
        "/v1/rooms/nowhere/attributes",
        "if-match: *\r\n",
        &set,
    );
    expect_problem(&nowhere, 404, "no-such-room");
}
