//! One session's ways through the relays.

use std::collections::BTreeSet;

use crate::base::limits::REOFFER_INTERVAL;
use crate::base::{MonoTime, NodeName, SessionId};
use crate::role::node::Node;
use crate::wire::Notice;

/// Which relays know where the session goes.
#[derive(Debug)]
pub(super) struct Ways {
    pub(super) session: SessionId,
    to: NodeName,
    /// Relays that were asked and have not answered.
    waiting: BTreeSet<NodeName>,
    next: MonoTime,
}

impl Ways {
    /// Asks every relay for a way.
    pub(super) fn new(now: MonoTime, session: SessionId, to: &NodeName, node: &mut Node) -> Ways {
        let mut ways = Ways {
            session,
            to: to.clone(),
            waiting: node.relays().cloned().collect(),
            next: now,
        };
        ways.work(now, node);
        ways
    }

    /// A relay is new, or has forgotten everything.
    pub(super) fn on_leg_up(&mut self, now: MonoTime, relay: &NodeName, node: &mut Node) {
        self.waiting.insert(relay.clone());
        self.ask(now, relay, node);
        self.next = self.next.max(now + REOFFER_INTERVAL);
    }

    /// A relay has said all that it will.
    pub(super) fn on_answer(&mut self, relay: &NodeName) {
        self.waiting.remove(relay);
    }

    /// A notice can be lost with its leg: whoever has not answered is asked again.
    // [WIRE-114]
    pub(super) fn work(&mut self, now: MonoTime, node: &mut Node) {
        if self.waiting.is_empty() || now < self.next {
            return;
        }
        self.next = now + REOFFER_INTERVAL;
        for relay in self.waiting.clone() {
            self.ask(now, &relay, node);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    /// The session is over.
    pub(super) fn close(&self, now: MonoTime, node: &mut Node) {
        let session = self.session;
        node.notify_all(now, &Notice::Unroute { session });
    }

    fn ask(&self, now: MonoTime, relay: &NodeName, node: &mut Node) {
        let route = Notice::Route {
            session: self.session,
            to: self.to.clone(),
        };
        node.notify(now, relay, route);
    }
}
