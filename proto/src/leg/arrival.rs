//! What a leg delivers.

use std::sync::Arc;
use std::time::Duration;

use crate::base::PathId;
use crate::wire::Trail;

/// A parcel that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The path of its first copy.
    pub path: PathId,
    /// The encoded parcel, as the peer sent it.
    pub parcel: Arc<[u8]>,
    /// Where its time went before this leg, as the peer says.
    pub trail: Trail,
    /// How long it was on its way over this leg; zero while that is unknown.
    pub transit: Duration,
}
