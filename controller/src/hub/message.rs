//! Messages to nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use longrein_proto::base::limits::{RECEIPT_GRACE, TARGETS_MAX};
use longrein_proto::base::{Class, Name, NodeName};
use longrein_proto::wire::hub::{
    Answer, Bytes, Direct, MessageId, Request, Selector, TargetOutcome, TargetResult, Targets, Want,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::hub::millis;
use super::{Hub, HubError};

/// A message for nodes, to be sent by [`Hub::send`].
///
/// ```
/// use std::time::Duration;
///
/// use longrein::hub::{Message, Want};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let to = ["agent/truck-17".parse()?, "agent/truck-18".parse()?];
/// let message = Message::to_nodes(to, "shift".parse()?, b"is over".as_slice())
///     .kept(Duration::from_secs(3600))
///     .want(Want::Delivered);
/// # drop(message);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    to: Targets,
    flow: Name,
    class: Class,
    ttl: Duration,
    id: Option<MessageId>,
    is_kept: bool,
    want: Want,
    payload: Bytes,
}

impl Message {
    /// For these nodes, whether they are here or not; `flow` says what it is about.
    ///
    /// `reliable`, for [`Message::TTL`], not kept for who is away, and nobody waits for what becomes of it, unless told otherwise.
    pub fn to_nodes(
        nodes: impl IntoIterator<Item = NodeName>,
        flow: Name,
        payload: impl Into<Bytes>,
    ) -> Message {
        Message::new(
            Targets::Nodes(nodes.into_iter().collect()),
            flow,
            payload.into(),
        )
    }

    /// For the nodes that are known to the hub and fulfil this.
    pub fn to_selected(selector: Selector, flow: Name, payload: impl Into<Bytes>) -> Message {
        Message::new(Targets::Select(selector), flow, payload.into())
    }

    fn new(to: Targets, flow: Name, payload: Bytes) -> Message {
        Message {
            to,
            flow,
            class: Class::Reliable,
            ttl: Self::TTL,
            id: None,
            is_kept: false,
            want: Want::Nothing,
            payload,
        }
    }

    /// Of this class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Message {
        self.class = class;
        self
    }

    /// Worth something for so long.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Message {
        self.ttl = ttl;
        self
    }

    /// Kept in mailboxes for so long, until it is taken; only `reliable`.
    #[must_use]
    pub fn kept(mut self, ttl: Duration) -> Message {
        (self.is_kept, self.ttl) = (true, ttl);
        self
    }

    /// What to hear of its way.
    #[must_use]
    pub fn want(mut self, want: Want) -> Message {
        self.want = want;
        self
    }

    /// With the application's own name: sent again with it, it is taken once.
    #[must_use]
    pub fn id(mut self, id: MessageId) -> Message {
        self.id = Some(id);
        self
    }

    /// Time to live unless told otherwise: for who is here, over a link that is gone for a moment.
    pub const TTL: Duration = Duration::from_secs(10);
}

/// A message that the hub has.
#[derive(Debug)]
pub struct Sent {
    id: MessageId,
    targets: u32,
    at_ms: u64,
    results: mpsc::Receiver<Results>,
    waiting: std::vec::IntoIter<TargetResult>,
    open: u32,
    ends: Instant,
}

/// What became of a message at some targets, and how many are left.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) results: Vec<TargetResult>,
    pub(super) open: u32,
}

impl Hub {
    /// Sends a message to nodes. It is on its way, or stored if it is kept, once this returns.
    ///
    /// # Errors
    /// See [`Hub`]; what goes wrong at a target is a result.
    pub async fn send(&self, message: Message) -> Result<Sent, HubError> {
        let id = match message.id {
            Some(id) => id,
            None => self.new_id().await?,
        };
        let (ttl, wanted) = (message.ttl, message.want != Want::Nothing);
        let direct = Direct {
            to: message.to,
            flow: message.flow,
            class: message.class,
            ttl_ms: millis(ttl),
            id,
            is_kept: message.is_kept,
            want: message.want,
            payload: message.payload,
        };
        Sent::ask(self, id, wanted, ttl, Request::Send(direct)).await
    }
}

impl Sent {
    pub(super) async fn ask(
        hub: &Hub,
        id: MessageId,
        is_wanted: bool,
        ttl: Duration,
        request: Request,
    ) -> Result<Sent, HubError> {
        let (tell, results) = mpsc::channel(TELLS_MAX);
        if is_wanted {
            // Before it is sent: results may come with the answer.
            hub.desk(move |board, _, _| board.await_results(id, tell))
                .await?;
        }
        let Answer::Sent { targets, at_ms } = hub.ask(request).await? else {
            return Err(HubError::WrongAnswer);
        };
        let now = Instant::now();
        let ends = now.checked_add(ttl + RECEIPT_GRACE + hub.patience());
        Ok(Sent {
            id,
            targets,
            at_ms,
            results,
            waiting: Vec::new().into_iter(),
            open: if is_wanted { targets } else { 0 },
            ends: ends.unwrap_or(now),
        })
    }

    /// Its name.
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// For how many it is.
    pub const fn targets(&self) -> u32 {
        self.targets
    }

    /// When the hub had it, in milliseconds since 1970.
    pub const fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// Of how many it is not known what becomes of it; 0 when nobody wanted to hear that.
    pub const fn open(&self) -> u32 {
        self.open
    }

    /// What became of it at one more target, each of them once; none when that is known of all, or its time is over. Of those that
    /// are still [`Sent::open`] then nothing is known: the hub was away meanwhile.
    pub async fn next(&mut self) -> Option<TargetResult> {
        loop {
            if let Some(result) = self.waiting.next() {
                self.open = self.open.saturating_sub(1);
                return Some(result);
            }
            if self.open == 0 {
                return None;
            }
            let told = timeout_at(self.ends, self.results.recv()).await.ok()??;
            // The hub counts those that it tells with this as done.
            let told_now = u32::try_from(told.results.len()).unwrap_or(u32::MAX);
            self.open = told.open.saturating_add(told_now);
            self.waiting = told.results.into_iter();
        }
    }

    /// Waits for all results: by node. Of nodes that were not named, those of which nothing is known are missing.
    pub async fn results(mut self) -> BTreeMap<NodeName, TargetOutcome> {
        let mut all = BTreeMap::new();
        while let Some(TargetResult { node, outcome }) = self.next().await {
            all.insert(node, outcome);
        }
        all
    }
}

/// Tellings that wait: each has at least one result, but for the last.
const TELLS_MAX: usize = TARGETS_MAX + 1;
