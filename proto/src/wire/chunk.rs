//! What a packet carries.

use std::sync::Arc;

use crate::base::Name;

/// One part of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// First words of a node on a path; repeated until the welcome.
    Hello {
        /// Lowest protocol version that the node speaks.
        version_min: u8,
        /// Highest protocol version that the node speaks.
        version_max: u8,
        /// Random number of this run of the node's program; paths with the same one belong to one leg.
        incarnation: u64,
        /// Optional features that the node knows, one bit each; none are defined yet.
        features: u32,
        /// The link that the path uses, for people.
        link: Name,
    },
    /// A relay's answer to a hello.
    Welcome {
        /// The version that both speak from now on.
        version: u8,
        /// The node's incarnation, from its hello.
        node_incarnation: u64,
        /// Random number of the leg at the relay: a new one means that the relay forgot the leg's state.
        leg_incarnation: u64,
        /// Features that both know.
        features: u32,
    },
    /// No tracked parcel with an id below this one will be sent again.
    Floor {
        /// The lowest id that is still alive.
        id: u64,
    },
    /// A parcel whose arrival is acknowledged.
    Tracked {
        /// Its number on the leg, from 1.
        id: u64,
        /// Where its time went before.
        trail: Trail,
        /// The encoded parcel.
        parcel: Arc<[u8]>,
    },
    /// A parcel of class `latest`, which is not acknowledged: a newer one is better than a retry.
    Untracked {
        /// Where its time went before.
        trail: Trail,
        /// The encoded parcel.
        parcel: Arc<[u8]>,
    },
}

/// Where a parcel's time went so far, in units of 10 µs, in the order of its journey: at the sender, and after a relay
/// also on the way up and in the relay. A hint for queues and people; the deadline is judged on sealed times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// Held by the sending node.
    pub sender_10us: u32,
    /// On the way to the relay, and held by the relay; absent on the first leg.
    pub relayed: Option<(u32, u32)>,
}
