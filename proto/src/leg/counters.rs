//! What a leg counts.

/// What a leg counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received on a path of the leg.
    pub packets_received: u64,
    /// Packets received on a path that is none of the leg's; dropped.
    pub packets_strange: u64,
    /// Packets that the program did not take in time; dropped.
    pub packets_dropped: u64,
    /// Parcels accepted for sending.
    pub parcels_sent: u64,
    /// Parcels delivered to the role.
    pub parcels_received: u64,
    /// Copies and repeats of parcels that were sent beyond the first of each.
    pub copies_sent: u64,
    /// Second arrivals of a parcel; dropped.
    pub duplicates: u64,
    /// Parcels whose deadline passed before they were acknowledged, or sent.
    pub expired: u64,
    /// `latest` parcels that gave way to a newer one, in the queue or on arrival, and others that waited already.
    pub superseded: u64,
    /// Parcels that were dropped as no path of the leg may carry them now.
    pub withheld: u64,
    /// Parcels that were refused because a bound was reached.
    pub overflow: u64,
    /// Acknowledgements of ids that were never sent; ignored.
    pub bad_acks: u64,
    /// Floors and ids outside the window, and untracked parcels that are not `latest`; ignored.
    pub bad_chunks: u64,
    /// Reports of what cannot be; ignored.
    pub bad_reports: u64,
}

impl Counters {
    /// The counts of two legs together.
    #[must_use]
    pub const fn plus(self, other: Counters) -> Counters {
        Counters {
            packets_sent: self.packets_sent + other.packets_sent,
            packets_received: self.packets_received + other.packets_received,
            packets_strange: self.packets_strange + other.packets_strange,
            packets_dropped: self.packets_dropped + other.packets_dropped,
            parcels_sent: self.parcels_sent + other.parcels_sent,
            parcels_received: self.parcels_received + other.parcels_received,
            copies_sent: self.copies_sent + other.copies_sent,
            duplicates: self.duplicates + other.duplicates,
            expired: self.expired + other.expired,
            superseded: self.superseded + other.superseded,
            withheld: self.withheld + other.withheld,
            overflow: self.overflow + other.overflow,
            bad_acks: self.bad_acks + other.bad_acks,
            bad_chunks: self.bad_chunks + other.bad_chunks,
            bad_reports: self.bad_reports + other.bad_reports,
        }
    }
}
