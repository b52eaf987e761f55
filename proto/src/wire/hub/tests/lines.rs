//! Example bytes of what comes on a line that many read.

use super::*;

#[test]
fn every_kind_of_line_message_has_its_bytes() {
    let members = MemberChanges {
        room: name("yard"),
        after: 7,
        revision: 10,
        changes: vec![
            (truck(), MemberChange::Joined(RoomRole::Driver)),
            (desk(), MemberChange::Left(LeaveReason::Timeout)),
            (
                node("service/office"),
                MemberChange::Role(RoomRole::Dispatcher),
            ),
        ],
    };
    let vectors = [
        (
            "82 00 81 88 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 82 02 66 6465736b2d31 02 66 6f7264657273 \
             1b0000018bcfe56800 1b0000018bcfe65260 02 42 676f",
            LineMessage::Post(post()),
        ),
        (
            "82 01 81 84 64 79617264 07 0a 83 82 82 01 68 747275636b2d3137 82 00 81 01 82 82 02 66 \
             6465736b2d31 82 01 81 02 82 82 03 66 6f6666696365 82 02 81 02",
            LineMessage::Members(members),
        ),
    ];
    assert_vectors(&vectors);
    assert_kinds(&vectors);
}

#[test]
fn a_post_without_a_flow_has_a_null_in_its_place() {
    let plain = Post {
        flow: None,
        want: Want::Nothing,
        ..post()
    };
    assert_vectors(&[(
        "88 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 82 02 66 6465736b2d31 02 f6 1b0000018bcfe56800 \
         1b0000018bcfe65260 00 42 676f",
        plain,
    )]);
}
