//! What an older program makes of a newer one's words, and what nobody takes.

use super::*;
use crate::base::limits::HUB_MESSAGE_BYTES_MAX;

#[test]
fn a_field_that_is_not_known_is_skipped_whatever_it_holds() {
    let leave = Request::Leave { room: name("yard") };
    // The room, and behind it a number, null, bytes, lists, a map, an indefinite list, a tag.
    for field in [
        "07",
        "f6",
        "43010203",
        "8102",
        "820182 0203",
        "a10102",
        "9f01029fff ff",
        "c100",
        "fb3ff0000000000000",
    ] {
        let newer = format!("82 05 82 64 79617264 {field}");
        assert_eq!(
            decode::<Request>(&hex(&newer)).as_ref(),
            Ok(&leave),
            "{field}"
        );
        let newer = format!("83 07 82 05 81 64 79617264 {field}");
        let ask = Ask {
            ask: 7,
            request: leave.clone(),
        };
        assert_eq!(decode::<Ask>(&hex(&newer)).as_ref(), Ok(&ask), "{field}");
    }
    let two = hex("82 05 84 64 79617264 07 07 07");
    assert_eq!(decode::<Request>(&two).as_ref(), Ok(&leave));
}

#[test]
fn a_field_more_inside_of_what_is_told_is_skipped() {
    // A cursor of three fields in an answer, a selector of six in a request.
    let published = Answer::Published {
        cursor: Some(cursor()),
        at_ms: 1,
        targets: 2,
    };
    let newer = hex("82 07 83 83 09 19012c 07 01 02");
    assert_eq!(decode::<Answer>(&newer).as_ref(), Ok(&published));
    let watch = Request::WatchPresence {
        watch: 3,
        of: Selector::default(),
    };
    let newer = hex("82 0f 82 03 86 80 f6 f6 f6 80 07");
    assert_eq!(decode::<Request>(&newer).as_ref(), Ok(&watch));
    let refused = hex("82 00 81 82 07 82 05 07");
    let conflict = Answer::Refused(HubRefusal::Conflict { revision: 5 });
    assert_eq!(decode::<Answer>(&refused).as_ref(), Ok(&conflict));
}

#[test]
fn a_field_that_may_be_left_out_may_be_missing_at_the_end_and_no_other() {
    let join = Request::Join {
        room: name("yard"),
        role: RoomRole::Observer,
        topics: vec![],
        create: None,
    };
    assert_eq!(decode(&hex("82 04 83 64 79617264 00 80")), Ok(join.clone()));
    assert_eq!(decode(&hex("82 04 84 64 79617264 00 80 f6")), Ok(join));
    assert!(is_refused::<Request>("82 04 82 64 79617264 00"));
    assert!(is_refused::<Request>("82 05 80"));
    assert!(is_refused::<Answer>("82 01 80"));
}

#[test]
fn a_kind_that_is_not_known_is_refused() {
    for kind in ["18 1f", "18 ff", "1a ffffffff", "20"] {
        assert!(is_refused::<Request>(&format!("82 {kind} 80")), "{kind}");
    }
    assert!(is_refused::<Answer>("82 0f 80"));
    assert!(is_refused::<Tell>("82 08 80"));
    assert!(is_refused::<LineMessage>("82 03 80"));
    assert!(is_refused::<HubRefusal>("82 12 80"));
    assert!(is_refused::<TargetOutcome>("82 08 80"));
    assert!(is_refused::<Owner>("82 02 80"));
    assert!(is_refused::<Section>("03"));
    assert!(is_refused::<RoomRole>("03"));
    assert!(is_refused::<Want>("03"));
    assert!(is_refused::<LeaveReason>("05"));
    assert!(is_refused::<PresenceReason>("06"));
}

