//! Posts what waits, until it is taken or dead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use longrein_io::clock;
use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::Entropy;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::backoff;
use super::hook::{Hook, Posted};
use super::kept::End;
use super::recorder::STORE_PAUSE;
use super::window::{Tries, Waiting, Window};

/// Delivers one webhook's events.
pub(super) struct Delivery {
    hook: Arc<Hook>,
    /// Of all webhooks.
    places: Arc<Semaphore>,
    window: Window,
    /// As they were stored, of events that are not read yet.
    tries: BTreeMap<u64, Tries>,
    work: JoinSet<Done>,
    posting: usize,
    /// Whether what is stored is not yet as it is here.
    is_unsettled: bool,
    is_settling: bool,
    /// The receiver said that it is, and that is not stored yet.
    is_gone: bool,
}

/// Something came to its end.
enum Done {
    Posted {
        number: u64,
        waiting: Box<Waiting>,
        posted: Posted,
    },
    Buried {
        number: u64,
        tries: Tries,
        is_stored: bool,
    },
    Settled {
        is_stored: bool,
    },
    /// Whether nothing is posted any more is stored, or could not be.
    Switched,
}

impl Delivery {
    pub(super) fn new(hook: Arc<Hook>, places: Arc<Semaphore>) -> Delivery {
        let (low, tries) = hook.outbox.begin();
        Delivery {
            hook,
            places,
            window: Window::new(low),
            tries,
            work: JoinSet::new(),
            posting: 0,
            is_unsettled: false,
            is_settling: false,
            is_gone: false,
        }
    }

