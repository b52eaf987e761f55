//! Which relays are reached, and what is wrong with the others.

use std::collections::{BTreeMap, BTreeSet};

use longrein_io::dial::{DialOutcome, Route};
use longrein_io::exit::Exit;
use longrein_proto::base::{Name, NodeKind, NodeName};

/// Which relays are reached, and what is wrong with the routes to the others.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    routes: usize,
    welcomed: BTreeSet<NodeName>,
    up: BTreeSet<RouteKey>,
    problems: BTreeMap<RouteKey, Problem>,
}

/// Relay and link.
type RouteKey = (Name, Name);

/// Why a route is not up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    line: String,
    exit: Exit,
    lasting: bool,
}

impl Contact {
    /// Of this many routes none is up yet.
    pub(crate) fn new(routes: usize) -> Contact {
        Contact {
            routes,
            ..Contact::default()
        }
    }

    pub(crate) fn on_outcome(&mut self, route: &Route, outcome: &DialOutcome) {
        let key = (route.relay.clone(), route.link.clone());
        let Some(exit) = outcome.exit() else {
            self.problems.remove(&key);
            self.up.insert(key);
            return;
        };
        self.up.remove(&key);
        let problem = Problem {
            line: outcome.describe(route),
            exit,
            lasting: is_lasting(outcome),
        };
        self.problems.insert(key, problem);
    }

    /// These are the routes now.
    pub(crate) fn keep_only(&mut self, routes: &[Route]) {
        let is_there = |(relay, link): &RouteKey| {
            let mut routes = routes.iter();
            routes.any(|route| (&route.relay, &route.link) == (relay, link))
        };
        self.routes = routes.len();
        self.up.retain(is_there);
        self.problems.retain(|key, _| is_there(key));
    }

    pub(crate) fn on_welcome(&mut self, relay: NodeName) {
        self.welcomed.insert(relay);
    }

    /// The relays that are reached now.
    pub(crate) fn relays(&self) -> BTreeSet<NodeName> {
        let reached = self
            .up
            .iter()
            .map(|(relay, _)| NodeName::new(NodeKind::Relay, relay.clone()));
        reached
            .filter(|relay| self.welcomed.contains(relay))
            .collect()
    }

    pub(crate) fn is_up(&self) -> bool {
        !self.relays().is_empty()
    }

    /// Whether every route has something wrong that waiting does not mend.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.problems.len() == self.routes && self.problems.values().all(|problem| problem.lasting)
    }

    /// What is wrong with each relay, on one line, and the gravest reason's exit code.
    pub(crate) fn complaint(&self) -> (String, Exit) {
        let lines: BTreeSet<&str> = self
            .problems
            .values()
            .map(|problem| problem.line.as_str())
            .collect();
        let lines: Vec<&str> = lines.into_iter().collect();
        let line = if lines.is_empty() {
            "no relay answered in time".to_string()
        } else {
            lines.join("; ")
        };
        let exits = self.problems.values().map(|problem| problem.exit);
        // A certificate that a relay refuses is what a person can mend, whatever else is wrong.
        let exit = exits
            .min_by_key(|exit| *exit == Exit::Unreachable)
            .unwrap_or(Exit::Unreachable);
        (line, exit)
    }
}

fn is_lasting(outcome: &DialOutcome) -> bool {
    match outcome {
        DialOutcome::Refused(_) | DialOutcome::NoSocket(_) | DialOutcome::Unresolved { .. } => true,
        DialOutcome::Lost { why, .. } => why.is_refusal(),
        DialOutcome::Up { .. } | DialOutcome::NoAnswer => false,
    }
}

#[cfg(test)]
mod tests {
    use longrein_io::ending::{CertificateFault, Ending};
    use longrein_io::socket::Bind;
    use longrein_proto::base::PathId;

    use super::*;

    fn route(relay: &str) -> Route {
        Route {
            budget_kbit_s: 1_000,
            link: "default".parse().unwrap(),
            bind: Bind::Any,
            relay: relay.parse().unwrap(),
            address: "192.0.2.1:4433".to_string(),
        }
    }

    fn up() -> DialOutcome {
        DialOutcome::Up {
            path: PathId(1),
            remote: "192.0.2.1:4433".parse().unwrap(),
        }
    }

    const REFUSED: Ending = Ending::RefusedUs(CertificateFault::NotValidNow);

    #[test]
    fn a_relay_is_reached_when_it_has_welcomed_us_and_while_a_path_is_up() {
        let mut contact = Contact::new(2);
        contact.on_outcome(&route("a"), &up());
        assert!(!contact.is_up());
        contact.on_welcome("relay/a".parse().unwrap());
        assert!(contact.is_up());
        let lost = DialOutcome::Lost {
            path: PathId(1),
            why: Ending::Silent,
        };
        contact.on_outcome(&route("a"), &lost);
        assert!(!contact.is_up() && !contact.is_hopeless());
    }

    #[test]
    fn only_what_waiting_does_not_mend_on_every_route_is_hopeless() {
        let mut contact = Contact::new(2);
        contact.on_outcome(&route("a"), &DialOutcome::Refused(REFUSED));
        assert!(!contact.is_hopeless(), "the other relay may answer");
        contact.on_outcome(&route("b"), &DialOutcome::NoAnswer);
        assert!(!contact.is_hopeless());
        contact.on_outcome(&route("b"), &DialOutcome::Refused(REFUSED));
        assert!(contact.is_hopeless());
    }

    #[test]
    fn the_complaint_is_one_line_and_a_refusal_counts_more_than_silence() {
        let mut contact = Contact::new(2);
        contact.on_outcome(&route("a"), &DialOutcome::NoAnswer);
        let (line, exit) = contact.complaint();
        assert!(line.contains("relay a at 192.0.2.1:4433"), "{line}");
        assert_eq!(exit, Exit::Unreachable);
        contact.on_outcome(&route("b"), &DialOutcome::Refused(REFUSED));
        let (line, exit) = contact.complaint();
        assert!(line.contains("; ") && !line.contains('\n'), "{line}");
        assert_eq!(exit, Exit::Expired);
    }
}
