//! What becomes of messages at their targets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ClientId;
use crate::base::limits::{
    RECEIPT_GRACE, RESULTS_GATHERED, RESULTS_PER_TELL_MAX, TRACKED_SENDS_MAX,
    TRACKED_SENDS_PER_CLIENT_MAX,
};
use crate::base::{MonoTime, NodeName};
use crate::wire::hub::{MessageId, TargetOutcome, TargetResult, Want};

/// Messages whose senders want to hear what becomes of them.
#[derive(Debug, Default)]
pub(super) struct Sends {
    open: BTreeMap<SendId, Tracked>,
    of_client: BTreeMap<ClientId, usize>,
    /// By sender's node and message, for what applications say.
    by_name: BTreeMap<(NodeName, MessageId), SendId>,
    /// What was delivered where, by the tag of the carrier that brings it.
    tags: BTreeMap<u64, (SendId, NodeName)>,
    last: u64,
    last_tag: u64,
    timeouts: BTreeSet<(MonoTime, SendId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SendId(u64);

#[derive(Debug)]
struct Tracked {
    client: ClientId,
    from: NodeName,
    id: MessageId,
    want: Want,
    open: BTreeSet<NodeName>,
    results: Vec<TargetResult>,
    tags: Vec<u64>,
    ends: MonoTime,
    tell_at: Option<MonoTime>,
}

/// Results for a sender.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) client: ClientId,
    pub(super) id: MessageId,
    pub(super) results: Vec<TargetResult>,
    pub(super) open: u32,
}

impl Sends {
    /// A message whose sender wants to hear what becomes of it; none when there are as many as may be.
    pub(super) fn begin(
        &mut self,
        now: MonoTime,
        client: ClientId,
        (from, id): (&NodeName, MessageId),
        want: Want,
        ttl: Duration,
    ) -> Option<SendId> {
        let own = self.of_client.entry(client).or_default();
        if *own >= TRACKED_SENDS_PER_CLIENT_MAX || self.open.len() >= TRACKED_SENDS_MAX {
            return None;
        }
        *own += 1;
        self.last += 1;
        let send = SendId(self.last);
        let tracked = Tracked {
            client,
            from: from.clone(),
            id,
            want,
            open: BTreeSet::new(),
            results: Vec::new(),
            tags: Vec::new(),
            ends: now + ttl + RECEIPT_GRACE,
            tell_at: None,
        };
        self.timeouts.insert((tracked.ends, send));
        self.open.insert(send, tracked);
        self.by_name.insert((from.clone(), id), send);
        Some(send)
    }

    /// It goes to a target; the tag to bring it with.
    pub(super) fn add_target(&mut self, send: SendId, node: &NodeName) -> u64 {
        self.last_tag += 1;
        if let Some(tracked) = self.open.get_mut(&send) {
            tracked.open.insert(node.clone());
            tracked.tags.push(self.last_tag);
            self.tags.insert(self.last_tag, (send, node.clone()));
        }
        self.last_tag
    }

    /// What became of it at a target at once.
    pub(super) fn add_result(
        &mut self,
        now: MonoTime,
        send: SendId,
        node: &NodeName,
        outcome: TargetOutcome,
    ) {
        if let Some(tracked) = self.open.get_mut(&send) {
            tracked.open.remove(node);
            tracked.results.push(TargetResult {
                node: node.clone(),
                outcome,
            });
            self.tell_soon(now, send);
        }
    }

    /// All targets are known.
    pub(super) fn on_targets_known(&mut self, now: MonoTime, send: SendId) {
        self.tell_soon(now, send);
    }

    /// A target's program has what was brought with a tag.
    pub(super) fn on_delivered(&mut self, now: MonoTime, tag: u64) {
        let Some((send, node)) = self.tags.remove(&tag) else {
            return;
        };
        let tracked = self.open.get(&send);
        let is_final = tracked.is_some_and(|t| t.want == Want::Delivered && t.open.contains(&node));
        if is_final {
            self.add_result(now, send, &node, TargetOutcome::Delivered);
        }
    }

    /// A target's application says what it did.
    pub(super) fn on_outcome(
        &mut self,
        now: MonoTime,
        node: &NodeName,
        (from, id): (&NodeName, MessageId),
        outcome: TargetOutcome,
    ) -> bool {
        let Some(&send) = self.by_name.get(&(from.clone(), id)) else {
            return false;
        };
        let is_open = self.open.get(&send).is_some_and(|t| t.open.contains(node));
        if is_open {
            self.add_result(now, send, node, outcome);
        }
        is_open
    }

    /// A sender is gone: nobody wants to hear of it any more.
    pub(super) fn on_client_gone(&mut self, client: ClientId) {
        if !self.of_client.contains_key(&client) {
            return;
        }
        let own: Vec<SendId> = self
            .open
            .iter()
            .filter(|(_, tracked)| tracked.client == client)
            .map(|(send, _)| *send)
            .collect();
        for send in own {
            self.end(send);
        }
    }

    /// What is due to be told.
    pub(super) fn on_timeout(&mut self, now: MonoTime) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(&(at, send)) = self.timeouts.first()
            && at <= now
        {
            self.timeouts.pop_first();
            let Some(tracked) = self.open.get_mut(&send) else {
                continue;
            };
            tracked.tell_at = None;
            if tracked.ends <= now {
                let unknown = std::mem::take(&mut tracked.open);
                tracked
                    .results
                    .extend(unknown.into_iter().map(|node| TargetResult {
                        node,
                        outcome: TargetOutcome::Unknown,
                    }));
            }
            let (client, id) = (tracked.client, tracked.id);
            let open = u32::try_from(tracked.open.len()).unwrap_or(u32::MAX);
            let mut results = std::mem::take(&mut tracked.results);
            while !results.is_empty() || open == 0 {
                let rest = results.split_off(results.len().min(RESULTS_PER_TELL_MAX));
                let left = u32::try_from(rest.len()).unwrap_or(u32::MAX);
                told.push(Told {
                    client,
                    id,
                    results: std::mem::replace(&mut results, rest),
                    open: open.saturating_add(left),
                });
                if left == 0 {
                    break;
                }
            }
            if open == 0 {
                self.end(send);
            }
        }
        told
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.timeouts.first().map(|(at, _)| *at)
    }

    fn tell_soon(&mut self, now: MonoTime, send: SendId) {
        if let Some(tracked) = self.open.get_mut(&send)
            && tracked.tell_at.is_none()
        {
            let at = now + RESULTS_GATHERED;
            tracked.tell_at = Some(at);
            self.timeouts.insert((at, send));
        }
    }

    fn end(&mut self, send: SendId) {
        let Some(tracked) = self.open.remove(&send) else {
            return;
        };
        self.timeouts.remove(&(tracked.ends, send));
        if let Some(at) = tracked.tell_at {
            self.timeouts.remove(&(at, send));
        }
        let name = (tracked.from, tracked.id);
        if self.by_name.get(&name) == Some(&send) {
            self.by_name.remove(&name);
        }
        for tag in tracked.tags {
            self.tags.remove(&tag);
        }
        if let Some(own) = self.of_client.get_mut(&tracked.client) {
            *own -= 1;
            if *own == 0 {
                self.of_client.remove(&tracked.client);
            }
        }
    }
}
