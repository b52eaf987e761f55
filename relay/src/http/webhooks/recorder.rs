//! Stores what sources tell, many events at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::hook::Hook;
use super::kept::Kept;

/// What a source tells: an event, how far it is read with it, or only that.
pub(super) struct Told {
    pub(super) kept: Option<Kept>,
    pub(super) mark: Option<(String, String)>,
}

/// Where sources tell it. Who finds no room waits.
pub(super) fn channel() -> (mpsc::Sender<Told>, mpsc::Receiver<Told>) {
    mpsc::channel(TOLD_MAX)
}

/// Stores until nobody tells anything any more. While the webhook has as many events as it may, sources wait.
pub(super) async fn record(hook: Arc<Hook>, mut told: mpsc::Receiver<Told>) {
    let mut batch = Vec::new();
    while told.recv_many(&mut batch, TOLD_MAX).await > 0 {
        while hook.outbox.is_full() {
            hook.outbox.room.notified().await;
        }
        let mut marks = BTreeMap::new();
        let mut events = Vec::new();
        for told in batch.drain(..) {
            events.extend(told.kept);
            marks.extend(told.mark);
        }
        let count = events.len();
        while let Err(error) = hook.outbox.append(events.clone(), marks.clone()).await {
            tracing::debug!(webhook = %hook.name, %error, "events are not stored, and wait");
            sleep(STORE_PAUSE).await;
        }
        hook.counts.add_recorded(count);
    }
}

/// Events that are not stored yet: with the longest ones, 12 MiB.
const TOLD_MAX: usize = 64;
/// Before the store is asked again.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);
