//! Example bytes of what nodes ask.

use super::*;
use crate::base::{Class, NodeKind};

#[test]
fn every_kind_of_request_has_its_bytes() {
    let mut vectors = of_rooms();
    vectors.extend(of_members());
    vectors.extend(of_messages());
    vectors.extend(of_presence_and_documents());
    vectors.extend(of_locks_and_journals());
    assert_vectors(&vectors);
    assert_kinds(&vectors);
    assert_eq!(kind(&vectors.last().unwrap().1), 29);
}

#[test]
fn a_request_stands_behind_its_number() {
    let request = Request::Leave { room: name("yard") };
    assert_vectors(&[("82 07 82 05 81 64 79617264", Ask { ask: 7, request })]);
}

fn of_rooms() -> Vec<(&'static str, Request)> {
    let room = name("yard");
    let topic = name("orders");
    vec![
        (
            "82 00 82 64 79617264 84 1864 83 1903e8 1a00011170 190e10 f5 01",
            Request::CreateRoom {
                room: room.clone(),
                settings: settings(),
            },
        ),
        (
            "82 01 81 64 79617264",
            Request::CloseRoom { room: room.clone() },
        ),
        (
            "82 02 82 f6 1864",
            Request::Rooms {
                after: None,
                count: 100,
            },
        ),
        (
            "82 02 82 64 79617264 1864",
            Request::Rooms {
                after: Some(room.clone()),
                count: 100,
            },
        ),
        ("82 03 81 64 79617264", Request::Room { room: room.clone() }),
        (
            "82 04 84 64 79617264 02 82 82 66 6f7264657273 82 01 80 82 65 7374617465 82 00 80 84 1864 \
             83 1903e8 1a00011170 190e10 f5 01",
            Request::Join {
                room: room.clone(),
                role: RoomRole::Dispatcher,
                topics: vec![
                    TopicFrom {
                        topic: topic.clone(),
                        from: Start::Oldest,
                    },
                    TopicFrom {
                        topic: name("state"),
                        from: Start::Now,
                    },
                ],
                create: Some(settings()),
            },
        ),
        (
            "82 04 83 64 79617264 00 80",
            Request::Join {
                room: room.clone(),
                role: RoomRole::Observer,
                topics: vec![],
                create: None,
            },
        ),
        (
            "82 05 81 64 79617264",
            Request::Leave { room: room.clone() },
        ),
        (
            "82 06 82 64 79617264 82 66 6f7264657273 82 02 81 82 09 19012c",
            Request::Subscribe {
                room: room.clone(),
                topic: TopicFrom {
                    topic: topic.clone(),
                    from: Start::After(cursor()),
                },
            },
        ),
        (
            "82 07 82 64 79617264 66 6f7264657273",
            Request::Unsubscribe { room, topic },
        ),
    ]
}

fn of_members() -> Vec<(&'static str, Request)> {
    let room = name("yard");
    vec![
        (
            "82 08 83 64 79617264 82 01 68 747275636b2d3137 0a",
            Request::Members {
                room: room.clone(),
                after: Some(truck()),
                count: 10,
            },
        ),
        (
            "82 09 82 64 79617264 82 01 68 747275636b2d3137",
            Request::Kick {
                room: room.clone(),
                node: truck(),
            },
        ),
        (
            "82 0a 83 64 79617264 82 01 68 747275636b2d3137 01",
            Request::Assign {
                room,
                node: truck(),
                role: RoomRole::Driver,
            },
        ),
    ]
}

fn of_messages() -> Vec<(&'static str, Request)> {
    let direct = |to| Direct {
        to,
        flow: name("orders"),
        class: Class::Reliable,
        ttl_ms: 60_000,
        id: id(),
        is_kept: true,
        want: Want::Delivered,
        payload: bytes(b"go"),
    };
    let selector = Selector {
        nodes: vec![truck()],
        kind: Some(NodeKind::Agent),
        group: Some(name("night")),
        room: Some(name("yard")),
        labels: vec![Label {
            key: name("site"),
            value: name("north"),
        }],
    };
    vec![
        (
            "82 0b 81 88 64 79617264 66 6f7264657273 00 1901f4 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 81 \
             82 01 68 747275636b2d3137 00 42 676f",
            Request::Publish(Publish {
                room: name("yard"),
                topic: name("orders"),
                class: Class::Latest,
                ttl_ms: 500,
                id: id(),
                to: vec![truck()],
                want: Want::Nothing,
                payload: bytes(b"go"),
            }),
        ),
        (
            "82 0c 81 88 82 00 81 81 82 01 68 747275636b2d3137 66 6f7264657273 02 19ea60 50 \
             aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa f5 01 42 676f",
            Request::Send(direct(Targets::Nodes(vec![truck()]))),
        ),
        (
            "82 0c 81 88 82 01 81 85 81 82 01 68 747275636b2d3137 01 65 6e69676874 64 79617264 81 82 64 \
             73697465 65 6e6f727468 66 6f7264657273 02 19ea60 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa f5 01 \
             42 676f",
            Request::Send(direct(Targets::Select(selector))),
        ),
        (
            "82 0d 83 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 82 02 66 6465736b2d31 82 02 81 68 \
             746f6f2d6c617465",
            Request::Outcome {
                id: id(),
                from: desk(),
                outcome: TargetOutcome::Declined(name("too-late")),
            },
        ),
    ]
}

