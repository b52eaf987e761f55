//! Decoders: what can be read is written as the same bytes, and nothing panics.

use std::fmt::Debug;

use longrein_proto::base::limits::{CHUNKS_PER_PACKET_MAX, PACKET_BYTES_MAX};
use longrein_proto::role::AgentRecord;
use longrein_proto::wire::{
    AgentBeat, Command, Content, ControllerBeat, Packet, Parcel, ParcelHead, SessionMessage,
    Signed, Telemetry,
};
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

/// What a record begins with, so that the bytes after it are reached.
const RECORD_MAGIC: &[u8] = b"longrein-agent-2\n";
