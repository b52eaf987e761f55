//! Messages from services to nodes, and from nodes to services.

use std::time::Duration;

use longrein::hub::{Message, TargetOutcome, Want};
use longrein_io::runtime;
use serde_json::{Value, json};

use super::super::hub_rooms::{connect, name, node, soon, with_patience};
use super::super::until::until;
use super::scene::{ALL, Scene, Service, expect_problem};

/// What became of a message, by target.
fn outcomes(state: &Value) -> Vec<(String, String)> {
    let results = state["results"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    results
        .map(|result| (text(&result["node"]), text(&result["outcome"])))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(node, outcome): &(&str, &str)| (node.to_string(), outcome.to_string());
    expected.iter().map(pair).collect()
}

/// Asks until it is known of all targets what became of a message.
fn settled(service: &Service, state: &Value) -> Value {
    let place = format!(
        "/v1/messages/{}?wait_ms=5000",
        state["id"].as_str().unwrap()
    );
    until("what became of it is known", || {
        let state = service.get(&place).json();
        (state["open"] == 0).then_some(state)
    })
}

#[test]
fn what_a_service_sends_arrives_and_it_hears_what_became_of_it_at_each_target() {
    let scene = Scene::start();
    let erp = scene.service("erp", "hub.send");
    runtime::run(async || {
        let alice = connect(&scene.fleet, "alice").await;
        let hub = with_patience(&alice);
        let mut letters = hub.letters().await.unwrap();
        let sent = erp
            .aside(|erp| {
                let message = json!({
                    "to": { "nodes": ["controller/alice", "controller/desk", "agent/ghost"] },
                    "flow": "shift",
                    "payload": { "text": "is over", "at": 17.0 },
                });
                erp.send("POST", "/v1/messages?wait_ms=9000", &message)
            })
            .await;
        assert_eq!(sent.status, 200, "{sent:?}");
        let place = sent.head.split("location: /v1/messages/").nth(1).unwrap();
        let state = sent.json();
        assert!(place.starts_with(state["id"].as_str().unwrap()), "{sent:?}");
        let expected = [
            ("agent/ghost", "offline"),
            ("controller/alice", "delivered"),
            ("controller/desk", "offline"),
        ];
        assert_eq!(outcomes(&state), pairs(&expected));
        let letter = soon("a letter", letters.next()).await.unwrap();
        assert_eq!(letter.from, node("service/erp"));
        assert_eq!(letter.flow, Some(name("shift")));
        let payload: Value = serde_json::from_slice(&letter.payload.0).unwrap();
        assert_eq!(payload, json!({ "text": "is over", "at": 17.0 }));

        // Bytes, and what the application at the other end did with them.
        for (applied, outcome) in [(true, "applied"), (false, "declined")] {
            let message = json!({
                "to": { "nodes": ["controller/alice"] },
                "flow": "shift", "want": "applied", "payload_base64": "AP8=",
            });
            let sent = erp
                .aside(move |erp| erp.send("POST", "/v1/messages", &message))
                .await;
            assert_eq!(sent.status, 202, "{sent:?}");
            let letter = soon("a letter", letters.next()).await.unwrap();
            assert_eq!(&*letter.payload.0, [0, 255]);
            match applied {
                true => letter.applied().await.unwrap(),
                false => letter.declined(name("busy")).await.unwrap(),
            }
            let state = erp.aside(move |erp| settled(erp, &sent.json())).await;
            assert_eq!(outcomes(&state), pairs(&[("controller/alice", outcome)]));
            let why = match applied {
                true => Value::Null,
                false => "busy".into(),
            };
            assert_eq!(state["results"][0]["why"], why);
        }
        alice.close().await;
    })
    .unwrap();
}

#[test]
fn a_message_goes_to_the_members_of_a_room_and_to_those_with_a_label() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    let made = erp.send("PUT", "/v1/rooms/yard", &json!({}));
    assert_eq!(made.status, 200, "{made:?}");
    runtime::run(async || {
        let (alice, desk) = (
            connect(&scene.fleet, "alice").await,
            connect(&scene.fleet, "desk").await,
        );
        let hub = with_patience(&desk);
        let options =
            longrein::hub::JoinOptions::new(name("yard"), longrein::hub::RoomRole::Observer);
        let _member = hub.join(options).await.unwrap();
        let mut at_desk = hub.letters().await.unwrap();
        let mut at_alice = with_patience(&alice).letters().await.unwrap();
        erp.aside(|erp| {
            let label = json!({ "set": { "label.site": "north" } });
            let place = "/v1/nodes/controller/alice/documents/attributes";
            let written = erp.send_with("PATCH", place, "if-match: *\r\n", &label);
            assert_eq!(written.status, 200, "{written:?}");
            for (select, target) in [
                (json!({ "room": "yard" }), "controller/desk"),
                (
                    json!({ "labels": [{ "key": "site", "value": "north" }] }),
                    "controller/alice",
                ),
            ] {
                let message = json!({ "to": { "select": select }, "flow": "plan", "payload": 7 });
                let sent = erp.send("POST", "/v1/messages?wait_ms=9000", &message);
                assert_eq!(sent.status, 200, "{sent:?}");
                assert_eq!(outcomes(&sent.json()), pairs(&[(target, "delivered")]));
            }
        })
        .await;
        for letters in [&mut at_desk, &mut at_alice] {
            let letter = soon("a letter", letters.next()).await.unwrap();
            assert_eq!(&*letter.payload.0, b"7");
        }
        alice.close().await;
        desk.close().await;
    })
    .unwrap();
}

