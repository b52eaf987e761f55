//! Values of every wire type, for property tests.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::base::limits::{
    ACK_BITMAP_BYTES_MAX, BEAT_BYTES_MAX, CERTIFICATE_BYTES_MAX, DICTIONARIES_MAX,
    FRAGMENT_BYTES_MAX, FRAGMENTS_MAX, FUNCTIONS_MAX, HANDSHAKE_BYTES_MAX, HUB_FRAGMENTS_MAX,
    NAMES_PER_NOTICE_MAX, PACKET_BYTES_MAX, PARCEL_BYTES_MAX, SIGNATURE_BYTES_MAX, TRAIL_10US_MAX,
};
use crate::base::{
    ApplicationId, Channel, Class, FencingToken, Flow, Name, NodeKind, NodeName, OfferId, Reason,
    Refusal, Rights, SessionId, Stage, StopId,
};

pub fn packet() -> impl Strategy<Value = Packet> {
    (
        0..1_u32 << 24,
        any::<u32>(),
        option::of(path_report()),
        ack_state(),
        vec(chunk(), 0..6),
    )
        .prop_map(|(path_sequence, tx_time_us, report, ack, chunks)| {
            let mut packet = Packet {
                path_sequence,
                tx_time_us,
                report,
                ack,
                chunks,
            };
            while packet.encoded_len() > PACKET_BYTES_MAX {
                packet.chunks.pop();
            }
            packet
        })
}

fn path_report() -> impl Strategy<Value = PathReport> {
    (0..1_u32 << 24, any::<u32>(), any::<u16>(), any::<u16>()).prop_map(
        |(highest, missing, queue_100us, hold_10us)| PathReport {
            highest,
            missing,
            queue_100us,
            hold_10us,
        },
    )
}

fn ack_state() -> impl Strategy<Value = AckState> {
    (number(), vec(any::<u8>(), 0..=ACK_BITMAP_BYTES_MAX)).prop_map(|(cumulative, mut bitmap)| {
        while bitmap.last() == Some(&0) {
            bitmap.pop();
        }
        AckState { cumulative, bitmap }
    })
}

pub fn chunk() -> impl Strategy<Value = Chunk> {
    let parcel = || {
        prop_oneof![
            parcel().prop_map(|parcel| parcel.encode()),
            bytes(1..=PARCEL_BYTES_MAX)
        ]
    };
    prop_oneof![
        (1..=9_u8, 0..9_u8, any::<u64>(), any::<u32>(), name()).prop_map(
            |(version_min, more, incarnation, features, link)| Chunk::Hello {
                version_min,
                version_max: version_min + more,
                incarnation,
                features,
                link,
            }
        ),
        (any::<u8>(), any::<u64>(), any::<u64>(), any::<u32>()).prop_map(
            |(version, node_incarnation, leg_incarnation, features)| Chunk::Welcome {
                version,
                node_incarnation,
                leg_incarnation,
                features,
            }
        ),
        number().prop_map(|id| Chunk::Floor { id }),
        any::<u32>().prop_map(|kbit_s| Chunk::Allowance { kbit_s }),
        (1..=u64::MAX, trail(), parcel()).prop_map(|(id, trail, parcel)| Chunk::Tracked {
            id,
            trail,
            parcel
        }),
        (trail(), parcel()).prop_map(|(trail, parcel)| Chunk::Untracked { trail, parcel }),
    ]
}

fn trail() -> impl Strategy<Value = Trail> {
    let stay = || prop_oneof![0..300_u32, 0..=TRAIL_10US_MAX];
    (stay(), option::of((stay(), stay()))).prop_map(|(sender_10us, relayed)| Trail {
        sender_10us,
        relayed,
    })
}

