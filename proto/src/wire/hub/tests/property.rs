//! What holds for whatever bytes and values there are.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::base::{Class, NodeKind};
use crate::wire::strategy as any_of;

fn any_name() -> impl Strategy<Value = Name> {
    any_of::node_name().prop_map(|node| node.name)
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn any_id() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId)
}

fn any_class() -> impl Strategy<Value = Class> {
    select(vec![Class::Latest, Class::Unordered, Class::Reliable])
}

fn any_want() -> impl Strategy<Value = Want> {
    select(vec![Want::Nothing, Want::Delivered, Want::Applied])
}

fn any_cursor() -> impl Strategy<Value = Cursor> {
    any::<(u64, u64)>().prop_map(|(epoch, number)| Cursor { epoch, number })
}

fn any_owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        any_of::node_name().prop_map(Owner::Node),
        any_name().prop_map(Owner::Room),
    ]
}

fn any_section() -> impl Strategy<Value = Section> {
    select(vec![
        Section::Attributes,
        Section::Desired,
        Section::Reported,
    ])
}

fn any_selector() -> impl Strategy<Value = Selector> {
    (
        vec(any_of::node_name(), 0..4),
        option::of(select(NodeKind::ALL.to_vec())),
        option::of(any_name()),
        option::of(any_name()),
        vec((any_name(), any_name()), 0..3),
    )
        .prop_map(|(nodes, kind, group, room, labels)| Selector {
            nodes,
            kind,
            group,
            room,
            labels: labels
                .into_iter()
                .map(|(key, value)| Label { key, value })
                .collect(),
        })
}

fn any_direct() -> impl Strategy<Value = Direct> {
    let to = prop_oneof![
        vec(any_of::node_name(), 0..4).prop_map(Targets::Nodes),
        any_selector().prop_map(Targets::Select),
    ];
    let said = (any_id(), any::<bool>(), any_want(), any_bytes());
    (to, any_name(), any_class(), any::<u32>(), said).prop_map(
        |(to, flow, class, ttl_ms, (id, is_kept, want, payload))| Direct {
            to,
            flow,
            class,
            ttl_ms,
            id,
            is_kept,
            want,
            payload,
        },
    )
}

fn any_set() -> impl Strategy<Value = Request> {
    let change = (
        any_name(),
        option::of(any::<u64>()),
        option::of(any_bytes()),
    )
        .prop_map(|(key, if_revision, value)| Change {
            key,
            if_revision,
            value,
        });
    let claim = (any_name(), any::<u64>()).prop_map(|(lock, token)| LockClaim { lock, token });
    (
        any_owner(),
        any_section(),
        option::of(any::<u64>()),
        vec(change, 0..5),
        option::of(claim),
        option::of(any_of::node_name()),
    )
        .prop_map(
            |(owner, section, if_revision, changes, lock, lease)| Request::Set {
                owner,
                section,
                if_revision,
                changes,
                lock,
                lease,
            },
        )
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let from = prop_oneof![
        Just(Start::Now),
        Just(Start::Oldest),
        any_cursor().prop_map(Start::After),
    ];
    let subscribe =
        (any_name(), any_name(), from).prop_map(|(room, topic, from)| Request::Subscribe {
            room,
            topic: TopicFrom { topic, from },
        });
    let lock = (any_owner(), any_name(), any::<(u32, u32)>()).prop_map(
        |(owner, lock, (ttl_ms, wait_ms))| Request::Lock {
            owner,
            lock,
            ttl_ms,
            wait_ms,
        },
    );
    let request = prop_oneof![
        subscribe,
        lock,
        any_set(),
        any_direct().prop_map(Request::Send),
        (
            any_selector(),
            option::of(any_of::node_name()),
            any::<u32>()
        )
            .prop_map(|(of, after, count)| Request::Presence { of, after, count }),
    ];
    (any::<u32>(), request).prop_map(|(ask, request)| Ask { ask, request })
}

