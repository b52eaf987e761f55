//! Example bytes of what the hub tells.

use super::*;

#[test]
fn every_kind_of_tell_has_its_bytes() {
    let result = |outcome| TargetResult {
        node: truck(),
        outcome,
    };
    let vectors = [
        (
            "82 00 82 07 82 01 81 00",
            Tell::Answer {
                ask: 7,
                answer: Answer::Done { revision: 0 },
            },
        ),
        (
            "82 01 81 82 88 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 82 02 66 6465736b2d31 02 66 \
             6f7264657273 1b0000018bcfe56800 1b0000018bcfe65260 02 42 676f 64 79617264",
            Tell::Directed(Directed {
                post: post(),
                room: Some(name("yard")),
            }),
        ),
        (
            "82 02 83 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 81 82 82 01 68 747275636b2d3137 82 00 80 03",
            Tell::Results {
                id: id(),
                results: vec![result(TargetOutcome::Delivered)],
                open: 3,
            },
        ),
        (
            "82 03 83 03 81 86 82 01 68 747275636b2d3137 f5 01 1b0000018bcfe56800 0c 81 83 65 \
             6c74652d31 f4 03 f5",
            Tell::Presence {
                watch: 3,
                nodes: vec![presence()],
                more: true,
            },
        ),
        (
            "82 04 87 04 82 00 81 82 01 68 747275636b2d3137 02 05 06 81 85 6a 6c6162656c2e73697465 05 \
             45 6e6f727468 82 02 66 6465736b2d31 1b0000018bcfe56800 81 64 6d6f6465",
            Tell::Document {
                watch: 4,
                owner: Owner::Node(truck()),
                section: Section::Reported,
                after: 5,
                revision: 6,
                set: vec![item()],
                removed: vec![name("mode")],
            },
        ),
        (
            "82 05 82 64 79617264 03",
            Tell::Removed {
                room: name("yard"),
                why: LeaveReason::Kicked,
            },
        ),
        (
            "82 06 83 82 01 81 64 79617264 64 67617465 1b0000000700000001",
            Tell::LockLost {
                owner: yard(),
                lock: name("gate"),
                token: claim().token,
            },
        ),
        (
            "82 07 83 182a 03 19012c",
            Tell::Skipped {
                line: Line(42),
                from: 3,
                below: 300,
            },
        ),
    ];
    assert_vectors(&vectors);
    assert_kinds(&vectors);
    assert_eq!(vectors.len(), 8);
}

#[test]
fn every_outcome_has_its_bytes() {
    let vectors = [
        ("82 00 80", TargetOutcome::Delivered),
        ("82 01 80", TargetOutcome::Applied),
        (
            "82 02 81 68 746f6f2d6c617465",
            TargetOutcome::Declined(name("too-late")),
        ),
        ("82 03 80", TargetOutcome::Expired),
        ("82 04 80", TargetOutcome::Offline),
        ("82 05 80", TargetOutcome::Kept),
        (
            "82 06 81 82 05 80",
            TargetOutcome::Refused(HubRefusal::Full),
        ),
        ("82 07 80", TargetOutcome::Unknown),
    ];
    assert_vectors(&vectors);
    assert_kinds(&vectors);
}
