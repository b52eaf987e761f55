//! Server-sent events, also behind the last one of a stream that broke.

use longrein_io::runtime;
use serde_json::{Value, json};

use super::super::hub_rooms::{connect, with_patience};
use super::super::web::Event;
use super::scene::{ALL, Scene, Service, expect_problem};

const TALK: &str = "/v1/rooms/yard/topics/talk/messages";

fn publish(service: &Service, number: u64) {
    let posted = service.send("POST", TALK, &json!({ "payload": number }));
    assert_eq!(posted.status, 201, "{posted:?}");
}

fn said(event: &Event) -> Value {
    assert_eq!(event.name, "topic", "{event:?}");
    assert_eq!(event.data["room"], "yard");
    event.data["payload"].clone()
}

#[test]
fn a_stream_that_broke_goes_on_behind_its_last_event_and_over_a_restart_of_the_hub() {
    let mut scene = Scene::start();
    let erp = scene.service("erp", ALL);
    erp.send("PUT", "/v1/rooms/yard", &json!({}));
    (0..3).for_each(|number| publish(&erp, number));
    let place = "/v1/events?topics=yard/talk&from=oldest";
    let mut stream = erp.events(place, None);
    assert_eq!(said(&stream.next()), 0);
    let last = stream.next();
    assert_eq!(said(&last), 1);
    drop(stream);
    publish(&erp, 3);
    let mut stream = erp.events(place, last.id.as_deref());
    assert_eq!(said(&stream.next()), 2);
    assert_eq!(said(&stream.next()), 3);
    stream.next_of("ready");
    publish(&erp, 4);
    let last = stream.next();
    assert_eq!(said(&last), 4);
    drop(stream);

    let erp = scene.restart_hub("erp");
    publish(&erp, 5);
    let mut stream = erp.events(place, last.id.as_deref());
    assert_eq!(said(&stream.next()), 5);
    // Without an id a stream begins with what comes.
    let mut fresh = erp.events("/v1/events?topics=yard/talk", None);
    fresh.next_of("ready");
    publish(&erp, 6);
    assert_eq!(said(&fresh.next()), 6);

    let wrong = erp.ask("GET", place, "last-event-id: x.x.x\r\n", "");
    expect_problem(&wrong, 400, "bad-request");
    expect_problem(&erp.get("/v1/events"), 400, "bad-request");
    let nowhere = erp.get("/v1/events?topics=nowhere/talk");
    expect_problem(&nowhere, 404, "no-such-room");
    let sender = scene.service("sender", "hub.send");
    let refused = sender.get("/v1/events?presence=true");
    expect_problem(&refused, 403, "not-allowed");
}

#[test]
fn who_comes_and_goes_joins_and_changes_documents_is_told() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    erp.send("PUT", "/v1/rooms/yard", &json!({}));
    let place =
        "/v1/events?presence=true&kind=controller&members=yard&documents=agent/truck-17/attributes";
    let mut stream = erp.events(place, None);
    stream.next_of("ready");
    let attributes = "/v1/nodes/agent/truck-17/documents/attributes";
    let set = json!({ "set": { "load": 3 } });
    erp.send_with("PATCH", attributes, "if-match: *\r\n", &set);
    let changed = loop {
        let event = stream.next_of("document");
        if event.data["revision"] == 1 {
            break event.data;
        }
    };
    assert_eq!(changed["node"], "agent/truck-17");
    assert_eq!(changed["set"]["load"]["value"], 3, "{changed}");
    runtime::run(async || {
        let alice = connect(&scene.fleet, "alice").await;
        let hub = with_patience(&alice);
        let room = longrein::hub::JoinOptions::new(
            "yard".parse().unwrap(),
            longrein::hub::RoomRole::Observer,
        );
        let joined = hub.join(room).await.unwrap();
        let mut stream = erp
            .aside(move |_| {
                let (mut here, mut member) = (false, false);
                while !(here && member) {
                    let event = stream.next();
                    let is_alice = |entry: &Value| entry["node"] == "controller/alice";
                    let any = |list: &str, what: &dyn Fn(&Value) -> bool| {
                        let list = event.data[list].as_array();
                        list.is_some_and(|list| list.iter().any(what))
                    };
                    here |= any("nodes", &|it| is_alice(it) && it["present"] == true);
                    member |= any("changes", &|it| is_alice(it) && it["change"] == "joined");
                }
                stream
            })
            .await;
        drop(joined);
        alice.close().await;
        erp.aside(move |_| {
            loop {
                let event = stream.next_of("presence");
                let nodes = event.data["nodes"].as_array().unwrap();
                if nodes.iter().any(|it| it["present"] == false) {
                    return;
                }
            }
        })
        .await;
    })
    .unwrap();
}
