//! What those who answer over HTTP reach the relay by.

use std::time::Duration;

use longrein_io::keys::Identity;
use longrein_io::remote::Remote;
use longrein_proto::base::{MonoTime, NodeName};
use longrein_proto::role::{NodeQuality, Relay};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::problem::Problem;
use crate::counts::{Counts, CountsAsker};
use crate::hub::{Annex, Desk};

/// Reaches the relay's network thread, with bounded patience.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) relay: Remote<Relay>,
    pub(crate) counts: CountsAsker,
    /// The way to the hub, if this relay is one.
    pub(crate) desk: Option<Desk>,
    /// The way to what is stored beside it.
    pub(crate) annex: Option<Annex>,
    pub(crate) identity: Identity,
    pub(crate) nodes_in_metrics: usize,
    /// Seconds since 1970.
    pub(crate) started_s: u64,
}

impl Access {
    /// What the relay answers.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`].
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Relay, MonoTime) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        match timeout(PATIENCE, self.relay.ask(act)).await {
            Ok(answer) => answer.map_err(|error| Problem::behind(error.to_string())),
            Err(_) => Err(Problem::behind(NO_ANSWER.to_string())),
        }
    }

    /// What the relay counted.
    ///
    /// # Errors
    /// As [`Access::ask`].
    pub(super) async fn counts(&self) -> Result<Counts, Problem> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.counts.send(answer).await.ok()?;
            answered.await.ok()
        };
        match timeout(PATIENCE, asked).await {
            Ok(Some(counts)) => Ok(counts),
            Ok(None) | Err(_) => Err(Problem::behind(NO_ANSWER.to_string())),
        }
    }

    /// Looks at every node, few at a time, so that what is forwarded is not held up.
    ///
    /// # Errors
    /// As [`Access::ask`].
    pub(super) async fn each_node(
        &self,
        mut look: impl FnMut(NodeQuality) + Send,
    ) -> Result<(), Problem> {
        let mut after: Option<NodeName> = None;
        loop {
            let from = after.clone();
            let nodes = self
                .ask(move |relay, _| relay.qualities(from.as_ref(), NODES_PER_CALL))
                .await?;
            let is_last = nodes.len() < NODES_PER_CALL;
            after = nodes.last().map(|quality| quality.node.clone());
            nodes.into_iter().for_each(&mut look);
            if is_last {
                return Ok(());
            }
        }
    }
}

/// For the network thread, which answers within a millisecond: one that takes longer is not alive.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Nodes that are looked at in one call: some 20 µs of the network thread.
pub(super) const NODES_PER_CALL: usize = 32;
const NO_ANSWER: &str = "the network thread does not answer within 1 s";
