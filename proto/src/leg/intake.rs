//! What a leg takes in from its peer.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Counters;
use super::inbox::{Inbox, Verdict};
use super::newest::{Newest, latest_number};
use crate::wire::{AckState, Chunk, Parcel, Trail};

/// Decides which chunks are new: tracked ones by id, `latest` ones by the number in their flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Intake {
    inbox: Inbox,
    newest: Newest,
}

/// What a chunk brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// A parcel that is new.
    pub(super) parcel: Option<(Trail, Arc<[u8]>)>,
    /// Whether the peer waits for an acknowledgement.
    pub(super) asks_ack: bool,
}

impl Intake {
    /// Takes in a chunk. Hello and welcome bring nothing: they are the role's business; an allowance is its path's.
    pub(super) fn on_chunk(&mut self, chunk: Chunk, counters: &mut Counters) -> Taken {
        match chunk {
            Chunk::Hello { .. } | Chunk::Welcome { .. } | Chunk::Allowance { .. } => {
                Taken::default()
            }
            Chunk::Floor { id } => {
                let verdict = self.inbox.on_floor(id);
                counters.bad_chunks += u64::from(verdict == Verdict::Beyond);
                Taken {
                    parcel: None,
                    asks_ack: verdict != Verdict::Beyond,
                }
            }
            Chunk::Tracked { id, trail, parcel } => {
                let verdict = self.inbox.on_id(id);
                counters.bad_chunks += u64::from(verdict == Verdict::Beyond);
                counters.duplicates += u64::from(verdict == Verdict::Known);
                Taken {
                    parcel: (verdict == Verdict::New).then_some((trail, parcel)),
                    asks_ack: verdict != Verdict::Beyond,
                }
            }
            Chunk::Untracked { trail, parcel } => Taken {
                parcel: self.is_newer(&parcel, counters).then_some((trail, parcel)),
                asks_ack: false,
            },
        }
    }

    /// What to tell the peer.
    pub(super) fn ack(&self) -> AckState {
        self.inbox.ack()
    }

    // [WIRE-44] [WIRE-45]
    fn is_newer(&mut self, parcel: &[u8], counters: &mut Counters) -> bool {
        let head = Parcel::peek(parcel).ok();
        let Some((session, flow, number)) = head.as_ref().and_then(latest_number) else {
            counters.bad_chunks += 1;
            return false;
        };
        let order = self.newest.observe(session, flow, number);
        counters.duplicates += u64::from(order == Ordering::Equal);
        counters.superseded += u64::from(order == Ordering::Less);
        order == Ordering::Greater
    }
}