pub fn parcel() -> impl Strategy<Value = Parcel> {
    prop_oneof![
        (sealed_header(), bytes(16..=1_046))
            .prop_map(|(header, ciphertext)| Parcel::Sealed { header, ciphertext }),
        (session(), node_name(), bytes(1..=HANDSHAKE_BYTES_MAX)).prop_map(|(session, to, body)| {
            Parcel::Handshake {
                session,
                step: 1,
                to: Some(to),
                body,
            }
        }),
        (session(), 2..=3_u8, bytes(1..=HANDSHAKE_BYTES_MAX)).prop_map(|(session, step, body)| {
            Parcel::Handshake {
                session,
                step,
                to: None,
                body,
            }
        }),
        (node_name(), bytes(1..=HANDSHAKE_BYTES_MAX))
            .prop_map(|(to, body)| Parcel::Signed { to, body }),
        notice().prop_map(Parcel::Notice),
        bytes(1..=HANDSHAKE_BYTES_MAX).prop_map(Parcel::Revocations),
        hub_frame(),
    ]
}

fn hub_frame() -> impl Strategy<Value = Parcel> {
    let place = (2..=HUB_FRAGMENTS_MAX as u8, any::<u8>()).prop_map(|(count, index)| FragmentOf {
        index: index % count,
        count,
    });
    (
        select(vec![Class::Unordered, Class::Reliable]),
        any::<u32>(),
        1..=u64::MAX,
        option::of(place),
        bytes(1..=FRAGMENT_BYTES_MAX),
    )
        .prop_map(|(class, line, number, place, bytes)| {
            let frame = hub::Frame {
                class,
                line: hub::Line(line),
                number,
                place,
                bytes: &bytes,
            };
            Parcel::decode(&frame.encode_parcel()).unwrap()
        })
}

pub fn sealed_header() -> impl Strategy<Value = SealedHeader> {
    (0..4_u8, session(), flow(), 1..=u64::MAX, 0..=60_000_u16).prop_map(
        |(key_phase, session, flow, number, ttl_ms)| SealedHeader {
            key_phase,
            session,
            flow,
            number,
            ttl_ms,
        },
    )
}

fn notice() -> impl Strategy<Value = Notice> {
    prop_oneof![
        (session(), node_name()).prop_map(|(session, to)| Notice::Route { session, to }),
        (session(), any::<bool>())
            .prop_map(|(session, present)| Notice::Routed { session, present }),
        session().prop_map(|session| Notice::Unroute { session }),
        (
            session(),
            prop_oneof![
                Just(RouteRefusal::SessionTaken),
                Just(RouteRefusal::TooMany),
                Just(RouteRefusal::NotAllowed)
            ]
        )
            .prop_map(|(session, why)| Notice::RouteRefused { session, why }),
        (any::<u32>(), node_kind()).prop_map(|(ask, kind)| Notice::Query { ask, kind }),
        (any::<u32>(), name()).prop_map(|(ask, group)| Notice::Members { ask, group }),
        (
            any::<u32>(),
            any::<bool>(),
            vec(node_name(), 0..=NAMES_PER_NOTICE_MAX)
        )
            .prop_map(|(ask, more, names)| Notice::Nodes { ask, more, names }),
        Just(Notice::Draining),
        vec(session(), 0..=FUNCTIONS_MAX).prop_map(|sessions| Notice::Leased { sessions }),
        (name(), any::<std::net::IpAddr>()).prop_map(|(link, address)| Notice::Seen {
            link,
            address: address.to_canonical(),
        }),
    ]
}

pub fn content() -> impl Strategy<Value = Content> {
    let fragment = (2..=FRAGMENTS_MAX as u8)
        .prop_flat_map(|count| (0..count).prop_map(move |index| FragmentOf { index, count }));
    (
        time_us(),
        option::of(any::<u16>()),
        option::of(fragment),
        vec(any::<u8>(), 0..=FRAGMENT_BYTES_MAX),
    )
        .prop_map(|(sent_at_us, dictionary, fragment, bytes)| Content {
            sent_at_us,
            dictionary,
            fragment,
            bytes,
        })
}

