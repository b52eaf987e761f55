//! The answers of the relays to the question who is there.

use std::collections::{BTreeMap, BTreeSet};

use longrein_proto::base::{MonoTime, Name, NodeKind, NodeName};
use longrein_proto::role::Controller;
use tokio::sync::oneshot;

/// A question to all relays. It is repeated to relays that come up while it is open, so it has several numbers.
#[derive(Debug)]
pub(super) struct Census {
    relays: BTreeSet<NodeName>,
    /// Only agents of this group are asked for.
    group: Option<Name>,
    asks: BTreeSet<u32>,
    answers: BTreeMap<NodeName, Answer>,
    done: oneshot::Sender<Answers>,
}

/// Each node that is there, with the relays that see it.
pub(crate) type Answers = BTreeMap<NodeName, BTreeSet<NodeName>>;

#[derive(Debug, Default)]
struct Answer {
    names: BTreeSet<NodeName>,
    complete: bool,
}

impl Census {
    /// A question that is over when each of these relays has answered.
    pub(super) fn new(
        relays: BTreeSet<NodeName>,
        group: Option<Name>,
        done: oneshot::Sender<Answers>,
    ) -> Census {
        Census {
            relays,
            group,
            asks: BTreeSet::new(),
            answers: BTreeMap::new(),
            done,
        }
    }

    /// Puts the question to all relays.
    pub(super) fn ask(&mut self, now: MonoTime, controller: &mut Controller) {
        let ask = match &self.group {
            Some(group) => controller.query_members(now, group.clone()),
            None => controller.query(now, NodeKind::Agent),
        };
        self.on_asked(ask);
    }

    fn on_asked(&mut self, ask: u32) {
        self.asks.insert(ask);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.done.is_closed()
    }

    /// Takes a part of an answer, if it is one to this question.
    pub(super) fn on_answer(&mut self, ask: u32, relay: &NodeName, names: &[NodeName], more: bool) {
        if !self.asks.contains(&ask) {
            return;
        }
        let answer = self.answers.entry(relay.clone()).or_default();
        answer.names.extend(names.iter().cloned());
        answer.complete |= !more;
    }

    /// Whether all relays have answered.
    pub(super) fn is_complete(&self) -> bool {
        let complete = |relay| {
            self.answers
                .get(relay)
                .is_some_and(|answer| answer.complete)
        };
        self.relays.iter().all(complete)
    }

    /// Whether any relay has answered.
    pub(super) fn is_answered(&self) -> bool {
        self.answers.values().any(|answer| answer.complete)
    }

    /// Gives what is known to whoever asked.
    pub(super) fn finish(self) {
        let mut found = Answers::new();
        for (relay, answer) in self.answers {
            for name in answer.names {
                found.entry(name).or_default().insert(relay.clone());
            }
        }
        // Whoever asked may have given up.
        drop(self.done.send(found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    #[test]
    fn answers_of_all_relays_are_merged_and_those_to_other_questions_ignored() {
        let (done, mut answered) = oneshot::channel();
        let (a, b) = (node("relay/a"), node("relay/b"));
        let mut census = Census::new([a.clone(), b.clone()].into(), None, done);
        census.on_asked(1);
        census.on_answer(1, &a, &[node("agent/x"), node("agent/y")], true);
        assert!(!census.is_answered());
        census.on_answer(1, &a, &[node("agent/z")], false);
        census.on_answer(7, &b, &[node("agent/other")], false);
        assert!(census.is_answered() && !census.is_complete());
        census.on_asked(2);
        census.on_answer(2, &b, &[node("agent/x")], false);
        assert!(census.is_complete());
        census.finish();
        let found = answered.try_recv().unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[&node("agent/x")], [a, b].into());
    }
}
