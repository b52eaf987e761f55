//! What is to blame when the way to a node is slow.

use std::fmt;
use std::time::Duration;

use super::{Health, PathStatus};
use crate::wire::LegTimes;

/// What is to blame, by simple rules: of all that is over its bound, what is over it most.
#[derive(Clone, Debug, PartialEq)]
pub enum Blame {
    /// There is no path.
    NoPath,
    /// This.
    One {
        /// Where.
        part: Part,
        /// What is wrong there.
        fault: Fault,
    },
    /// Nothing is over its bound.
    Quiet,
}

/// A part of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A link, from its node to the relay.
    Uplink(String),
    /// A link, from the relay to its node.
    Downlink(String),
    /// A link, both ways.
    Link(String),
    /// The controller's program.
    Controller,
    /// The relay's program.
    Relay,
    /// The agent's program.
    Agent,
    /// The way of commands from the controller to the relay.
    CommandsUp,
    /// The way of commands from the relay to the agent.
    CommandsDown,
}

/// What is wrong with a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing arrives.
    Silent,
    /// This share of the packets gets lost.
    Lost(f64),
    /// Packets queue for so long.
    Queue(Duration),
    /// Commands stay so long.
    Held(Duration),
    /// Commands are on their way for so long.
    Way(Duration),
}

/// At which end of a path its estimates were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the node.
    Node,
    /// At the relay.
    Relay,
}

/// A path with the name that people know its link by.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The link's name.
    pub link: &'a str,
    /// How the path stands.
    pub status: &'a PathStatus,
}

impl Blame {
    /// Packets after which a path's loss is more than what is assumed of a new one.
    pub const PACKETS_KNOWN: u64 = 64;

    /// What is to blame for these paths of a node, and for where the time of its newest command went, when that is known.
    pub fn of(end: End, ways: &[Way<'_>], times: Option<LegTimes>) -> Blame {
        if ways.is_empty() {
            return Blame::NoPath;
        }
        let mut worst = (1.0, Blame::Quiet);
        let of_ways = ways
            .iter()
            .filter(|way| !is_replaced(way, ways))
            .flat_map(|way| suspects_of(end, way));
        for (part, fault) in of_ways.chain(times.into_iter().flat_map(suspects_in)) {
            let weight = fault.weight();
            if weight >= 1.0 && (weight > worst.0 || worst.1 == Blame::Quiet) {
                worst = (weight, Blame::One { part, fault });
            }
        }
        worst.1
    }
}

impl Fault {
    /// How many times its bound it is.
    fn weight(self) -> f64 {
        let times = |span: Duration, bound: Duration| span.as_secs_f64() / bound.as_secs_f64();
        match self {
            Fault::Silent => f64::INFINITY,
            Fault::Lost(share) => share / LOSS_BOUND,
            Fault::Queue(span) => times(span, QUEUE_BOUND),
            Fault::Held(span) => times(span, HELD_BOUND),
            Fault::Way(span) => times(span, WAY_BOUND),
        }
    }
}

/// Whether another path of the same link works in place of one that is down.
fn is_replaced(way: &Way<'_>, ways: &[Way<'_>]) -> bool {
    let works = |other: &Way<'_>| other.link == way.link && other.status.health == Health::Live;
    way.status.health == Health::Down && ways.iter().any(works)
}

fn suspects_of(end: End, way: &Way<'_>) -> Vec<(Part, Fault)> {
    let link = || way.link.to_string();
    let status = way.status;
    match status.health {
        Health::Down => return vec![(Part::Link(link()), Fault::Silent)],
        Health::Unknown => return Vec::new(),
        Health::Live | Health::Suspect => {}
    }
    let (out, back) = match end {
        End::Node => (Part::Uplink(link()), Part::Downlink(link())),
        End::Relay => (Part::Downlink(link()), Part::Uplink(link())),
    };
    let mut found = vec![
        (out.clone(), Fault::Queue(status.queue)),
        (back.clone(), Fault::Queue(status.queue_in)),
    ];
    if status.sent_packets >= Blame::PACKETS_KNOWN {
        found.push((out, Fault::Lost(status.loss)));
    }
    if status.received_packets >= Blame::PACKETS_KNOWN {
        found.push((back, Fault::Lost(status.loss_in)));
    }
    found
}