fn any_post() -> impl Strategy<Value = Post> {
    let times = any::<(u64, u64)>();
    let front = (any_id(), any_of::node_name(), any_class());
    (
        front,
        option::of(any_name()),
        times,
        any_want(),
        any_bytes(),
    )
        .prop_map(
            |((id, from, class), flow, (at_ms, until_ms), want, payload)| Post {
                id,
                from,
                class,
                flow,
                at_ms,
                until_ms,
                want,
                payload,
            },
        )
}

fn any_item() -> impl Strategy<Value = Item> {
    let times = any::<(u64, u64)>();
    (any_name(), times, any_bytes(), any_of::node_name()).prop_map(
        |(key, (revision, at_ms), value, by)| Item {
            key,
            revision,
            value,
            by,
            at_ms,
        },
    )
}

fn any_tell() -> impl Strategy<Value = Tell> {
    let directed = (any_post(), option::of(any_name()));
    let document = (any::<u64>(), vec(any_item(), 0..4))
        .prop_map(|(revision, items)| Answer::Document(Document { revision, items }));
    let answer = prop_oneof![
        document,
        any::<u64>().prop_map(|revision| Answer::Done { revision }),
        any_of::node_name().prop_map(|by| Answer::Refused(HubRefusal::LockHeld { by })),
    ];
    let changed = (
        (any::<u32>(), any_owner(), any_section()),
        any::<(u64, u64)>(),
        vec(any_item(), 0..4),
        vec(any_name(), 0..4),
    );
    prop_oneof![
        (any::<u32>(), answer).prop_map(|(ask, answer)| Tell::Answer { ask, answer }),
        directed.prop_map(|(post, room)| Tell::Directed(Directed { post, room })),
        changed.prop_map(
            |((watch, owner, section), (after, revision), set, removed)| Tell::Document {
                watch,
                owner,
                section,
                after,
                revision,
                set,
                removed,
            }
        ),
        any::<(u32, u64, u64)>().prop_map(|(line, from, below)| Tell::Skipped {
            line: Line(line),
            from,
            below,
        }),
    ]
}

/// Reads the bytes as everything that comes from somewhere else. What can be read is written so that it reads the same.
fn assert_readable(bytes: &[u8]) {
    fn check<T: Debug + PartialEq + Encode<()> + for<'b> Decode<'b, ()>>(bytes: &[u8]) {
        if let Ok(value) = decode::<T>(bytes) {
            let again = encode(&value);
            assert!(again.len() <= bytes.len(), "{value:?}");
            assert_eq!(decode::<T>(&again), Ok(value));
        }
    }
    check::<Ask>(bytes);
    check::<Tell>(bytes);
    check::<LineMessage>(bytes);
    check::<Post>(bytes);
    check::<Document>(bytes);
    if let Ok(frame) = Frame::decode(bytes) {
        assert_eq!(frame.encode_parcel(), [&[HUB], bytes].concat().into());
    }
}

proptest! {
    #[test]
    fn an_ask_survives_the_wire(ask in any_ask()) {
        prop_assert_eq!(decode(&encode(&ask)), Ok(ask));
    }

    #[test]
    fn a_tell_survives_the_wire(tell in any_tell()) {
        prop_assert_eq!(decode(&encode(&tell)), Ok(tell));
    }

    #[test]
    fn a_line_message_survives_the_wire(post in any_post()) {
        let message = LineMessage::Post(post);
        prop_assert_eq!(decode(&encode(&message)), Ok(message));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200)) {
        assert_readable(&bytes);
    }

    #[test]
    fn bytes_with_one_changed_are_read_without_panic(
        ask in any_ask(),
        tell in any_tell(),
        at in any::<prop::sample::Index>(),
        changed in any::<u8>(),
    ) {
        for bytes in [encode(&ask), encode(&tell)] {
            let mut bytes = bytes.to_vec();
            *at.get_mut(&mut bytes) = changed;
            assert_readable(&bytes);
        }
    }
}
