//! What became of the messages that services sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use longrein_proto::base::NodeName;
use longrein_proto::wire::hub::{MessageId, TargetResult};
use tokio::sync::watch;

/// Messages that were sent, with what became of them so far; the oldest give way.
#[derive(Default)]
pub(super) struct Outcomes(Mutex<Known>);

#[derive(Default)]
struct Known {
    messages: BTreeMap<Sent, Outcome>,
    order: VecDeque<(Instant, Sent)>,
    /// Of all messages.
    results: usize,
}

/// A message of a service.
type Sent = (NodeName, MessageId);

/// What became of a message so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Targets; none until the hub has said how many.
    pub(super) targets: Option<u32>,
    /// When the hub had it, in milliseconds since 1970.
    pub(super) at_ms: u64,
    pub(super) results: BTreeMap<NodeName, TargetResult>,
    /// Targets of which it is not known.
    pub(super) open: u32,
    change: Option<watch::Sender<u64>>,
}

impl Outcomes {
    /// A message is about to be sent: results may come before the hub's answer.
    pub(super) fn begin(&self, node: &NodeName, id: MessageId) {
        let mut known = self.lock();
        let known = &mut *known;
        let sent = (node.clone(), id);
        if known.messages.contains_key(&sent) {
            return;
        }
        let now = Instant::now();
        while let Some((at, oldest)) = known.order.front()
            && (known.messages.len() >= MESSAGES_MAX
                || known.results >= RESULTS_MAX
                || now.saturating_duration_since(*at) > REMEMBERED)
        {
            let gone = known.messages.remove(oldest);
            known.results -= gone.map_or(0, |gone| gone.results.len());
            known.order.pop_front();
        }
        let outcome = Outcome {
            change: Some(watch::Sender::new(0)),
            ..Outcome::default()
        };
        known.messages.insert(sent.clone(), outcome);
        known.order.push_back((now, sent));
    }

    /// The hub has it, for so many; whether anything is told of each of them.
    pub(super) fn on_sent(
        &self,
        (node, id): (&NodeName, MessageId),
        targets: u32,
        at_ms: u64,
        is_tracked: bool,
    ) {
        self.change(node, id, |outcome| {
            if outcome.targets.is_none() {
                outcome.targets = Some(targets);
                outcome.at_ms = at_ms;
                let known = u32::try_from(outcome.results.len()).unwrap_or(u32::MAX);
                outcome.open = if is_tracked {
                    targets.saturating_sub(known)
                } else {
                    0
                };
            }
        });
    }

    /// The hub says what became of it at some targets.
    pub(super) fn add(
        &self,
        node: &NodeName,
        id: MessageId,
        results: Vec<TargetResult>,
        open: u32,
    ) {
        self.change(node, id, |outcome| {
            let results = results
                .into_iter()
                .map(|result| (result.node.clone(), result));
            outcome.results.extend(results);
            outcome.open = open;
        });
    }

    /// What became of a message so far; none when it is not known, or no more.
    pub(super) fn of(&self, node: &NodeName, id: MessageId) -> Option<Outcome> {
        self.lock().messages.get(&(node.clone(), id)).cloned()
    }

    /// The same when it is known of all targets, or after so long.
    pub(super) async fn wait(
        &self,
        node: &NodeName,
        id: MessageId,
        wait: Duration,
    ) -> Option<Outcome> {
        let mut changes = self.of(node, id)?.change?.subscribe();
        let all = async {
            loop {
                if self.is_over(node, id) || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        // What is known by then is what is told.
        drop(tokio::time::timeout(wait, all).await);
        self.of(node, id)
    }

    fn is_over(&self, node: &NodeName, id: MessageId) -> bool {
        let known = self.lock();
        let outcome = known.messages.get(&(node.clone(), id));
        outcome.is_none_or(|outcome| outcome.targets.is_some() && outcome.open == 0)
    }

    fn change(&self, node: &NodeName, id: MessageId, change: impl FnOnce(&mut Outcome)) {
        let mut known = self.lock();
        let known = &mut *known;
        if let Some(outcome) = known.messages.get_mut(&(node.clone(), id)) {
            let before = outcome.results.len();
            change(outcome);
            known.results += outcome.results.len().saturating_sub(before);
            if let Some(told) = &outcome.change {
                told.send_modify(|number| *number = number.wrapping_add(1));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages that are remembered: a minute of the most that services send.
const MESSAGES_MAX: usize = 20_000;
/// Results of these, some 100 bytes each.
const RESULTS_MAX: usize = 500_000;
/// How long they are.
const REMEMBERED: Duration = Duration::from_secs(900);
