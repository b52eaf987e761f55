//! What is asked twice is done once, and who asks too often waits.

use serde_json::{Value, json};

use super::scene::{ALL, Scene, Service, expect_problem};

const TALK: &str = "/v1/rooms/yard/topics/talk/messages";

fn post(service: &Service, key: &str, payload: &Value) -> super::super::web::Answer {
    let lines = format!("idempotency-key: {key}\r\n");
    service.send_with("POST", TALK, &lines, &json!({ "payload": payload }))
}

#[test]
fn a_request_that_is_sent_again_with_its_key_is_done_once_over_a_restart_too() {
    let mut scene = Scene::start();
    let erp = scene.service("erp", ALL);
    // What is refused is not done, and its key is free.
    let early = post(&erp, "order-1", &json!("early"));
    expect_problem(&early, 404, "no-such-room");
    erp.send("PUT", "/v1/rooms/yard", &json!({}));

    let first = post(&erp, "order-1", &json!("one"));
    assert_eq!(first.status, 201, "{first:?}");
    assert!(!first.head.contains("idempotency-replayed"), "{first:?}");
    let again = post(&erp, "order-1", &json!("one"));
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert!(
        again.head.contains("idempotency-replayed: true"),
        "{again:?}"
    );
    let other = post(&erp, "order-1", &json!("two"));
    expect_problem(&other, 422, "key-reused");
    // Another service's key is another one.
    let mes = scene.service("mes", ALL);
    assert_eq!(post(&mes, "order-1", &json!("three")).status, 201);

    let erp = scene.restart_hub("erp");
    let after = post(&erp, "order-1", &json!("one"));
    assert_eq!(after.status, 201, "{after:?}");
    assert_eq!(after.json()["cursor"], first.json()["cursor"]);
    let past = erp.get(&format!("{TALK}?direction=forwards")).json();
    let payloads = past["messages"].as_array().unwrap().iter();
    let payloads: Vec<&Value> = payloads.map(|message| &message["payload"]).collect();
    assert_eq!(payloads, ["one", "three"]);

    let long = "k".repeat(129);
    expect_problem(&post(&erp, &long, &json!(1)), 400, "bad-request");
}

#[test]
fn a_message_with_a_key_is_sent_once() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    let message = json!({ "to": { "nodes": ["service/erp"] }, "flow": "order", "keep": true, "ttl_ms": 60_000, "payload": 1 });
    let key = "idempotency-key: \"8e03978e-40d5-43dd-bc93-6894a57f9324\"\r\n";
    let first = erp.send_with("POST", "/v1/messages?wait_ms=9000", key, &message);
    assert_eq!(first.json()["results"][0]["outcome"], "kept", "{first:?}");
    let again = erp.send_with("POST", "/v1/messages?wait_ms=9000", key, &message);
    assert_eq!(again.body, first.body);
    assert_eq!(
        erp.get("/v1/mailbox").json()["messages"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn who_asks_more_often_than_it_may_is_told_when_to_ask_again() {
    let scene = Scene::with_keys("requests_per_s = 1\nrequests_burst = 3\n");
    let erp = scene.service("erp", "hub.read");
    let first = erp.get("/v1/nodes");
    assert_eq!(first.status, 200, "{first:?}");
    assert!(
        first.head.contains("ratelimit-policy: \"service\";q=3;w=3"),
        "{first:?}"
    );
    let refused = (0..1_000)
        .map(|_| erp.get("/v1/nodes"))
        .find(|answer| answer.status != 200);
    let refused = refused.unwrap();
    expect_problem(&refused, 429, "too-often");
    assert!(refused.head.contains("retry-after: 1"), "{refused:?}");
    // Who asks rarely is answered.
    assert_eq!(
        scene.service("mes", "hub.read").get("/v1/nodes").status,
        200
    );
}

#[test]
fn a_relay_that_is_no_hub_says_so() {
    let scene = Scene::start();
    let other = super::super::fleet::http_address(&scene.fleet, "relay-b");
    let erp = scene.service_at(&other, "erp", ALL);
    for place in ["/v1/nodes", "/v1/rooms", "/v1/events?presence=true"] {
        let detail = expect_problem(&erp.get(place), 503, "no-hub");
        assert!(detail.contains("`enabled = true`"), "{detail}");
    }
    assert_eq!(erp.get("/v1/quality").status, 200);
}
