//! Example bytes of what the hub answers.

use super::*;

#[test]
fn every_kind_of_answer_has_its_bytes() {
    let mut vectors = vec![("82 00 81 82 00 80", Answer::Refused(HubRefusal::NotAllowed))];
    vectors.extend(of_rooms());
    vectors.extend(of_nodes());
    assert_vectors(&vectors);
    assert_kinds(&vectors);
    assert_eq!(kind(&vectors.last().unwrap().1), 14);
}

#[test]
fn every_refusal_has_its_bytes() {
    let vectors = [
        ("82 00 80", HubRefusal::NotAllowed),
        ("82 01 80", HubRefusal::NoSuchRoom),
        ("82 02 80", HubRefusal::NotAMember),
        ("82 03 80", HubRefusal::RoleForbids),
        ("82 04 80", HubRefusal::RoomExists),
        ("82 05 80", HubRefusal::Full),
        ("82 06 80", HubRefusal::TooLarge),
        ("82 07 81 05", HubRefusal::Conflict { revision: 5 }),
        (
            "82 08 81 82 01 68 747275636b2d3137",
            HubRefusal::LockHeld { by: truck() },
        ),
        ("82 09 80", HubRefusal::NotHolder),
        ("82 0a 80", HubRefusal::NoLease),
        ("82 0b 80", HubRefusal::Degraded),
        ("82 0c 80", HubRefusal::Busy),
        ("82 0d 80", HubRefusal::Malformed),
        ("82 0e 80", HubRefusal::NotFound),
        ("82 0f 81 1901f4", HubRefusal::TooOften { retry_ms: 500 }),
        ("82 10 80", HubRefusal::Expired),
        ("82 11 80", HubRefusal::Unknown),
    ];
    assert_vectors(&vectors);
    assert_kinds(&vectors);
}

fn of_rooms() -> Vec<(&'static str, Answer)> {
    let room = RoomInfo {
        room: name("yard"),
        settings: settings(),
        revision: 8,
        members: 2,
        topics: vec![name("orders")],
    };
    let line = TopicLine {
        topic: name("orders"),
        line: Line(42),
        after: cursor(),
        is_broken: true,
    };
    vec![
        ("82 01 81 05", Answer::Done { revision: 5 }),
        (
            "82 02 82 81 85 64 79617264 84 1864 83 1903e8 1a00011170 190e10 f5 01 08 02 81 66 \
             6f7264657273 f5",
            Answer::Rooms {
                rooms: vec![room.clone()],
                more: true,
            },
        ),
        (
            "82 03 81 85 64 79617264 84 1864 83 1903e8 1a00011170 190e10 f5 01 08 02 81 66 6f7264657273",
            Answer::Room(room),
        ),
        (
            "82 04 83 08 02 81 84 66 6f7264657273 182a 82 09 19012c f5",
            Answer::Joined {
                revision: 8,
                members: 2,
                topics: vec![line.clone()],
            },
        ),
        (
            "82 05 81 84 66 6f7264657273 182a 82 09 19012c f5",
            Answer::Subscribed(line),
        ),
        (
            "82 06 83 08 81 83 82 01 68 747275636b2d3137 01 1b0000018bcfe56800 f4",
            Answer::Members {
                revision: 8,
                members: vec![Member {
                    node: truck(),
                    role: RoomRole::Driver,
                    since_ms: 1_700_000_000_000,
                }],
                more: false,
            },
        ),
        (
            "82 07 83 82 09 19012c 1b0000018bcfe56800 02",
            Answer::Published {
                cursor: Some(cursor()),
                at_ms: 1_700_000_000_000,
                targets: 2,
            },
        ),
        (
            "82 07 83 f6 1b0000018bcfe56800 00",
            Answer::Published {
                cursor: None,
                at_ms: 1_700_000_000_000,
                targets: 0,
            },
        ),
        (
            "82 08 82 02 1b0000018bcfe56800",
            Answer::Sent {
                targets: 2,
                at_ms: 1_700_000_000_000,
            },
        ),
    ]
}

fn of_nodes() -> Vec<(&'static str, Answer)> {
    let document = Document {
        revision: 6,
        items: vec![item()],
    };
    let lock = LockInfo {
        lock: name("gate"),
        by: desk(),
        token: claim().token,
        left_ms: 20_000,
        waiting: 1,
    };
    vec![
        (
            "82 09 82 81 86 82 01 68 747275636b2d3137 f5 01 1b0000018bcfe56800 0c 81 83 65 6c74652d31 \
             f4 03 f4",
            Answer::Presence {
                nodes: vec![presence()],
                more: false,
            },
        ),
        (
            "82 0a 82 86 82 01 68 747275636b2d3137 f5 01 1b0000018bcfe56800 0c 81 83 65 6c74652d31 f4 \
             03 81 64 79617264",
            Answer::WhereIs {
                presence: presence(),
                rooms: vec![name("yard")],
            },
        ),
        (
            "82 0b 81 82 06 81 85 6a 6c6162656c2e73697465 05 45 6e6f727468 82 02 66 6465736b2d31 \
             1b0000018bcfe56800",
            Answer::Document(document),
        ),
        (
            "82 0c 81 1b0000000700000001",
            Answer::Locked {
                token: claim().token,
            },
        ),
        (
            "82 0d 81 81 85 64 67617465 82 02 66 6465736b2d31 1b0000000700000001 194e20 01",
            Answer::Locks(vec![lock]),
        ),
        (
            "82 0e 82 81 82 82 09 19012c 88 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 82 02 66 6465736b2d31 \
             02 66 6f7264657273 1b0000018bcfe56800 1b0000018bcfe65260 02 42 676f f5",
            Answer::History {
                entries: vec![HistoryEntry {
                    cursor: cursor(),
                    post: post(),
                }],
                more: true,
            },
        ),
    ]
}
