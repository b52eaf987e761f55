//! Nodes and their links, in a bounded number of series.

use std::collections::BTreeMap;

use longrein_proto::base::{Name, NodeKind, NodeName};
use longrein_proto::path::{Health, PathStatus};
use longrein_proto::role::NodeQuality;

use super::catalogue as all;
use super::page::{Page, seconds};

/// What is counted while one node after the other is looked at.
pub(super) struct Census {
    nodes: BTreeMap<NodeKind, u64>,
    paths: BTreeMap<(NodeKind, Health), u64>,
    /// Nodes that may still have series.
    room: usize,
    omitted: u64,
    /// The newest path of each link.
    links: BTreeMap<(NodeName, Name), PathStatus>,
}

impl Census {
    /// With series for the links of at most so many nodes.
    pub(super) fn new(room: usize) -> Census {
        Census {
            nodes: BTreeMap::new(),
            paths: BTreeMap::new(),
            room,
            omitted: 0,
            links: BTreeMap::new(),
        }
    }

    /// Counts a node.
    pub(super) fn take(&mut self, quality: NodeQuality) {
        let kind = quality.node.kind;
        *self.nodes.entry(kind).or_default() += 1;
        for path in &quality.paths {
            *self.paths.entry((kind, path.status.health)).or_default() += 1;
        }
        if self.room == 0 {
            self.omitted += 1;
            return;
        }
        self.room -= 1;
        // Of a link's paths the newest comes last, and counts.
        for path in quality.paths {
            let link = (quality.node.clone(), path.link);
            self.links.insert(link, path.status);
        }
    }

    /// Writes all of it.
    pub(super) fn write(&self, page: &mut Page) {
        page.family(&all::NODES);
        for kind in NodeKind::ALL {
            let nodes = self.nodes.get(&kind).copied().unwrap_or(0);
            page.sample(&[("kind", kind.as_str())], nodes);
        }
        page.family(&all::PATHS);
        for kind in NodeKind::ALL {
            for health in [Health::Unknown, Health::Live, Health::Suspect, Health::Down] {
                let paths = self.paths.get(&(kind, health)).copied().unwrap_or(0);
                let health = health.to_string();
                page.sample(&[("kind", kind.as_str()), ("health", &health)], paths);
            }
        }
        page.family(&all::NODES_OMITTED).sample(&[], self.omitted);
        page.family(&all::LINK_UP);
        self.each(|labels, status| {
            page.sample(labels, u64::from(status.health != Health::Down));
        });
        page.family(&all::LINK_LOSS);
        self.each_way(|labels, status, is_out| {
            page.sample(labels, if is_out { status.loss } else { status.loss_in });
        });
        page.family(&all::LINK_ROUND_TRIP);
        self.each(|labels, status| {
            if let Some(rtt) = status.rtt {
                page.sample(labels, seconds(rtt));
            }
        });
        page.family(&all::LINK_QUEUE);
        self.each_way(|labels, status, is_out| {
            let queue = if is_out {
                status.queue
            } else {
                status.queue_in
            };
            page.sample(labels, seconds(queue));
        });
    }

    fn each(&self, mut write: impl FnMut(&[(&str, &str)], &PathStatus)) {
        for ((node, link), status) in &self.links {
            let node = node.to_string();
            write(&[("node", &node), ("link", link.as_str())], status);
        }
    }

    fn each_way(&self, mut write: impl FnMut(&[(&str, &str)], &PathStatus, bool)) {
        self.each(|labels, status| {
            for (direction, is_out) in [("to_node", true), ("from_node", false)] {
                let mut labels = labels.to_vec();
                labels.push(("direction", direction));
                write(&labels, status, is_out);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longrein_proto::base::PathId;
    use longrein_proto::path::{LinkId, Strain};
    use longrein_proto::role::PathQuality;

    use super::super::page::Format;
    use super::*;

    fn node(name: &str, paths: &[(u32, &str, Health)]) -> NodeQuality {
        let path = |&(path, link, health): &(u32, &str, Health)| PathQuality {
            link: link.parse().unwrap(),
            status: PathStatus {
                path: PathId(path),
                link: LinkId(path),
                health,
                is_lost: false,
                loss: 0.25,
                rtt: Some(Duration::from_millis(40)),
                rtt_min: None,
                queue: Duration::ZERO,
                queue_in: Duration::from_millis(7),
                loss_in: 0.5,
                bits_per_s: 0.0,
                strain: Strain::None,
                sent_packets: 0,
                sent_bytes: 0,
                received_packets: 0,
                received_bytes: 0,
                sent_packets_per_s: 0,
                received_packets_per_s: 0,
            },
        };
        NodeQuality {
            node: name.parse().unwrap(),
            parcels_sent: 0,
            copies_sent: 0,
            waiting: 0,
            paths: paths.iter().map(path).collect(),
        }
    }

    fn text(census: &Census) -> String {
        let mut page = Page::new(Format::Prometheus);
        census.write(&mut page);
        page.finish()
    }

    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }

    #[test]
    fn each_link_has_the_series_of_its_newest_path() {
        let mut census = Census::new(9);
        let paths = [(1, "lte", Health::Down), (2, "lte", Health::Live)];
        census.take(node("agent/truck-17", &paths));
        let text = text(&census);
        for line in [
            "longrein_relay_nodes{kind=\"agent\"} 1",
            "longrein_relay_nodes{kind=\"service\"} 0",
            "longrein_relay_paths{kind=\"agent\",health=\"down\"} 1",
            "longrein_relay_link_up{node=\"agent/truck-17\",link=\"lte\"} 1",
            "longrein_relay_link_loss_ratio{node=\"agent/truck-17\",link=\"lte\",direction=\"to_node\"} 0.25",
            "longrein_relay_link_loss_ratio{node=\"agent/truck-17\",link=\"lte\",direction=\"from_node\"} 0.5",
            "longrein_relay_link_round_trip_seconds{node=\"agent/truck-17\",link=\"lte\"} 0.04",
        ] {
            has(&text, line);
        }
        assert_eq!(text.matches("link_up{").count(), 1);
    }

    #[test]
    fn more_nodes_than_have_room_are_counted_and_have_no_series() {
        let mut census = Census::new(1);
        for name in ["agent/a", "agent/b", "agent/c"] {
            census.take(node(name, &[(1, "lte", Health::Live)]));
        }
        let text = text(&census);
        has(&text, "longrein_relay_nodes_omitted 2");
        has(&text, "longrein_relay_nodes{kind=\"agent\"} 3");
        assert!(!text.contains("agent/b"), "{text}");
    }
}