fn suspects_in(times: LegTimes) -> [(Part, Fault); 5] {
    let span = |tens_of_us: u32| Duration::from_micros(u64::from(tens_of_us) * 10);
    [
        (Part::Controller, Fault::Held(span(times.controller_10us))),
        (Part::CommandsUp, Fault::Way(span(times.uplink_10us))),
        (Part::Relay, Fault::Held(span(times.relay_10us))),
        (Part::CommandsDown, Fault::Way(span(times.downlink_10us))),
        (Part::Agent, Fault::Held(span(times.agent_10us))),
    ]
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blame::NoPath => f.write_str("no path is up"),
            Blame::One { part, fault } => write!(f, "{part}: {fault}"),
            Blame::Quiet => f.write_str("all links are quiet"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Uplink(link) => write!(f, "uplink of {link}"),
            Part::Downlink(link) => write!(f, "downlink of {link}"),
            Part::Link(link) => write!(f, "link {link}"),
            Part::Controller => f.write_str("controller"),
            Part::Relay => f.write_str("relay"),
            Part::Agent => f.write_str("agent"),
            Part::CommandsUp => f.write_str("way from the controller to the relay"),
            Part::CommandsDown => f.write_str("way from the relay to the agent"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Silent => f.write_str("nothing arrives"),
            Fault::Lost(share) => write!(f, "{:.0} % of packets lost", share * 100.0),
            Fault::Queue(span) => write!(f, "{} ms of queue", span.as_millis()),
            Fault::Held(span) => write!(f, "commands stay {} ms", span.as_millis()),
            Fault::Way(span) => write!(f, "commands take {} ms", span.as_millis()),
        }
    }
}

/// Share of packets lost that copies on one more path do not hide any more.
const LOSS_BOUND: f64 = 0.05;
/// Queue that a driver notices: half of what people take as immediate.
const QUEUE_BOUND: Duration = Duration::from_millis(50);
/// Stay of a command in a program that has nothing else to do with it than to pass it on.
const HELD_BOUND: Duration = Duration::from_millis(20);
/// One way of a command: half of the usual bound of 300 ms for driving from a distance.
const WAY_BOUND: Duration = Duration::from_millis(150);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PathId;
    use crate::path::{LinkId, Strain};

    fn quiet() -> PathStatus {
        PathStatus {
            path: PathId(1),
            link: LinkId(1),
            health: Health::Live,
            is_lost: false,
            loss: 0.001,
            rtt: Some(Duration::from_millis(40)),
            rtt_min: None,
            queue: Duration::ZERO,
            queue_in: Duration::from_millis(3),
            loss_in: 0.001,
            bits_per_s: 1_000_000.0,
            strain: Strain::None,
            sent_packets: 500,
            sent_bytes: 0,
            received_packets: 500,
            received_bytes: 0,
            sent_packets_per_s: 5,
            received_packets_per_s: 5,
        }
    }

    fn blame(end: End, paths: &[(&str, PathStatus)]) -> String {
        let ways: Vec<Way<'_>> = paths
            .iter()
            .map(|(link, status)| Way { link, status })
            .collect();
        Blame::of(end, &ways, None).to_string()
    }

    #[test]
    fn links_below_their_bounds_are_quiet() {
        assert_eq!(
            blame(End::Relay, &[("lte", quiet())]),
            "all links are quiet"
        );
        assert_eq!(blame(End::Relay, &[]), "no path is up");
    }

    #[test]
    fn the_direction_is_told_from_either_end() {
        let queued = PathStatus {
            queue_in: Duration::from_millis(180),
            ..quiet()
        };
        let lossy = PathStatus {
            loss: 0.35,
            ..quiet()
        };
        let relay = |status| blame(End::Relay, &[("wwan1", status)]);
        let node = |status| blame(End::Node, &[("wwan1", status)]);
        assert_eq!(relay(queued), "uplink of wwan1: 180 ms of queue");
        assert_eq!(node(queued), "downlink of wwan1: 180 ms of queue");
        assert_eq!(relay(lossy), "downlink of wwan1: 35 % of packets lost");
        assert_eq!(node(lossy), "uplink of wwan1: 35 % of packets lost");
    }

    #[test]
    fn what_is_over_its_bound_most_is_to_blame() {
        let queued = PathStatus {
            queue: Duration::from_millis(60),
            ..quiet()
        };
        let lossy = PathStatus {
            loss_in: 0.07,
            ..quiet()
        };
        let both = [("lte", queued), ("wifi", lossy)];
        assert_eq!(
            blame(End::Relay, &both),
            "uplink of wifi: 7 % of packets lost"
        );
    }

    #[test]
    fn a_silent_link_is_to_blame_unless_another_path_of_it_works() {
        let down = PathStatus {
            health: Health::Down,
            ..quiet()
        };
        let silent = [("lte", down), ("wifi", quiet())];
        assert_eq!(blame(End::Relay, &silent), "link lte: nothing arrives");
        let replaced = [("lte", down), ("lte", quiet())];
        assert_eq!(blame(End::Relay, &replaced), "all links are quiet");
    }

    #[test]
    fn what_is_assumed_of_a_new_path_blames_nobody() {
        let new = PathStatus {
            loss: 0.3,
            loss_in: 0.3,
            sent_packets: 3,
            received_packets: 3,
            ..quiet()
        };
        assert_eq!(blame(End::Node, &[("lte", new)]), "all links are quiet");
    }

    #[test]
    fn a_program_that_holds_commands_is_to_blame() {
        let times = LegTimes {
            uplink_10us: 5_000,
            agent_10us: 4_500,
            ..LegTimes::default()
        };
        let status = quiet();
        let way = Way {
            link: "lte",
            status: &status,
        };
        let blame = Blame::of(End::Node, &[way], Some(times));
        assert_eq!(blame.to_string(), "agent: commands stay 45 ms");
    }
}
