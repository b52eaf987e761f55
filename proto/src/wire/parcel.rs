//! A parcel: what a leg delivers.

use std::sync::Arc;

use super::Notice;
use crate::base::{Flow, NodeName, SessionId};

/// What a leg delivers: an envelope between two nodes, or a notice between a node and its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parcel {
    /// A sealed message or fragment of a session.
    Sealed {
        /// The clear part: what a relay needs, and the associated data of the seal.
        header: SealedHeader,
        /// Ciphertext and tag.
        ciphertext: Arc<[u8]>,
    },
    /// One of the three messages that open a session.
    Handshake {
        /// The session that it opens.
        session: SessionId,
        /// 1, 2 or 3.
        step: u8,
        /// Whom the initiator calls; only in step 1.
        to: Option<NodeName>,
        /// The Noise message.
        body: Arc<[u8]>,
    },
    /// A statement that its author signed, for a node with which there may be no session.
    Signed {
        /// For whom.
        to: NodeName,
        /// The encoded [`super::Signed`].
        body: Arc<[u8]>,
    },
    /// A word between a node and its relay.
    Notice(Notice),
}

/// The clear part of a sealed envelope. Encoded, it is the associated data of the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedHeader {
    /// Low two bits of the key epoch.
    pub key_phase: u8,
    /// The session.
    pub session: SessionId,
    /// Channel and class.
    pub flow: Flow,
    /// The envelope's number in its flow and direction, from 1.
    pub number: u64,
    /// Time to live in milliseconds, from the sealed sending time.
    pub ttl_ms: u16,
}
