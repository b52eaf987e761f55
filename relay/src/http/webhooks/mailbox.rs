//! Says to the hub that messages of the mailbox are taken, once they are delivered.

use std::sync::Arc;
use std::time::Duration;

use longrein_proto::hub::LocalTell;
use longrein_proto::wire::hub::{Request, Tell};
use tokio::time::{sleep, timeout};

use super::hook::Hook;
use crate::hub::{Desk, DeskError};

/// As long as the program runs; many messages at once when they come fast.
pub(super) async fn take(hook: Arc<Hook>, desk: Desk) {
    let mut mail = hook.mail.subscribe();
    while mail.changed().await.is_ok() {
        loop {
            let below = *mail.borrow_and_update();
            match take_below(&hook, &desk, below).await {
                Ok(()) => break,
                // What is not taken is not delivered twice for that: the mark is behind it.
                Err(error) => {
                    tracing::debug!(webhook = %hook.name, %error, "mailbox is not shortened");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn take_below(hook: &Hook, desk: &Desk, below: u64) -> Result<(), DeskError> {
    let caller = hook.caller();
    let mut client = desk.open_asker(caller.node, caller.rights).await?;
    let asked = client.ask(Request::Taken { below })?;
    let answered = async {
        loop {
            match client.next().await? {
                LocalTell::Own(Tell::Answer { ask, .. }) if ask == asked => return Ok(()),
                LocalTell::Own(_) | LocalTell::Line { .. } => {}
            }
        }
    };
    match timeout(PATIENCE, answered).await {
        Ok(result) => result,
        Err(_) => Err(DeskError::Overrun),
    }
}

/// For an answer of the hub's.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
