//! What nobody honest would send, well enough written to be read.

use std::sync::Arc;

use longrein_proto::base::limits::{ACK_BITMAP_BYTES_MAX, PARCEL_BYTES_MAX, TRAIL_10US_MAX};
use longrein_proto::base::{Flow, NodeKind, NodeName, SessionId, StopId};
use longrein_proto::crypto::sign_statement;
use longrein_proto::wire::{
    AckState, Chunk, Content, FragmentOf, Notice, Packet, Parcel, PathReport, RouteRefusal,
    SealedHeader, Signed, Statement, Trail,
};

use crate::{Script, papers};

pub fn packet(script: &mut Script<'_>) -> Packet {
    let report = script.flag().then(|| PathReport {
        highest: script.u32() & 0x00ff_ffff,
        missing: script.number() as u32,
        queue_100us: script.u16(),
        hold_10us: script.u16(),
    });
    let mut bitmap = script.bytes(ACK_BITMAP_BYTES_MAX).to_vec();
    while bitmap.last() == Some(&0) {
        bitmap.pop();
    }
    let ack = AckState {
        cumulative: script.number(),
        bitmap,
    };
    let chunks = (0..script.byte() % 5).map(|_| chunk(script)).collect();
    Packet {
        path_sequence: script.u32() & 0x00ff_ffff,
        tx_time_us: script.u32(),
        report,
        ack,
        chunks,
    }
}

fn chunk(script: &mut Script<'_>) -> Chunk {
    match script.byte() % 7 {
        0 => Chunk::Hello {
            version_min: script.byte() % 3,
            version_max: script.byte() % 4,
            incarnation: script.number(),
            features: script.u32(),
            link: "cable".parse().expect("a valid name"),
        },
        1 => Chunk::Welcome {
            version: script.byte() % 3,
            node_incarnation: script.number(),
            leg_incarnation: script.number(),
            features: script.u32(),
        },
        2 => Chunk::Floor {
            id: script.number().max(1),
        },
        3 => Chunk::Allowance {
            kbit_s: script.number() as u32,
        },
        4 | 5 => Chunk::Tracked {
            id: script.number().max(1),
            trail: trail(script),
            parcel: parcel(script),
        },
        _ => Chunk::Untracked {
            trail: trail(script),
            parcel: parcel(script),
        },
    }
}

fn trail(script: &mut Script<'_>) -> Trail {
    let mut stay = || script.u32() % (TRAIL_10US_MAX + 1);
    let (sender_10us, relayed) = (stay(), (stay(), stay()));
    Trail {
        sender_10us,
        relayed: script.flag().then_some(relayed),
    }
}

/// Any parcel, sealed ones with rubbish inside.
pub fn parcel(script: &mut Script<'_>) -> Arc<[u8]> {
    let parcel = match script.byte() % 6 {
        0 => return raw(script),
        1 => Parcel::Sealed {
            header: header(script),
            ciphertext: [script.bytes(60), &[0; 16]].concat().into(),
        },
        2 => {
            let step = 1 + script.byte() % 3;
            Parcel::Handshake {
                session: session(script),
                step,
                to: (step == 1).then(|| node(script)),
                body: [script.bytes(900), &[0]].concat().into(),
            }
        }
        3 => Parcel::Signed {
            to: node(script),
            body: signed(script).into(),
        },
        _ => Parcel::Notice(notice(script)),
    };
    parcel.encode()
}

fn raw(script: &mut Script<'_>) -> Arc<[u8]> {
    let bytes = script.bytes(PARCEL_BYTES_MAX);
    if bytes.is_empty() { &[0] } else { bytes }.into()
}

pub fn header(script: &mut Script<'_>) -> SealedHeader {
    SealedHeader {
        key_phase: script.byte() & 3,
        session: session(script),
        flow: flow(script),
        number: script.number().clamp(1, u64::MAX),
        ttl_ms: script.u16() % 60_001,
    }
}

/// Statements, genuine and not.
fn signed(script: &mut Script<'_>) -> Vec<u8> {
    let author = node(script);
    let to = node(script);
    let id = StopId([script.byte() % 16; 16]);
    let statement = if script.byte() % 5 == 0 {
        Statement::StopOfGroup {
            id,
            group: "yard".parse().expect("a valid name"),
        }
    } else if script.flag() {
        Statement::Stop {
            id,
            generation: script.flag().then(|| u32::from(script.byte() % 4)),
        }
    } else {
        Statement::Stopped {
            id,
            generation: script.u32(),
            latched: script.flag(),
        }
    };
    let credential = papers().credential(&author);
    let mut signed = sign_statement(credential.as_ref(), &author, &to, statement);
    match script.byte() % 5 {
        0 => signed.certificate = script.bytes(800).to_vec(),
        1 => signed.signature = script.bytes(96).to_vec(),
        2 => {
            let at = usize::from(script.u16()) % signed.certificate.len();
            signed.certificate[at] ^= 1 << (script.byte() % 8);
        }
        _ => {}
    }
    Signed::encode(&signed)
}

pub fn notice(script: &mut Script<'_>) -> Notice {
    let session = session(script);
    match script.byte() % 8 {
        0 | 1 => Notice::Route {
            session,
            to: node(script),
        },
        2 => Notice::Routed {
            session,
            present: script.flag(),
        },
        3 => Notice::Unroute { session },
        4 => Notice::RouteRefused {
            session,
            why: script.pick(&[
                RouteRefusal::SessionTaken,
                RouteRefusal::TooMany,
                RouteRefusal::NotAllowed,
            ]),
        },
        5 => Notice::Query {
            ask: script.u32(),
            kind: script.pick(&NodeKind::ALL),
        },
        6 => Notice::Nodes {
            ask: u32::from(script.byte()),
            more: script.flag(),
            names: (0..script.byte() % 17).map(|_| node(script)).collect(),
        },
        _ => Notice::Leased {
            sessions: (0..script.byte() % 63)
                .map(|_| self::session(script))
                .collect(),
        },
    }
}

/// The inside of an envelope, to be sealed with the real key.
pub fn content(script: &mut Script<'_>, sent_at_us: u64) -> Vec<u8> {
    if script.byte() % 8 == 0 {
        return script.bytes(1_000).to_vec();
    }
    let fragment = (script.byte() % 4 == 0).then(|| FragmentOf {
        index: script.byte(),
        count: script.byte(),
    });
    Content {
        sent_at_us: match script.byte() % 4 {
            0 => script.number() & 0xffff_ffff_ffff,
            _ => sent_at_us,
        },
        dictionary: (script.byte() % 4 == 0).then(|| u16::from(script.byte() % 3)),
        fragment,
        bytes: script.bytes(900).to_vec(),
    }
    .encode()
}

pub fn flow(script: &mut Script<'_>) -> Flow {
    let byte = script.byte();
    // The session's own channel and the two functions, mostly.
    let byte = if byte < 200 { byte % 12 } else { byte };
    Flow::from_byte(byte).unwrap_or(Flow::from_byte(0).expect("the beats' flow"))
}

pub fn session(script: &mut Script<'_>) -> SessionId {
    SessionId(u32::from(script.byte() % 40))
}

pub fn node(script: &mut Script<'_>) -> NodeName {
    let name = script.pick(&[
        "agent/truck-17",
        "agent/truck-18",
        "controller/alice",
        "controller/mallory",
        "relay/a",
        "relay/b",
        "service/depot",
    ]);
    papers().name(name)
}
