//! What holds for every wire type: a value survives its encoding, and bytes that can be read have no second reading.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::strategy as any_of;

/// One change that a hostile or broken network makes.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(usize, u8),
    Flip(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Cut(usize),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len().max(1);
        match *self {
            Mutation::Replace(at, value) => {
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte = value;
                }
            }
            Mutation::Flip(at, bit) => {
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte ^= 1 << bit;
                }
            }
            Mutation::Insert(at, value) => bytes.insert(at % (bytes.len() + 1), value),
            Mutation::Remove(at) => {
                if !bytes.is_empty() {
                    bytes.remove(at % length);
                }
            }
            Mutation::Cut(at) => bytes.truncate(at % length),
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Most fields whose change matters are at the front.
    let at = || prop_oneof![3 => 0..48_usize, 1 => any::<usize>()];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, value)| Mutation::Replace(at, value)),
        (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, value)| Mutation::Insert(at, value)),
        at().prop_map(Mutation::Remove),
        at().prop_map(Mutation::Cut),
    ]
}

fn encoded() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any_of::packet().prop_map(|value| value.encode()),
        any_of::parcel().prop_map(|value| value.encode().to_vec()),
        any_of::content().prop_map(|value| value.encode()),
        any_of::command().prop_map(|value| value.encode()),
        any_of::telemetry().prop_map(|value| value.encode()),
        any_of::session_message().prop_map(|value| value.encode()),
        any_of::controller_beat().prop_map(|value| value.encode()),
        any_of::agent_beat().prop_map(|value| value.encode()),
        any_of::signed().prop_map(|value| value.encode()),
    ]
}

/// Reads the bytes as every type: what can be read is written as the same bytes.
fn assert_canonical(bytes: &[u8]) {
    fn check<T: Debug>(bytes: &[u8], value: Result<T, DecodeError>, encode: fn(&T) -> Vec<u8>) {
        if let Ok(value) = value {
            assert_eq!(encode(&value), bytes, "{value:?}");
        }
    }
    check(bytes, Packet::decode(bytes), Packet::encode);
    check(bytes, Parcel::decode(bytes), |parcel| {
        parcel.encode().to_vec()
    });
    check(bytes, Content::decode(bytes), Content::encode);
    check(bytes, Command::decode(bytes), Command::encode);
    check(bytes, Telemetry::decode(bytes), Telemetry::encode);
    check(bytes, SessionMessage::decode(bytes), SessionMessage::encode);
    check(bytes, ControllerBeat::decode(bytes), ControllerBeat::encode);
    check(bytes, AgentBeat::decode(bytes), AgentBeat::encode);
    check(bytes, Signed::decode(bytes), Signed::encode);
    if let Ok(ParcelHead::Sealed(header)) = Parcel::peek(bytes) {
        assert!(bytes.starts_with(&header.encode()));
    }
}

proptest! {
    #[test]
    fn a_packet_survives_the_wire(packet in any_of::packet()) {
        let bytes = packet.encode();
        prop_assert_eq!(bytes.len(), packet.encoded_len());
        prop_assert_eq!(Packet::decode(&bytes), Ok(packet));
    }

    #[test]
    fn a_parcel_survives_the_wire(parcel in any_of::parcel()) {
        let bytes = parcel.encode();
        prop_assert_eq!(Parcel::decode(&bytes), Ok(parcel.clone()));
        let head = match parcel {
            Parcel::Sealed { header, .. } => ParcelHead::Sealed(header),
            Parcel::Handshake { session, step, .. } => ParcelHead::Handshake { session, step },
            Parcel::Signed { .. } => ParcelHead::Signed,
            Parcel::Notice(_) => ParcelHead::Notice,
            Parcel::Revocations(_) => ParcelHead::Revocations,
            // Its frames have tests of their own.
            Parcel::Hub(_) => return Ok(()),
        };
        prop_assert_eq!(Parcel::peek(&bytes), Ok(head));
    }

    // [WIRE-12]
    #[test]
    fn the_clear_bytes_of_an_envelope_are_its_associated_data(header in any_of::sealed_header()) {
        let ciphertext = [7; 16].into();
        let bytes = Parcel::Sealed { header, ciphertext }.encode();
        let clear = bytes.strip_suffix(&[7; 16]).map(<[u8]>::to_vec);
        prop_assert_eq!(clear, Some(header.encode()));
    }

    #[test]
    fn a_content_survives_the_wire(content in any_of::content()) {
        prop_assert_eq!(Content::decode(&content.encode()), Ok(content));
    }

    #[test]
    fn a_command_survives_the_wire(command in any_of::command()) {
        prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
    }

    #[test]
    fn telemetry_survives_the_wire(telemetry in any_of::telemetry()) {
        prop_assert_eq!(Telemetry::decode(&telemetry.encode()), Ok(telemetry));
    }

    #[test]
    fn a_session_message_survives_the_wire(message in any_of::session_message()) {
        prop_assert_eq!(SessionMessage::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn a_controller_beat_survives_the_wire(beat in any_of::controller_beat()) {
        prop_assert_eq!(ControllerBeat::decode(&beat.encode()), Ok(beat));
    }

    #[test]
    fn an_agent_beat_survives_the_wire(beat in any_of::agent_beat()) {
        prop_assert_eq!(AgentBeat::decode(&beat.encode()), Ok(beat));
    }

    #[test]
    fn a_signed_statement_survives_the_wire(signed in any_of::signed()) {
        prop_assert_eq!(Signed::decode(&signed.encode()), Ok(signed));
    }

    // [WIRE-35]
    #[test]
    fn what_is_signed_differs_when_author_addressee_or_statement_differ(
        one in (any_of::node_name(), any_of::node_name(), any_of::statement()),
        other in (any_of::node_name(), any_of::node_name(), any_of::statement()),
    ) {
        let bytes = |(author, to, statement): &_| Signed::to_be_signed(author, to, statement);
        prop_assert_eq!(one == other, bytes(&one) == bytes(&other));
    }

    // [WIRE-3]
    #[test]
    fn a_byte_too_many_is_refused(
        parcel in any_of::parcel(),
        message in any_of::session_message(),
        beat in any_of::agent_beat(),
    ) {
        if let Parcel::Notice(_) = parcel {
            let mut bytes = parcel.encode().to_vec();
            bytes.push(0);
            prop_assert!(Parcel::decode(&bytes).is_err());
        }
        let mut bytes = message.encode();
        bytes.push(0);
        prop_assert!(SessionMessage::decode(&bytes).is_err());
        let mut bytes = beat.encode();
        bytes.push(0);
        prop_assert!(AgentBeat::decode(&bytes).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    // [WIRE-37]
    #[test]
    fn bytes_that_can_be_read_have_no_second_reading(
        bytes in encoded(),
        mutations in vec(mutation(), 0..4),
    ) {
        let mut bytes = bytes;
        for mutation in mutations {
            mutation.apply(&mut bytes);
        }
        assert_canonical(&bytes);
    }

    // [WIRE-37]
    #[test]
    fn random_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200)) {
        assert_canonical(&bytes);
    }
}
