//! What a drive command costs on the wire above QUIC, beside its body.

use super::*;
use crate::base::limits::{SEAL_TAG_BYTES, TRAIL_10US_MAX};
use crate::base::{Channel, Class, FencingToken, Flow, SessionId};

/// Bytes of speed and curvature.
const BODY_BYTES: usize = 4;

/// What the length of a drive command's packet depends on.
struct Case {
    report: PathReport,
    ack: AckState,
    trail: Trail,
    number: u64,
    ttl_ms: u16,
    token: u64,
}

impl Case {
    /// Bytes of the packet beside the body.
    fn overhead(self) -> usize {
        let command = Command {
            token: FencingToken(self.token),
            dead_man: true,
            resume: false,
            application_id: None,
            picture_age: None,
            body: Body::Drive(Drive::NEUTRAL),
        };
        let content = Content {
            sent_at_us: 3_600_000_000,
            dictionary: None,
            fragment: None,
            bytes: command.encode(),
        };
        let mut ciphertext = content.encode();
        ciphertext.resize(ciphertext.len() + SEAL_TAG_BYTES, 0);
        let header = SealedHeader {
            key_phase: 1,
            session: SessionId(0x5a17_c0de),
            flow: Flow::new(Channel::new(1).unwrap(), Class::Latest),
            number: self.number,
            ttl_ms: self.ttl_ms,
        };
        let parcel = Parcel::Sealed {
            header,
            ciphertext: ciphertext.into(),
        };
        let packet = Packet {
            path_sequence: 180_000,
            tx_time_us: 0,
            report: Some(self.report),
            ack: self.ack,
            chunks: vec![Chunk::Untracked {
                trail: self.trail,
                parcel: parcel.encode(),
            }],
        };
        packet.encode().len() - BODY_BYTES
    }
}

// [WIRE-36]
#[test]
fn a_drive_command_costs_at_most_64_bytes_beside_its_body_after_an_hour_at_50_hz() {
    let typical = Case {
        report: PathReport {
            highest: 180_000,
            missing: 36_000,
            queue_100us: 15,
            hold_10us: 900,
        },
        ack: AckState {
            cumulative: 300,
            bitmap: Vec::new(),
        },
        trail: Trail {
            sender_10us: 5,
            relayed: Some((2_500, 20)),
        },
        number: 180_000,
        ttl_ms: 200,
        token: 7,
    };
    assert_eq!(typical.overhead(), 63);
}

// [WIRE-36]
#[test]
fn a_drive_command_costs_at_most_96_bytes_beside_its_body_in_the_worst_packet() {
    // Numbers of 35 bits: 21 years at 50 Hz.
    let number = (1 << 35) - 1;
    let worst = Case {
        report: PathReport {
            highest: (1 << 24) - 1,
            missing: u32::MAX,
            queue_100us: u16::MAX,
            hold_10us: u16::MAX,
        },
        ack: AckState {
            cumulative: number,
            bitmap: vec![0xff; 16],
        },
        trail: Trail {
            sender_10us: TRAIL_10US_MAX,
            relayed: Some((u32::MAX, u32::MAX)),
        },
        number,
        ttl_ms: 60_000,
        token: number,
    };
    assert_eq!(worst.overhead(), 96);
}
