//! What the agent counted, and which paths hardly send, for the log.

use std::collections::BTreeMap;

use longrein_io::drive::{DriveCounts, Driver};
use longrein_proto::base::PathId;
use longrein_proto::path::Strain;
use longrein_proto::role::{Agent, AgentCounters, NodeCounters, PathView, StopCounters};

/// Tells counters as they are since the start of the program.
pub(crate) struct Ledger {
    driver: Driver<Agent>,
    told: Counts,
    strained: BTreeMap<PathId, Strain>,
}

type Counts = (AgentCounters, NodeCounters, StopCounters, DriveCounts);

impl Ledger {
    pub(crate) fn new(driver: Driver<Agent>) -> Ledger {
        Ledger {
            driver,
            told: Counts::default(),
            strained: BTreeMap::new(),
        }
    }

    /// Logs them when they changed since the last time.
    pub(crate) fn tell_news(&mut self) {
        let paths = self.driver.with(|agent, _| agent.paths());
        for (path, strain) in strain_news(&mut self.strained, &paths) {
            let why = match strain {
                Strain::None => {
                    tracing::info!(relay = %path.relay, link = %path.link, "path may send again");
                    continue;
                }
                Strain::Clogged => "what it sends queues, however little it is",
                Strain::Broken => "nothing of what it sends arrives",
            };
            tracing::warn!(relay = %path.relay, link = %path.link, why, "path hardly sends");
        }
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
            telemetry_withheld = node.withheld,
            stops_verified = stops.verified,
            stops_repeated = stops.repeated,
            stops_forged = stops.forged,
            stops_too_often = stops.too_often,
            stops_not_allowed = stops.not_allowed,
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

/// Paths of which something else is to be told than was told last.
fn strain_news<'a>(
    told: &mut BTreeMap<PathId, Strain>,
    paths: &'a [PathView],
) -> Vec<(&'a PathView, Strain)> {
    let mut now = BTreeMap::new();
    let mut news = Vec::new();
    for view in paths {
        let Some(status) = &view.status else { continue };
        let before = told.get(&status.path).copied().unwrap_or_default();
        if status.strain != before {
            news.push((view, status.strain));
        }
        now.insert(status.path, status.strain);
    }
    *told = now;
    news
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longrein_proto::path::{Health, LinkId, PathStatus};

    use super::*;

    fn view(path: u32, strain: Strain) -> PathView {
        PathView {
            relay: "relay/east".parse().unwrap(),
            link: "lte".parse().unwrap(),
            seen_as: None,
            status: Some(PathStatus {
                path: PathId(path),
                link: LinkId(1),
                health: Health::Live,
                is_lost: false,
                loss: 0.0,
                rtt: None,
                rtt_min: None,
                queue: Duration::ZERO,
                queue_in: Duration::ZERO,
                loss_in: 0.0,
                bits_per_s: 0.0,
                strain,
                sent_packets: 0,
                sent_bytes: 0,
                received_packets: 0,
                received_bytes: 0,
                sent_packets_per_s: 0,
                received_packets_per_s: 0,
            }),
        }
    }

    #[test]
    fn a_path_that_hardly_sends_is_told_once_and_again_when_it_changes() {
        let mut told = BTreeMap::new();
        let mut news = |views: &[PathView]| {
            let news = strain_news(&mut told, views);
            news.iter().map(|(_, strain)| *strain).collect::<Vec<_>>()
        };
        let free = view(1, Strain::None);
        assert_eq!(news(&[free.clone(), view(2, Strain::None)]), []);
        let clogged = [free.clone(), view(2, Strain::Clogged)];
        assert_eq!(news(&clogged), [Strain::Clogged]);
        assert_eq!(news(&clogged), []);
        assert_eq!(news(&[view(2, Strain::Broken)]), [Strain::Broken]);
        assert_eq!(news(&[view(2, Strain::None)]), [Strain::None]);
        // A path in another's place begins without any.
        assert_eq!(news(&[view(2, Strain::Clogged)]), [Strain::Clogged]);
        assert_eq!(news(&[view(3, Strain::None)]), []);
    }
}