fn of_presence_and_documents() -> Vec<(&'static str, Request)> {
    let section = Section::Desired;
    vec![
        (
            "82 0e 83 85 80 f6 f6 f6 80 f6 1864",
            Request::Presence {
                of: Selector::default(),
                after: None,
                count: 100,
            },
        ),
        (
            "82 0f 82 03 85 80 02 f6 f6 80",
            Request::WatchPresence {
                watch: 3,
                of: Selector {
                    kind: Some(NodeKind::Controller),
                    ..Selector::default()
                },
            },
        ),
        (
            "82 10 83 04 82 00 81 82 01 68 747275636b2d3137 01",
            Request::WatchDocument {
                watch: 4,
                owner: Owner::Node(truck()),
                section,
            },
        ),
        ("82 11 81 04", Request::Unwatch { watch: 4 }),
        (
            "82 12 81 82 01 68 747275636b2d3137",
            Request::WhereIs { node: truck() },
        ),
        (
            "82 13 82 82 01 81 64 79617264 00",
            Request::Document {
                owner: yard(),
                section: Section::Attributes,
            },
        ),
        (
            "82 14 86 82 00 81 82 01 68 747275636b2d3137 01 04 82 83 65 7370656564 00 41 33 81 64 \
             6d6f6465 82 64 67617465 1b0000000700000001 82 01 68 747275636b2d3137",
            Request::Set {
                owner: Owner::Node(truck()),
                section,
                if_revision: Some(4),
                changes: vec![
                    Change {
                        key: name("speed"),
                        if_revision: Some(0),
                        value: Some(bytes(b"3")),
                    },
                    Change {
                        key: name("mode"),
                        if_revision: None,
                        value: None,
                    },
                ],
                lock: Some(claim()),
                lease: Some(truck()),
            },
        ),
        (
            "82 14 84 82 01 81 64 79617264 02 f6 80",
            Request::Set {
                owner: yard(),
                section: Section::Reported,
                if_revision: None,
                changes: vec![],
                lock: None,
                lease: None,
            },
        ),
    ]
}

fn of_locks_and_journals() -> Vec<(&'static str, Request)> {
    let history = |journal, from| Request::History {
        journal,
        from,
        backwards: true,
        count: 50,
    };
    let topic = Journal::Topic {
        room: name("yard"),
        topic: name("orders"),
    };
    let mailbox = Journal::Mailbox { node: truck() };
    vec![
        (
            "82 15 84 82 01 81 64 79617264 64 67617465 197530 191388",
            Request::Lock {
                owner: yard(),
                lock: name("gate"),
                ttl_ms: 30_000,
                wait_ms: 5_000,
            },
        ),
        (
            "82 16 83 82 01 81 64 79617264 82 64 67617465 1b0000000700000001 197530",
            Request::RenewLock {
                owner: yard(),
                lock: claim(),
                ttl_ms: 30_000,
            },
        ),
        (
            "82 17 82 82 01 81 64 79617264 82 64 67617465 1b0000000700000001",
            Request::Unlock {
                owner: yard(),
                lock: claim(),
            },
        ),
        (
            "82 1818 82 82 01 81 64 79617264 64 67617465",
            Request::RevokeLock {
                owner: yard(),
                lock: name("gate"),
            },
        ),
        (
            "82 1819 81 82 01 81 64 79617264",
            Request::Locks { owner: yard() },
        ),
        (
            "82 181a 84 82 00 82 64 79617264 66 6f7264657273 82 00 80 f5 1832",
            history(topic, HistoryFrom::End),
        ),
        (
            "82 181a 84 82 01 81 82 01 68 747275636b2d3137 82 01 81 82 09 19012c f5 1832",
            history(mailbox.clone(), HistoryFrom::After(cursor())),
        ),
        (
            "82 181a 84 82 01 81 82 01 68 747275636b2d3137 82 02 81 1b0000018bcfe56800 f5 1832",
            history(mailbox, HistoryFrom::Time(1_700_000_000_000)),
        ),
        (
            "82 181b 81 82 01 80",
            Request::Mailbox {
                from: Start::Oldest,
            },
        ),
        ("82 181c 81 19012d", Request::Taken { below: 301 }),
        (
            "82 181d 81 64 79617264",
            Request::WatchMembers { room: name("yard") },
        ),
    ]
}
