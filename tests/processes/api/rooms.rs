//! Rooms, their members, and what is published in them.

use longrein::hub::{JoinOptions, RoomEvent, RoomRole, Start};
use longrein_io::runtime;
use serde_json::{Value, json};

use super::super::hub_rooms::{connect, name, soon, with_patience};
use super::super::until::until;
use super::scene::{ALL, Scene, Service, expect_problem};

/// All pages of a list, one entry each.
fn pages(service: &Service, place: &str, list: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = service.get(&format!("{place}limit=1{cursor}")).json();
        let found = page[list].as_array().unwrap();
        assert!(found.len() <= 1, "{page}");
        entries.extend(found.clone());
        let Some(next) = page["next"].as_str() else {
            return entries;
        };
        cursor = format!("&cursor={next}");
    }
}

#[test]
fn a_service_makes_a_room_speaks_and_listens_in_it_removes_a_member_and_closes_it() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    let settings = json!({ "members_max": 10, "role_max": "dispatcher" });
    for _ in 0..2 {
        let made = erp.send("PUT", "/v1/rooms/yard", &settings);
        assert_eq!(made.status, 200, "{made:?}");
        assert_eq!(made.json()["settings"]["members_max"], 10);
    }
    let other = erp.send("PUT", "/v1/rooms/yard", &json!({}));
    expect_problem(&other, 409, "room-exists");
    erp.send("PUT", "/v1/rooms/gate", &json!({}));
    let rooms = pages(&erp, "/v1/rooms?", "rooms");
    let names: Vec<&Value> = rooms.iter().map(|room| &room["room"]).collect();
    assert_eq!(names, ["gate", "yard"]);

    runtime::run(async || {
        let alice = connect(&scene.fleet, "alice").await;
        let hub = with_patience(&alice);
        let options = JoinOptions::new(name("yard"), RoomRole::Observer);
        let mut room = hub
            .join(options.topic(name("talk"), Start::Oldest))
            .await
            .unwrap();
        erp.aside(|erp| {
            let members = pages(erp, "/v1/rooms/yard/members?", "members");
            assert_eq!(members.len(), 1, "{members:?}");
            assert_eq!(members[0]["node"], "controller/alice");
            assert_eq!(members[0]["role"], "observer");
            for number in 0..3 {
                let post = json!({ "payload": number });
                let posted = erp.send("POST", "/v1/rooms/yard/topics/talk/messages", &post);
                assert_eq!(posted.status, 201, "{posted:?}");
                assert_eq!(posted.json()["targets"], 1);
            }
        })
        .await;
        for text in [b"0", b"1", b"2"] {
            let heard = soon("a message", async {
                loop {
                    if let Some(RoomEvent::Message(heard)) = room.next().await {
                        return heard;
                    }
                }
            })
            .await;
            assert_eq!(&*heard.payload.0, text);
        }
        erp.aside(|erp| {
            let role = "/v1/rooms/yard/members/controller/alice/role";
            let given = erp.send("PUT", role, &json!({ "role": "dispatcher" }));
            assert_eq!(given.status, 204, "{given:?}");
            let members = erp.get("/v1/rooms/yard/members").json();
            assert_eq!(members["members"][0]["role"], "dispatcher");
            let where_is = erp.get("/v1/nodes/controller/alice").json();
            assert_eq!(where_is["rooms"], json!(["yard"]));
            assert_eq!(where_is["presence"]["present"], true);
            let kicked = erp.ask("DELETE", "/v1/rooms/yard/members/controller/alice", "", "");
            assert_eq!(kicked.status, 204, "{kicked:?}");
            let again = erp.ask("DELETE", "/v1/rooms/yard/members/controller/alice", "", "");
            assert_eq!(again.status, 404, "{again:?}");
        })
        .await;
        soon("alice hears that she is removed", async {
            loop {
                let event = room.next().await.expect("alice is told");
                if matches!(event, RoomEvent::Removed(_)) {
                    return;
                }
            }
        })
        .await;
        alice.close().await;
    })
    .unwrap();

    assert_eq!(erp.ask("DELETE", "/v1/rooms/yard", "", "").status, 204);
    expect_problem(&erp.get("/v1/rooms/yard"), 404, "no-such-room");
    let reader = scene.service("reader", "hub.read");
    let refused = reader.ask("DELETE", "/v1/rooms/gate", "", "");
    expect_problem(&refused, 403, "not-allowed");
}

