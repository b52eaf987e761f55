//! Those who ask the hub in the name of services: one for each service and set of rights, for as long as it is used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longrein_proto::base::NodeName;
use longrein_proto::hub::{HubRight, HubRights, LocalTell};
use longrein_proto::wire::hub::{Answer, HubRefusal, Request, Tell};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::guard::Caller;
use super::outcomes::Outcomes;
use super::refusal::{self, accepted};
use crate::http::problem::Problem;
use crate::hub::{Desk, DeskError, LocalClient};

/// Asks the hub.
#[derive(Clone)]
pub(super) struct Speakers {
    desk: Option<Desk>,
    outcomes: Arc<Outcomes>,
    known: Arc<Mutex<BTreeMap<Who, mpsc::Sender<Order>>>>,
}

/// A service with its rights.
type Who = (NodeName, Vec<HubRight>);

/// A request, and where its answer goes.
struct Order {
    request: Request,
    answer: oneshot::Sender<Result<Answer, DeskError>>,
}

impl Speakers {
    pub(super) fn new(desk: Option<Desk>, outcomes: Arc<Outcomes>) -> Speakers {
        Speakers {
            desk,
            outcomes,
            known: Arc::default(),
        }
    }

    /// The way to the hub, for who speaks for longer.
    ///
    /// # Errors
    /// This relay is no hub.
    pub(super) fn desk(&self) -> Result<&Desk, Problem> {
        self.desk.as_ref().ok_or_else(refusal::no_hub)
    }

    /// What the hub answers; a refusal is a [`Problem`].
    ///
    /// # Errors
    /// The hub refuses, or is not reached within [`PATIENCE`].
    pub(super) async fn ask(&self, caller: &Caller, request: Request) -> Result<Answer, Problem> {
        accepted(self.ask_freely(caller, request).await?)
    }

    /// What the hub answers, a refusal too.
    ///
    /// # Errors
    /// The hub is not reached within [`PATIENCE`].
    pub(super) async fn ask_freely(
        &self,
        caller: &Caller,
        request: Request,
    ) -> Result<Answer, Problem> {
        self.ask_within(caller, request, PATIENCE).await
    }

    /// The same for what takes longer.
    ///
    /// # Errors
    /// The hub is not reached within this time.
    pub(super) async fn ask_within(
        &self,
        caller: &Caller,
        request: Request,
        patience: Duration,
    ) -> Result<Answer, Problem> {
        let (answer, answered) = oneshot::channel();
        let order = Order { request, answer };
        let speaker = self.speaker(caller)?;
        if speaker.try_send(order).is_err() {
            return Err(refusal::problem(&HubRefusal::Busy));
        }
        match timeout(patience, answered).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(refusal::unreached(error)),
            Ok(Err(_)) => Err(Problem::behind("the hub has ended the conversation")),
            Err(_) => Err(Problem::behind("the hub does not answer in time")),
        }
    }

    fn speaker(&self, caller: &Caller) -> Result<mpsc::Sender<Order>, Problem> {
        let desk = self.desk()?.clone();
        let rights = HubRight::ALL.into_iter();
        let rights = rights.filter(|right| caller.rights.has(*right)).collect();
        let who: Who = (caller.node.clone(), rights);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(speaker) = known.get(&who).filter(|speaker| !speaker.is_closed()) {
            return Ok(speaker.clone());
        }
        if known.len() >= SPEAKERS_MAX {
            known.retain(|_, speaker| !speaker.is_closed());
        }
        if known.len() >= SPEAKERS_MAX {
            let busy = HubRefusal::Busy;
            return Err(refusal::problem(&busy));
        }
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        known.insert(who, orders.clone());
        let outcomes = Arc::clone(&self.outcomes);
        let speak = speak(desk, caller.clone(), taken, outcomes);
        tokio::spawn(speak);
        Ok(orders)
    }
}

/// One speaker's life: ends when nothing was asked for [`IDLE_MAX`], or when the hub told more than was taken.
async fn speak(
    desk: Desk,
    caller: Caller,
    mut orders: mpsc::Receiver<Order>,
    outcomes: Arc<Outcomes>,
) {
    let Caller { node, rights } = caller;
    let client = match open(&desk, &node, rights).await {
        Ok(client) => client,
        Err(error) => {
            orders.close();
            while let Some(order) = orders.recv().await {
                // Whoever asked may have given up.
                drop(order.answer.send(Err(error)));
            }
            return;
        }
    };
    converse(client, &node, &mut orders, &outcomes).await;
}

async fn open(desk: &Desk, node: &NodeName, rights: HubRights) -> Result<LocalClient, DeskError> {
    desk.open_asker(node.clone(), rights).await
}

async fn converse(
    mut client: LocalClient,
    node: &NodeName,
    orders: &mut mpsc::Receiver<Order>,
    outcomes: &Outcomes,
) {
    let mut open: BTreeMap<u32, oneshot::Sender<Result<Answer, DeskError>>> = BTreeMap::new();
    loop {
        tokio::select! {
            order = timeout(IDLE_MAX, orders.recv()) => {
                let Ok(Some(Order { request, answer })) = order else { return };
                // Whoever gave up does not count as one who waits.
                open.retain(|_, answer| !answer.is_closed());
                match client.ask(request) {
                    Ok(ask) => {
                        open.insert(ask, answer);
                    }
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            told = client.next() => match told {
                Ok(LocalTell::Own(Tell::Answer { ask, answer })) => {
                    if let Some(asked) = open.remove(&ask) {
                        drop(asked.send(Ok(answer)));
                    }
                }
                Ok(LocalTell::Own(Tell::Results { id, results, open })) => {
                    outcomes.add(node, id, results, open);
                }
                // It reads no lines and watches nothing.
                Ok(LocalTell::Own(_) | LocalTell::Line { .. }) => {}
                Err(_) => return,
            }
        }
    }
}

/// For an answer of the hub's, which it gives when it has stored what is to last.
const PATIENCE: Duration = Duration::from_secs(5);
/// After which a service that asks nothing speaks to the hub no more: what it sent is tracked that long at least.
const IDLE_MAX: Duration = Duration::from_secs(900);
/// Services, with each set of rights, that speak at once.
const SPEAKERS_MAX: usize = 1_024;
/// Requests of one that the hub has not heard.
const ORDERS_MAX: usize = 1_024;
