//! A relay sends a node no more than its budget, and of one session no more than its source's.

use std::collections::BTreeMap;

use longrein_proto::base::limits::{LEG_WINDOW, OUTBOX_BYTES_MAX, PARCEL_BYTES_MAX};
use longrein_proto::base::{Class, MonoTime, PathId, SessionId};
use longrein_proto::role::RelayConfig;
use longrein_proto::wire::{Chunk, Packet, Parcel, ParcelHead};

use crate::bucket::Bucket;

/// What honest relays sent, by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budgets {
    paths: BTreeMap<PathId, Spent>,
}

#[derive(Clone, Debug)]
struct Spent {
    total: Bucket,
    sessions: BTreeMap<SessionId, Bucket>,
    highest_id: u64,
}

impl Budgets {
    /// A relay sends a packet; panics when that is too much. Retries are not counted: they cost no budget.
    pub(crate) fn on_packet(&mut self, now: MonoTime, path: PathId, bytes: &[u8]) {
        let Ok(packet) = Packet::decode(bytes) else {
            panic!("a relay sends what is no packet");
        };
        let config = RelayConfig::default();
        let (to, from) = (config.destination_bytes_per_s, config.source_bytes_per_s);
        let spent = self.paths.entry(path).or_insert_with(|| Spent {
            // The sessions that hold a lease have as much of their own.
            total: Bucket::new(now, 2 * to, to / 2 + HELD_BYTES),
            sessions: BTreeMap::new(),
            highest_id: 0,
        });
        for chunk in packet.chunks {
            let parcel = match chunk {
                Chunk::Tracked { id, parcel, .. } if id > spent.highest_id => {
                    spent.highest_id = id;
                    parcel
                }
                Chunk::Untracked { parcel, .. } => parcel,
                _ => continue,
            };
            let Ok(ParcelHead::Sealed(header)) = Parcel::peek(&parcel) else {
                continue;
            };
            if header.flow.class == Class::Stop {
                continue;
            }
            let session = spent
                .sessions
                .entry(header.session)
                .or_insert_with(|| Bucket::new(now, from, from / 4 + HELD_BYTES));
            assert!(
                session.take(now, parcel.len()),
                "over its source's budget: {header:?} on {path:?}"
            );
            assert!(
                spent.total.take(now, parcel.len()),
                "over the destination's budget: {header:?} on {path:?}"
            );
        }
    }
}

/// What a leg can hold back and send at once: its outbox and a window.
const HELD_BYTES: u64 = OUTBOX_BYTES_MAX as u64 + LEG_WINDOW * PARCEL_BYTES_MAX as u64;

#[cfg(test)]
mod tests {
    use longrein_proto::base::{Channel, Flow};
    use longrein_proto::wire::{AckState, SealedHeader, Trail};

    use super::*;

    /// Packets of 1,000 bytes of so many sessions, so many of each in a second.
    fn send_for_10_s(sessions: u32, per_s: u64) {
        let mut budgets = Budgets::default();
        for number in 1..=10 * per_s {
            for session in 0..sessions {
                let parcel = Parcel::Sealed {
                    header: SealedHeader {
                        session: SessionId(session),
                        flow: Flow::new(Channel::SESSION, Class::Latest),
                        number,
                        ttl_ms: 100,
                        key_phase: 0,
                    },
                    ciphertext: vec![0; 980].into(),
                };
                let packet = Packet {
                    path_sequence: 0,
                    tx_time_us: 0,
                    report: None,
                    ack: AckState::default(),
                    chunks: vec![Chunk::Untracked {
                        trail: Trail {
                            sender_10us: 0,
                            relayed: Some((0, 0)),
                        },
                        parcel: parcel.encode(),
                    }],
                };
                let now = MonoTime::from_us(number * 1_000_000 / per_s);
                budgets.on_packet(now, PathId(1), &packet.encode());
            }
        }
    }

    #[test]
    fn what_is_within_the_budgets_passes() {
        send_for_10_s(2, 900);
    }

    #[test]
    #[should_panic(expected = "over its source's budget")]
    fn a_source_that_gets_too_much_through_is_noticed() {
        send_for_10_s(1, 1_500);
    }

    #[test]
    #[should_panic(expected = "over the destination's budget")]
    fn a_destination_that_gets_too_much_is_noticed() {
        send_for_10_s(5, 800);
    }
}