    /// As long as the program runs.
    pub(super) async fn run(mut self) {
        loop {
            self.read().await;
            self.post();
            self.settle();
            let due = self.window.next_due().filter(|_| self.may_post());
            let pause = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(done) = self.work.join_next() => match done {
                    Ok(done) => self.on_done(done),
                    Err(error) => tracing::error!(%error, "webhook's work ended in disorder"),
                },
                () = self.hook.outbox.news.notified() => {}
                () = pause => {}
            }
        }
    }

    /// Reads on while there is room.
    async fn read(&mut self) {
        while self.window.has_room() && self.window.next() < self.hook.outbox.end() {
            let (from, end) = (self.window.next(), self.hook.outbox.end());
            let page = match self.hook.outbox.page(from).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::debug!(webhook = %self.hook.name, %error, "events cannot be read, and wait");
                    sleep(STORE_PAUSE).await;
                    continue;
                }
            };
            if page.is_empty() {
                self.window.skip_to(end);
            }
            for (number, id, kept) in page {
                let Some(kept) = kept else {
                    tracing::error!(webhook = %self.hook.name, number, "event cannot be read, and is skipped");
                    self.window.skip_to(number + 1);
                    continue;
                };
                let tries = self.tries.remove(&number).unwrap_or_default();
                self.window.add(number, id, kept, tries, not_before(tries));
            }
        }
    }

    fn may_post(&self) -> bool {
        let is_on = !self.is_gone && self.hook.outbox.off().is_none();
        is_on && self.posting < self.hook.section.concurrency
    }

    fn post(&mut self) {
        if !self.may_post() {
            return;
        }
        let count = self.hook.section.concurrency - self.posting;
        for (number, waiting) in self.window.take_due(Instant::now(), count) {
            self.posting += 1;
            let (hook, places) = (Arc::clone(&self.hook), Arc::clone(&self.places));
            self.work.spawn(async move {
                let _place = places.acquire_owned().await;
                let posted = hook.post(waiting.id, &waiting.kept).await;
                let waiting = Box::new(waiting);
                Done::Posted {
                    number,
                    waiting,
                    posted,
                }
            });
        }
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Posted {
                number,
                waiting,
                posted,
            } => {
                self.posting -= 1;
                self.on_posted(number, &waiting, posted);
            }
            Done::Buried {
                number,
                tries,
                is_stored,
            } => {
                if is_stored {
                    self.hook.counts.add_dead();
                    self.forget(number);
                } else {
                    // It is posted once more, and may have more luck.
                    self.window
                        .put_off(number, tries, Instant::now() + STORE_PAUSE);
                }
            }
            Done::Settled { is_stored } => {
                self.is_settling = false;
                self.is_unsettled |= !is_stored;
            }
            Done::Switched => self.is_gone = false,
        }
    }

    fn on_posted(&mut self, number: u64, waiting: &Waiting, posted: Posted) {
        match posted {
            Posted::Taken => {
                self.hook.counts.add_delivered();
                self.forget(number);
            }
            Posted::Gone => {
                self.hook.counts.add_failed();
                self.window.put_off(number, waiting.tries, Instant::now());
                if std::mem::replace(&mut self.is_gone, true) {
                    return;
                }
                tracing::warn!(
                    webhook = %self.hook.name,
                    "webhook's receiver is gone (410): nothing is posted until it is enabled again"
                );
                let hook = Arc::clone(&self.hook);
                self.work.spawn(async move {
                    if hook.switch(false).await.is_err() {
                        // Then it is posted again, and answered so again.
                        sleep(STORE_PAUSE).await;
                    }
                    Done::Switched
                });
            }
            Posted::Failed { why, wish } => {
                self.hook.counts.add_failed();
                let failed = waiting.tries.failed + 1;
                tracing::info!(
                    webhook = %self.hook.name, kind = waiting.kept.kind, attempt = failed, why,
                    "event is not delivered"
                );
                if failed >= self.hook.section.attempts {
                    self.bury(number, waiting, failed, why);
                    return;
                }
                let wait = backoff::wait(failed, SystemEntropy::new().next_u64()).max(wish);
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                let tries = Tries {
                    failed,
                    next_ms: clock::unix_ms().saturating_add(wait_ms),
                };
                self.window.put_off(number, tries, Instant::now() + wait);
                self.is_unsettled = true;
            }
        }
    }

    /// Puts an event among the dead; until then it holds its place.
    fn bury(&mut self, number: u64, waiting: &Waiting, attempts: u32, why: String) {
        let mut kept = (*waiting.kept).clone();
        kept.end = Some(End {
            attempts,
            at_ms: clock::unix_ms(),
            why,
        });
        let (hook, id, tries) = (Arc::clone(&self.hook), waiting.id, waiting.tries);
        self.work.spawn(async move {
            let buried = hook.outbox.bury(id, &kept).await;
            let is_stored = buried.is_ok();
            Done::Buried {
                number,
                tries,
                is_stored,
            }
        });
    }

    /// An event is delivered, or dead.
    fn forget(&mut self, number: u64) {
        if let Some(waiting) = self.window.remove(number) {
            self.hook.outbox.on_done(&waiting.kept);
            if let Some(mail) = waiting.kept.mail {
                self.hook.mail.send_if_modified(|below| {
                    let is_news = *below <= mail;
                    *below = (*below).max(mail + 1);
                    is_news
                });
            }
        }
        self.is_unsettled = true;
    }

    /// Has stored what is done, one time after the other.
    fn settle(&mut self) {
        if !self.is_unsettled || self.is_settling {
            return;
        }
        self.is_unsettled = false;
        self.is_settling = true;
        let (low, mut tries) = (self.window.low(), self.window.tries());
        tries.extend(&self.tries);
        let hook = Arc::clone(&self.hook);
        self.work.spawn(async move {
            let settled = hook.outbox.settle(low, tries).await;
            if settled.is_err() {
                sleep(STORE_PAUSE).await;
            }
            let is_stored = settled.is_ok();
            Done::Settled { is_stored }
        });
    }
}

/// When an event has its turn that was tried before this start.
fn not_before(tries: Tries) -> Option<Instant> {
    let left_ms = tries.next_ms.saturating_sub(clock::unix_ms());
    let left = Duration::from_millis(left_ms).min(backoff::MOST);
    (tries.failed > 0 && !left.is_zero()).then(|| Instant::now() + left)
}
