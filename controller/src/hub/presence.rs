//! Who is here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use longrein_proto::base::{Name, NodeName};
use longrein_proto::wire::hub::{Answer, HubRefusal, NodePresence, Request, Selector};
use tokio::sync::Notify;

use super::hub::{PAGE_COUNT, PAGES_MAX};
use super::{Hub, HubError};

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Whether it is here.
    pub presence: NodePresence,
    /// The rooms that it is a member of.
    pub rooms: Vec<Name>,
}

impl Hub {
    /// How the nodes stand that are known to the hub and fulfil this, by name.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn presence(&self, of: Selector) -> Result<Vec<NodePresence>, HubError> {
        let mut all: Vec<NodePresence> = Vec::new();
        for _ in 0..PAGES_MAX {
            let request = Request::Presence {
                of: of.clone(),
                after: all.last().map(|node| node.node.clone()),
                count: PAGE_COUNT,
            };
            let Answer::Presence { nodes, more } = self.ask(request).await? else {
                return Err(HubError::WrongAnswer);
            };
            let is_last = !more || nodes.is_empty();
            all.extend(nodes);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// Whether a node is here, by which links, and in which rooms.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn where_is(&self, node: &NodeName) -> Result<Whereabouts, HubError> {
        let node = node.clone();
        let Answer::WhereIs { presence, rooms } = self.ask(Request::WhereIs { node }).await? else {
            return Err(HubError::WrongAnswer);
        };
        Ok(Whereabouts { presence, rooms })
    }

    /// Hears from now on who comes and goes of those who fulfil this, first how they stand now.
    ///
    /// # Errors
    /// See [`Hub`].
    pub async fn watch_presence(&self, of: Selector) -> Result<PresenceWatch, HubError> {
        let news = Arc::new(PresenceNews::default());
        let told = Arc::clone(&news);
        let number = self
            .desk(move |board, _, _| board.watch_presence(told))
            .await?;
        // From here on it is ended by the handle's drop.
        let watch = PresenceWatch {
            hub: self.clone(),
            number,
            news,
        };
        self.done(Request::WatchPresence { watch: number, of })
            .await?;
        Ok(watch)
    }
}

/// Who comes and goes, until the handle is dropped. Of each node the newest state waits for a slow reader.
#[derive(Debug)]
pub struct PresenceWatch {
    hub: Hub,
    number: u32,
    news: Arc<PresenceNews>,
}

impl PresenceWatch {
    /// How a node stands now; none when the connection has ended, or the hub did not take the watch again after it was away
    /// ([`PresenceWatch::lost`]). Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<NodePresence> {
        loop {
            let (node, is_ended) = self.news.pop();
            if node.is_some() || is_ended {
                return node;
            }
            self.news.changed.notified().await;
        }
    }

    /// Why the hub did not take the watch again.
    pub fn lost(&self) -> Option<HubRefusal> {
        self.news.lock().lost.clone()
    }
}

impl Drop for PresenceWatch {
    fn drop(&mut self) {
        let watch = self.number;
        // When the drive loop is behind, it finds the abandoned watch by itself.
        drop(
            self.hub
                .tell_desk(move |board, _, caller| board.unwatch(caller, watch)),
        );
    }
}

/// What the drive loop has to tell: bounded by the nodes that the hub knows.
#[derive(Debug, Default)]
pub(super) struct PresenceNews {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<NodeName>,
    nodes: BTreeMap<NodeName, NodePresence>,
    lost: Option<HubRefusal>,
    is_ended: bool,
}

impl PresenceNews {
    pub(super) fn tell(&self, nodes: Vec<NodePresence>) {
        let mut waiting = self.lock();
        for presence in nodes {
            let node = presence.node.clone();
            if waiting.nodes.insert(node.clone(), presence).is_none() {
                waiting.order.push_back(node);
            }
        }
        drop(waiting);
        self.changed.notify_one();
    }

    pub(super) fn end(&self, lost: Option<HubRefusal>) {
        let mut waiting = self.lock();
        (waiting.lost, waiting.is_ended) = (lost, true);
        drop(waiting);
        self.changed.notify_one();
    }

    fn pop(&self) -> (Option<NodePresence>, bool) {
        let mut waiting = self.lock();
        let node = waiting.order.pop_front();
        let presence = node.and_then(|node| waiting.nodes.remove(&node));
        (presence, waiting.is_ended)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use longrein_proto::wire::hub::PresenceReason;

    use super::*;

    #[test]
    fn of_each_node_the_newest_state_waits_in_the_order_of_the_first_change() {
        let news = PresenceNews::default();
        let node = |name: &str, revision| NodePresence {
            node: name.parse().unwrap(),
            present: true,
            reason: PresenceReason::Came,
            since_ms: 0,
            revision,
            links: Vec::new(),
        };
        news.tell(vec![node("agent/b", 1), node("agent/a", 2)]);
        news.tell(vec![node("agent/b", 3)]);
        news.end(None);
        let heard: Vec<u64> = std::iter::from_fn(|| Some(news.pop().0?.revision)).collect();
        assert_eq!(heard, [3, 2]);
        assert!(news.pop().1);
    }
}
