//! What the store says, on its way to the hub: many outcomes in one call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use longrein_io::remote::{Remote, RemoteError};
use longrein_proto::base::MonoTime;
use longrein_proto::role::Relay;

use crate::store::{Outcome, PageRead};

/// Words of the store's threads to the hub's.
pub(super) struct Reports {
    remote: Remote<Relay>,
    waiting: Mutex<Waiting>,
}

/// What the hub has not heard. Each thing was asked for by the hub, which bounds how many there are.
#[derive(Default)]
struct Waiting {
    reports: VecDeque<Report>,
    /// Whether a call is on its way that takes them all.
    is_called: bool,
}

enum Report {
    Outcome(Outcome),
    Page(PageRead),
}

impl Reports {
    pub(super) fn new(remote: Remote<Relay>) -> Arc<Reports> {
        Arc::new(Reports {
            remote,
            waiting: Mutex::default(),
        })
    }

    /// A batch is stored, or is not.
    pub(super) fn on_outcome(self: &Arc<Self>, outcome: Outcome) {
        self.add(Report::Outcome(outcome));
    }

    /// A page is read, or cannot be.
    pub(super) fn on_page(self: &Arc<Self>, page: PageRead) {
        self.add(Report::Page(page));
    }

    fn add(self: &Arc<Self>, report: Report) {
        let is_called = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.reports.push_back(report);
            std::mem::replace(&mut waiting.is_called, true)
        };
        if !is_called {
            self.call();
        }
    }

    /// The hub's thread may be behind, which the store's threads can wait for.
    fn call(self: &Arc<Self>) {
        loop {
            let own = Arc::clone(self);
            match self.remote.call(move |relay, now| own.tell(relay, now)) {
                Ok(()) | Err(RemoteError::Ended) => return,
                Err(RemoteError::Busy) => thread::sleep(BUSY_WAIT),
            }
        }
    }

    fn tell(&self, relay: &mut Relay, now: MonoTime) {
        let reports = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.is_called = false;
            std::mem::take(&mut waiting.reports)
        };
        relay.with_hub(now, |hub, at| {
            for report in reports {
                match report {
                    Report::Outcome(Outcome {
                        ticket,
                        result: Ok(committed),
                    }) => hub.on_committed(at, ticket.0, &committed.shortened),
                    Report::Outcome(Outcome {
                        ticket,
                        result: Err(_),
                    }) => hub.on_commit_failed(at, ticket.0),
                    Report::Page(PageRead {
                        ticket,
                        result: Ok(page),
                    }) => hub.on_page(at, ticket.0, page),
                    Report::Page(PageRead {
                        ticket,
                        result: Err(_),
                    }) => hub.on_read_failed(ticket.0),
                }
            }
        });
    }
}

/// Until a call that found the hub's thread behind is tried again.
const BUSY_WAIT: Duration = Duration::from_millis(1);