pub fn command() -> impl Strategy<Value = Command> {
    let drive = (any::<i16>(), any::<i16>()).prop_map(|(speed_mm_s, curvature_per_km)| Drive {
        speed_mm_s,
        curvature_per_km,
    });
    (
        token(),
        any::<bool>(),
        any::<bool>(),
        option::of(any::<[u8; 8]>().prop_map(ApplicationId)),
        prop_oneof![
            drive.prop_map(Body::Drive),
            vec(any::<u8>(), 0..80).prop_map(Body::Opaque)
        ],
        option::of((0..=u16::MAX).prop_map(|ms| Duration::from_millis(ms.into()))),
    )
        .prop_map(
            |(token, dead_man, resume, application_id, body, picture_age)| Command {
                token,
                dead_man,
                resume,
                application_id,
                picture_age: picture_age.filter(|_| matches!(body, Body::Drive(_))),
                body,
            },
        )
}

pub fn telemetry() -> impl Strategy<Value = Telemetry> {
    prop_oneof![
        (any::<i32>(), any::<i32>(), -3_142..=3_142_i16, any::<i16>()).prop_map(
            |(x_mm, y_mm, heading_mrad, speed_mm_s)| Telemetry::Vehicle(VehicleState {
                x_mm,
                y_mm,
                heading_mrad,
                speed_mm_s,
            })
        ),
        vec(any::<u8>(), 0..80).prop_map(Telemetry::Opaque),
    ]
}

pub fn session_message() -> impl Strategy<Value = SessionMessage> {
    let request = prop_oneof![
        channel().prop_map(|channel| Request::Take { channel }),
        (channel(), token()).prop_map(|(channel, token)| Request::Release { channel, token }),
        any::<u32>().prop_map(|generation| Request::ResetStop { generation }),
        channel().prop_map(|channel| Request::Wait { channel }),
        channel().prop_map(|channel| Request::Leave { channel }),
        (channel(), reason()).prop_map(|(channel, reason)| Request::Preempt { channel, reason }),
        (channel(), reason()).prop_map(|(channel, reason)| Request::Revoke { channel, reason }),
        (channel(), token(), node_name()).prop_map(|(channel, token, to)| Request::Offer {
            channel,
            token,
            to
        }),
        (channel(), offer()).prop_map(|(channel, offer)| Request::Cancel { channel, offer }),
        (channel(), offer()).prop_map(|(channel, offer)| Request::Accept { channel, offer }),
        (channel(), offer(), any::<bool>()).prop_map(|(channel, offer, busy)| Request::Decline {
            channel,
            offer,
            busy
        }),
    ];
    let reply = prop_oneof![
        granted().prop_map(Reply::Granted),
        granted().prop_map(Reply::Coming),
        offer().prop_map(Reply::Offered),
        Just(Reply::Done),
        refusal().prop_map(Reply::Refused),
    ];
    let kind = prop_oneof![Just(FunctionKind::Drive), Just(FunctionKind::Opaque)];
    let function = (name(), kind, rights()).prop_map(|(name, kind, rights)| FunctionDescription {
        name,
        kind,
        rights,
    });
    prop_oneof![
        (any::<u32>(), request).prop_map(|(ask, request)| SessionMessage::Request { ask, request }),
        (any::<u32>(), reply).prop_map(|(ask, reply)| SessionMessage::Reply { ask, reply }),
        (rights(), vec(function, 0..=FUNCTIONS_MAX)).prop_map(|(rights, functions)| {
            SessionMessage::Description(Description { rights, functions })
        }),
        news().prop_map(SessionMessage::News),
        Just(SessionMessage::Bye),
        (0..1_u64 << 48).prop_map(SessionMessage::WallClock),
        (
            vec(any::<u8>(), 0..=CERTIFICATE_BYTES_MAX),
            vec(any::<u8>(), 0..=SIGNATURE_BYTES_MAX)
        )
            .prop_map(|(certificate, signature)| SessionMessage::Papers(Papers {
                certificate,
                signature
            })),
        btree_map(1_u16.., any::<[u8; 8]>(), 0..=DICTIONARIES_MAX).prop_map(|tags| {
            let tag = |(id, digest)| DictionaryTag { id, digest };
            SessionMessage::Dictionaries(tags.into_iter().map(tag).collect())
        }),
    ]
}

