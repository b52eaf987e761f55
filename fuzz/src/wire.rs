//! Decoders: what can be read is written as the same bytes, and nothing panics.

use std::fmt::Debug;

use longrein_proto::base::limits::{CHUNKS_PER_PACKET_MAX, PACKET_BYTES_MAX};
use longrein_proto::role::AgentRecord;
use longrein_proto::wire::hub::{self, Ask, Document, Frame, LineMessage, Post, Tell};
use longrein_proto::wire::{
    AgentBeat, Command, Content, ControllerBeat, Packet, Parcel, ParcelHead, SessionMessage,
    Signed, Telemetry,
};
use minicbor::{Decode, Encode};
use ring::digest;

/// A datagram of a leg.
pub fn packet(bytes: &[u8]) {
    if let Ok(packet) = canonical(bytes, Packet::decode(bytes), Packet::encode) {
        assert_eq!(packet.encoded_len(), bytes.len());
        assert!(bytes.len() <= PACKET_BYTES_MAX && packet.chunks.len() <= CHUNKS_PER_PACKET_MAX);
    }
}

/// What a leg delivers. Who only peeks reads the same as who reads it all.
pub fn parcel(bytes: &[u8]) {
    let whole = canonical(bytes, Parcel::decode(bytes), |parcel| {
        parcel.encode().to_vec()
    });
    if let Ok(ParcelHead::Sealed(header)) = Parcel::peek(bytes) {
        assert!(bytes.starts_with(&header.encode()));
    }
    if let Ok(Parcel::Sealed { header, .. }) = whole {
        assert_eq!(Parcel::peek(bytes), Ok(ParcelHead::Sealed(header)));
    }
}

/// A piece of a message between a node and the hub.
pub fn hub_frame(bytes: &[u8]) {
    let parcel = [&[HUB_KIND], bytes].concat();
    let frame = canonical(&parcel, Frame::decode(bytes), |frame| {
        frame.encode_parcel().to_vec()
    });
    if let Ok(frame) = frame {
        let head = Parcel::peek(&parcel).map(|head| head.class());
        assert_eq!(head, Ok(frame.class));
        assert!(Parcel::decode(&parcel).is_ok());
    }
}

/// What nodes and the hub say to each other, and what the hub stores of it: a newer program's words have more fields, but what is
/// read is written so that it reads the same.
pub fn hub_messages(bytes: &[u8]) {
    readable::<Ask>(bytes);
    readable::<Tell>(bytes);
    readable::<LineMessage>(bytes);
    readable::<Post>(bytes);
    readable::<Document>(bytes);
}

/// The sealed inside of an envelope.
pub fn content(bytes: &[u8]) {
    let _ = canonical(bytes, Content::decode(bytes), Content::encode);
}

/// A command.
pub fn command(bytes: &[u8]) {
    let _ = canonical(bytes, Command::decode(bytes), Command::encode);
}

/// Telemetry.
pub fn telemetry(bytes: &[u8]) {
    let _ = canonical(bytes, Telemetry::decode(bytes), Telemetry::encode);
}

/// A message of a session's own channel.
pub fn session_message(bytes: &[u8]) {
    let _ = canonical(bytes, SessionMessage::decode(bytes), SessionMessage::encode);
}

/// A beat to an agent.
pub fn controller_beat(bytes: &[u8]) {
    let _ = canonical(bytes, ControllerBeat::decode(bytes), ControllerBeat::encode);
}

/// A beat to a controller.
pub fn agent_beat(bytes: &[u8]) {
    let _ = canonical(bytes, AgentBeat::decode(bytes), AgentBeat::encode);
}

/// A signed statement.
pub fn signed(bytes: &[u8]) {
    let _ = canonical(bytes, Signed::decode(bytes), Signed::encode);
}

/// The agent's record, whose sum is right whatever stands before it.
pub fn record(bytes: &[u8]) {
    let _ = AgentRecord::decode(bytes);
    let whole = [RECORD_MAGIC, bytes].concat();
    let sum = digest::digest(&digest::SHA256, &whole);
    let whole = [&whole, sum.as_ref()].concat();
    if let Ok(record) = AgentRecord::decode(&whole) {
        let again = AgentRecord::decode(&record.encode());
        assert_eq!(again, Ok(record));
    }
}

fn canonical<T: Debug, E>(
    bytes: &[u8],
    value: Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Result<T, E> {
    if let Ok(value) = &value {
        assert_eq!(encode(value), bytes, "{value:?}");
    }
    value
}

fn readable<T>(bytes: &[u8])
where
    T: Debug + PartialEq + Encode<()> + for<'b> Decode<'b, ()>,
{
    if let Ok(value) = hub::decode::<T>(bytes) {
        let again = hub::encode(&value);
        assert!(again.len() <= bytes.len(), "{value:?}");
        assert_eq!(hub::decode(&again), Ok(value));
    }
}

/// What a record begins with, so that the bytes after it are reached.
const RECORD_MAGIC: &[u8] = b"longrein-agent-2\n";
/// The kind of a parcel with a frame.
const HUB_KIND: u8 = 6;