#[test]
fn the_hub_has_no_stops() {
    let publish = |class: &str| {
        format!(
            "82 0b 81 88 64 79617264 66 6f7264657273 {class} 1901f4 50 {} 80 00 42 676f",
            "aa".repeat(16)
        )
    };
    for class in ["00", "01", "02"] {
        assert!(!is_refused::<Request>(&publish(class)), "{class}");
    }
    for class in ["03", "04", "18 ff", "20", "f6"] {
        assert!(is_refused::<Request>(&publish(class)), "{class}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    let leave = |room: &str| format!("82 05 81 {room}");
    assert!(!is_refused::<Request>(&leave("61 61")));
    assert!(!is_refused::<Request>(&leave(&format!(
        "78 30 {}",
        "61".repeat(48)
    ))));
    for wrong in [
        // Empty, upper case, with a blank, with a slash, beginning with a dash, no UTF-8, bytes instead of text, in pieces.
        "60",
        "61 41",
        "63 612062",
        "63 612f62",
        "62 2d61",
        "61 ff",
        "41 61",
        "7f 61 61 ff",
    ] {
        assert!(is_refused::<Request>(&leave(wrong)), "{wrong}");
    }
    assert!(is_refused::<Request>(&leave(&format!(
        "78 31 {}",
        "61".repeat(49)
    ))));
    let where_is = |node: &str| format!("82 12 81 {node}");
    assert!(!is_refused::<Request>(&where_is("82 01 61 61")));
    // No kind of node, kind 7, no name, a field more, and as text.
    for wrong in [
        "82 00 61 61",
        "82 07 61 61",
        "81 01",
        "83 01 61 61 00",
        "67 6167656e742f61",
        "9f 01 61 61 ff",
    ] {
        assert!(is_refused::<Request>(&where_is(wrong)), "{wrong}");
    }
}

#[test]
fn an_id_has_sixteen_bytes() {
    for count in [0, 15, 17] {
        let id = format!("{:02x} {}", 0x40 + count, "aa".repeat(count));
        assert!(is_refused::<MessageId>(&id), "{count}");
    }
}

#[test]
fn bytes_behind_a_message_and_a_message_that_is_cut_are_refused() {
    let whole = encode(&Tell::Skipped {
        line: Line(42),
        from: 3,
        below: 300,
    });
    for end in 0..whole.len() {
        assert!(decode::<Tell>(&whole[..end]).is_err(), "{end}");
    }
    for behind in [0x00, 0xf6, 0xff] {
        let longer = [&whole[..], &[behind]].concat();
        assert!(decode::<Tell>(&longer).is_err(), "{behind}");
    }
}

#[test]
fn a_message_has_so_many_bytes_and_no_more() {
    let with = |count: usize| {
        let value = Some(bytes(&vec![0; count]));
        let change = Change {
            key: name("a"),
            if_revision: None,
            value,
        };
        encode(&change)
    };
    let beside = with(65_536).len() - 65_536;
    let longest = with(HUB_MESSAGE_BYTES_MAX - beside);
    assert_eq!(longest.len(), HUB_MESSAGE_BYTES_MAX);
    assert!(decode::<Change>(&longest).is_ok());
    let longer = with(HUB_MESSAGE_BYTES_MAX - beside + 1);
    assert!(decode::<Change>(&longer).is_err());
}

#[test]
fn lengths_that_lie_take_no_room() {
    for wrong in [
        "9b ffffffffffffffff",
        "82 05 9b ffffffffffffffff",
        "82 05 81 7b ffffffffffffffff 61",
        "82 0c 81 88 82 00 81 9b 00000000ffffffff",
        "82 05 82 64 79617264 9b ffffffffffffffff",
        "82 05 82 64 79617264 bb ffffffffffffffff",
        "82 05 82 64 79617264 5b ffffffffffffffff",
    ] {
        assert!(is_refused::<Request>(wrong), "{wrong}");
    }
    // Lists in lists, as deep as a message is long, in a field that is not known.
    let deep = [hex("82 05 82 64 79617264"), vec![0x81; 60_000]].concat();
    assert!(decode::<Request>(&deep).is_err());
    let whole = [&deep[..], &[0x00]].concat();
    assert!(decode::<Request>(&whole).is_ok());
    let endless = [hex("82 05 82 64 79617264"), vec![0x9f; 60_000]].concat();
    assert!(decode::<Request>(&endless).is_err());
}