fn news() -> impl Strategy<Value = News> {
    let end = select(OfferEnd::ALL.to_vec());
    let removal = prop_oneof![
        (node_name(), reason()).prop_map(|(by, reason)| Removal::Preempted { by, reason }),
        (node_name(), reason()).prop_map(|(by, reason)| Removal::Revoked { by, reason }),
        Just(Removal::NotAllowed),
    ];
    prop_oneof![
        (channel(), offer(), any::<u16>(), node_name()).prop_map(
            |(channel, offer, ttl_ms, from)| News::Ring {
                channel,
                offer,
                ttl_ms,
                from
            }
        ),
        (channel(), offer()).prop_map(|(channel, offer)| News::Accepted { channel, offer }),
        (channel(), offer(), end).prop_map(|(channel, offer, how)| News::Over {
            channel,
            offer,
            how
        }),
        (channel(), token(), removal).prop_map(|(channel, token, how)| News::Lost {
            channel,
            token,
            how
        }),
    ]
}

fn granted() -> impl Strategy<Value = Granted> {
    (channel(), token(), any::<u16>()).prop_map(|(channel, token, ttl_ms)| Granted {
        channel,
        token,
        ttl_ms,
    })
}

fn rights() -> impl Strategy<Value = Rights> {
    (0..=Rights::ALL.bits()).prop_map(|bits| Rights::from_bits(bits).unwrap())
}

fn reason() -> impl Strategy<Value = Reason> {
    vec(prop::char::range(' ', '~'), 1..=Reason::BYTES_MAX)
        .prop_map(|text| text.into_iter().collect::<String>().parse().unwrap())
}

fn offer() -> impl Strategy<Value = OfferId> {
    any::<u32>().prop_map(OfferId)
}

pub fn controller_beat() -> impl Strategy<Value = ControllerBeat> {
    let renewal = (channel(), token()).prop_map(|(channel, token)| Renewal { channel, token });
    (
        option::of(clock_echo()),
        vec(renewal, 0..=FUNCTIONS_MAX),
        vec(flow_report(), 0..6),
    )
        .prop_map(|(echo, renewals, flows)| {
            let mut beat = ControllerBeat {
                echo,
                renewals,
                flows,
            };
            while beat.encode().len() > BEAT_BYTES_MAX {
                beat.flows.pop();
            }
            beat
        })
}

pub fn agent_beat() -> impl Strategy<Value = AgentBeat> {
    let function = (0..4_usize, token(), option::of(0..3_usize));
    (
        option::of(clock_echo()),
        any::<bool>(),
        any::<u32>(),
        vec(node_name(), 3),
        vec(function, 0..=FUNCTIONS_MAX),
        vec(flow_report(), 0..6),
        option::of(any::<[u32; 5]>()),
    )
        .prop_map(
            |(echo, stopped, stop_generation, holders, functions, flows, times)| {
                let functions = functions
                    .into_iter()
                    .map(|(stage, token, holder)| FunctionReport {
                        stage: Stage::ALL[stage],
                        token,
                        holder: holder.map(|place| holders[place].clone()),
                    })
                    .collect();
                let mut beat = AgentBeat {
                    echo,
                    stopped,
                    stop_generation,
                    functions,
                    flows,
                    times: times.map(|parts| LegTimes {
                        controller_10us: parts[0],
                        uplink_10us: parts[1],
                        relay_10us: parts[2],
                        downlink_10us: parts[3],
                        agent_10us: parts[4],
                    }),
                };
                while beat.encode().len() > BEAT_BYTES_MAX && beat.flows.pop().is_some() {}
                beat
            },
        )
}

fn clock_echo() -> impl Strategy<Value = ClockEcho> {
    (time_us(), time_us()).prop_map(|(sent_at_us, received_at_us)| ClockEcho {
        sent_at_us,
        received_at_us,
    })
}