#[test]
fn the_past_of_a_topic_is_read_page_by_page_in_both_directions_and_from_any_place() {
    let scene = Scene::start();
    let erp = scene.service("erp", ALL);
    erp.send("PUT", "/v1/rooms/yard", &json!({}));
    let topic = "/v1/rooms/yard/topics/talk/messages";
    for number in 0..5 {
        let posted = erp.send("POST", topic, &json!({ "payload": number }));
        assert_eq!(posted.status, 201, "{posted:?}");
    }
    let texts = |messages: &[Value]| -> Vec<u64> {
        let payload = |message: &Value| message["payload"].as_u64().unwrap();
        messages.iter().map(payload).collect()
    };
    let backwards = pages(&erp, &format!("{topic}?"), "messages");
    assert_eq!(texts(&backwards), [4, 3, 2, 1, 0]);
    let forwards = pages(&erp, &format!("{topic}?direction=forwards&"), "messages");
    assert_eq!(texts(&forwards), [0, 1, 2, 3, 4]);
    let third = forwards[2]["cursor"].as_str().unwrap();
    let rest = erp
        .get(&format!("{topic}?direction=forwards&cursor={third}"))
        .json();
    assert_eq!(texts(rest["messages"].as_array().unwrap()), [3, 4]);

    // Who polls goes on behind `last`.
    let place = format!(
        "{topic}?direction=forwards&cursor={}",
        rest["last"].as_str().unwrap()
    );
    assert_eq!(erp.get(&place).json()["messages"], json!([]));
    erp.send("POST", topic, &json!({ "payload": 5 }));
    let fresh = erp.get(&place).json();
    assert_eq!(texts(fresh["messages"].as_array().unwrap()), [5]);

    let at_ms = forwards[0]["at_ms"].as_u64().unwrap();
    let since = erp.get(&format!("{topic}?since_ms={at_ms}")).json();
    assert_eq!(texts(since["messages"].as_array().unwrap())[0], 0);
    expect_problem(
        &erp.get(&format!("{topic}?cursor=never")),
        400,
        "bad-request",
    );
    expect_problem(&erp.get(&format!("{topic}?limit=0")), 400, "bad-request");
    let nowhere = erp.get("/v1/rooms/nowhere/topics/talk/messages");
    expect_problem(&nowhere, 404, "no-such-room");
}

#[test]
fn presence_is_told_by_kind_and_page_by_page() {
    let scene = Scene::start();
    let erp = scene.service("erp", "hub.read");
    runtime::run(async || {
        let alice = connect(&scene.fleet, "alice").await;
        with_patience(&alice).is_reached().await.unwrap();
        erp.aside(|erp| {
            let all = pages(erp, "/v1/nodes?", "nodes");
            let names: Vec<&Value> = all.iter().map(|node| &node["node"]).collect();
            assert_eq!(names, ["agent/truck-17", "controller/alice"]);
            // Links are told a moment after they came.
            until("the agent is here by both links", || {
                let agents = pages(erp, "/v1/nodes?kind=agent&", "nodes");
                assert_eq!(agents.len(), 1);
                assert_eq!(agents[0]["present"], true);
                (agents[0]["links"].as_array().unwrap().len() == 2).then_some(())
            });
            let vehicle = erp.get("/v1/vehicles/truck-17").json();
            assert_eq!(vehicle["node"], "agent/truck-17");
            assert_eq!(vehicle["presence"]["present"], true);
            let ghost = erp.get("/v1/nodes/agent/ghost").json();
            assert_eq!(ghost["presence"]["present"], false);
        })
        .await;
        alice.close().await;
    })
    .unwrap();
}
