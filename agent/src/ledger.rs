//! What the agent counted, for the log.

use longrein_io::drive::{DriveCounts, Driver};
use longrein_proto::role::{Agent, AgentCounters, NodeCounters, StopCounters};

/// Tells counters as they are since the start of the program.
pub(crate) struct Ledger {
    driver: Driver<Agent>,
    told: Counts,
}

type Counts = (AgentCounters, NodeCounters, StopCounters, DriveCounts);

impl Ledger {
    pub(crate) fn new(driver: Driver<Agent>) -> Ledger {
        Ledger {
            driver,
            told: Counts::default(),
        }
    }

    /// Logs them when they changed since the last time.
    pub(crate) fn tell_news(&mut self) {
        if self.counts() != self.told {
            self.tell_all();
        }
    }

    /// Logs them.
    pub(crate) fn tell_all(&mut self) {
        let counts = self.counts();
        let (agent, node, stops, drive) = counts;
        tracing::info!(
            unknown_sessions = agent.unknown_sessions,
            forged = agent.forged,
            replayed = agent.replayed,
            rejected = agent.rejected,
            refused = agent.refused,
            refused_sessions = agent.refused_sessions,
            lost_verdicts = agent.lost_verdicts,
            garbled = agent.garbled,
            malformed_packets = node.malformed_packets,
            malformed_parcels = node.malformed_parcels,
            unexpected_packets = node.unexpected_packets,
            overflows = node.overflows,
            stops_verified = stops.verified,
            stops_repeated = stops.repeated,
            stops_forged = stops.forged,
            stops_too_often = stops.too_often,
            paths_up = drive.paths_up,
            paths_down = drive.paths_down,
            dropped_no_path = drive.dropped_no_path,
            "agent counters"
        );
        self.told = counts;
    }

    fn counts(&self) -> Counts {
        let (agent, node, stops) = self.driver.with(|agent, _| agent.counters());
        (agent, node, stops, self.driver.counts())
    }
}
