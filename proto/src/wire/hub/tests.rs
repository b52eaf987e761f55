//! The hub's words on the wire: example bytes of every kind, what older and newer ones make of each other, and what is refused.

mod answers;
mod asks;
mod evolution;
mod frames;
mod lines;
mod property;
mod tells;

use std::fmt::Debug;

use minicbor::{Decode, Encode};

use super::*;
use crate::base::{Name, NodeName};
use crate::wire::DecodeError;
use crate::wire::vector::hex;

/// Checks that each value is written as the bytes beside it and read from them.
fn assert_vectors<T>(vectors: &[(&str, T)])
where
    T: Debug + PartialEq + Encode<()> + for<'b> Decode<'b, ()>,
{
    for (digits, value) in vectors {
        let bytes = encode(value);
        assert_eq!(bytes, hex(digits).into(), "{value:?}: {bytes:02x?}");
        assert_eq!(decode(&bytes).as_ref(), Ok(value), "{digits}");
    }
}

/// Checks that the kinds of these values, which are arrays of kind and fields, are 0 and what follows it, without a gap.
fn assert_kinds<T: Encode<()>>(vectors: &[(&str, T)]) {
    let mut kinds: Vec<u64> = vectors.iter().map(|(_, value)| kind(value)).collect();
    kinds.dedup();
    let count = kinds.len() as u64;
    assert_eq!(kinds, (0..count).collect::<Vec<_>>());
}

fn kind<T: Encode<()>>(value: &T) -> u64 {
    let bytes = encode(value);
    let mut decoder = minicbor::Decoder::new(&bytes);
    assert_eq!(decoder.array().unwrap(), Some(2));
    decoder.u64().unwrap()
}

fn is_refused<T: for<'b> Decode<'b, ()>>(digits: &str) -> bool {
    matches!(decode::<T>(&hex(digits)), Err(DecodeError::Malformed(_)))
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn node(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn yard() -> Owner {
    Owner::Room(name("yard"))
}

fn desk() -> NodeName {
    node("controller/desk-1")
}

fn truck() -> NodeName {
    node("agent/truck-17")
}

fn bytes(bytes: &[u8]) -> Bytes {
    bytes.into()
}

fn id() -> MessageId {
    MessageId([0xaa; 16])
}

fn cursor() -> Cursor {
    Cursor {
        epoch: 9,
        number: 300,
    }
}

fn claim() -> LockClaim {
    LockClaim {
        lock: name("gate"),
        token: (7 << 32) + 1,
    }
}

fn settings() -> RoomSettings {
    RoomSettings {
        members_max: 100,
        retention: Retention {
            count_max: 1_000,
            bytes_max: 70_000,
            age_max_s: 3_600,
        },
        is_transient: true,
        role_max: RoomRole::Driver,
    }
}

fn item() -> Item {
    Item {
        key: name("label.site"),
        revision: 5,
        value: bytes(b"north"),
        by: desk(),
        at_ms: 1_700_000_000_000,
    }
}

fn post() -> Post {
    Post {
        id: id(),
        from: desk(),
        class: crate::base::Class::Reliable,
        flow: Some(name("orders")),
        at_ms: 1_700_000_000_000,
        until_ms: 1_700_000_060_000,
        want: Want::Applied,
        payload: bytes(b"go"),
    }
}

fn presence() -> NodePresence {
    NodePresence {
        node: truck(),
        present: true,
        reason: PresenceReason::Returned,
        since_ms: 1_700_000_000_000,
        revision: 12,
        links: vec![LinkPresence {
            link: name("lte-1"),
            present: false,
            reason: PresenceReason::Silent,
        }],
    }
}
