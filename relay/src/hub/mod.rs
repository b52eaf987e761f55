//! The hub's program: joins the hub at the relay's role to its store and to who speaks by this program.

mod annex;
mod desk;
mod reports;

pub use annex::{Annex, AnnexError, AnnexLoaded, JOURNALS};
pub use desk::{Desk, DeskError, LocalClient};

use std::cell::Cell;
use std::sync::Arc;

use longrein_io::drive::Driver;
use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::Entropy;
use longrein_proto::hub::{Hub, HubEffect, HubSettings};
use longrein_proto::role::Relay;
use longrein_proto::wire::hub::LeaveReason;

use self::annex::Answers;
use self::desk::Locals;
use self::reports::Reports;
use crate::config::HubSection;
use crate::store::{Busy, Keeper, KeeperError, OpenError, Sqlite, Store, Ticket};

/// Why a hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Its store cannot be opened.
    #[error("hub: {0}")]
    Open(#[from] OpenError),
    /// Its store cannot be used.
    #[error("hub: {0}")]
    Keep(#[from] KeeperError),
}

/// A store that is loaded, and the hub of what it holds.
pub struct Opened {
    store: Box<dyn Store>,
    hub: Hub,
    beside: AnnexLoaded,
}

impl Opened {
    /// Opens the store that the configuration names.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub fn new(section: &HubSection) -> Result<Opened, HubError> {
        let mut store = Sqlite::open(&section.directory, section.sync)?;
        let mut loaded = store.load().map_err(KeeperError::Store)?;
        let (journals, records, starts) =
            (loaded.journals.len(), loaded.records.len(), loaded.starts);
        let beside = AnnexLoaded::take_out_of(&mut loaded);
        let run = SystemEntropy::new().next_u64();
        let hub = Hub::new(HubSettings::default(), loaded, run);
        let unreadable = hub.counters().unreadable_records;
        if unreadable > 0 {
            tracing::error!(
                unreadable,
                "hub cannot read some of its records: they are left as they are, and nobody sees them"
            );
        }
        tracing::info!(journals, records, starts, "hub's store is loaded");
        Ok(Opened {
            store: Box::new(store),
            hub,
            beside,
        })
    }

    /// What is stored beside the hub.
    pub fn take_beside(&mut self) -> AnnexLoaded {
        std::mem::take(&mut self.beside)
    }
}

/// A hub at work.
pub struct Host {
    keeper: Arc<Keeper>,
    answers: Arc<Answers>,
    locals: Locals,
    /// Of this generation and older ones nothing is given to the store any more: it had no room for some of it.
    refused_generation: Cell<u64>,
}

impl Host {
    /// Has the role host the hub.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(opened: Opened, driver: &Driver<Relay>) -> Result<Host, HubError> {
        let reports = Reports::new(driver.remote());
        let pages = Arc::clone(&reports);
        let answers = Arc::<Answers>::default();
        let (outcomes_beside, pages_beside) = (Arc::clone(&answers), Arc::clone(&answers));
        let keeper = Keeper::start(
            opened.store,
            move |outcome| {
                if let Some(of_hub) = outcomes_beside.on_outcome(outcome) {
                    reports.on_outcome(of_hub);
                }
            },
            move |page| {
                if let Some(of_hub) = pages_beside.on_page(page) {
                    pages.on_page(of_hub);
                }
            },
        )?;
        driver.with(|relay, _| relay.host(opened.hub));
        Ok(Host {
            keeper: Arc::new(keeper),
            answers,
            locals: Locals::default(),
            refused_generation: Cell::default(),
        })
    }

    /// The way to the hub for who speaks by this program.
    pub fn desk(&self, driver: &Driver<Relay>) -> Desk {
        Desk::new(driver.remote(), self.locals.clone())
    }

    /// The way to what is stored beside the hub. Whoever has it has to drop it for the store to be closed.
    pub fn annex(&self) -> Annex {
        Annex::new(Arc::clone(&self.keeper), Arc::clone(&self.answers))
    }

    /// Does what the hub asks for.
    pub fn on_effect(&self, driver: &Driver<Relay>, effect: HubEffect) {
        match effect {
            HubEffect::Commit {
                ticket,
                generation,
                ops,
            } => {
                if generation <= self.refused_generation.get() {
                    return;
                }
                let given = self.keeper.try_commit(Ticket(ticket), generation, ops);
                if let Err(Busy(_)) = given {
                    self.refused_generation.set(generation);
                    driver.with(|relay, now| {
                        relay.with_hub(now, |hub, at| hub.on_commit_failed(at, ticket));
                    });
                }
            }
            HubEffect::Read { ticket, query } => {
                if let Err(Busy(_)) = self.keeper.try_read(Ticket(ticket), query) {
                    driver.with(|relay, now| {
                        relay.with_hub(now, |hub, _| hub.on_read_failed(ticket));
                    });
                }
            }
            HubEffect::Tell { client, what } => {
                if !self.locals.tell(client, what) {
                    driver.with(|relay, now| {
                        let gone = LeaveReason::Ended;
                        relay.with_hub(now, |hub, at| hub.on_client_gone(at, client, gone));
                    });
                }
            }
            // The role's own.
            HubEffect::Reset { .. } => {}
        }
    }

    /// Whether the store takes nothing.
    pub fn is_degraded(&self) -> bool {
        self.keeper.is_degraded()
    }

    /// Stores what waits, and ends.
    pub fn close(self) {
        drop(self);
    }
}