fn flow_report() -> impl Strategy<Value = FlowReport> {
    let outcome = prop_oneof![
        Just(Outcome::Applied),
        refusal().prop_map(Outcome::Refused),
        Just(Outcome::Expired)
    ];
    (
        flow(),
        number(),
        number(),
        number(),
        any::<u32>(),
        vec((1..1_u64 << 32, outcome), 0..8),
    )
        .prop_map(
            |(flow, send_floor, resolved, applied, applied_age_us, steps)| {
                let mut last = 0;
                let outcomes = steps
                    .into_iter()
                    .map(|(step, outcome)| {
                        last += step;
                        (last, outcome)
                    })
                    .collect();
                FlowReport {
                    flow,
                    send_floor,
                    resolved,
                    outcomes,
                    applied,
                    applied_age_us,
                    counts: FlowCounts {
                        superseded: applied / 2,
                        expired: u64::from(applied_age_us),
                        refused: send_floor / 3,
                    },
                }
            },
        )
}

pub fn signed() -> impl Strategy<Value = Signed> {
    (
        statement(),
        vec(any::<u8>(), 0..=CERTIFICATE_BYTES_MAX),
        vec(any::<u8>(), 0..=SIGNATURE_BYTES_MAX),
    )
        .prop_map(|(statement, certificate, signature)| Signed {
            statement,
            certificate,
            signature,
        })
}

pub fn statement() -> impl Strategy<Value = Statement> {
    let id = || any::<[u8; 16]>().prop_map(StopId);
    prop_oneof![
        (id(), option::of(any::<u32>()))
            .prop_map(|(id, generation)| Statement::Stop { id, generation }),
        (id(), name()).prop_map(|(id, group)| Statement::StopOfGroup { id, group }),
        (id(), any::<u32>(), any::<bool>()).prop_map(|(id, generation, latched)| {
            Statement::Stopped {
                id,
                generation,
                latched,
            }
        }),
    ]
}

pub fn node_name() -> impl Strategy<Value = NodeName> {
    (node_kind(), name()).prop_map(|(kind, name)| NodeName { kind, name })
}

fn node_kind() -> impl Strategy<Value = NodeKind> {
    (0..NodeKind::ALL.len()).prop_map(|kind| NodeKind::ALL[kind])
}

fn name() -> impl Strategy<Value = Name> {
    "[a-z0-9][a-z0-9._-]{0,47}".prop_map(|text| text.parse().unwrap())
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::NoClock),
        Just(Refusal::Expired),
        Just(Refusal::NotLeased),
        node_name().prop_map(Refusal::HeldBy),
        Just(Refusal::OldToken),
        Just(Refusal::Stopped),
        Just(Refusal::NeedsResume),
        Just(Refusal::DeadManReleased),
        Just(Refusal::TooOften),
        Just(Refusal::NoSuchFunction),
        Just(Refusal::AlreadyApplied),
        Just(Refusal::AdapterDown),
        Just(Refusal::Malformed),
        Just(Refusal::NotAllowed),
        Just(Refusal::NotYet),
        Just(Refusal::NeedsSecond),
        Just(Refusal::NoOffer),
        Just(Refusal::Revoked),
        Just(Refusal::OldPicture),
        Just(Refusal::Absent),
    ]
}

fn channel() -> impl Strategy<Value = Channel> {
    (0..=Channel::MAX).prop_map(|number| Channel::new(number).unwrap())
}

fn flow() -> impl Strategy<Value = Flow> {
    (0..252_u8).prop_map(|byte| Flow::from_byte(byte).unwrap())
}

fn session() -> impl Strategy<Value = SessionId> {
    any::<u32>().prop_map(SessionId)
}

fn token() -> impl Strategy<Value = FencingToken> {
    number().prop_map(FencingToken)
}

/// Numbers of every encoded length.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
}

fn time_us() -> impl Strategy<Value = u64> {
    0..1_u64 << 48
}

fn bytes(length: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Arc<[u8]>> {
    vec(any::<u8>(), length).prop_map(Into::into)
}
