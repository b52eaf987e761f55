//! What the relay counted, for the log.

use longrein_io::drive::{DriveCounts, Driver};
use longrein_io::listen::{ListenCounts, Listener};
use longrein_proto::role::{Relay, RelayCounters};

use crate::counts::Counts;

/// Tells counters as they are since the start of the program: one line for forwarding, one for each listener, one for each
/// reason of failed handshakes.
pub(crate) struct Ledger {
    driver: Driver<Relay>,
    listeners: Vec<(String, Listener)>,
    told: Counts,
}

impl Ledger {
    pub(crate) fn new(driver: Driver<Relay>, listeners: Vec<(String, Listener)>) -> Ledger {
        let nothing = |(name, _): &(String, Listener)| (name.clone(), ListenCounts::default());
        let told = Counts {
            listeners: listeners.iter().map(nothing).collect(),
            ..Counts::default()
        };
        Ledger {
            driver,
            listeners,
            told,
        }
    }

    /// Logs what changed since the last time.
    pub(crate) fn tell_news(&mut self) {
        let counts = self.counts();
        if counts.relay != self.told.relay || counts.drive != self.told.drive {
            self.tell_forwarding(&counts);
        }
        for ((name, now), (_, before)) in counts.listeners.iter().zip(&self.told.listeners) {
            if now != before {
                tell_listener(name, now);
            }
        }
        self.told = counts;
    }

    /// Logs everything.
    pub(crate) fn tell_all(&mut self) {
        let counts = self.counts();
        self.tell_forwarding(&counts);
        for (name, now) in &counts.listeners {
            tell_listener(name, now);
        }
        self.told = counts;
    }

    fn counts(&self) -> Counts {
        Counts::read(&self.driver, &self.listeners)
    }

    fn tell_forwarding(&self, counts: &Counts) {
        let RelayCounters {
            forwarded,
            malformed_packets,
            unexpected_packets,
            malformed_parcels,
            without_route,
            absent,
            expired,
            over_source_budget,
            over_destination_budget,
            stops_without_lease,
            overflows,
            over_handshake_rate,
            over_query_rate,
            evicted_routes,
            refused_routes,
            refused_seats,
            refused_twins,
            revoked,
            ended_papers,
            received_packets,
            received_bytes,
            sent_packets,
            sent_bytes,
        } = counts.relay;
        let DriveCounts {
            paths_up,
            paths_down,
            dropped_no_path,
            datagrams: datagrams_of_paths,
        } = counts.drive;
        let nodes = self.driver.with(|relay, _| relay.nodes().count());
        tracing::info!(
            nodes,
            forwarded,
            malformed_packets,
            unexpected_packets,
            malformed_parcels,
            without_route,
            absent,
            expired,
            over_source_budget,
            over_destination_budget,
            stops_without_lease,
            overflows,
            over_handshake_rate,
            over_query_rate,
            evicted_routes,
            refused_routes,
            refused_seats,
            refused_twins,
            revoked,
            ended_papers,
            received_packets,
            received_bytes,
            sent_packets,
            sent_bytes,
            paths_up,
            paths_down,
            dropped_no_path,
            datagrams_of_paths,
            "relay counters"
        );
    }
}

fn tell_listener(listener: &str, counts: &ListenCounts) {
    let ListenCounts {
        datagrams,
        unclaimed,
        overflowed,
        unsent,
        offered,
        accepted,
        retried,
        refused_full,
        refused_source,
        late,
        failed,
        silent,
        replaced,
    } = counts;
    tracing::info!(
        listener,
        datagrams,
        unclaimed,
        overflowed,
        unsent,
        offered,
        accepted,
        retried,
        refused_full,
        refused_source,
        late,
        silent,
        replaced,
        failed = failed.values().sum::<u64>(),
        "listener counters"
    );
    for (why, count) in failed {
        tracing::info!(listener, %why, count, "handshakes failed");
    }
}