#[test]
fn what_a_node_sends_waits_in_the_services_mailbox_or_comes_as_an_event() {
    let scene = Scene::start();
    let erp = scene.service("erp", "hub.read hub.send");
    let mut stream = erp.events("/v1/events?messages=true", None);
    stream.next_of("ready");
    runtime::run(async || {
        let alice = connect(&scene.fleet, "alice").await;
        let hub = with_patience(&alice);
        let to = || [node("service/erp")];
        for text in ["one", "2"] {
            let message = Message::to_nodes(to(), name("order"), text.as_bytes());
            let message = message.kept(Duration::from_secs(3_600)).want(Want::Delivered);
            let sent = hub.send(message).await.unwrap();
            let results = soon("results", sent.results()).await;
            assert_eq!(results[&to()[0]], TargetOutcome::Kept);
        }
        let page = erp.aside(|erp| erp.get("/v1/mailbox?direction=forwards&limit=1")).await;
        let first = page.json();
        // What is no JSON comes as base64.
        assert_eq!(first["messages"][0]["payload_base64"], "b25l", "{first}");
        assert_eq!(first["messages"][0]["from"], "controller/alice");
        let place = format!("/v1/mailbox?direction=forwards&cursor={}", first["next"].as_str().unwrap());
        let second = erp.aside(move |erp| erp.get(&place)).await.json();
        assert_eq!(second["messages"][0]["payload"], 2, "{second}");
        assert_eq!(second["next"], Value::Null);
        let left = erp
            .aside(move |erp| {
                let taken = json!({ "cursor": first["messages"][0]["cursor"] });
                assert_eq!(erp.send("POST", "/v1/mailbox/taken", &taken).status, 204);
                erp.get("/v1/mailbox").json()
            })
            .await;
        assert_eq!(left["messages"].as_array().unwrap().len(), 1, "{left}");

        // One that is not kept, and what the service did with it.
        let message = Message::to_nodes(to(), name("order"), b"{\"n\":3}".as_slice());
        let sent = hub.send(message.want(Want::Applied)).await.unwrap();
        erp.aside(move |erp| {
            let event = stream.next_of("message");
            assert_eq!(event.data["payload"], json!({ "n": 3 }));
            let outcome = json!({
                "id": event.data["id"], "from": event.data["from"], "applied": false, "why": "sold-out",
            });
            let told = erp.send("POST", "/v1/outcomes", &outcome);
            assert_eq!(told.status, 204, "{told:?}");
        })
        .await;
        let results = soon("what became of it", sent.results()).await;
        let declined = TargetOutcome::Declined(name("sold-out"));
        assert_eq!(results[&to()[0]], declined);
        alice.close().await;
    })
    .unwrap();
}

#[test]
fn what_is_wrong_with_a_message_is_told_and_nothing_is_sent() {
    let scene = Scene::start();
    let erp = scene.service("erp", "hub.send");
    let to = json!({ "nodes": ["agent/truck-17"] });
    let long = "x".repeat(70_000);
    for (message, status, kind) in [
        (
            json!({ "flow": "chat", "payload": 1 }),
            422,
            "unprocessable",
        ),
        (json!({ "to": to, "flow": "chat" }), 422, "unprocessable"),
        (
            json!({ "to": { "nodes": [] }, "flow": "chat", "payload": 1 }),
            422,
            "unprocessable",
        ),
        (
            json!({ "to": to, "flow": "chat", "payload": 1, "ttl_ms": 60_001 }),
            422,
            "unprocessable",
        ),
        (
            json!({ "to": to, "flow": "chat", "payload": 1, "class": "stop" }),
            422,
            "unprocessable",
        ),
        (
            json!({ "to": to, "flow": "chat", "payload": 1, "class": "latest", "keep": true }),
            422,
            "unprocessable",
        ),
        (
            json!({ "to": to, "flow": "chat", "payload": long }),
            413,
            "too-large",
        ),
    ] {
        let answer = erp.send("POST", "/v1/messages", &message);
        expect_problem(&answer, status, kind);
    }
    let message = json!({ "to": to, "flow": "chat", "payload": 1 });
    let reader = scene.service("reader", "hub.read");
    let answer = reader.send("POST", "/v1/messages", &message);
    expect_problem(&answer, 403, "not-allowed");
    // Another service's message is nobody else's.
    let sent = erp.send("POST", "/v1/messages", &message);
    assert_eq!(sent.status, 202, "{sent:?}");
    let place = format!("/v1/messages/{}", sent.json()["id"].as_str().unwrap());
    assert_eq!(erp.get(&place).status, 200);
    expect_problem(&reader.get(&place), 404, "not-found");
}
